"""A small single-shot face detector (SCRFD's layout, Guo et al. 2021) for drawn portraits.

Three levels of stride 8, 16 and 32, two anchors per cell, and per anchor a score, the distances
from the cell's corner to the four sides of the box and the offsets of five landmarks, both in
units of the stride. That is the layout which insightface decodes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from fairness_core.portraits import augment
from fairness_core.portraits.detector_loss import ANCHORS, STRIDES, anchors_for, detection_loss
from fairness_core.portraits.fitting import OnStep, minimise, seeded

__all__ = ["DetectorNetwork", "export_detector", "train_detector"]

SCORE, BOX, POINTS = 1, 4, 10
OPSET = 18
# Mostly the size in use; now and then a larger input, so that other sizes work too.
TRAIN_SIZES = (64, 64, 96, 64, 64, 128)
ABSENT_SHARE = 0.35
SWAPPED = (1, 0, 2, 4, 3)


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(4, outputs),
        nn.ReLU(inplace=True),
    )


class DetectorNetwork(nn.Module):
    """Backbone, top-down pyramid and one head shared by the three levels.

    Takes RGB in ``(value - 127.5) / 128`` with sides that are multiples of 32. Returns nine
    tensors: three of scores in [0, 1] (n, cells * 2, 1), three of box distances (.., 4) and three
    of landmark offsets (.., 10), strides 8, 16, 32 in turn.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w, neck = width, 2 * width
        self.stem = nn.Sequential(_block(3, w, 2), _block(w, 2 * w, 2), _block(2 * w, 2 * w, 1))
        self.levels = nn.ModuleList(
            nn.Sequential(_block(2 * w, 2 * w, 2), _block(2 * w, 2 * w, 1)) for _ in STRIDES
        )
        self.lateral = nn.ModuleList(nn.Conv2d(2 * w, neck, 1) for _ in STRIDES)
        self.tower = nn.Sequential(_block(neck, neck, 1), _block(neck, neck, 1))
        self.score = nn.Conv2d(neck, ANCHORS * SCORE, 3, 1, 1)
        self.box = nn.Conv2d(neck, ANCHORS * BOX, 3, 1, 1)
        self.points = nn.Conv2d(neck, ANCHORS * POINTS, 3, 1, 1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        for layer, start in ((self.score, -3.0), (self.box, 1.5)):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, start)

    def logits(
        self, images: Float[Tensor, "n 3 h w"]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Scores before the sigmoid, box distances and landmark offsets, level by level."""
        features, x = [], self.stem(images)
        for level in self.levels:
            x = level(x)
            features.append(x)
        merged, above = [], None
        for lateral, feature in zip(reversed(self.lateral), reversed(features), strict=True):
            here = lateral(feature)
            if above is not None:
                here = here + functional.interpolate(above, scale_factor=2.0, mode="nearest")
            above = here
            merged.append(here)
        scores, boxes, points = [], [], []
        for i, feature in enumerate(reversed(merged)):
            tower = self.tower(feature)
            scores.append(_flat(self.score(tower), SCORE))
            boxes.append(_flat(self.box(tower) * self.scales[i], BOX))
            points.append(_flat(self.points(tower) * self.scales[i], POINTS))
        return scores, boxes, points

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """The nine outputs, in insightface's order."""
        scores, boxes, points = self.logits(images)
        return (*(s.sigmoid() for s in scores), *boxes, *points)


def _flat(x: Float[Tensor, "n c h w"], width: int) -> Float[Tensor, "n a width"]:
    """Cells row by row, the two anchors of a cell next to each other."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)


@dataclass(frozen=True)
class _Views:
    images: Float[Tensor, "n 3 s s"]
    boxes: Float[Tensor, "n 4"]
    landmarks: Float[Tensor, "n 5 2"]
    present: Bool[Tensor, " n"]


def _views(batch: _Views, size: int, generator: torch.Generator) -> _Views:
    """Augmented views at the training size; half of the images keep their own placement."""
    n, side = len(batch.images), batch.images.shape[-1]
    moved = torch.rand(n, generator=generator) < 0.5
    zoom = torch.where(moved, augment.uniform(n, -0.6, 0.55, generator).exp(), torch.ones(n))
    shift = augment.uniform(2 * n, -0.2, 0.2, generator).reshape(n, 2) * moved[:, None]
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    images = augment.colour(
        batch.images, brightness=0.2, contrast=0.25, saturation=0.3, generator=generator
    )
    soft = augment.blur(images, augment.uniform(n, 0.3, 1.4, generator))
    share = augment.uniform(n, -0.5, 1.0, generator).clamp(min=0)[:, None, None, None]
    images = augment.noise(images + (soft - images) * share, 0.08, generator)
    jumbled = torch.rand(n, generator=generator) < 0.05
    images[jumbled] = augment.shuffle_blocks(images[jumbled], 4, generator)
    images = augment.affine(images, zoom=zoom, shift=shift, flip=flip, size=size)
    corners = _move(batch.boxes.reshape(n, 2, 2) / side, zoom, shift, flip) * size
    points = _move(batch.landmarks / side, zoom, shift, flip) * size
    points = torch.where(flip[:, None, None] < 0, points[:, SWAPPED, :], points)
    boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
    return _Views(images * (127.5 / 128.0), boxes, points, batch.present & ~jumbled)


def _move(points: Tensor, zoom: Tensor, shift: Tensor, flip: Tensor) -> Tensor:
    mirror = torch.stack([flip, torch.ones_like(flip)], dim=1)[:, None]
    return (points - 0.5) * mirror * zoom[:, None, None] + shift[:, None] + 0.5


def _rows(present: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows of a batch: a fixed share without a face, the rest with one."""
    groups = ((~present).nonzero()[:, 0], present.nonzero()[:, 0])
    absent = round(ABSENT_SHARE * count)
    picks = [
        group[torch.randint(len(group), (n,), generator=generator)]
        for group, n in zip(groups, (absent, count - absent), strict=True)
    ]
    return torch.cat(picks)


def train_detector(
    images: UInt8[np.ndarray, "n h w 3"],
    boxes: Float[np.ndarray, "n 4"],
    landmarks: Float[np.ndarray, "n 5 2"],
    present: Bool[np.ndarray, " n"],
    *,
    seed: int,
    steps: int = 900,
    batch_size: int = 64,
    learning_rate: float = 4e-3,
    width: int = 16,
    on_step: OnStep | None = None,
) -> DetectorNetwork:
    """Train a detector on drawn portraits and scenes without faces.

    Args:
        images: RGB, square.
        boxes: Pixels of the images, x0 y0 x1 y1; ignored where absent.
        landmarks: Pixels, five points x y; ignored where absent.
        present: Whether the image has a face.
        seed: Decides initial weights, batches and views.
        steps: Updates.
        batch_size: Images per update.
        learning_rate: Peak of AdamW's.
        width: Channels of the first layer.
        on_step: Progress callback.
    """
    network = seeded(lambda: DetectorNetwork(width), seed).train()
    generator = torch.Generator().manual_seed(seed)
    anchors = {size: anchors_for(size) for size in TRAIN_SIZES}
    everything = _Views(
        augment.to_unit_range(images),
        torch.from_numpy(boxes).float(),
        torch.from_numpy(landmarks).float(),
        torch.from_numpy(present),
    )

    def loss_at(step: int) -> Tensor:
        size = TRAIN_SIZES[step % len(TRAIN_SIZES)]
        count = batch_size if size < 128 else batch_size // 2
        rows = _rows(everything.present, count, generator)
        batch = _Views(*(getattr(everything, f)[rows] for f in everything.__dataclass_fields__))
        views = _views(batch, size, generator)
        shown = views.images.contiguous(memory_format=torch.channels_last)
        outputs = network.logits(shown)
        return detection_loss(outputs, anchors[size], views.boxes, views.landmarks, views.present)

    minimise(
        network.parameters(),
        loss_at,
        steps=steps,
        learning_rate=learning_rate,
        clip=5.0,
        on_step=on_step,
    )
    return network.eval()


def export_detector(network: DetectorNetwork, path: Path) -> None:
    """Write the detector as ONNX: input ``input.1``, free batch, height and width."""
    free = {"input.1": {0: "batch", 2: "height", 3: "width"}}
    for kind in ("score", "bbox", "kps"):
        free |= {f"{kind}_{stride}": {0: "batch", 1: f"anchors_{stride}"} for stride in STRIDES}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The tracing exporter takes 0.3 s where the newer one takes 15 s and writes this machine's
        # source paths into the file. Its warnings only announce that it will go one day.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, 3, 64, 96),),
            path,
            input_names=["input.1"],
            output_names=list(free)[1:],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
