"""Hours, money and energy of a finetuning, and which values would make it cheaper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fairness_core.errors import ConfigError

if TYPE_CHECKING:
    from fairness_core.config import Finetune
    from fairness_core.training.dry_run import Cost

__all__ = ["CARD", "PEAK", "Assumptions", "Choice", "calls_per_image", "cheaper", "price"]

# NVIDIA's data sheet: dense, 10^12 operations a second, float32 without TF32.
CARD = "an NVIDIA A10"
PEAK: Mapping[str, float] = {"float32": 31.2, "bfloat16": 125.0}
FEW_STEPS = 5  # K that is suggested where every step is to have a gradient


@dataclass(frozen=True)
class Assumptions:
    """What nobody can read off the parameters; all are options and all are printed.

    Attributes:
        tflops: Dense products that the GPU does, 10^12 operations a second, by precision.
        utilisation: Share of it that is reached.
        price: Per GPU hour.
        watts: Drawn by GPU and its share of the machine.
        carbon: kg CO2e per kWh.
    """

    tflops: Mapping[str, float] = field(default_factory=lambda: dict(PEAK))
    utilisation: float = 0.3
    price: float = 1.0
    watts: float = 450.0
    carbon: float = 0.4


@dataclass(frozen=True)
class Choice:
    """Values of a run, and what it takes with them.

    Attributes:
        changes: ``finetune.key=value``, beside the parameters as given.
        calls: Forward and backward calls per image and iteration.
        hours: GPU hours of the whole training.
        once: GPU hours of sampling the originals where they are stored; shared by all runs with
            the same noise.
    """

    changes: tuple[str, ...]
    calls: tuple[int, int]
    hours: float
    once: float


def price(
    section: Finetune,
    cost: Cost,
    told: Assumptions,
    changes: Iterable[str] = (),
    *,
    calls: Callable[[int], int] = int,
) -> Choice:
    """What a run with these parameters takes; nothing is chosen.

    Args:
        section: Of the parameters.
        cost: Of its dry run.
        told: For the hours.
        changes: Named in the result.
        calls: Network calls of a sampling by its steps; as many unless given.

    Raises:
        ConfigError: The gradient through the whole sampler, whose memory and time are others.
    """
    if section.gradient_weights == "full":
        raise ConfigError(
            "A plan counts one network call for each step with a gradient",
            given="finetune.gradient_weights=full",
            do="plan with exact; full is there to compare with",
        )
    steps = _sampled(section, calls)
    once = steps * cost.sampling if section.originals == "stored" else 0.0
    own = _passes(section) * steps * cost.sampling + _chosen(section, calls) * cost.gradient
    own += 2 * cost.decoding + cost.loss - cost.judging
    images = section.iterations * section.images_per_prompt
    own_rate, judges_rate = (
        told.tflops[kind] * 1e12 * told.utilisation * 3600
        for kind in (section.precision, "float32")
    )
    return Choice(
        tuple(changes),
        calls_per_image(section, calls),
        images * (own / own_rate + cost.judging / judges_rate),
        images * once / own_rate,
    )


def calls_per_image(section: Finetune, calls: Callable[[int], int] = int) -> tuple[int, int]:
    """Forward and backward calls of an image and iteration; stored originals are free."""
    both = 2 if section.guidance != 1 else 1
    backwards = round(_chosen(section, calls) * (1 if _text_only(section) else both))
    return round(_passes(section) * both * _sampled(section, calls)) + backwards, backwards


def cheaper(
    section: Finetune, cost: Cost, told: Assumptions, *, calls: Callable[[int], int] = int
) -> list[Choice]:
    """What would take fewer hours: each choice alone, then all of them together."""
    options: list[dict[str, object]] = []
    if section.precision == "float32":
        options.append({"precision": "bfloat16"})
    few = min(FEW_STEPS, section.steps[0])
    if _chosen(section, calls) > few:
        options.append({"gradient_steps": few, "gradient_choice": "stratified"})
    if section.originals == "sampled":
        seed = {} if section.noise_seed is not None else {"noise_seed": 0}
        options.append({"originals": "stored", **seed})
    if section.guidance != 1 and not _text_only(section):
        options.append({"guided_gradient": "text"})
    if len(options) > 1:
        options.append({key: value for option in options for key, value in option.items()})
    return [_priced(section, cost, told, option, calls) for option in options]


def _priced(
    section: Finetune,
    cost: Cost,
    told: Assumptions,
    option: Mapping[str, object],
    calls: Callable[[int], int],
) -> Choice:
    if option.get("guided_gradient") == "text":
        cost = replace(cost, gradient=cost.gradient / 2)
    changes = (f"finetune.{key}={value}" for key, value in option.items())
    return price(section.model_copy(update=dict(option)), cost, told, changes, calls=calls)


def _sampled(section: Finetune, calls: Callable[[int], int]) -> float:
    """Network calls of a sampling, on average."""
    first, last = section.steps
    return sum(map(calls, range(first, last + 1))) / (last - first + 1)


def _chosen(section: Finetune, calls: Callable[[int], int]) -> float:
    """K, on average."""
    return section.gradient_steps or _sampled(section, calls)


def _text_only(section: Finetune) -> bool:
    return section.guided_gradient == "text" or section.soft_tokens > 0


def _passes(section: Finetune) -> int:
    """Samplings of an image in an iteration."""
    return 1 if section.originals == "stored" else 2
