"""Measure images: detect the largest face, crop it, classify it, embed the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.errors import ArtifactError
from fairness_core.evaluation.images import read_images
from fairness_core.evaluation.measurements import Assessment
from fairness_core.evaluation.shards import Shard
from fairness_core.faces import FaceDetector, crop_faces
from fairness_core.runtime.logs import progress
from fairness_core.types import Faces

__all__ = ["Instruments", "assess", "measure_faces"]

ROW = ["image_id", "prompt_id", "index", "model", "split"]
BOX = ("x0", "y0", "x1", "y1")
PREFIXES = ("", "second_")


@dataclass(frozen=True)
class Instruments:
    """The networks that measure; none of them was seen in training.

    Attributes:
        detector: Finds the face.
        classifier: The audit classifier.
        image_text: The audit CLIP; wherever it lies, it is on the device while it looks.
        image_self: The audit DINOv2; likewise, so that a GPU holds one of the two at a time.
        device: Where images go.
    """

    detector: FaceDetector
    classifier: AttributeClassifier
    image_text: ImageTextEncoder
    image_self: ImageSelfEncoder
    device: torch.device


@torch.no_grad()
def assess(
    images: pd.DataFrame,
    folder: Path,
    prompts: pd.DataFrame,
    instruments: Instruments,
    space: AttributeSpace,
    *,
    batch_size: int,
    label: str = "images measured",
    shard: Shard | None = None,
) -> Assessment:
    """Measure every image of a table, or of a shard's whole batches of it.

    Args:
        images: Columns image_id, prompt_id, index, model, split, file; at least one row.
        folder: Where the files' paths start.
        prompts: Columns prompt_id, prompt.
        instruments: The networks.
        space: The classifier's attributes.
        batch_size: Images per network call, >= 1.
        label: Shown beside the progress.
        shard: Measure its batches alone; those of all shards are what one process measures.

    Raises:
        ArtifactError: No images, an image is missing or damaged, or its prompt is unknown.
    """
    if images.empty:
        raise ArtifactError("There are no images to measure", given=folder, do="generate some")
    texts = prompts.set_index("prompt_id")["prompt"]
    unknown = sorted(set(images["prompt_id"]) - set(texts.index))
    if unknown:
        raise ArtifactError(
            "Images belong to prompts that the catalog does not have",
            given=unknown[:5],
            do="run generate_prompts and generate_images again",
        )
    order = list(dict.fromkeys(images["prompt_id"]))
    row_of = {name: i for i, name in enumerate(order)}
    tables = []
    starts = range(0, len(images), batch_size)
    own = range(len(starts)) if shard is None else shard.part(len(starts))
    # A shard without a batch measures nothing, and that of as many dimensions.
    cosines = [torch.zeros(0)]
    clips, selves = (
        [torch.zeros(0, network.dimensions)]
        for network in (instruments.image_text, instruments.image_self)
    )

    def batches(label: str) -> Iterator[tuple[pd.DataFrame, Float[Tensor, "n 3 h w"]]]:
        for i in progress(own, total=len(own), label=label):
            rows = images.iloc[starts[i] : starts[i] + batch_size]
            yield rows, read_images(folder, rows["file"]).to(instruments.device)

    with _looking(instruments.image_text, instruments.device):
        # All prompts', whatever the shard: a vector's last bit can depend on its neighbours.
        text = instruments.image_text.text([texts[name] for name in order])
        for rows, pixels in batches(label):
            tables.append(
                measure_faces(
                    rows,
                    pixels,
                    instruments.detector,
                    (instruments.classifier,),
                    batch_size=batch_size,
                )
            )
            clip = instruments.image_text.image(pixels)
            prompt = text[[row_of[name] for name in rows["prompt_id"]]]
            cosines.append((clip * prompt).sum(dim=1).cpu())
            clips.append(clip.cpu())
    # Images are read again rather than two large networks held at once.
    with _looking(instruments.image_self, instruments.device):
        for _, pixels in batches(f"{label}, second look"):
            selves.append(instruments.image_self.image(pixels).cpu())
    return Assessment(
        faces=pd.concat(tables or [images.iloc[:0][ROW]], ignore_index=True),
        text_cosine=_numpy(cosines),
        image_text=_numpy(clips),
        image_self=_numpy(selves),
    )


@torch.no_grad()
def measure_faces(
    rows: pd.DataFrame,
    pixels: Float[Tensor, "n 3 h w"],
    detector: FaceDetector,
    classifiers: Sequence[AttributeClassifier],
    *,
    batch_size: int,
) -> pd.DataFrame:
    """Detect the largest face of each image and let one or more classifiers look at it.

    Args:
        rows: Columns image_id, prompt_id, index, model, split; one row per image.
        pixels: The images, in [-1, 1].
        detector: Finds the face.
        classifiers: The first one's columns have the plain names, the second one's start with
            ``second_``; all have the same attributes.
        batch_size: Crops per network call.

    Returns:
        The faces table, see ``Assessment``.
    """
    faces = detector.detect(pixels)
    table = _boxes(rows, faces)
    for classifier, prefix in zip(classifiers, PREFIXES, strict=False):
        crops = crop_faces(pixels, faces.boxes, faces.present, size=classifier.input_size)
        _add_classes(table, classifier.predict(crops, batch_size), classifier.space, prefix)
    return table


@contextmanager
def _looking(network: nn.Module, device: torch.device) -> Iterator[None]:
    """The network on the device inside the block, and where it was after it."""
    home = next(network.parameters()).device
    network.to(device)
    try:
        yield
    finally:
        network.to(home)


def _boxes(rows: pd.DataFrame, faces: Faces) -> pd.DataFrame:
    table = rows[ROW].reset_index(drop=True)
    present = faces.present.cpu().numpy()
    table["present"] = present
    table["score"] = faces.scores.cpu().numpy()
    boxes = faces.boxes.cpu().numpy()
    for i, name in enumerate(BOX):
        table[name] = boxes[:, i]
    return table


def _add_classes(
    table: pd.DataFrame,
    probabilities: Mapping[str, Float[Tensor, "n k"]],
    space: AttributeSpace,
    prefix: str,
) -> None:
    present = table["present"].to_numpy(dtype=bool)
    for attribute in space.attributes:
        shares = probabilities[attribute.name].cpu().numpy()
        for i, name in enumerate(attribute.classes):
            table[f"{prefix}p_{attribute.name}_{name}"] = np.where(present, shares[:, i], np.nan)
        names = pd.Series([attribute.classes[i] for i in shares.argmax(axis=1)], dtype="object")
        table[f"{prefix}{attribute.name}"] = names.where(present, None)


def _numpy(parts: Sequence[Tensor]) -> np.ndarray:
    array: np.ndarray = torch.cat(list(parts)).float().numpy()
    return array
