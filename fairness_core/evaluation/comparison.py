"""Base against aligned on the held-out prompts: the dictionary of ``metrics/evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.figures import faceless, parity_figures
from fairness_core.evaluation.groups import MODELS, QUALITY, of_model, wanted_shares
from fairness_core.evaluation.named import named_prompts
from fairness_core.evaluation.planted import planted_difference
from fairness_core.groups import group_name, measured_groups
from fairness_core.metrics import (
    FaceCounts,
    count_faces,
    mean_interval,
    paired_cells,
    paired_change,
)
from fairness_core.prompts import planted_shares

__all__ = ["compare", "compare_split"]


def compare(
    faces: pd.DataFrame,
    quality: pd.DataFrame,
    prompts: pd.DataFrame,
    space: AttributeSpace,
    *,
    split: str,
    also: Sequence[str] = (),
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
        also: Further splits, each with figures of its own.
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
        ``named_prompts``. ``n_prompts``, ``images_per_prompt`` and ``target``. ``also``: by further
        split the two models' figures, ``change``, ``n_prompts`` and ``images_per_prompt`` of its
        own.

    Raises:
        ArtifactError: No image of a split, or a model is missing.
        FaceError: One model shows no face in any image of the split.
    """
    result = compare_split(faces, quality, prompts, space, split, bootstrap, models)
    for model in models:
        result[model]["seconds"] = float(seconds[model])
    result["also"] = {
        name: compare_split(faces, quality, prompts, space, name, bootstrap, models)
        for name in also
    }
    result["named"] = named_prompts(faces, prompts, space, bootstrap, models=models)
    result["target"] = {
        a.name: dict(zip(a.classes, a.target, strict=True)) for a in space.attributes
    }
    return result


def compare_split(
    faces: pd.DataFrame,
    quality: pd.DataFrame,
    prompts: pd.DataFrame,
    space: AttributeSpace,
    split: str,
    bootstrap: Bootstrap,
    models: tuple[str, str] = MODELS,
) -> dict[str, Any]:
    """The figures of one split; see `compare`.

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
                do="generate images for that split, or leave the split out of evaluate_bias",
            )
    counts = {
        model: [
            count_faces(of_model(chosen, model), space, group)
            for group in measured_groups(space.names)
        ]
        for model in models
    }
    result: dict[str, Any] = {
        model: {
            **_parity(of_model(chosen, model), counts[model], prompts, space, model, bootstrap),
            **_quality(of_model(chosen, model), of_model(figures, model), model, bootstrap),
            "prompts_without_face": faceless(counts[model][0], model),
        }
        for model in models
    }
    result["change"] = _change(chosen, counts, figures, prompts, space, bootstrap, models)
    per = chosen[chosen["model"] == models[0]].groupby("prompt_id").size()
    result["n_prompts"] = len(per)
    result["images_per_prompt"] = float(per.mean()) if per.nunique() > 1 else int(per.iloc[0])
    return result


def _parity(
    faces: pd.DataFrame,
    counts: Sequence[FaceCounts],
    prompts: pd.DataFrame,
    space: AttributeSpace,
    model: str,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    result = parity_figures(faces, counts, space, bootstrap, model, prompts=prompts)
    for measured in counts:
        name = measured.group
        if name in space.names:
            planted = planted_difference(
                measured,
                planted_shares(prompts, space, name),
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
    faces: pd.DataFrame,
    counts: Mapping[str, Sequence[FaceCounts]],
    figures: pd.DataFrame,
    prompts: pd.DataFrame,
    space: AttributeSpace,
    bootstrap: Bootstrap,
    models: tuple[str, str],
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for i, group in enumerate(measured_groups(space.names)):
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
            wanted_shares(base, prompts, space, group),
            rng=bootstrap.rng("change", name),
            pairs=paired_cells(
                of_model(faces, models[0]), of_model(faces, models[1]), space, group
            ),
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
    first, second = (of_model(figures, model) for model in models)
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
