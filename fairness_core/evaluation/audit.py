"""One model or folder audited: the dictionary of ``audit.json`` and its table of prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.figures import faceless, parity_figures
from fairness_core.evaluation.groups import measured_groups
from fairness_core.evaluation.labels import confusion_of
from fairness_core.metrics import (
    FaceCounts,
    Interval,
    benjamini_hochberg,
    corrected_bias,
    count_faces,
    mean_interval,
    per_prompt,
    share_intervals,
    target_p_values,
    worst_prompt,
)

__all__ = ["AuditRules", "audit_figures", "audit_prompts", "undecided"]

SECOND = "second_"


@dataclass(frozen=True)
class AuditRules:
    """What the figures depend on beside the faces.

    Attributes:
        undecided_below: A face whose highest probability is below it counts as undecided, in
            (0, 1]; its likeliest class still counts in the shares.
        false_claims: Rate of false claims among the prompts said to differ from the target.
        labels_per_class: Labelled faces of each class that a correction needs.
    """

    undecided_below: float
    false_claims: float
    labels_per_class: int


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
) -> dict[str, Any]:
    """Compute every figure of an audit.

    Args:
        faces: From ``measure_folder``.
        space: The measured attributes with their targets.
        rules: Thresholds.
        bootstrap: Intervals.
        labels: From ``read_labels``; None: nothing is corrected.

    Returns:
        Per group the figures of ``parity_figures`` with ``shares_ci95``, ``worst_prompt``
        (prompt_id, bias, ci95), ``claims`` (prompts that differ from the target) and, given
        labels, ``corrected`` (``bias``, ``ci95``, ``shares``, ``shares_ci95``, ``confusion``;
        or ``reason`` why there is none); ``no_face_rate``, ``undecided`` per attribute and, with
        two classifiers, ``disagreement`` per attribute and ``second`` (the second one's parity
        figures), all with ``ci95``; ``unreadable`` images, ``prompts_without_face``, ``images``,
        ``n_prompts`` and ``target``.

    Raises:
        ArtifactError: No readable image, missing probabilities, or labels of other images.
        FaceError: No image shows a face.
    """
    readable = faces[faces["readable"]]
    if readable.empty:
        raise ArtifactError("None of the images can be read", given=f"{len(faces)} images")
    groups = measured_groups(space)
    counts = [count_faces(readable, space, group) for group in groups]
    result: dict[str, Any] = parity_figures(readable, counts, space, bootstrap, "audit")
    for group, measured in zip(groups, counts, strict=True):
        target = space.subset(group).cell_target
        result[measured.group] |= _group(measured, target, rules, bootstrap)
        if labels is not None:
            result[measured.group]["corrected"] = _corrected(
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
        result |= _two(readable, space, bootstrap)
    result["unreadable"] = int((~faces["readable"]).sum())
    result["prompts_without_face"] = faceless(counts[0], "audited")
    result["images"], result["n_prompts"] = len(readable), int(readable["prompt_id"].nunique())
    result["target"] = {
        a.name: dict(zip(a.classes, a.target, strict=True)) for a in space.attributes
    }
    return result


def audit_prompts(
    faces: pd.DataFrame, space: AttributeSpace, rules: AuditRules, bootstrap: Bootstrap
) -> pd.DataFrame:
    """``metrics.per_prompt`` with ``p_value`` (sampler of the target), ``q_value`` and ``claim``.

    ``q_value`` is Benjamini and Hochberg's over the prompts of the group; ``claim``: at most
    ``rules.false_claims``.
    """
    parts = []
    readable = faces[faces["readable"]]
    for group in measured_groups(space):
        table = per_prompt(readable, space, [group])
        measured = count_faces(readable, space, group)
        table["p_value"], table["q_value"] = _claims(
            measured, space.subset(group).cell_target, bootstrap
        )
        table["claim"] = table["q_value"] <= rules.false_claims
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _claims(measured: FaceCounts, target: Sequence[float], bootstrap: Bootstrap) -> tuple[Any, Any]:
    values = target_p_values(
        measured.counts, target, rng=bootstrap.rng("audit", measured.group, "claims")
    )
    return values, benjamini_hochberg(values)


def _group(
    measured: FaceCounts, target: Sequence[float], rules: AuditRules, bootstrap: Bootstrap
) -> dict[str, Any]:
    name, resamples = measured.group, bootstrap.resamples
    shares = share_intervals(
        measured.counts, rng=bootstrap.rng("audit", name, "shares"), resamples=resamples
    )
    row, worst = worst_prompt(
        measured.counts, rng=bootstrap.rng("audit", name, "worst"), resamples=resamples
    )
    _, adjusted = _claims(measured, target, bootstrap)
    return {
        "shares_ci95": _ends(measured.cells, shares),
        "worst_prompt": {
            "prompt_id": measured.prompts[row],
            "bias": worst.estimate,
            "ci95": list(worst.ci),
        },
        "claims": int((adjusted <= rules.false_claims).sum()),
    }


def _corrected(
    faces: pd.DataFrame,
    labels: pd.DataFrame,
    space: AttributeSpace,
    group: Sequence[str],
    measured: FaceCounts,
    rules: AuditRules,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    confusion = confusion_of(faces, labels, space, group)
    table: dict[str, Any] = {"confusion": confusion.counts.tolist()}
    reason = confusion.problem(rules.labels_per_class)
    if reason is not None:
        return {"reason": reason, **table}
    found = corrected_bias(
        measured.counts,
        confusion,
        rng=bootstrap.rng("audit", measured.group, "corrected"),
        resamples=bootstrap.resamples,
    )
    return {
        "bias": found.bias.estimate,
        "ci95": list(found.bias.ci),
        "shares": {
            cell: share.estimate for cell, share in zip(measured.cells, found.shares, strict=True)
        },
        "shares_ci95": _ends(measured.cells, found.shares),
        **table,
    }


def _two(faces: pd.DataFrame, space: AttributeSpace, bootstrap: Bootstrap) -> dict[str, Any]:
    """The second classifier's figures, and how often the two disagree about a face."""
    seconds: Mapping[str, str] = {f"{SECOND}{name}": name for name in space.names}
    other = faces.drop(columns=list(space.names)).rename(columns=seconds)
    counts = [count_faces(other, space, group) for group in measured_groups(space)]
    seen = faces[faces["present"].astype(bool)]
    return {
        "second": parity_figures(other, counts, space, bootstrap, "audit", "second"),
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


def _ends(cells: Sequence[str], intervals: Sequence[Interval]) -> dict[str, list[float]]:
    return {cell: list(one.ci) for cell, one in zip(cells, intervals, strict=True)}
