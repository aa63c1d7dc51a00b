"""Any folder or table of images as rows to measure, read in batches that a kill does not lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.classifiers import AttributeClassifier
from fairness_core.errors import ArtifactError
from fairness_core.evaluation.assessment import measure_faces
from fairness_core.evaluation.images import read_images
from fairness_core.evaluation.work import is_complete, note_batch, open_work
from fairness_core.faces import FaceDetector
from fairness_core.runtime.artifacts import read_csv, read_table, write_table
from fairness_core.runtime.logs import get_logger, progress

__all__ = ["list_images", "measure_folder"]

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
SHOWN = 5  # ids that an error names
MODEL, SPLIT = "audited", "audit"


def list_images(source: Path, prompts: pd.DataFrame | None) -> tuple[Path, pd.DataFrame]:
    """List the images of a folder or table.

    Args:
        source: A folder with one folder of images for each prompt, named like its id; or a
            ``.csv`` or ``.parquet`` file with columns ``file`` (relative to it) and ``prompt_id``
            or ``prompt``; or a folder of ``generate_images`` (``images.parquet``).
        prompts: Columns prompt_id, prompt; None: whatever prompts the images name.

    Returns:
        Where the files' paths start, and columns image_id, prompt_id, index (within the prompt),
        model, split, file, prompt by prompt.

    Raises:
        ArtifactError: No image, a prompt that the list does not have, a file named twice, a table
            that cannot be read, or a blank cell in it.
    """
    if source.is_dir() and (source / "images.parquet").is_file():
        source = source / "images.parquet"
    if source.is_dir():
        folder, rows = source, _walk(source)
    elif source.suffix in (".csv", ".parquet") and source.is_file():
        folder, rows = source.parent, _table(source, prompts)
    else:
        raise ArtifactError(
            "There are no images here",
            given=source,
            do="give a folder with a folder for each prompt id, or a table (.csv, .parquet)",
        )
    if rows.empty:
        raise ArtifactError(
            f"There is no image ({', '.join(ENDINGS)}) to measure",
            given=source,
            do="put each prompt's images into a folder named like the prompt's id",
        )
    ids = (rows if prompts is None else prompts)["prompt_id"].tolist()
    unknown = sorted(set(rows["prompt_id"]) - set(ids))
    if unknown:
        raise ArtifactError(
            "Images belong to prompts that the list does not have",
            given=", ".join(unknown[:SHOWN]),
            do="add them to the prompt list, or name the folders like its ids: "
            + ", ".join([*ids[:SHOWN], *(["..."] if len(ids) > SHOWN else [])]),
        )
    twice = rows.loc[rows["file"].duplicated(), "file"].unique().tolist()
    if twice:
        raise ArtifactError("Images are listed twice", given=twice[:5], do="list each file once")
    rows = rows.sort_values(["prompt_id", "file"], ignore_index=True)
    rows["index"] = rows.groupby("prompt_id").cumcount()
    rows["image_id"] = rows["prompt_id"] + "-" + rows["index"].map("{:05d}".format)
    rows["model"], rows["split"] = MODEL, SPLIT
    return folder, rows[["image_id", "prompt_id", "index", "model", "split", "file"]]


def _walk(folder: Path) -> pd.DataFrame:
    found = [
        (path.parent.relative_to(folder).as_posix(), path.relative_to(folder).as_posix())
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in ENDINGS
    ]
    return pd.DataFrame(found, columns=["prompt_id", "file"])


def _table(path: Path, prompts: pd.DataFrame | None) -> pd.DataFrame:
    csv = path.suffix == ".csv"
    table = read_csv(path, "The table of images") if csv else read_table(path)
    if "file" not in table.columns or not {"prompt_id", "prompt"} & set(table.columns):
        raise ArtifactError(
            "A table of images needs the columns file and prompt_id or prompt",
            given=f"{path}: {', '.join(map(str, table.columns))}",
        )
    key = "prompt_id" if "prompt_id" in table.columns else "prompt"
    cells = table[[key, "file"]].fillna("").astype(str)
    for name in (key, "file"):
        if blank := int((cells[name].str.strip() == "").sum()):
            raise ArtifactError(
                f"The table of images has {blank} rows with a blank {name}",
                given=path,
                do="say of each image which prompt it belongs to",
            )
    ids = cells[key]
    if key == "prompt":
        ids = ids.str.strip()
        if prompts is not None:
            ids = ids.map(prompts.set_index("prompt")["prompt_id"]).fillna(ids)
    return pd.DataFrame({"prompt_id": ids, "file": cells["file"]})


def measure_folder(
    images: pd.DataFrame,
    folder: Path,
    work: Path,
    *,
    detector: FaceDetector,
    classifiers: Sequence[AttributeClassifier],
    batch_size: int,
    device: torch.device,
    damaged: Literal["error", "count"],
    recipe: Mapping[str, object],
) -> pd.DataFrame:
    """Measure every image's largest face, a batch in memory at a time.

    Each batch's rows are a file in ``work``; a killed run goes on after the last one. Images may
    differ in size: those of one size share a network call.

    Args:
        images: From `list_images`.
        folder: Where the files' paths start.
        work: Folder for the batches.
        detector: Finds the face.
        classifiers: One or two, see ``measure_faces``.
        batch_size: Images read and measured at once, >= 1.
        device: Where images go.
        damaged: ``error``: an image that cannot be read ends the audit; ``count``: it is a row
            with ``readable`` false and takes part in no figure but its own.
        recipe: What else decides the rows, such as the networks' sha256; JSON values.

    Returns:
        The faces table with ``file`` and ``readable``, in the order of ``images``.

    Raises:
        ArtifactError: An image is missing or damaged.
    """
    done = open_work(work, {**recipe, "batch_size": batch_size, "damaged": damaged})
    starts = range(0, len(images), batch_size)
    names = [f"faces/{i:06d}.parquet" for i in range(len(starts))]
    if done:
        get_logger("evaluation").info(
            "%s of %s batches were already measured, going on", len(done), len(starts)
        )
    for i, start in enumerate(progress(starts, total=len(starts), label="batches measured")):
        if is_complete(work, done, i, [names[i]]):
            continue
        rows = images.iloc[start : start + batch_size].reset_index(drop=True)
        parts = [
            measure_faces(
                rows.loc[at], pixels.to(device), detector, classifiers, batch_size=batch_size
            ).assign(file=rows.loc[at, "file"].to_numpy(), readable=True)
            for at, pixels in _by_size(rows, folder, damaged)
        ]
        measured = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        lost = rows[~rows["file"].isin(measured.get("file", []))]
        if len(lost):
            gone = lost.assign(present=False, readable=False)
            measured = gone if measured.empty else pd.concat([measured, gone], ignore_index=True)
        write_table(measured, work / names[i])
        note_batch(work, i, 0.0)
    tables = [read_table(work / name) for name in names]
    faces = pd.concat(tables, ignore_index=True)
    faces[["present", "readable"]] = faces[["present", "readable"]].astype(bool)
    order = pd.Series(range(len(images)), index=images["file"])
    return faces.sort_values("file", key=lambda column: column.map(order), ignore_index=True)


def _by_size(
    rows: pd.DataFrame, folder: Path, damaged: str
) -> Iterator[tuple[list[int], Float[Tensor, "n 3 h w"]]]:
    """Row numbers and pixels of the readable images, those of one size together."""
    groups: dict[tuple[int, int], list[tuple[int, Tensor]]] = {}
    for i, name in enumerate(rows["file"]):
        try:
            pixels = read_images(folder, [name])
        except ArtifactError as error:
            if damaged == "error":
                raise ArtifactError(
                    error.what,
                    given=error.given,
                    do="restore it, or audit with --damaged count, which counts such images and "
                    "leaves them out",
                ) from error
            continue
        height, width = pixels.shape[-2:]
        groups.setdefault((height, width), []).append((i, pixels))
    for group in groups.values():
        yield [i for i, _ in group], torch.cat([pixels for _, pixels in group])
