"""Memory of the steps after training, by dry runs: sampling images, and the audit's judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.planning import GIB, RESERVED, Line, Need, refuse, room_of
from components.shapes import adapt, configuration, faces_of, missing, network, seen_side

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fairness_core.config import Params

__all__ = ["judging", "missing_judges", "sampling"]

JUDGES = ("audit_image_text", "audit_image_self")


def sampling(params: Params, memory: float) -> Need:
    """Whether ``generate_images`` fits, and what to set: images decoded at once, then all at once.

    Args:
        params: A run.
        memory: Of the GPU, bytes.

    Raises:
        ConfigError: Not even one image fits.
    """
    import torch

    from fairness_core.training import dry_run

    section, models = params.generate_images, params.section("models")
    branches = 2 if section.guidance != 1 else 1
    with dry_run.without_contents(), torch.no_grad():
        unet, vae, text = (
            network(models, name, section.precision) for name in ("unet", "vae", "text_encoder")
        )
        if params.finetune.train_unet:
            adapt(unet, params.finetune.rank)
        tokens, width = text.config.max_position_embeddings, text.config.hidden_size
        modules = (unet, vae, text)
        weights = dry_run.weight_bytes(*modules)
        network_calls, decoder = (
            _line(modules, call)
            for call in (
                lambda n: dry_run.predicted(unet, branches * n, tokens, width),
                lambda n: dry_run.decoded(vae, dry_run.latents_of(unet, n)),
            )
        )
        latents = 4.0 * dry_run.latents_of(unet, 1).numel()
    # Of each image its latents at every step, and its pixels, twice where they are put together.
    kept = (section.steps + 2) * latents + 2 * 4 * 3 * _side(unet, vae) ** 2

    def peak(images: int, decoded: int) -> float:
        worst = max(network_calls.at(images), decoder.at(decoded))
        return weights + images * kept + worst

    room = room_of(memory)
    batch = section.batch_size
    at_once = min(section.decode_batch_size or batch, batch)
    asked = peak(batch, at_once)
    whole = Line(weights + kept + network_calls.first, kept + network_calls.each)
    images = min(batch, whole.fits(room))
    decoded = min(at_once, decoder.fits(room - weights - images * kept))
    if min(images, decoded) < 1:
        refuse("generate_images", memory, peak(1, 1), do="generate_images.precision=bfloat16")
    fits = asked <= room
    changes = {"batch_size": images} if images < batch else {}
    changes |= {"decode_batch_size": decoded} if decoded < min(at_once, images) else {}
    given = {"batch_size": batch, "decode_batch_size": section.decode_batch_size}
    return Need(
        "generate_images", given, (asked + RESERVED) / GIB, fits, {} if fits else changes,
        ((asked if fits else peak(images, min(decoded, images))) + RESERVED) / GIB, {},
    )  # fmt: skip


def judging(params: Params, memory: float) -> Need:
    """Whether ``measure_images`` fits, which holds one of its two large networks at a time.

    Args:
        params: A run.
        memory: Of the GPU, bytes.

    Raises:
        ConfigError: Not even one image fits.
    """
    import torch

    from fairness_core.training import dry_run

    section, models = params.measure_images, params.section("models")
    with dry_run.without_contents(), torch.no_grad():
        unet, vae = (network(models, name, "float32") for name in ("unet", "vae"))
        side = _side(unet, vae)
        classifiers = faces_of(_as_audit(params))
        always = dry_run.weight_bytes(*(classifier for classifier, _, _ in classifiers))
        lines = [_judge(look, size, side, classifier) for classifier, look, size in classifiers]
        for name in JUDGES:
            judge = network(models, name, "float32")
            own = dry_run.weight_bytes(judge)
            line = _judge(_look(judge), seen_side(models, name), side, judge)
            lines.append(Line(own + line.first, line.each))
            del judge
    room, batch = room_of(memory) - always, section.batch_size
    fitting = min(line.fits(room) for line in lines)
    if fitting < 1:
        refuse("measure_images", memory, always + max(line.first for line in lines))
    asked = max(line.at(batch) for line in lines)
    fits = fitting >= batch
    then = max(line.at(min(batch, fitting)) for line in lines)
    beside = always + RESERVED
    return Need(
        "measure_images", {"batch_size": batch}, (asked + beside) / GIB, fits,
        {} if fits else {"batch_size": fitting}, (then + beside) / GIB, {},
    )  # fmt: skip


def missing_judges(params: Params) -> list[str]:
    """Keys of the audit's networks whose folders are not there."""
    models = params.section("models")
    found = [f"models.{name}" for name in JUDGES if configuration(models, name) is None]
    ready = (name for name in missing(_as_audit(params)) if ".train_network." in name)
    return found + [name.replace(".train_network.", ".audit_network.") for name in ready]


def _as_audit(params: Params) -> Params:
    """The audit's classifiers in the training's place, where `faces_of` looks for them."""
    told = params.calibrate_classifier
    return params.model_copy(
        update={
            "calibrate_classifier": told.model_copy(update={"train_network": told.audit_network}),
            "finetune": params.finetune.model_copy(update={"lambda_face": 0.0}),
        }
    )


def _look(judge: Any) -> Callable[[Tensor], Any]:
    if hasattr(judge, "get_image_features"):
        return lambda pixels: judge.get_image_features(pixel_values=pixels).pooler_output
    return lambda pixels: judge(pixel_values=pixels).pooler_output


def _judge(look: Callable[[Tensor], Any], size: int, side: int, module: torch.nn.Module) -> Line:
    """Bytes of images of this side and of a network that sees them resized, its weights aside."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    def call(images: int) -> Any:
        pixels = torch.zeros(images, 3, side, side)
        return pixels, look(
            F.interpolate(pixels, size=(size, size), mode="bicubic", antialias=True)
        )

    return _line((module,), call)


def _line(modules: tuple[torch.nn.Module, ...], call: Callable[[int], Any]) -> Line:
    from fairness_core.training.dry_run import measure

    def peak(images: int) -> int:
        return measure(modules, lambda: call(images)).most

    return Line.through(peak(1), peak(2))


def _side(unet: Any, vae: Any) -> int:
    """Side of the images, px."""
    return int(unet.config.sample_size * 2 ** (len(vae.config.block_out_channels) - 1))
