"""What fits on a GPU: peaks of a run's steps by dry runs, as given and with the least changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from fairness_core.errors import ConfigError

if TYPE_CHECKING:
    from fairness_core.config import Finetune, Params
    from fairness_core.training.dry_run import Cost

__all__ = ["GIB", "RESERVED", "Line", "Need", "kept_bytes", "plan", "refuse", "room_of", "text"]

GIB = 2**30
# What the driver, kernels and a fragmented allocator take beside tensors.
RESERVED, USABLE = 1.0 * GIB, 0.92


@dataclass(frozen=True)
class Line:
    """Bytes that grow evenly with the images of a network call.

    Attributes:
        first: Of one image.
        each: Of every further one.
    """

    first: float
    each: float

    @classmethod
    def through(cls, one: float, two: float) -> Line:
        """The line through the bytes of one image and of two."""
        return cls(one, max(two - one, 1.0))

    def at(self, images: int) -> float:
        """Bytes of this many."""
        return self.first + (images - 1) * self.each

    def fits(self, room: float) -> int:
        """Images that fit; 0: not even one."""
        return max(int((room - self.first) // self.each) + 1, 0)


@dataclass(frozen=True)
class Need:
    """Memory of a step, everything included.

    Attributes:
        step: Its name.
        given: What of its section decides the memory.
        gib: Peak as given.
        fits: Whether it fits.
        changes: What to set where it does not; empty where it does.
        then: Peak with them.
        most: The largest values that fit, where it does.
    """

    step: str
    given: Mapping[str, object]
    gib: float
    fits: bool
    changes: Mapping[str, object]
    then: float
    most: Mapping[str, object]

    @property
    def words(self) -> tuple[str, ...]:
        """The changes as ``section.key=value``."""
        return tuple(f"{self.step}.{key}={text(value)}" for key, value in self.changes.items())


def text(value: object) -> str:
    """A value as YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def room_of(memory: float) -> float:
    """Bytes for tensors on a GPU with this many."""
    return USABLE * memory - RESERVED


def plan(
    section: Finetune, cost: Callable[[int, bool], Cost], memory: float, *, kept: float = 0.0
) -> Need:
    """Whether a finetuning fits as given, and the largest sizes that do.

    Images in a call of the network and images judged at once are chosen each for itself; blocks
    are recomputed only if nothing fits without.

    Args:
        section: Of the parameters.
        cost: Of a micro-batch, recomputed or not; its parts are affine in the images.
        memory: Of the GPU, bytes.
        kept: Bytes that stay through an iteration beside weights, such as images.

    Raises:
        ConfigError: One image does not fit even so.
    """
    room, most = room_of(memory) - kept, section.images_per_prompt
    names = ("batch_size", "loss_batch_size", "checkpointing")
    given = {name: getattr(section, name) for name in names}
    asked = least = 0.0
    for checkpointing in (False, True):
        if section.checkpointing and not checkpointing:
            continue
        lines = _lines(cost, checkpointing)
        sizes = (section.batch_size, section.loss_batch_size or section.batch_size)
        asked = asked or _peak(lines, sizes, most)
        least = _peak(lines, (1, 1), most)
        batch, judged = (min(line.fits(room), most) for line in lines)
        if min(batch, judged) < 1:
            continue
        fits = asked <= room
        largest = {"batch_size": batch, "loss_batch_size": judged if judged != batch else None}
        chosen = {**largest, "checkpointing": checkpointing}
        changes = {} if fits else {k: v for k, v in chosen.items() if v != given[k]}
        then = asked if fits else _peak(lines, (batch, judged), most)
        beside = kept + RESERVED
        return Need(
            "finetune", given, (asked + beside) / GIB, fits, changes, (then + beside) / GIB, largest
        )
    refuse("finetune", memory, least + kept, do="finetune.precision=bfloat16")


def _lines(cost: Callable[[int, bool], Cost], checkpointing: bool) -> tuple[Line, Line]:
    """Of calls of the network, and of what decodes and judges; weights included in both."""
    one, two = cost(1, checkpointing), cost(2, checkpointing)

    def line(*parts: str) -> Line:
        first, second = (c.weights + max(c.parts[name] for name in parts) for c in (one, two))
        return Line.through(first, second)

    return line("sampling", "gradient"), line("decoding", "loss")


def _peak(lines: tuple[Line, Line], sizes: tuple[int, int], most: int) -> float:
    return max(line.at(min(size, most)) for line, size in zip(lines, sizes, strict=True))


def refuse(step: str, memory: float, least: float, *, do: str = "") -> NoReturn:
    """Say that a step cannot run on such a GPU."""
    raise ConfigError(
        f"{step}: not even one image at a time fits",
        given=f"{memory / GIB:.0f} GiB; {(least + RESERVED) / GIB:.1f} GiB are needed",
        do="use a larger GPU, a smaller model" + (f" or {do}" if do else ""),
    )


def kept_bytes(params: Params, steps: int) -> float:
    """Bytes through an iteration: of each image its latents at each call, itself, its original."""
    from components.published import PUBLISHED
    from components.shapes import configuration

    found = configuration(params.section("models"), "unet") or PUBLISHED["unet"]
    side = found["sample_size"]
    image = 4.0 * ((steps + 2) * 4 * side**2 + 2 * 3 * (8 * side) ** 2)
    return params.finetune.images_per_prompt * image
