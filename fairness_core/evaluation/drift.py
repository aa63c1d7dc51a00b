"""What else a model changed: variety within groups, its images as a whole, scenes."""

from __future__ import annotations

from typing import Any

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.diversity import diversity_figures
from fairness_core.evaluation.frechet import frechet_figures
from fairness_core.evaluation.measurements import Assessment
from fairness_core.evaluation.scenes import scene_figures
from fairness_core.prompts import SCENES

__all__ = ["drift_figures"]


def drift_figures(
    base: Assessment,
    other: Assessment,
    space: AttributeSpace,
    bootstrap: Bootstrap,
    *,
    split: str,
    model: str = "aligned",
) -> dict[str, Any]:
    """``diversity``, ``frechet`` and ``scenes`` of a model against the base.

    Args:
        base: The base model's measurements.
        other: The other model's, of the same prompts and noise.
        space: The measured attributes.
        bootstrap: Intervals.
        split: The held-out split with people.
        model: The other model's name in the result.

    Returns:
        See `diversity_figures`, `frechet_figures` and `scene_figures`.
    """
    return {
        "diversity": diversity_figures(base, other, space, bootstrap, split=split, model=model),
        "frechet": {
            kind: frechet_figures(base, other, bootstrap, split=rows)
            for kind, rows in (("people", split), ("scenes", SCENES))
            if (base.faces["split"] == rows).any()
        },
        "scenes": scene_figures(base, other, bootstrap, model=model),
    }
