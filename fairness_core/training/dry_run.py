"""What an iteration will take, before it runs: its networks called on tensors without contents.

The networks are built with their shapes alone and called as the step calls them, with torch's fake
tensors; every allocation is added up as it would happen and every product counted. Left out are
face detection, which runs in a library of its own, and a backend's workspaces.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

__all__ = [
    "Cost",
    "Networks",
    "Peak",
    "decoded",
    "dry_run",
    "latents_of",
    "measure",
    "predicted",
    "weight_bytes",
    "without_contents",
]


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
        parts: Bytes above the weights of ``sampling``, ``gradient``, ``decoding`` and ``loss``.
        sampling: Operations (two a product) of one sampling step of one image, all branches.
        gradient: Of one step's gradient of one image, forward and backward.
        decoding: Of one image decoded without a gradient.
        loss: Of one image's loss and its gradient at the latents.
        judging: Of these, what is not the decoder's: networks that are float32 in any run.
    """

    weights: int
    parts: dict[str, int]
    sampling: float
    gradient: float
    decoding: float
    loss: float
    judging: float

    @property
    def peak(self) -> int:
        """Bytes above the weights, at the most: of the worst part."""
        return max(self.parts.values())


class Peak(TorchDispatchMode):
    """The most bytes that tensors made inside held at once, and the operations done.

    Views and what was there before are free.

    Attributes:
        most: Bytes.
        work: Operations of products and convolutions, two a product.
    """

    def __init__(self, *there: Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.work = 0.0
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
        counted = flop_registry.get(func._overloadpacket)
        if counted is not None:
            self.work += counted(*args, **(kwargs or {}), out_val=out)
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


def without_contents() -> FakeTensorMode:
    """A block, to be entered once or often: tensors made inside have shapes and types alone."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def measure(modules: tuple[Module, ...], run: Callable[[], None]) -> Peak:
    """Run inside ``without_contents`` and say what it took above the modules' weights."""
    measured = Peak(*modules)
    with measured:
        run()
    return measured


def weight_bytes(*modules: Module) -> int:
    """Bytes of parameters and buffers."""
    tensors = (t for m in modules for t in (*m.parameters(), *m.buffers()))
    return sum(t.numel() * t.element_size() for t in tensors)


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
    both = 2 if guided else 1
    branches = 1 if text_only else both

    def sampling() -> None:
        with torch.no_grad():
            predicted(unet, both * images, tokens, width)

    def gradient() -> None:
        out = predicted(unet, branches * images, tokens, width, learns=not trains_unet)
        out.backward(torch.zeros_like(out))

    def decoding() -> None:
        with torch.no_grad():
            decoded(vae, latents_of(unet, images))

    def loss() -> None:
        seen = decoded(vae, latents_of(unet, images).requires_grad_())
        with torch.no_grad():
            before = torch.zeros_like(seen)
            was = [encode(_resized(before, side)) for encode, side in networks.encoders]
        told = [look(_cropped(seen, side)) for look, side in networks.faces]
        now = [encode(_resized(seen, side)) for encode, side in networks.encoders]
        both = zip(now, was, strict=True)
        total = sum((F.cosine_similarity(a, b).sum() for a, b in both), start=seen.new_zeros(()))
        total = sum((outputs.sum() for outputs in told), start=total)
        total.backward()

    def passing() -> None:
        decoded(vae, latents_of(unet, images).requires_grad_()).sum().backward()

    peaks, work = dict[str, int](), dict[str, float]()
    for name, run in {
        "sampling": sampling,
        "gradient": gradient,
        "decoding": decoding,
        "loss": loss,
        "passing": passing,
    }.items():
        found = measure(networks.modules, run)
        peaks[name], work[name] = found.most, found.work / images
    del peaks["passing"]
    work["judging"] = work["loss"] - work.pop("passing")
    return Cost(weights=weight_bytes(*networks.modules), parts=peaks, **work)


def latents_of(unet: Any, images: int) -> Tensor:
    """Latents of this many images, of the network's shape and type."""
    config, kind = unet.config, next(unet.parameters()).dtype
    side: int = config.sample_size
    return torch.zeros(images, config.in_channels, side, side, dtype=kind)


def predicted(unet: Any, rows: int, tokens: int, width: int, *, learns: bool = False) -> Tensor:
    """Call the network as sampling does; ``learns``: the prompt's states get a gradient."""
    latents = latents_of(unet, rows).to(memory_format=torch.channels_last)
    states = torch.zeros(rows, tokens, width, dtype=latents.dtype, requires_grad=learns)
    out: Tensor = unet(latents, torch.tensor(500), states, return_dict=False)[0]
    return out


def decoded(vae: Any, latents: Tensor) -> Tensor:
    """Call the decoder; images in float32."""
    made: Tensor = vae.decode(latents, return_dict=False)[0]
    return made.float()


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side:
        return (images + 1) / 2
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True)


def _cropped(images: Tensor, side: int) -> Tensor:
    """By a matrix for each direction, as ``crop_faces`` does; where the face is does not matter."""
    down = images.new_zeros(len(images), side, images.shape[-2])
    across = images.new_zeros(len(images), side, images.shape[-1])
    return torch.einsum("nsh,nchw,ntw->ncst", down, images, across)
