"""What was measured of several models' images: in memory, and in a folder or the shards of one.

Nothing here needs a network: what is computed of measurements runs where none is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from safetensors.numpy import load_file, save_file

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation.shards import SHARD, Shard, in_order
from fairness_core.runtime.artifacts import (
    atomic_folder,
    read_table,
    verify,
    write_manifest,
    write_table,
)

__all__ = [
    "MEASURED_KINDS",
    "Assessment",
    "check_measured",
    "classes_of",
    "quality_table",
    "read_measurements",
    "write_measurements",
]

MEASURED_KINDS = KIND, SHARD_KIND = "measurements", "measurement-shard"
FACES, VECTORS = "faces.parquet", "vectors.safetensors"
ARRAYS = ("text_cosine", "image_text", "image_self")
ATTRIBUTES, PROMPTS = "attributes", "prompts_sha256"  # in a recipe


@dataclass(frozen=True)
class Assessment:
    """Measurements of one model's images, rows in the order of the images table.

    Attributes:
        faces: The faces table: image_id, prompt_id, index, model, split, present, score,
            x0 y0 x1 y1 (px), p_<attribute>_<class>, <attribute> (class name, null where no face).
            Without a row it has the first five alone.
        text_cosine: Image-text cosine with the image's own prompt, in [-1, 1].
        image_text: Unit CLIP embeddings.
        image_self: Unit DINOv2 embeddings.
    """

    faces: pd.DataFrame
    text_cosine: Float[np.ndarray, " n"]
    image_text: Float[np.ndarray, "n d"]
    image_self: Float[np.ndarray, "n e"]


def quality_table(images: Assessment, reference: Assessment) -> pd.DataFrame:
    """Cosines of each image with its prompt and with the base model's image of the same noise.

    Args:
        images: One model's measurements.
        reference: The base model's; may be the same object, whose cosines are then 1.

    Returns:
        image_id, prompt_id, index, model, split, clip_t, clip_i, dino; all in [-1, 1].

    Raises:
        ArtifactError: The two do not hold the same prompts and indices.
    """
    keys = ["prompt_id", "index"]
    here = pd.MultiIndex.from_frame(images.faces[keys])
    there = pd.MultiIndex.from_frame(reference.faces[keys])
    rows = there.get_indexer(here)
    if len(here) != len(there) or (rows < 0).any():
        raise ArtifactError(
            "The two models' images are not of the same prompts and noise",
            given=f"{len(here)} and {len(there)} images, {int((rows < 0).sum())} without partner",
            do="generate both again from one prompt list",
        )
    table = images.faces[["image_id", *keys, "model", "split"]].copy()
    table["clip_t"] = images.text_cosine
    table["clip_i"] = (images.image_text * reference.image_text[rows]).sum(axis=1)
    table["dino"] = (images.image_self * reference.image_self[rows]).sum(axis=1)
    return table


def classes_of(space: AttributeSpace) -> dict[str, list[str]]:
    """Classes by attribute, as a recipe has them."""
    return {attribute.name: list(attribute.classes) for attribute in space.attributes}


def write_measurements(
    seen: Mapping[str, Assessment],
    out: Path,
    recipe: Mapping[str, Any],
    shard: Shard | None = None,
) -> None:
    """Write the measurements of all models, or a shard of each, as one folder.

    Args:
        seen: Model to its measurements.
        out: Folder to write.
        recipe: Everything that decides them, JSON values; with ``attributes`` from `classes_of` and
            ``prompts_sha256`` of the catalog.
        shard: The part of each model's images that was measured; None: all of them.
    """
    tables = [part.faces for part in seen.values()]
    vectors = {
        f"{model}/{name}": np.ascontiguousarray(getattr(part, name))
        for model, part in seen.items()
        for name in ARRAYS
    }
    told = dict(recipe) | ({} if shard is None else {SHARD: [shard.number, shard.of]})
    rows = {model: len(part.faces) for model, part in seen.items()}
    with atomic_folder(out) as folder:
        write_table(_together(tables), folder / FACES)
        save_file(vectors, folder / VECTORS)
        kind = KIND if shard is None else SHARD_KIND
        write_manifest(folder, kind, recipe=told, images=rows)


def read_measurements(
    folders: Sequence[Path],
) -> tuple[dict[str, Assessment], dict[str, Any]]:
    """Read the measurements of all models, put together where they were made in shards.

    Args:
        folders: One folder with all of them, or those of all shards in any order.

    Returns:
        Model to its measurements, and the recipe they were made by.

    Raises:
        ArtifactError: A folder is missing or damaged, or a shard is missing, there twice or of
            another recipe.
    """
    kinds = MEASURED_KINDS if len(folders) == 1 else SHARD_KIND
    manifests = [verify(folder, kind=kinds) for folder in folders]
    found = [(f, manifest["extra"]) for f, manifest in zip(folders, manifests, strict=True)]
    if [manifest["kind"] for manifest in manifests] == [KIND]:
        recipe = found[0][1]["recipe"]
    else:
        found, recipe = in_order(found)
    parts: dict[str, list[Assessment]] = {}
    for folder, extra in found:
        faces, vectors = read_table(folder / FACES), load_file(folder / VECTORS)
        for name in recipe[ATTRIBUTES]:
            if name in faces:  # nulls alone have another type than nulls among names
                faces[name] = faces[name].astype(object).where(faces[name].notna(), None)
        start = 0
        for model, rows in extra["images"].items():
            own = faces.iloc[start : start + rows].reset_index(drop=True)
            arrays = {name: vectors[f"{model}/{name}"] for name in ARRAYS}
            parts.setdefault(model, []).append(Assessment(own, **arrays))
            start += rows
    seen = {
        model: Assessment(
            _together([part.faces for part in shards]),
            **{name: np.concatenate([getattr(part, name) for part in shards]) for name in ARRAYS},
        )
        for model, shards in parts.items()
    }
    return seen, recipe


def check_measured(recipe: Mapping[str, Any], space: AttributeSpace, prompts_sha256: str) -> None:
    """Refuse measurements of other attributes or prompts than those asked about.

    Args:
        recipe: From `read_measurements`.
        space: The attributes.
        prompts_sha256: Of the catalog.

    Raises:
        ArtifactError: They are.
    """
    asked = {ATTRIBUTES: classes_of(space), PROMPTS: prompts_sha256}
    other = [name for name, value in asked.items() if recipe[name] != value]
    if other:
        raise ArtifactError(
            "The images were measured with other attributes or prompts",
            given="; ".join(f"{name}: {recipe[name]} there, {asked[name]} here" for name in other),
            do="run measure_images again",
        )


def _together(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Faces tables one after another; those without a row have no type to give to a column."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled or tables[:1], ignore_index=True)
