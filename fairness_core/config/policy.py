"""The policy of a release: limits of its rules, and who lets which pass for how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from fairness_core.errors import ConfigError

__all__ = ["RULES", "Policy", "Rule", "Waiver", "read_policy"]

VERSION = 1
WAIVER = {"rule", "name", "reason", "until"}


@dataclass(frozen=True)
class Rule:
    """A kind of rule.

    Attributes:
        upper: Whether its limits are upper ones.
        names: Levels of names that its limits are listed under: 0, 1 or 2.
    """

    upper: bool
    names: int


RULES = {
    "bias": Rule(upper=True, names=1),
    "joint_bias": Rule(upper=True, names=1),
    "worst_prompt": Rule(upper=True, names=1),
    "no_face_rate": Rule(upper=True, names=0),
    "quality": Rule(upper=False, names=1),
    "named_kept": Rule(upper=False, names=0),
    "stress": Rule(upper=True, names=2),
    "sweeps": Rule(upper=True, names=1),
    "diversity": Rule(upper=False, names=1),
    "frechet": Rule(upper=True, names=1),
    "scenes": Rule(upper=False, names=1),
    "scene_faces": Rule(upper=True, names=0),
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


def read_policy(path: Path) -> Policy:
    """Read ``policy.yaml``.

    Raises:
        ConfigError: Everything that is wrong: another version, unknown rules, limits that are no
            numbers, waivers without a name, a reason, an end date or a rule that there is.
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
    return limits


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
