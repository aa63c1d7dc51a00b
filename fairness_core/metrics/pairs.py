"""Images of two models from the same noise, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError

__all__ = ["paired_cells"]

KEYS = ["prompt_id", "index"]


def paired_cells(
    first: pd.DataFrame, second: pd.DataFrame, space: AttributeSpace, attributes: Sequence[str]
) -> Int[np.ndarray, "p c c"]:
    """pairs[p, a, b] = images of prompt p of cell a in the first model and of cell b in the second.

    Args:
        first: Faces table of one model: ``prompt_id``, ``index``, ``present`` and, per attribute,
            the class's name.
        second: Of the other, for the same prompts and indices.
        space: Gives classes and cells.
        attributes: One, or several for their cells.

    Returns:
        Prompts sorted, as ``count_faces`` has them; cells in order and then, as the last, no face.

    Raises:
        ArtifactError: The two do not have the same images.
    """
    chosen = space.subset(attributes)
    tables = [
        table[KEYS].assign(cell=_cells(table, chosen)).sort_values(KEYS)
        for table in (first, second)
    ]
    left, right = (pd.MultiIndex.from_frame(table[KEYS].astype(str)) for table in tables)
    if not left.equals(right) or left.has_duplicates:
        raise ArtifactError(
            "The two models' images are not of the same prompts and noise",
            given=f"{len(left)} and {len(right)} images",
            do="generate both again from one prompt list",
        )
    prompts = pd.Categorical(tables[0]["prompt_id"].astype(str))
    c = chosen.n_cells + 1
    pairs = np.zeros((len(prompts.categories), c, c), dtype=np.int64)
    np.add.at(pairs, (prompts.codes, tables[0]["cell"], tables[1]["cell"]), 1)
    return pairs


def _cells(faces: pd.DataFrame, space: AttributeSpace) -> Int[np.ndarray, " n"]:
    present = faces["present"].to_numpy(dtype=bool)
    codes = [
        pd.Index(a.classes).get_indexer(pd.Index(faces[a.name])).clip(min=0)
        for a in space.attributes
    ]
    cells = np.ravel_multi_index(codes, space.sizes)
    return np.where(present, cells, space.n_cells).astype(np.int64)
