"""Embed labelled faces that nobody generated: the bank of the face realism loss.

Writes ``faces.safetensors``, ``faces.parquet`` (labels, source and licence of every face) and a
manifest with the counts per class, how labels became classes and the sha256 of the embedder that
made the vectors. The faces are drawn, or those of FairFace's or CelebA's training part. Without a
source the bank is empty and no network is loaded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, arguments, execute, face_detector, open_step

if TYPE_CHECKING:
    import pandas as pd

    from components.build_bank.sources import Merging
    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Params

STEP = "build_bank"


def run(
    *,
    source: str | None,
    images: int,
    batch_size: int,
    merging: Merging,
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    settings: Settings,
    out: Path,
) -> None:
    """Write the bank.

    Args:
        source: ``portraits``, ``fairface:FOLDER`` or ``celeba:FOLDER``; None: an empty bank.
        images: Portraits drawn, or pictures read at most.
        batch_size: Pictures per network call.
        merging: How a data set's labels become classes.
        models: Section ``models``: the detector and the face embedder are used.
        attributes: Section ``attributes``.
        settings: Section ``run``.
        out: Folder to write.

    Raises:
        ArtifactError: The folder may not be replaced, see ``check_output``.
        ConfigError: No such source, or it does not label an attribute with these classes.
        DataError: A data set is incomplete or has unknown labels, or a picture is damaged.
        FaceError: No picture has a face.
    """
    from components.build_bank.sources import open_source
    from fairness_core.attributes import AttributeSpace
    from fairness_core.embeddings import load_face_embedder, weights_sha256, write_bank
    from fairness_core.portraits.models import resolve
    from fairness_core.runtime import atomic_folder, check_output, write_manifest
    from fairness_core.training import embed_faces

    check_output(out, "face-bank")
    with open_step(STEP, settings, {"source": source, "images": images}) as step:
        space = AttributeSpace.from_mapping(attributes)
        if source is None:
            _write_no_faces(space, out)
            step.log.info("no source is named: the bank is empty")
            return
        given = open_source(source, images, space, settings.seed, merging)
        place = resolve(models["face_embedder"])
        embedder = load_face_embedder(place, device=step.device)
        found = embed_faces(
            given.pictures,
            space,
            face_detector(models, step.device),
            embedder,
            batch_size=batch_size,
        )
        table = found.table.assign(source=given.about, licence=given.licence)
        made_with = weights_sha256(place)
        counts = _counts(table, space)
        with atomic_folder(out) as folder:
            write_bank(folder, found.vectors, table, embedder_sha256=made_with)
            write_manifest(
                folder,
                "face-bank",
                source=given.about,
                licence=given.licence,
                labels=list(given.labels),
                embedder_sha256=made_with,
                faces=len(table),
                without_face=found.without_face,
                counts=counts,
            )
        step.log.info("%d faces (%d pictures had none): %s", len(table), found.without_face, counts)
        step.tracker.metrics({"faces": float(len(table)), "no_face": float(found.without_face)})


def _write_no_faces(space: AttributeSpace, out: Path) -> None:
    """An empty bank, for runs without the realism loss."""
    from fairness_core.embeddings import write_empty_bank
    from fairness_core.runtime import atomic_folder, write_manifest

    with atomic_folder(out) as folder:
        write_empty_bank(folder, space.names)
        write_manifest(folder, "face-bank", source=None, faces=0)


def _counts(table: pd.DataFrame, space: AttributeSpace) -> dict[str, dict[str, int]]:
    """Faces of each class of each attribute; those without a label are in none."""
    return {
        a.name: {name: int((table[a.name] == name).sum()) for name in a.classes}
        for a in space.attributes
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/bank"), help="written")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        from components.build_bank.sources import Merging

        merging = Merging(
            params.calibrate_classifier.merges,
            params.calibrate_classifier.old_from,
            params.calibrate_classifier.fairface_padding,
        )
        run(
            **params.section(STEP),
            merging=merging,
            models=params.section("models"),
            attributes=params.section("attributes"),
            settings=settings,
            out=args.out,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
