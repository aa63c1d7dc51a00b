"""The release gate: every rule on its interval, waivers with an end."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
import yaml

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ConfigError
from fairness_core.evaluation import Bootstrap, judge, read_policy

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)
TODAY = date(2026, 6, 1)
EVALUATION = {
    "aligned": {
        "gender": {"bias": 0.20, "ci95": [0.15, 0.25]},
        "gender_x_age": {"bias": 0.10, "ci95": [0.05, 0.15]},
        "no_face_rate": 0.01,
        "ci95": {"no_face_rate": [0.0, 0.02]},
    },
    "change": {"clip_t": {"difference": -0.01, "difference_ci95": [-0.02, 0.0]}},
    "named": {"ratio": 0.9, "ci95": {"ratio": [0.8, 1.0]}},
}
RULES = {
    "bias": {"gender": 0.3},
    "joint_bias": {"gender_x_age": 0.2},
    "worst_prompt": {"gender": 0.9},
    "no_face_rate": 0.05,
    "quality": {"clip_t": -0.05},
    "named_kept": 0.7,
}
WAIVER = {"rule": "bias.gender", "name": "A. Person", "reason": "first release"}


@pytest.fixture
def told(tmp_path):
    """Write a policy, judge by it."""

    def verdict(rules, waivers=(), evaluation=EVALUATION):
        path = tmp_path / "policy.yaml"
        text = yaml.safe_dump(
            {"version": 1, "rules": rules, "waivers": list(waivers)}, sort_keys=False
        )
        path.write_text(text)
        genders = np.tile(["female"] * 3 + ["male"] * 2, 16)
        faces = pd.DataFrame(
            {
                "prompt_id": ["a", "b"] * 40,
                "model": "aligned",
                "present": True,
                "gender": genders,
                "age": "old",
            }
        )
        return judge(
            read_policy(path), evaluation, faces, SPACE, today=TODAY, bootstrap=Bootstrap(0, 500)
        )

    return verdict


def test_a_run_that_meets_every_rule_passes(told):
    found = told(RULES)
    assert found["passed"]
    assert list(found["rules"]) == [
        "bias.gender", "joint_bias.gender_x_age", "worst_prompt.gender", "no_face_rate",
        "quality.clip_t", "named_kept",
    ]  # fmt: skip
    worst = found["rules"]["worst_prompt.gender"]
    assert worst["estimate"] == pytest.approx(0.2)
    assert worst["detail"] in ("a", "b")
    assert worst["ci95"][1] > 0.3


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (
            {"bias": {"gender": 0.24}},
            r"bias.gender: 0.200 \[0.150, 0.250\], upper end misses <= 0.24",
        ),
        ({"joint_bias": {"gender_x_age": 0.12}}, "upper end misses <= 0.12"),
        ({"worst_prompt": {"gender": 0.25}}, "upper end misses <= 0.25"),
        ({"no_face_rate": 0.015}, "upper end misses <= 0.015"),
        ({"quality": {"clip_t": -0.015}}, "lower end misses >= -0.015"),
        ({"named_kept": 0.85}, "lower end misses >= 0.85"),
    ],
)
def test_an_interval_that_crosses_its_limit_fails_though_its_point_does_not(told, rules, reason):
    import re

    found = told(rules)
    assert not found["passed"]
    (entry,) = found["rules"].values()
    better = entry["estimate"] <= entry["limit"] if entry["upper"] else (
        entry["estimate"] >= entry["limit"]
    )  # fmt: skip
    assert better
    assert re.search(reason, entry["text"])


def test_what_was_not_measured_fails(told):
    found = told({"bias": {"size": 0.5}, "worst_prompt": {"size": 1.0}, "quality": {"dino": -1}})
    assert [entry["met"] for entry in found["rules"].values()] == [False] * 3
    assert "not measured" in found["rules"]["bias.size"]["text"]
    assert not told({"named_kept": 0.1}, evaluation=EVALUATION | {"named": {}})["passed"]


def test_a_waiver_lets_a_rule_pass_until_its_end(told):
    rules = {"bias": {"gender": 0.1}}
    found = told(rules, [WAIVER | {"until": TODAY}])
    assert found["passed"]
    entry = found["rules"]["bias.gender"]
    assert (entry["met"], entry["passed"]) == (False, True)
    assert "waiver of A. Person, until 2026-06-01: first release" in entry["text"]
    over = told(rules, [WAIVER | {"until": date(2026, 5, 31)}])
    assert not over["passed"]
    assert "ended 2026-05-31" in over["rules"]["bias.gender"]["text"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 2\nrules: {no_face_rate: 0.1}", "says 'version: 1'"),
        ("version: 1", "no rule"),
        ("version: 1\nrules: {byas: {gender: 0.1}}", "unknown rule 'byas'"),
        ("version: 1\nrules: {bias: 0.1}", "'bias' takes one limit for each name"),
        ("version: 1\nrules: {no_face_rate: {a: 0.1}}", "'no_face_rate' takes a limit"),
        ("version: 1\nrules: {no_face_rate: low}", "is no number: 'low'"),
        ("version: 1\nrules: {no_face_rate: 0.1}\nlimits: 3", "unknown key 'limits'"),
        (
            "version: 1\nrules: {no_face_rate: 0.1}\nwaivers: [{rule: no_face_rate}]",
            "a waiver needs",
        ),
        (
            "version: 1\nrules: {no_face_rate: 0.1}\nwaivers:\n"
            "- {rule: no_face_rate, name: a, reason: b, until: soon}",
            "end is a date",
        ),
        (
            "version: 1\nrules: {no_face_rate: 0.1}\nwaivers:\n"
            "- {rule: bias.gender, name: a, reason: b, until: 2026-01-01}",
            "of no rule",
        ),
        ("a: [", "cannot be read"),
    ],
)  # fmt: skip
def test_unsound_policies_are_refused(tmp_path, text, problem):
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_policy(tmp_path / "policy.yaml")


def test_the_default_policy_is_sound(repository):
    assert read_policy(repository / "policy.yaml").waivers == ()
