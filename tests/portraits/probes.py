"""What the small networks can do, measured on drawings they did not see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from fairness_core.embeddings import FaceEmbedder, ImageSelfEncoder, ImageTextEncoder
from fairness_core.portraits import augment
from fairness_core.portraits.detector import DetectorNetwork
from fairness_core.portraits.detector_loss import STRIDES, anchors_for, overlap
from fairness_core.portraits.embedder import align_drawings
from fairness_core.portraits.people import People
from fairness_core.portraits.world import ATTRIBUTES, named_words, with_article

__all__ = ["best_faces", "probe_clip", "probe_detector", "probe_dino", "probe_embedder"]

THRESHOLD = 0.5


@torch.no_grad()
def best_faces(
    network: DetectorNetwork, images: UInt8[np.ndarray, "n h w 3"], *, size: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 4"], Float[Tensor, "n 5 2"]]:
    """Score, box and landmarks of each image's best anchor, in pixels of the images given."""
    shown = functional.interpolate(
        augment.to_unit_range(images), size=(size, size), mode="bilinear", align_corners=False
    )
    levels = len(STRIDES)
    found = network(shown * (127.5 / 128.0))
    scores, reach, offsets = (
        torch.cat(found[i * levels : (i + 1) * levels], dim=1) for i in range(3)
    )
    anchors = anchors_for(size)
    rows, best = torch.arange(len(images)), scores[..., 0].argmax(dim=1)
    centre, stride = anchors.centres[best], anchors.strides[best, None]
    sides = reach[rows, best] * stride
    boxes = torch.cat([centre - sides[:, :2], centre + sides[:, 2:]], dim=1)
    points = centre[:, None] + offsets[rows, best].reshape(-1, 5, 2) * stride[:, None]
    scale = images.shape[1] / size
    return scores[rows, best, 0], boxes * scale, points * scale


def probe_detector(
    network: DetectorNetwork,
    images: UInt8[np.ndarray, "n h w 3"],
    boxes: Float[np.ndarray, "n 4"],
    landmarks: Float[np.ndarray, "n 5 2"],
    present: Bool[np.ndarray, " n"],
    *,
    size: int = 64,
) -> dict[str, float]:
    """Recall and mean IoU on faces, false positives on the rest, landmark error in pixels.

    A face is found when the best anchor scores at least 0.5 and overlaps it with IoU >= 0.5.

    Args:
        network: The detector.
        images: RGB, with and without faces.
        boxes: Pixels, x0 y0 x1 y1.
        landmarks: Pixels, x y.
        present: Which images have a face.
        size: Side to which the images are enlarged.
    """
    scores, found, points = best_faces(network, images, size=size)
    mask = torch.from_numpy(present)
    iou, _ = overlap(found[mask], torch.from_numpy(boxes).float()[mask])
    hit = (scores[mask] >= THRESHOLD) & (iou >= 0.5)
    miss = (points[mask] - torch.from_numpy(landmarks).float()[mask]).norm(dim=-1)
    return {
        "recall": float(hit.float().mean()),
        "false_positives": float((scores[~mask] >= THRESHOLD).float().mean()),
        "iou": float(iou[hit].mean()),
        "landmark_error_px": float(miss[hit].mean()),
    }


@torch.no_grad()
def probe_embedder(network: FaceEmbedder, people: People) -> dict[str, float]:
    """How well cosines tell whether two pictures show the same person.

    Args:
        network: The embedder.
        people: People it was not trained on, two pictures of each used.

    Returns:
        ``same`` and ``different``: mean cosine of two pictures of one person, of two people;
        ``different_in_group``: of two people of one gender, race and age; ``auc`` and
        ``auc_in_group``: chance that a same-person pair is closer than a pair of different people;
        ``first``: share of people whose own second picture is the nearest of all.
    """
    n = len(people.groups)
    first, second = (
        network(
            align_drawings(
                augment.to_unit_range(people.images[:, view]),
                torch.from_numpy(people.landmarks[:, view]).float(),
            )
        )
        for view in (0, 1)
    )
    cosines = (first @ second.T).numpy()
    same = np.eye(n, dtype=bool)
    group = (people.groups[:, None] == people.groups[None]) & ~same
    return {
        "same": float(cosines[same].mean()),
        "different": float(cosines[~same].mean()),
        "different_in_group": float(cosines[group].mean()),
        "auc": _auc(cosines[same], cosines[~same]),
        "auc_in_group": _auc(cosines[same], cosines[group]),
        "first": float((cosines.argmax(axis=1) == np.arange(n)).mean()),
    }


def _auc(above: Float[np.ndarray, " a"], below: Float[np.ndarray, " b"]) -> float:
    """Chance that a draw from ``above`` exceeds one from ``below``; ties count half."""
    ordered = np.sort(below)
    left, right = (np.searchsorted(ordered, above, side=side) for side in ("left", "right"))
    return float((left + right).mean() / (2 * len(below)))


@torch.no_grad()
def probe_clip(
    encoder: ImageTextEncoder,
    images: UInt8[np.ndarray, "n h w 3"],
    captions: Sequence[str],
    labels: Int[np.ndarray, "n 3"],
    present: Bool[np.ndarray, " n"],
) -> dict[str, float]:
    """Retrieval of a picture's caption, and classes read off by comparing with naming captions.

    Args:
        encoder: The CLIP.
        images: RGB.
        captions: One each.
        labels: Class of gender, race, age.
        present: Where there is a person.

    Returns:
        ``captions``: how many different ones there are; ``first`` and ``first_five``: share of
        pictures whose own caption is the nearest, among the five nearest; ``own`` and ``any``:
        mean cosine to the own caption and to all; ``<attribute>``: share of people whose class is
        the one whose caption ("a portrait of a dark skinned person") is nearest.
    """
    pictures = encoder.image(augment.to_unit_range(images))
    known = sorted(set(captions))
    own = torch.tensor([known.index(caption) for caption in captions])
    cosines = pictures @ encoder.text(known).T
    right = cosines.gather(1, own[:, None])
    rank = (cosines > right).sum(dim=1)
    figures = {
        "captions": float(len(known)),
        "first": float((rank < 1).float().mean()),
        "first_five": float((rank < 5).float().mean()),
        "own": float(right.mean()),
        "any": float(cosines.mean()),
    }
    for i, attribute in enumerate(ATTRIBUTES.attributes):
        subjects = [f"{named_words({attribute.name: c})} person" for c in range(attribute.size)]
        asked = [with_article(f"a portrait of a {subject}") for subject in subjects]
        nearest = (pictures @ encoder.text(asked).T).argmax(dim=1).numpy()
        figures[attribute.name] = float((nearest == labels[:, i])[present].mean())
    return figures


@torch.no_grad()
def probe_dino(
    encoder: ImageSelfEncoder,
    images: UInt8[np.ndarray, "n h w 3"],
    labels: Int[np.ndarray, "n 3"],
    present: Bool[np.ndarray, " n"],
) -> dict[str, float]:
    """How often a picture's nearest other picture shows the same class, and how often by chance.

    Args:
        encoder: The DINOv2.
        images: RGB.
        labels: Class of gender, race, age.
        present: Where there is a person; the others are left out.

    Returns:
        ``<attribute>`` and ``<attribute>_chance``, and ``any``: mean cosine of two pictures.
    """
    pictures = encoder.image(augment.to_unit_range(images[present]))
    cosines = pictures @ pictures.T
    cosines.fill_diagonal_(-1.0)
    nearest = cosines.argmax(dim=1).numpy()
    n = len(nearest)
    figures = {"any": float((cosines.sum() + n) / (n * (n - 1)))}
    for i, attribute in enumerate(ATTRIBUTES.attributes):
        classes = labels[present, i]
        shares = np.bincount(classes, minlength=attribute.size) / n
        figures[attribute.name] = float((classes[nearest] == classes).mean())
        figures[f"{attribute.name}_chance"] = float((shares**2).sum())
    return figures
