"""Base against aligned on the held-out prompts: the dictionary of ``metrics/evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.named import named_prompts
from fairness_core.evaluation.planted import planted_difference
from fairness_core.metrics import (
    FaceCounts,
    bias_interval,
    count_faces,
    fair_floor,
    group_name,
    mean_interval,
    paired_change,
    per_prompt,
    summary,
)
from fairness_core.prompts import planted_shares
from fairness_core.runtime.logs import get_logger

__all__ = ["MODELS", "compare", "measured_groups"]

MODELS = ("base", "aligned")
QUALITY = ("clip_t", "clip_i", "dino")


def measured_groups(space: AttributeSpace) -> list[tuple[str, ...]]:
    """Every attribute alone, and the first two jointly where there are two (paper, Table 1)."""
    groups = [(name,) for name in space.names]
    return [*groups, space.names[:2]] if len(groups) > 1 else list(groups)


def compare(
    faces: pd.DataFrame,
    quality: pd.DataFrame,
    prompts: pd.DataFrame,
    space: AttributeSpace,
    *,
    split: str,
    seconds: Mapping[str, float],
    bootstrap: Bootstrap,
    models: tuple[str, str] = MODELS,
) -> dict[str, Any]:
    """Compute every figure of the evaluation.

    Per-prompt figures first, then the mean over prompts. A prompt none of whose images shows a
    face has no bias: it is left out of that model's mean, listed under ``prompts_without_face``
    and logged; a change is taken over the prompts that both models have faces for.

    Args:
        faces: Faces tables of both models, see ``assess``.
        quality: Quality tables of both models, see ``quality_table``.
        prompts: The checked catalog.
        space: The measured attributes with their targets.
        split: The held-out split that bias and quality are about.
        seconds: Seconds that generating each model's images took.
        bootstrap: Intervals.
        models: The reference and the model compared with it; further models are not looked at.

    Returns:
        ``base`` and ``aligned``, or as ``models`` names them: per group (``gender``, ``race``,
        ``gender_x_race``, ...) ``bias`` (mean over prompts), ``ci95``, ``sd`` (population, over
        prompts), ``fair_floor`` (what a sampler of the target scores on these numbers of faces),
        ``shares`` (mean over prompts) and, where the catalog has the truth, ``planted``;
        ``clip_t``, ``clip_i``, ``dino`` (means over prompts), ``no_face_rate``, their ``ci95``,
        ``seconds``, ``prompts_without_face``. ``change``: per group ``difference``,
        ``difference_ci95``, ``reduction_to_floor`` with ``ci95`` (null where the base is at its
        floor), ``reduction`` of the raw value; differences of the quality figures. ``named``: see
        ``named_prompts``. ``n_prompts``, ``images_per_prompt`` and ``target``.

    Raises:
        ArtifactError: No image of the split, or a model is missing.
        FaceError: One model shows no face in any image of the split.
    """
    chosen, figures = faces[faces["split"] == split], quality[quality["split"] == split]
    for model in models:
        if not (chosen["model"] == model).any():
            raise ArtifactError(
                f"There are no images of split '{split}' from the {model} model",
                given=f"splits {sorted(set(faces['split']))}, models {sorted(set(faces['model']))}",
                do="generate images for that split, or name another in evaluate_bias.split",
            )
    counts = {
        model: [count_faces(_of(chosen, model), space, group) for group in measured_groups(space)]
        for model in models
    }
    result: dict[str, Any] = {
        model: {
            **_parity(_of(chosen, model), counts[model], prompts, space, model, bootstrap),
            **_quality(_of(chosen, model), _of(figures, model), model, bootstrap),
            "seconds": float(seconds[model]),
            "prompts_without_face": _faceless(counts[model][0], model),
        }
        for model in models
    }
    result["change"] = _change(counts, figures, space, bootstrap, models)
    result["named"] = named_prompts(faces, prompts, space, bootstrap, models=models)
    per = chosen[chosen["model"] == models[0]].groupby("prompt_id").size()
    result["n_prompts"] = len(per)
    result["images_per_prompt"] = float(per.mean()) if per.nunique() > 1 else int(per.iloc[0])
    result["target"] = {
        a.name: dict(zip(a.classes, a.target, strict=True)) for a in space.attributes
    }
    return result


def _of(table: pd.DataFrame, model: str) -> pd.DataFrame:
    return table[table["model"] == model]


def _faceless(counts: FaceCounts, model: str) -> list[str]:
    found = [
        name for name, n in zip(counts.prompts, counts.counts.sum(axis=1), strict=True) if n == 0
    ]
    if found:
        get_logger("evaluation").warning(
            "No image of %s of %s prompts shows a face (%s model); left out of the bias: %s",
            len(found),
            len(counts.prompts),
            model,
            ", ".join(found[:10]),
        )
    return found


def _parity(
    faces: pd.DataFrame,
    counts: Sequence[FaceCounts],
    prompts: pd.DataFrame,
    space: AttributeSpace,
    model: str,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    groups = measured_groups(space)
    table = per_prompt(faces, space, groups)
    spread = summary(table).set_index("attribute")["sd"]
    result: dict[str, Any] = {}
    for group, measured in zip(groups, counts, strict=True):
        name = group_name(group)
        n = measured.counts.sum(axis=1)
        found = bias_interval(
            measured.counts, rng=bootstrap.rng(model, name), resamples=bootstrap.resamples
        )
        shares = measured.counts[n > 0] / n[n > 0][:, None]
        result[name] = {
            "bias": found.estimate,
            "ci95": list(found.ci),
            "sd": float(spread[name]),
            "fair_floor": fair_floor(n, space.subset(group).cell_target),
            "shares": dict(zip(measured.cells, shares.mean(axis=0).tolist(), strict=True)),
        }
        if len(group) == 1:
            truth = planted_shares(prompts, space, name)
            planted = planted_difference(
                measured,
                truth,
                rng=bootstrap.rng(model, name, "planted"),
                resamples=bootstrap.resamples,
            )
            if planted is not None:
                result[name]["planted"] = planted
    return result


def _quality(
    faces: pd.DataFrame, figures: pd.DataFrame, model: str, bootstrap: Bootstrap
) -> dict[str, Any]:
    columns = {name: (figures[name], figures["prompt_id"]) for name in QUALITY}
    columns["no_face_rate"] = (~faces["present"].astype(bool), faces["prompt_id"])
    result: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    for name, (values, owners) in columns.items():
        found = mean_interval(
            values, owners, rng=bootstrap.rng(model, name), resamples=bootstrap.resamples
        )
        result[name], intervals[name] = found.estimate, list(found.ci)
    return {**result, "ci95": intervals}


def _change(
    counts: Mapping[str, Sequence[FaceCounts]],
    figures: pd.DataFrame,
    space: AttributeSpace,
    bootstrap: Bootstrap,
    models: tuple[str, str],
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for i, group in enumerate(measured_groups(space)):
        name = group_name(group)
        base, aligned = (counts[model][i] for model in models)
        if base.prompts != aligned.prompts:
            raise ArtifactError(
                "The two models' images are not of the same prompts",
                given=f"{len(base.prompts)} and {len(aligned.prompts)} prompts",
                do="generate both again from one prompt list",
            )
        change = paired_change(
            base.counts,
            aligned.counts,
            space.subset(group).cell_target,
            rng=bootstrap.rng("change", name),
            resamples=bootstrap.resamples,
        )
        before, after = change.before.estimate, change.after.estimate
        result[name] = {
            "difference": change.difference.estimate,
            "difference_ci95": list(change.difference.ci),
            "reduction": 1 - after / before if before > 0 else None,
            "reduction_to_floor": change.reduction.estimate if change.reduction else None,
            "ci95": list(change.reduction.ci) if change.reduction else None,
            "prompts": change.prompts,
            "dropped": change.dropped,
        }
    keys = ["prompt_id", "index"]
    first, second = (_of(figures, model) for model in models)
    both = first.merge(second, on=keys, suffixes=("_a", "_b"))
    for name in QUALITY:
        found = mean_interval(
            both[f"{name}_b"] - both[f"{name}_a"],
            both["prompt_id"],
            rng=bootstrap.rng("change", name),
            resamples=bootstrap.resamples,
        )
        result[name] = {"difference": found.estimate, "difference_ci95": list(found.ci)}
    return result
