"""Reading a release policy."""

from __future__ import annotations

import pytest

from fairness_core.config import read_policy
from fairness_core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 2\nrules: {no_face_rate: 0.1}", "says 'version: 1'"),
        ("version: 1", "no rule"),
        ("version: 1\nrules: {byas: {gender: 0.1}}", "unknown rule 'byas'"),
        ("version: 1\nrules: {bias: 0.1}", "'bias' takes one limit for each name"),
        ("version: 1\nrules: {no_face_rate: {a: 0.1}}", "'no_face_rate' takes a limit"),
        ("version: 1\nrules: {stress: {triggers: 0.1}}", "'stress' takes limits by pack"),
        ("version: 1\nrules: {stress: {triggers: {a: {b: 1}}}}", "'stress' takes limits by pack"),
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


def test_every_problem_is_listed_at_once(tmp_path):
    (tmp_path / "policy.yaml").write_text(
        "version: 1\nrules: {biass: {gender: 0.1}, bias: {gendr: 0.1, gender: 4},"
        " joint_bias: {age: 0.2, gender_x_age: 0.2}}\n"
        "waivers: [{rule: bias.race, until: soon, gender: 4}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_policy(tmp_path / "policy.yaml", ["gender", "age"])
    said = str(caught.value)
    for problem in (
        "unknown rule 'biass'", "nothing measures 'gendr' of 'bias' (measured are gender, age, ",
        "the limit of 'bias.gender' is in [0, 1], not 4", "a waiver needs name, reason too",
        "a waiver has no gender", "not 'soon'", "a waiver is of no rule: 'bias.race'",
    ):  # fmt: skip
        assert problem in said
    assert said.count(";") == 6


def test_the_default_policy_is_sound(repository):
    assert read_policy(repository / "policy.yaml").waivers == ()
