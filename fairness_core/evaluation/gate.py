"""The release gate: every rule of a policy judged on its interval, waivers included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ConfigError
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.groups import measured_groups
from fairness_core.metrics import count_faces, worst_prompt

__all__ = ["Policy", "Waiver", "judge", "read_policy"]

VERSION = 1
# Rule to whether its limits are upper ones; those in GROUPED have one limit for each name.
UPPER = {
    "bias": True,
    "joint_bias": True,
    "worst_prompt": True,
    "no_face_rate": True,
    "quality": False,
    "named_kept": False,
}
GROUPED = ("bias", "joint_bias", "worst_prompt", "quality")
WAIVER = {"rule", "name", "reason", "until"}


@dataclass(frozen=True)
class Waiver:
    """A rule that somebody lets pass for a while.

    Attributes:
        rule: Such as ``bias.gender``.
        name: Who answers for it.
        reason: Why.
        until: Last day on which it holds.
    """

    rule: str
    name: str
    reason: str
    until: date


@dataclass(frozen=True)
class Policy:
    """What a release must meet.

    Attributes:
        limits: Rule, such as ``bias.gender``, to its limit.
        waivers: At most one of each rule.
    """

    limits: Mapping[str, float]
    waivers: tuple[Waiver, ...]


def read_policy(path: Path) -> Policy:
    """Read ``policy.yaml``.

    Raises:
        ConfigError: Everything that is wrong: another version, unknown rules, limits that are no
            numbers, waivers without a name, a reason, an end date or a rule that there is.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The policy cannot be read: {error}", given=path) from error
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise ConfigError(f"A policy says 'version: {VERSION}' and lists rules", given=path)
    problems = [f"unknown key '{key}'" for key in set(raw) - {"version", "rules", "waivers"}]
    limits = _limits(raw.get("rules") or {}, problems)
    waivers = _waivers(raw.get("waivers") or [], limits, problems)
    if not limits:
        problems.append("no rule")
    if problems:
        raise ConfigError("The policy has problems: " + "; ".join(sorted(problems)), given=path)
    return Policy(limits, waivers)


def _limits(rules: Any, problems: list[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    if not isinstance(rules, dict):
        problems.append("rules are a mapping")
        return limits
    for rule, given in rules.items():
        if rule not in UPPER:
            problems.append(f"unknown rule '{rule}' (known are {', '.join(UPPER)})")
            continue
        grouped = rule in GROUPED
        if grouped != isinstance(given, dict):
            problems.append(f"'{rule}' takes {'one limit for each name' if grouped else 'a limit'}")
            continue
        named = (
            {f"{rule}.{name}": value for name, value in given.items()} if grouped else {rule: given}
        )
        for name, value in named.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                problems.append(f"the limit of '{name}' is no number: {value!r}")
            else:
                limits[name] = float(value)
    return limits


def _waivers(given: Any, limits: Mapping[str, float], problems: list[str]) -> tuple[Waiver, ...]:
    found: dict[str, Waiver] = {}
    for entry in given if isinstance(given, list) else [given]:
        blank = not isinstance(entry, dict) or set(entry) != WAIVER or not all(entry.values())
        if blank:
            problems.append(
                f"a waiver needs {', '.join(sorted(WAIVER))}, and nothing else: {entry}"
            )
        elif type(entry["until"]) is not date:
            problems.append(f"a waiver's end is a date such as 2027-01-31: {entry['until']!r}")
        elif entry["rule"] not in limits or entry["rule"] in found:
            problems.append(f"a waiver is of no rule, or the second of it: '{entry['rule']}'")
        else:
            words = {key: str(entry[key]) for key in ("rule", "name", "reason")}
            found[words["rule"]] = Waiver(until=entry["until"], **words)
    return tuple(found.values())


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
        upper = UPPER[kind]
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
) -> tuple[float | None, Sequence[float] | None, str]:
    aligned = evaluation["aligned"]
    if kind in ("bias", "joint_bias"):
        entry = aligned.get(name, {})
        return entry.get("bias"), entry.get("ci95"), ""
    if kind == "worst_prompt":
        return _worst(name, faces, space, bootstrap)
    if kind == "no_face_rate":
        return aligned[kind], aligned["ci95"][kind], ""
    if kind == "quality":
        entry = evaluation["change"].get(name, {})
        return entry.get("difference"), entry.get("difference_ci95"), "change from the base"
    named = evaluation.get("named") or {}
    return named.get("ratio"), named.get("ci95", {}).get("ratio"), "aligned / base"


def _worst(
    name: str, faces: pd.DataFrame, space: AttributeSpace, bootstrap: Bootstrap
) -> tuple[float | None, Sequence[float] | None, str]:
    group = {"_x_".join(names): names for names in measured_groups(space)}.get(name)
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
