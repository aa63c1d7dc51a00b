"""A bank of real faces: which one is nearest, among those of the classes asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.embeddings.bank_files import read_table, read_vectors
from fairness_core.embeddings.face_pack import weights_file
from fairness_core.errors import ArtifactError
from fairness_core.types import Targets

__all__ = ["FaceBank", "weights_sha256"]

# Bank rows in one product: 64 queries against this many take 16 MiB.
CHUNK = 65536


@dataclass(frozen=True)
class FaceBank:
    """Embeddings of labelled faces that nobody generated.

    Attributes:
        vectors: Unit vectors.
        labels: Class index per attribute; meaningless where not known.
        known: Per attribute, whether the face is labelled with a class at all.
    """

    vectors: Float[Tensor, "b d"]
    labels: Mapping[str, Int[Tensor, " b"]]
    known: Mapping[str, Bool[Tensor, " b"]]

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.vectors)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        space: AttributeSpace,
        *,
        embedder_sha256: str,
        device: str | torch.device = "cpu",
    ) -> FaceBank:
        """Load what ``write_bank`` wrote, for the attributes that are aligned.

        Args:
            folder: With ``faces.safetensors`` and ``faces.parquet``.
            space: Attributes that targets will ask classes of.
            embedder_sha256: Of the weights of the embedder that will make the queries.
            device: Where the vectors go.

        Raises:
            ArtifactError: A file is missing or damaged, the bank is empty or was made with other
                weights, an attribute is not labelled, a class has no face, or no face is of all of
                some combination of classes.
        """
        folder = Path(folder)
        table = read_table(folder)
        if table.empty:
            raise ArtifactError(
                "The face bank is empty, as build_bank.source null makes it",
                given=folder,
                do="name a source and run build_bank again, or set finetune.lambda_face to 0",
            )
        vectors = read_vectors(folder, embedder_sha256)
        if len(table) != len(vectors):
            raise ArtifactError(
                "The face bank's table and embeddings have different numbers of rows",
                given=f"{len(table)} and {len(vectors)} in {folder}",
                do="run build_bank again",
            )
        labels, known = {}, {}
        for attribute in space.attributes:
            labels[attribute.name], known[attribute.name] = _classes(
                table, attribute.name, attribute.classes, folder
            )
        bank = cls(vectors, labels, known)
        bank._check_cells(space, folder)
        return cls(
            vectors.to(device),
            {name: value.to(device) for name, value in labels.items()},
            {name: value.to(device) for name, value in known.items()},
        )

    def nearest(
        self, queries: Float[Tensor, "m d"], targets: Mapping[str, Targets]
    ) -> Int[Tensor, " m"]:
        """Argmax over bank faces b of cos(query_i, b), among those of every class asked of i.

        Exact, by matrix products. An attribute whose target is not active asks nothing; with
        several attributes the face has to be of all target classes at once, as a face of one of
        them only would pull away from the others (the paper does not say).

        Args:
            queries: Unit vectors.
            targets: Pseudo-labels of the same rows; every attribute must be among the bank's.

        Returns:
            Rows of the bank; of equally near ones any.

        Raises:
            ArtifactError: No face of the bank is of the classes that some row asks for.
        """
        device = self.vectors.device
        queries = queries.detach().to(self.vectors)
        best = torch.full((len(queries),), -torch.inf, device=device)
        rows = torch.zeros(len(queries), dtype=torch.long, device=device)
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            cosines = queries @ self.vectors[part].T
            for name, target in targets.items():
                asked, wanted = target.active.to(device), target.labels.to(device)
                fits = self.known[name][part] & (self.labels[name][part] == wanted[:, None])
                cosines = cosines.masked_fill(asked[:, None] & ~fits, -torch.inf)
            highest, found = cosines.max(dim=1)
            better = highest > best
            best = torch.where(better, highest, best)
            rows = torch.where(better, found + start, rows)
        if bool((best == -torch.inf).any()):
            raise ArtifactError(
                "No face of the bank has the classes that an image is to show",
                given=f"{len(self)} faces",
                do="build a bank with faces of every combination of classes",
            )
        return rows

    def _check_cells(self, space: AttributeSpace, folder: Path) -> None:
        empty = []
        for cell, name in zip(space.cells, space.cell_names, strict=True):
            fits = torch.ones(len(self), dtype=torch.bool)
            for attribute, index in zip(space.names, cell, strict=True):
                fits &= self.known[attribute] & (self.labels[attribute] == index)
            if not bool(fits.any()):
                empty.append(name)
        if empty:
            raise ArtifactError(
                f"The face bank has no face that is {' or '.join(empty[:8])}",
                given=f"{folder}, {len(self)} faces",
                do="raise build_bank.images, or use a source that has such faces",
            )


def weights_sha256(folder: str | Path) -> str:
    """SHA-256 of a face embedder's file of weights (``weights_file``): names it in a bank.

    Raises:
        ModelError: There is no such file.
    """
    with weights_file(folder).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _classes(
    table: pd.DataFrame, name: str, classes: tuple[str, ...], folder: Path
) -> tuple[Int[Tensor, " b"], Bool[Tensor, " b"]]:
    """Class indices, and where there is a class at all."""
    if name not in table.columns:
        raise ArtifactError(
            f"The face bank does not label '{name}'",
            given=f"{folder} has {', '.join(str(column) for column in table.columns)}",
            do="align other attributes, or build the bank from a source that labels it",
        )
    column = table[name]
    known = column.notna()
    foreign = sorted(set(column[known]) - set(classes))
    if foreign:
        raise ArtifactError(
            f"The face bank's '{name}' has classes that the attribute does not have",
            given=", ".join(str(word) for word in foreign[:5]),
            do=f"use {', '.join(classes)}",
        )
    indices = column.map({word: i for i, word in enumerate(classes)}).where(known, 0).astype(int)
    return torch.tensor(indices.tolist(), dtype=torch.long), torch.tensor(known.tolist())
