"""The release gate: every rule on its interval, waivers with an end."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
import yaml

from fairness_core.attributes import AttributeSpace
from fairness_core.config import read_policy
from fairness_core.evaluation import Bootstrap, judge

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
    "also": {
        "triggers": {
            "aligned": {
                "gender": {"bias": 0.4, "ci95": [0.3, 0.5]},
                "no_face_rate": 0.02,
                "ci95": {"no_face_rate": [0.0, 0.04]},
            }
        }
    },
    "sweeps": {
        "axes": {
            "guidance": [
                {"value": 1.0, "aligned": {"gender": {"bias": 0.3, "ci95": [0.28, 0.32]}}},
                {"value": 7.5, "aligned": {"gender": {"bias": 0.5, "ci95": [0.4, 0.6]}}},
            ],
            "sampler": [
                {"value": "ddim", "aligned": {"gender": {"bias": 0.52, "ci95": [0.5, 0.55]}}}
            ],
        }
    },
    "diversity": {"gender": {"ratio": 0.9, "ci95": {"ratio": [0.85, 0.95]}}},
    "frechet": {"people": {"excess": 0.05, "ci95": {"excess": [0.02, 0.08]}}},
    "scenes": {
        "aligned": {
            "dino": 0.9,
            "face_rate": 0.01,
            "ci95": {"dino": [0.85, 0.95], "face_rate": [0.0, 0.03]},
        },
        "change": {"clip_t": {"difference": -0.01, "difference_ci95": [-0.03, 0.01]}},
    },
}
FURTHER = {
    "stress": {"triggers": {"gender": 0.5, "no_face_rate": 0.04}},
    "sweeps": {"gender": 0.6},
    "diversity": {"gender": 0.85},
    "frechet": {"people": 0.08},
    "scenes": {"dino": 0.85, "clip_t": -0.03},
    "scene_faces": 0.03,
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
        ({"stress": {"triggers": {"gender": 0.45}}}, "stress.triggers.gender.*misses <= 0.45"),
        ({"stress": {"triggers": {"no_face_rate": 0.03}}}, "upper end misses <= 0.03"),
        ({"sweeps": {"gender": 0.55}}, r"misses <= 0.55 \(worst at guidance 7.5\)"),
        ({"diversity": {"gender": 0.88}}, "lower end misses >= 0.88"),
        ({"frechet": {"people": 0.06}}, "upper end misses <= 0.06"),
        ({"scenes": {"dino": 0.88}}, "lower end misses >= 0.88"),
        ({"scenes": {"clip_t": -0.02}}, "lower end misses >= -0.02"),
        ({"scene_faces": 0.02}, "upper end misses <= 0.02"),
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


def test_stress_packs_sweeps_and_scenes_have_limits_of_their_own(told):
    found = told(FURTHER)
    assert found["passed"]
    assert set(found["rules"]) == {
        "stress.triggers.gender", "stress.triggers.no_face_rate", "sweeps.gender",
        "diversity.gender", "frechet.people", "scenes.dino", "scenes.clip_t", "scene_faces",
    }  # fmt: skip
    bare = {key: EVALUATION[key] for key in ("aligned", "change", "named")}
    unmeasured = told(FURTHER, evaluation=bare)["rules"].values()
    assert not any(entry["met"] for entry in unmeasured)
    assert all("not measured" in entry["text"] for entry in unmeasured)
    waived = WAIVER | {"rule": "stress.triggers.gender", "until": TODAY}
    assert told({"stress": {"triggers": {"gender": 0.1}}}, [waived])["passed"]


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
