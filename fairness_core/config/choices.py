"""Values that are one word of several, or a mapping from each attribute to a folder."""

from __future__ import annotations

import re
from typing import Any, Literal

__all__ = ["LABELLED", "NETWORKS", "Sampler", "network", "source_of_bank", "source_of_faces"]

# Those of ``diffusion.SAMPLERS``.
Sampler = Literal["ddim", "dpm++2m", "euler", "heun", "pndm", "unipc"]

SOURCE = re.compile(r"(fairface|celeba):.+")
# What each source labels. The drawn world has classes of its own; those of a data set are merged
# from its labels. The core's portraits and datasets say the same.
LABELLED: dict[str, dict[str, tuple[str, ...]]] = {
    "portraits": {
        "gender": ("female", "male"),
        "race": ("light", "golden", "brown", "dark"),
        "age": ("young", "old"),
    },
    "fairface": {"gender": (), "race": (), "age": ()},
    "celeba": {"gender": (), "age": ()},
}
NETWORKS = ("resnet", "mobilenet", "mobilenet_v3_large", "resnet50")


def source_of_faces(value: Any) -> Any:
    """``portraits``, a data set's folder, or one folder for each attribute."""
    folders = [value] if isinstance(value, str) else None
    if isinstance(value, dict):
        folders = list(value.values())
    if value != "portraits" and not (
        folders and all(isinstance(f, str) and SOURCE.fullmatch(f) for f in folders)
    ):
        raise ValueError(
            "'portraits', fairface:FOLDER, celeba:FOLDER or a mapping from each attribute to one "
            "of the last two is needed"
        )
    return value


def source_of_bank(value: Any) -> Any:
    """``portraits``, a data set's folder, or null: no bank."""
    if value not in ("portraits", None) and not (
        isinstance(value, str) and SOURCE.fullmatch(value)
    ):
        raise ValueError("'portraits', fairface:FOLDER, celeba:FOLDER or null is needed")
    return value


def network(value: Any) -> Any:
    """A network to fit, or a ready classifier's folder for each attribute."""
    folders = isinstance(value, dict) and value and all(isinstance(f, str) for f in value.values())
    if not folders and value not in NETWORKS:
        raise ValueError(
            f"one of {', '.join(NETWORKS)} or a mapping from each attribute to the folder of a "
            "ready classifier is needed"
        )
    return value
