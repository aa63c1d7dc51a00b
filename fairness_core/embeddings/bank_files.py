"""The files of a face bank: vectors, and a table of labels with every face's provenance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairness_core.errors import ArtifactError

__all__ = ["read_table", "read_vectors", "write_bank", "write_empty_bank"]

VECTORS, TABLE = "faces.safetensors", "faces.parquet"
KEY, EMBEDDER = "embeddings", "embedder_sha256"


def write_bank(
    folder: str | Path, vectors: Float[Tensor, "b d"], table: pd.DataFrame, *, embedder_sha256: str
) -> None:
    """Write ``faces.safetensors`` and ``faces.parquet``.

    Args:
        folder: Exists already.
        vectors: Unit vectors.
        table: One row for each: ``source_id``, ``source``, ``licence``, and per attribute the class
            name, null where not labelled.
        embedder_sha256: Of the weights that made the vectors, kept with them.

    Raises:
        ArtifactError: The numbers of rows differ, or there are none.
    """
    if len(table) != len(vectors) or table.empty:
        raise ArtifactError(
            "A face bank needs faces, and one row of labels for each",
            given=f"{len(vectors)} faces, {len(table)} rows",
        )
    folder = Path(folder)
    save_file(
        {KEY: vectors.detach().cpu().float().contiguous()},
        folder / VECTORS,
        # One entry: safetensors writes several in an order that differs from process to process.
        metadata={EMBEDDER: embedder_sha256},
    )
    table.to_parquet(folder / TABLE, index=False, engine="pyarrow")


def write_empty_bank(folder: str | Path, names: Sequence[str]) -> None:
    """Write a bank without faces: its table has no row, and no embedder is needed.

    Args:
        folder: Exists already.
        names: Of the attributes, which become columns as in `write_bank`.
    """
    columns = ["source_id", *names, "source", "licence"]
    table = pd.DataFrame(columns=columns, dtype="object")
    table.to_parquet(Path(folder) / TABLE, index=False, engine="pyarrow")


def _missing(path: Path) -> ArtifactError:
    return ArtifactError(
        f"The face bank has no {path.name}", given=path.parent, do="run build_bank first"
    )


def read_vectors(folder: Path, embedder_sha256: str) -> Float[Tensor, "b d"]:
    """Read the vectors of a bank.

    Raises:
        ArtifactError: There are none, they are damaged, or another embedder made them.
    """
    path = folder / VECTORS
    if not path.is_file():
        raise _missing(path)
    try:
        with safe_open(path, framework="pt") as file:
            made_with = (file.metadata() or {}).get(EMBEDDER)
            vectors: Tensor = file.get_tensor(KEY)
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(
            f"The face bank's embeddings are damaged ({error})", given=path, do="run build_bank"
        ) from error
    if made_with != embedder_sha256:
        raise ArtifactError(
            "The face bank was made with another face embedder, so its distances mean nothing",
            given=f"{path}: made with {made_with}, models.face_embedder is {embedder_sha256}",
            do="run build_bank again",
        )
    return vectors


def read_table(folder: Path) -> pd.DataFrame:
    """Read the labels of a bank, one row for each face; an empty bank has none.

    Raises:
        ArtifactError: There is no table, or it is damaged.
    """
    path = folder / TABLE
    if not path.is_file():
        raise _missing(path)
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"The face bank's table is damaged ({error})", given=path, do="run build_bank again"
        ) from error
