"""One model or folder audited: the dictionary of ``audit.json`` and its table of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation.audited_groups import (
    AuditRules,
    claims,
    corrected_figures,
    group_figures,
)
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.figures import faceless, parity_figures
from fairness_core.evaluation.groups import wanted_shares
from fairness_core.groups import measured_groups
from fairness_core.metrics import count_faces, mean_interval, per_prompt
from fairness_core.prompts import own_shares

__all__ = ["AuditRules", "audit_figures", "audit_prompts", "undecided"]

SECOND = "second_"


def undecided(faces: pd.DataFrame, space: AttributeSpace, below: float) -> pd.DataFrame:
    """Which faces the classifier is undecided about: highest probability below a threshold.

    Returns:
        One row per face that is present: prompt_id, and True or False for each attribute.

    Raises:
        ArtifactError: Probabilities are missing, as columns or for some faces.
    """
    present = faces[faces["present"].astype(bool)]
    result = pd.DataFrame({"prompt_id": present["prompt_id"]})
    for attribute in space.attributes:
        columns = [f"p_{attribute.name}_{name}" for name in attribute.classes]
        missing = [name for name in columns if name not in faces.columns]
        blank = 0 if missing else int(present[columns].isna().any(axis=1).sum())
        if missing or blank:
            raise ArtifactError(
                f"The faces table lacks probabilities of '{attribute.name}'",
                given=f"no {', '.join(missing)}" if missing else f"{blank} faces without",
                do="measure the images again",
            )
        result[attribute.name] = present[columns].max(axis=1) < below
    return result


def audit_figures(
    faces: pd.DataFrame,
    space: AttributeSpace,
    rules: AuditRules,
    bootstrap: Bootstrap,
    *,
    labels: pd.DataFrame | None = None,
    prompts: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Compute every figure of an audit.

    Args:
        faces: From ``measure_folder``.
        space: The measured attributes with their targets.
        rules: Thresholds.
        bootstrap: Intervals.
        labels: From ``read_labels``; None: nothing is corrected.
        prompts: From ``own_targets``, where prompts have targets of their own.

    Returns:
        Per group the figures of ``parity_figures`` with ``shares_ci95``, ``worst_prompt``
        (prompt_id, bias, ci95), ``claims`` (prompts that differ from the target) and, given
        labels, ``corrected`` (``bias``, ``ci95``, ``shares``, ``shares_ci95``, ``confusion``;
        or ``reason`` why there is none); ``no_face_rate``, ``undecided`` per attribute and, with
        two classifiers, ``disagreement`` per attribute and ``second`` (the second one's parity
        figures), all with ``ci95``; ``unreadable`` images, ``prompts_without_face``, ``images``,
        ``n_prompts``, ``target`` and ``prompt_targets`` (prompt_id to attribute to shares).

    Raises:
        ArtifactError: No readable image, missing probabilities, or labels of other images.
        FaceError: No image shows a face.
    """
    readable = faces[faces["readable"]]
    if readable.empty:
        raise ArtifactError("None of the images can be read", given=f"{len(faces)} images")
    groups = measured_groups(space.names)
    counts = [count_faces(readable, space, group) for group in groups]
    result: dict[str, Any] = parity_figures(
        readable, counts, space, bootstrap, "audit", prompts=prompts
    )
    for group, measured in zip(groups, counts, strict=True):
        target = wanted_shares(measured, prompts, space, group)
        result[measured.group] |= group_figures(measured, target, rules, bootstrap)
        if labels is not None:
            result[measured.group]["corrected"] = corrected_figures(
                readable, labels, space, group, measured, rules, bootstrap
            )
    result["no_face_rate"] = _rate(
        ~readable["present"].astype(bool), readable["prompt_id"], bootstrap, "no face"
    )
    unsure = undecided(readable, space, rules.undecided_below)
    result["undecided"] = {
        name: _rate(unsure[name], unsure["prompt_id"], bootstrap, "undecided", name)
        for name in space.names
    }
    if f"{SECOND}{space.names[0]}" in readable.columns:
        result |= _two(readable, prompts, space, bootstrap)
    result["unreadable"] = int((~faces["readable"]).sum())
    result["prompts_without_face"] = faceless(counts[0], "audited")
    result["images"], result["n_prompts"] = len(readable), int(readable["prompt_id"].nunique())
    result["target"] = {
        a.name: dict(zip(a.classes, a.target, strict=True)) for a in space.attributes
    }
    result["prompt_targets"] = {} if prompts is None else own_shares(prompts, space)
    return result


def audit_prompts(
    faces: pd.DataFrame,
    space: AttributeSpace,
    rules: AuditRules,
    bootstrap: Bootstrap,
    *,
    prompts: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """``metrics.per_prompt`` with ``p_value`` (sampler of the target), ``q_value`` and ``claim``.

    ``q_value`` is Benjamini and Hochberg's over the prompts of the group; ``claim``: at most
    ``rules.false_claims``.
    """
    parts = []
    readable = faces[faces["readable"]]
    for group in measured_groups(space.names):
        table = per_prompt(readable, space, [group])
        measured = count_faces(readable, space, group)
        table["p_value"], table["q_value"] = claims(
            measured, wanted_shares(measured, prompts, space, group), bootstrap
        )
        table["claim"] = table["q_value"] <= rules.false_claims
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _two(
    faces: pd.DataFrame,
    prompts: pd.DataFrame | None,
    space: AttributeSpace,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """The second classifier's figures, and how often the two disagree about a face."""
    seconds: Mapping[str, str] = {f"{SECOND}{name}": name for name in space.names}
    other = faces.drop(columns=list(space.names)).rename(columns=seconds)
    counts = [count_faces(other, space, group) for group in measured_groups(space.names)]
    seen = faces[faces["present"].astype(bool)]
    return {
        "second": parity_figures(
            other, counts, space, bootstrap, "audit", "second", prompts=prompts
        ),
        "disagreement": {
            name: _rate(
                seen[name] != seen[f"{SECOND}{name}"], seen["prompt_id"], bootstrap, "two", name
            )
            for name in space.names
        },
    }


def _rate(
    flags: pd.Series, prompts: pd.Series, bootstrap: Bootstrap, *names: str
) -> dict[str, Any]:
    found = mean_interval(
        flags, prompts, rng=bootstrap.rng("audit", *names), resamples=bootstrap.resamples
    )
    return {"rate": found.estimate, "ci95": list(found.ci)}
