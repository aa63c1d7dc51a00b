"""The release gate: every rule of a policy judged on its interval, waivers included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.config import RULES, Policy
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.groups import group_name, measured_groups
from fairness_core.metrics import count_faces, worst_prompt

__all__ = ["judge"]

# Estimate, interval (None where it was not measured) and what else there is to say.
Found = tuple[float | None, Sequence[float] | None, str]


def judge(
    policy: Policy,
    evaluation: Mapping[str, Any],
    faces: pd.DataFrame,
    space: AttributeSpace,
    *,
    today: date,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Judge the aligned model: an upper limit on the interval's high end, a lower on its low end.

    Args:
        policy: The rules.
        evaluation: Of ``compare``.
        faces: The evaluation's faces table.
        space: The measured attributes.
        today: Decides which waivers have ended.
        bootstrap: Draws for the worst prompt's interval; ``resamples`` is their number.

    Returns:
        ``passed`` (every rule is met or waived) and ``rules``: per rule ``limit``, ``upper``,
        ``estimate``, ``ci95`` (null where it was not measured), ``met``, ``passed``, ``waiver``
        (name, reason, until, ``ended``; or null), ``detail`` and ``text``, one sentence.
    """
    waivers = {waiver.rule: waiver for waiver in policy.waivers}
    rules = {}
    for rule, limit in policy.limits.items():
        kind, _, name = rule.partition(".")
        estimate, interval, detail = _figure(kind, name, evaluation, faces, space, bootstrap)
        upper = RULES[kind].upper
        met = interval is not None and (interval[1] <= limit if upper else interval[0] >= limit)
        waiver = waivers.get(rule)
        holds = waiver is not None and today <= waiver.until
        entry = {
            "limit": limit,
            "upper": upper,
            "estimate": estimate,
            "ci95": None if interval is None else list(interval),
            "detail": detail,
            "met": met,
            "passed": met or holds,
            "waiver": waiver
            and {
                "name": waiver.name,
                "reason": waiver.reason,
                "until": waiver.until.isoformat(),
                "ended": not holds,
            },
        }
        rules[rule] = {**entry, "text": _text(rule, entry)}
    return {"passed": all(entry["passed"] for entry in rules.values()), "rules": rules}


def _figure(
    kind: str,
    name: str,
    evaluation: Mapping[str, Any],
    faces: pd.DataFrame,
    space: AttributeSpace,
    bootstrap: Bootstrap,
) -> Found:
    if kind == "worst_prompt":
        return _worst(name, faces, space, bootstrap)
    return FIGURES[kind](name, evaluation)


def _bias(name: str, evaluation: Mapping[str, Any]) -> Found:
    entry = evaluation["aligned"].get(name, {})
    return entry.get("bias"), entry.get("ci95"), ""


def _no_face_rate(_: str, evaluation: Mapping[str, Any]) -> Found:
    aligned = evaluation["aligned"]
    return aligned["no_face_rate"], aligned["ci95"]["no_face_rate"], ""


def _quality(name: str, evaluation: Mapping[str, Any]) -> Found:
    entry = evaluation["change"].get(name, {})
    return entry.get("difference"), entry.get("difference_ci95"), "change from the base"


def _named(_: str, evaluation: Mapping[str, Any]) -> Found:
    named = evaluation.get("named") or {}
    return named.get("ratio"), named.get("ci95", {}).get("ratio"), "aligned / base"


def _stress(name: str, evaluation: Mapping[str, Any]) -> Found:
    pack, _, figure = name.partition(".")
    aligned = evaluation.get("also", {}).get(pack, {}).get("aligned", {})
    if figure == "no_face_rate":
        return aligned.get(figure), aligned.get("ci95", {}).get(figure), ""
    entry = aligned.get(figure, {})
    return entry.get("bias"), entry.get("ci95"), ""


def _sweeps(name: str, evaluation: Mapping[str, Any]) -> Found:
    """The setting of the sampler whose interval ends highest."""
    points = [
        (point["ci95"][1], point["bias"], point["ci95"], f"{swept} {value}")
        for swept, found in ((evaluation.get("sweeps") or {}).get("axes") or {}).items()
        for value, point in ((entry["value"], entry["aligned"].get(name)) for entry in found)
        if point
    ]
    if not points:
        return None, None, ""
    _, estimate, interval, where = max(points, key=lambda point: point[0])
    return estimate, interval, f"worst at {where}"


def _diversity(name: str, evaluation: Mapping[str, Any]) -> Found:
    entry = (evaluation.get("diversity") or {}).get(name, {})
    return entry.get("ratio"), entry.get("ci95", {}).get("ratio"), "aligned / base"


def _frechet(name: str, evaluation: Mapping[str, Any]) -> Found:
    entry = (evaluation.get("frechet") or {}).get(name, {})
    return entry.get("excess"), entry.get("ci95", {}).get("excess"), "above the base's own"


def _scenes(name: str, evaluation: Mapping[str, Any]) -> Found:
    scenes = evaluation.get("scenes") or {}
    if name == "clip_t":
        return _quality(name, {"change": scenes.get("change", {})})
    aligned = scenes.get("aligned", {})
    return aligned.get(name), aligned.get("ci95", {}).get(name), "cosine to the base's image"


def _scene_faces(_: str, evaluation: Mapping[str, Any]) -> Found:
    aligned = (evaluation.get("scenes") or {}).get("aligned", {})
    return aligned.get("face_rate"), aligned.get("ci95", {}).get("face_rate"), ""


FIGURES: Mapping[str, Callable[[str, Mapping[str, Any]], Found]] = {
    "bias": _bias,
    "joint_bias": _bias,
    "no_face_rate": _no_face_rate,
    "quality": _quality,
    "named_kept": _named,
    "stress": _stress,
    "sweeps": _sweeps,
    "diversity": _diversity,
    "frechet": _frechet,
    "scenes": _scenes,
    "scene_faces": _scene_faces,
}


def _worst(name: str, faces: pd.DataFrame, space: AttributeSpace, bootstrap: Bootstrap) -> Found:
    group = {group_name(names): names for names in measured_groups(space.names)}.get(name)
    if group is None:
        return None, None, ""
    counts = count_faces(faces[faces["model"] == "aligned"], space, group)
    row, found = worst_prompt(
        counts.counts, rng=bootstrap.rng("gate", name), resamples=bootstrap.resamples
    )
    return found.estimate, found.ci, counts.prompts[row]


def _text(rule: str, entry: Mapping[str, Any]) -> str:
    sign, word = ("<=", "upper") if entry["upper"] else (">=", "lower")
    if entry["ci95"] is None:
        said = f"{rule}: not measured, limit {sign} {entry['limit']:g}"
    else:
        low, high = entry["ci95"]
        said = (
            f"{rule}: {entry['estimate']:.3f} [{low:.3f}, {high:.3f}], {word} end "
            f"{'meets' if entry['met'] else 'misses'} {sign} {entry['limit']:g}"
        )
    said += f" ({entry['detail']})" if entry["detail"] else ""
    waiver = entry["waiver"]
    if waiver:
        state = "ended" if waiver["ended"] else "until"
        said += f"; waiver of {waiver['name']}, {state} {waiver['until']}: {waiver['reason']}"
    return said
