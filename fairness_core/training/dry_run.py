"""What an iteration will take, before it runs: its networks called on tensors without contents.

The networks are built with their shapes alone and called as the step calls them, with torch's fake
tensors; every allocation is added up as it would happen and every product counted. Left out are
face detection, which runs in a library of its own, and a backend's workspaces.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Cost", "Networks", "Peak", "dry_run", "without_contents"]


@dataclass(frozen=True)
class Networks:
    """The networks that an iteration's cost is made of, built under ``without_contents``.

    Attributes:
        unet: Noise prediction; its own weights frozen, adapters with gradients if it trains.
        vae: Latents to images.
        encoders: Judge networks of the semantics loss, and the side of their input, px.
        faces: Networks that see every image's face: the classifier, and the embedder where the
            realism loss has a weight; and the side of their input, px.
        modules: All of them, the text encoder third: their weights count.
    """

    unet: Any
    vae: Any
    encoders: tuple[tuple[Callable[[Tensor], Tensor], int], ...]
    faces: tuple[tuple[Callable[[Tensor], Tensor], int], ...]
    modules: tuple[Module, ...]


@dataclass(frozen=True)
class Cost:
    """What the parts of an iteration take for a micro-batch.

    Attributes:
        weights: Bytes of all networks.
        peak: Bytes above the weights, at the most: the worst of sampling, gradient and loss.
        parts: That of each part, by name.
        sampling: Operations (two a product) of one sampling step of one image, all branches.
        gradient: Of one step's gradient of one image, forward and backward.
        decoding: Of one image decoded without a gradient.
        loss: Of one image's loss and its gradient at the latents.
    """

    weights: int
    peak: int
    parts: dict[str, int]
    sampling: float
    gradient: float
    decoding: float
    loss: float


class Peak(TorchDispatchMode):
    """The most bytes that tensors made inside held at once; views and what was there are free."""

    def __init__(self, *there: Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known: set[int] = set()
        for module in there:
            for tensor in (*module.parameters(), *module.buffers()):
                self._known.add(id(tensor.untyped_storage()))
        self._kept = [t.untyped_storage() for m in there for t in (*m.parameters(), *m.buffers())]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and note what it made."""
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return out

    def _note(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self.now -= size
        self._known.discard(key)


@contextmanager
def without_contents() -> Iterator[None]:
    """Tensors made inside have shapes and types alone, whatever their size."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def dry_run(
    networks: Networks,
    *,
    images: int,
    tokens: int,
    width: int,
    guided: bool,
    text_only: bool,
    trains_unet: bool,
) -> Cost:
    """Call the networks as an iteration does; inside ``without_contents``.

    Args:
        networks: Built inside the same block.
        images: Micro-batch: images per network call.
        tokens: Length of a prompt.
        width: Of a token's state.
        guided: Whether guidance needs the empty prompt's branch.
        text_only: Whether it gets no gradient.
        trains_unet: Whether the network has adapters with gradients.
    """
    unet, vae = networks.unet, networks.vae
    kind = next(unet.parameters()).dtype
    config = unet.config
    shape = (config.in_channels, config.sample_size, config.sample_size)
    both = 2 if guided else 1
    branches = 1 if text_only else both

    def call(rows: int, *, gradient: bool) -> Tensor:
        latents = torch.zeros(rows, *shape, dtype=kind).to(memory_format=torch.channels_last)
        wants = gradient and not trains_unet
        states = torch.zeros(rows, tokens, width, dtype=kind, requires_grad=wants)
        out: Tensor = unet(latents, torch.tensor(500), states, return_dict=False)[0]
        return out

    def sampling() -> None:
        with torch.no_grad():
            call(both * images, gradient=False)

    def gradient() -> None:
        out = call(branches * images, gradient=True)
        out.backward(torch.zeros_like(out))

    def decoded(latents: Tensor) -> Tensor:
        made: Tensor = vae.decode(latents, return_dict=False)[0]
        return made.float()

    def decoding() -> None:
        with torch.no_grad():
            decoded(torch.zeros(images, *shape, dtype=kind))

    def loss() -> None:
        latents = torch.zeros(images, *shape, dtype=kind, requires_grad=True)
        seen = decoded(latents)
        with torch.no_grad():
            before = torch.zeros_like(seen)
            was = [encode(_resized(before, side)) for encode, side in networks.encoders]
        told = [look(_cropped(seen, side)) for look, side in networks.faces]
        now = [encode(_resized(seen, side)) for encode, side in networks.encoders]
        both = zip(now, was, strict=True)
        total = sum((F.cosine_similarity(a, b).sum() for a, b in both), start=seen.new_zeros(()))
        total = sum((outputs.sum() for outputs in told), start=total)
        total.backward()

    peaks, work = {}, {}
    for name, run in {"sampling": sampling, "gradient": gradient, "loss": loss}.items():
        peaks[name] = _peak(networks.modules, run)
    for name, run in {
        "sampling": sampling,
        "gradient": gradient,
        "decoding": decoding,
        "loss": loss,
    }.items():
        with FlopCounterMode(display=False) as counter:
            run()
        work[name] = counter.get_total_flops() / images
    return Cost(
        weights=sum(_bytes(module) for module in networks.modules),
        peak=max(peaks.values()),
        parts=peaks,
        **work,
    )


def _peak(modules: tuple[Module, ...], run: Callable[[], None]) -> int:
    with Peak(*modules) as measured:
        run()
        most: int = measured.most
    return most


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side:
        return (images + 1) / 2
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True)


def _cropped(images: Tensor, side: int) -> Tensor:
    """By a matrix for each direction, as ``crop_faces`` does; where the face is does not matter."""
    down = images.new_zeros(len(images), side, images.shape[-2])
    across = images.new_zeros(len(images), side, images.shape[-1])
    return torch.einsum("nsh,nchw,ntw->ncst", down, images, across)


def _bytes(module: Module) -> int:
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
