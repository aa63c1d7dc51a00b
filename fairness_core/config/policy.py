"""The policy of a release: limits of its rules, and who lets which pass for how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from fairness_core.errors import ConfigError
from fairness_core.groups import group_name, measured_groups

__all__ = ["RULES", "Policy", "Rule", "Waiver", "read_policy"]

VERSION = 1
WAIVER = {"rule", "name", "reason", "until"}


@dataclass(frozen=True)
class Rule:
    """A kind of rule.

    Attributes:
        upper: Whether its limits are upper ones.
        names: Levels of names that its limits are listed under: 0, 1 or 2.
        groups: Whether the names are attributes, alone or jointly.
        share: Whether the limits are in [0, 1].
    """

    upper: bool
    names: int
    groups: bool = False
    share: bool = False


RULES = {
    "bias": Rule(upper=True, names=1, groups=True, share=True),
    "joint_bias": Rule(upper=True, names=1, groups=True, share=True),
    "worst_prompt": Rule(upper=True, names=1, groups=True, share=True),
    "no_face_rate": Rule(upper=True, names=0, share=True),
    "quality": Rule(upper=False, names=1),
    "named_kept": Rule(upper=False, names=0),
    "stress": Rule(upper=True, names=2),
    "sweeps": Rule(upper=True, names=1, groups=True, share=True),
    "diversity": Rule(upper=False, names=1, groups=True),
    "frechet": Rule(upper=True, names=1),
    "scenes": Rule(upper=False, names=1),
    "scene_faces": Rule(upper=True, names=0, share=True),
}
LEVELS = ("a limit", "one limit for each name", "limits by pack and name")


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


def read_policy(path: Path, attributes: Sequence[str] = ()) -> Policy:
    """Read ``policy.yaml``.

    Args:
        path: The file.
        attributes: The run's, in order: rules about others are refused; empty: not looked at.

    Raises:
        ConfigError: Everything that is wrong: another version, unknown rules, limits that are no
            numbers or none that could be missed, groups that are not measured, waivers without a
            name, a reason, an end date or a rule that there is.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"The policy cannot be read: {' '.join(str(error).split())}",
            given=path,
            do="name one by --policy; a checkout has policy.yaml",
        ) from error
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise ConfigError(f"A policy says 'version: {VERSION}' and lists rules", given=path)
    problems = [f"unknown key '{key}'" for key in set(raw) - {"version", "rules", "waivers"}]
    limits = _limits(raw.get("rules") or {}, problems)
    waivers = _waivers(raw.get("waivers") or [], limits, problems)
    if not raw.get("rules"):
        problems.append("no rule")
    if attributes:
        problems += _unmeasured(limits, attributes)
    if problems:
        raise ConfigError(
            "The policy has problems: " + "; ".join(sorted(problems)),
            given=path,
            do="correct them, all are listed",
        )
    return Policy(limits, waivers)


def _limits(rules: Any, problems: list[str]) -> dict[str, float]:
    limits: dict[str, float] = {}
    if not isinstance(rules, dict):
        problems.append("rules are a mapping")
        return limits
    for rule, given in rules.items():
        if rule not in RULES:
            problems.append(f"unknown rule '{rule}' (known are {', '.join(RULES)})")
            continue
        for name, value in _flat(rule, given, RULES[rule].names):
            if isinstance(value, dict) or name.count(".") != RULES[rule].names:
                problems.append(f"'{rule}' takes {LEVELS[RULES[rule].names]}")
            elif isinstance(value, bool) or not isinstance(value, int | float):
                problems.append(f"the limit of '{name}' is no number: {value!r}")
            else:
                limits[name] = float(value)
                if RULES[rule].share and not 0 <= value <= 1:
                    problems.append(f"the limit of '{name}' is in [0, 1], not {value:g}")
    return limits


def _unmeasured(limits: Mapping[str, float], attributes: Sequence[str]) -> Iterator[str]:
    """Rules that would never be met, since nothing of that name is measured."""
    known = [group_name(names) for names in measured_groups(attributes)]
    for name in limits:
        rule, _, group = name.partition(".")
        if RULES[rule].groups and group not in known:
            yield f"nothing measures '{group}' of '{rule}' (measured are {', '.join(known)})"


def _flat(name: str, given: Any, levels: int) -> Iterator[tuple[str, Any]]:
    """Limits under their full names; what is nested too little or too deeply as it is."""
    if levels == 0 or not isinstance(given, dict) or not given:
        yield name, given
        return
    for key, value in given.items():
        yield from _flat(f"{name}.{key}", value, levels - 1)


def _waivers(given: Any, limits: Mapping[str, float], problems: list[str]) -> tuple[Waiver, ...]:
    found: dict[str, Waiver] = {}
    for entry in given if isinstance(given, list) else [given]:
        wrong = list(_wrong(entry, limits, found))
        problems += [f"{problem}, in the waiver {entry}" for problem in wrong]
        if not wrong:
            words = {key: str(entry[key]) for key in ("rule", "name", "reason")}
            found[words["rule"]] = Waiver(until=entry["until"], **words)
    return tuple(found.values())


def _wrong(entry: Any, limits: Mapping[str, float], found: Mapping[str, Waiver]) -> Iterator[str]:
    """What is wrong with one waiver."""
    if not isinstance(entry, dict):
        yield f"a waiver needs {', '.join(sorted(WAIVER))}"
        return
    if blank := sorted(key for key in WAIVER if not entry.get(key)):
        yield f"a waiver needs {', '.join(blank)} too"
    if other := sorted(str(key) for key in entry if key not in WAIVER):
        yield f"a waiver has no {', '.join(other)}"
    if entry.get("until") and type(entry["until"]) is not date:
        yield f"a waiver's end is a date such as 2027-01-31, not {entry['until']!r}"
    rule = str(entry.get("rule") or "")
    if rule and rule not in limits:
        yield f"a waiver is of no rule: '{rule}'"
    elif rule in found:
        yield f"a waiver is the second of its rule: '{rule}'"
