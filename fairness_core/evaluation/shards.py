"""Work in shards by several processes: the same batches, hence the same bytes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.evaluation.work import DONE, RECIPE
from fairness_core.runtime.artifacts import (
    atomic_folder,
    read_table,
    verify,
    write_json,
    write_manifest,
    write_table,
)
from fairness_core.runtime.outputs import check_output, check_work

__all__ = [
    "IMAGE_KINDS",
    "SHARD",
    "Shard",
    "check_images",
    "finish_images",
    "in_order",
    "merge_shards",
]

IMAGE_KINDS = KIND, SHARD_KIND = "images", "image-shard"
TABLE = "images.parquet"
SHARD = "shard"  # in a recipe: [number, of]


@dataclass(frozen=True)
class Shard:
    """One of several parts of the images, to make or to measure.

    Attributes:
        number: Which one, from 1.
        of: How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``2/4``.

        Raises:
            ConfigError: Another form, or a number that is not in 1..of.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(
                "A shard is number/of, counted from 1", given=text, do="write for example 2/4"
            )
        return cls(int(found[1]), int(found[2]))

    def part(self, batches: int) -> range:
        """Numbers of the batches that are this shard's; none where there are fewer than shards.

        Whole batches, because an image's last bit can depend on the others in its batch.
        """
        return range(
            batches * (self.number - 1) // self.of,
            batches * self.number // self.of,
        )


def image_kind(recipe: Mapping[str, object]) -> str:
    """Kind of the finished folder of a recipe: all images, or a shard of them."""
    return SHARD_KIND if SHARD in recipe else KIND


def check_images(out: Path, reads: Iterable[Path | str | None] = ()) -> None:
    """Refuse a folder of images, or of unfinished ones beside it, that may not be replaced.

    Args:
        out: As for `generate_folder`.
        reads: See ``check_output``.

    Raises:
        ArtifactError: See ``check_output`` and ``check_work``.
    """
    check_output(out, IMAGE_KINDS, reads)
    check_work(out.with_name(out.name + ".partial"))


def finish_images(
    work: Path, out: Path, table: pd.DataFrame, recipe: Mapping[str, object], seconds: float
) -> None:
    """Write table and manifest, then move the folder to its place.

    Recipe and log stay in the folder: were they removed first, a kill here would lose all work.
    """
    write_table(table, work / TABLE)
    _describe(work, table, recipe, seconds)
    if out.exists():
        shutil.rmtree(out)
    os.replace(work, out)


def _describe(
    folder: Path, table: pd.DataFrame, recipe: Mapping[str, object], seconds: float
) -> None:
    kind = image_kind(recipe)
    write_manifest(folder, kind, recipe=dict(recipe), seconds=seconds, images=len(table))


def merge_shards(shards: Sequence[Path], out: Path) -> int:
    """Put the folders of all shards together into the one that a single process would have made.

    Equal to it but for the seconds that each batch took.

    Args:
        shards: Finished folders of `generate_folder`, in any order.
        out: Folder to write.

    Returns:
        How many images there are.

    Raises:
        ArtifactError: A shard is missing, damaged, there twice, or of another recipe; or the folder
            to write may not be replaced, see ``check_output``.
    """
    check_output(out, IMAGE_KINDS, shards)
    found, recipe = in_order(
        [(folder, verify(folder, kind=SHARD_KIND)["extra"]) for folder in shards]
    )
    ordered = [folder for folder, _ in found]
    with atomic_folder(out) as whole:
        for folder in ordered:
            if (folder / "png").is_dir():
                shutil.copytree(folder / "png", whole / "png", dirs_exist_ok=True)
        parts = [read_table(folder / TABLE) for folder in ordered]
        table = pd.concat([part for part in parts if len(part)], ignore_index=True)
        write_table(table, whole / TABLE)
        write_json(recipe, whole / RECIPE)
        logs = [(folder / DONE).read_text() for folder in ordered if (folder / DONE).is_file()]
        (whole / DONE).write_text("".join(logs))
        seconds = sum(extra["seconds"] for _, extra in found)
        _describe(whole, table, recipe, seconds)
    return len(table)


def in_order(
    shards: Sequence[tuple[Path, dict[str, Any]]],
) -> tuple[list[tuple[Path, dict[str, Any]]], dict[str, Any]]:
    """Check that all shards are there, once each and of one recipe.

    Args:
        shards: Their folders in any order, each with its manifest's ``extra``.

    Returns:
        The same in the order of their numbers; and the recipe that they share, without the shard.

    Raises:
        ArtifactError: A shard is missing, there twice, or of another recipe.
    """
    recipe = _common_recipe(shards)
    return sorted(shards, key=lambda one: one[1]["recipe"][SHARD][0]), recipe


def _common_recipe(found: Sequence[tuple[Path, Mapping[str, Any]]]) -> dict[str, Any]:
    """The recipe that all shards share, if they are all there and do."""
    if not found:
        raise ArtifactError("There are no shards to put together")
    recipes = [dict(extra["recipe"]) for _, extra in found]
    places = [tuple(recipe.pop(SHARD)) for recipe in recipes]
    if any(recipe != recipes[0] for recipe in recipes):
        raise ArtifactError(
            "Shards were made with different settings",
            given=", ".join(str(folder) for folder, _ in found),
            do="make all of them again",
        )
    of = places[0][1]
    if sorted(places) != [(number, of) for number in range(1, of + 1)]:
        raise ArtifactError(
            "Not every shard is there once",
            given=", ".join(f"{number}/{n}" for number, n in sorted(places)),
            do=f"give shards 1/{of} to {of}/{of}",
        )
    return recipes[0]
