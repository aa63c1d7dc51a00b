"""Bias per prompt, then over prompts; never pooled."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fairness_core.attributes import Attribute, AttributeSpace
from fairness_core.errors import ArtifactError, ConfigError, FaceError, TargetError
from fairness_core.groups import group_name
from fairness_core.metrics import bias, count_faces, frequencies, parity_gaps, per_prompt, summary
from tests.helpers.close import EXACT, FLOAT64, assert_close

SPACE = AttributeSpace(
    (
        Attribute("gender", ("female", "male"), (0.5, 0.5)),
        Attribute("race", ("light", "golden", "dark"), (1 / 3, 1 / 3, 1 / 3)),
    )
)


def make_faces(prompts: dict[str, str]) -> pd.DataFrame:
    """One image per letter: f/m light, F/M dark, - no face."""
    classes = {
        "f": ("female", "light"),
        "m": ("male", "light"),
        "F": ("female", "dark"),
        "M": ("male", "dark"),
        "-": (None, None),
    }
    rows = [
        {"prompt_id": prompt, "index": i, "present": letter != "-"}
        | dict(zip(("gender", "race"), classes[letter], strict=True))
        for prompt, letters in prompts.items()
        for i, letter in enumerate(letters)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("k", "expected"), [(2, 1.0), (4, 0.5), (8, 0.25), (16, 0.125)])
def test_one_class_only(k: int, expected: float):
    assert_close(bias(np.eye(k)[k // 2]), expected, FLOAT64)


@given(shares=hnp.arrays(np.float64, st.integers(2, 9), elements=st.floats(0, 1)))
def test_sorted_form_is_the_mean_over_pairs(shares: np.ndarray):
    pairs = [abs(a - b) for a, b in itertools.combinations(shares, 2)]
    assert_close(parity_gaps(shares), np.mean(pairs), FLOAT64)


@given(f=st.floats(0, 1))
def test_two_classes_are_the_distance_from_half(f: float):
    assert_close(bias(np.array([f, 1 - f])), abs(2 * f - 1), FLOAT64)


def test_bias_wants_shares():
    with pytest.raises(TargetError, match="shares that sum to 1"):
        bias(np.array([3.0, 5.0]))
    with pytest.raises(TargetError, match="two or more shares"):
        bias(np.array([1.0]))
    with pytest.raises(TargetError, match="shares that sum to 1"):
        bias(np.array([np.nan, 0.5]))


def test_frequencies():
    assert_close(frequencies([0, 2, 2, 0, 0], 4), [0.6, 0.0, 0.4, 0.0], FLOAT64)
    with pytest.raises(FaceError, match="no face"):
        frequencies([], 2)
    with pytest.raises(ArtifactError, match="outside the 2 classes"):
        frequencies([0, 2], 2)


def test_counts_of_joint_cells():
    measured = count_faces(make_faces({"b": "fFm-", "a": "MMf"}), SPACE, ["gender", "race"])
    assert measured.group == "gender_x_race"
    assert measured.prompts == ("a", "b")
    assert measured.cells[:3] == ("female/light", "female/golden", "female/dark")
    assert measured.counts.tolist() == [[1, 0, 0, 0, 0, 2], [1, 0, 1, 1, 0, 0]]
    assert measured.images.tolist() == [3, 4]


def test_per_prompt_table():
    faces = make_faces({"p0": "ffmM", "p1": "--", "p2": "f-"})
    table = per_prompt(faces, SPACE, [["gender"], ["race"], ["gender", "race"]])
    assert table["attribute"].tolist() == ["gender"] * 3 + ["race"] * 3 + ["gender_x_race"] * 3
    gender = table[table["attribute"] == "gender"].set_index("prompt_id")
    assert gender["images"].tolist() == [4, 2, 2]
    assert gender["n"].tolist() == [4, 0, 1]
    assert_close(gender["share_female"][["p0", "p2"]], [0.5, 1.0], FLOAT64)
    assert_close(gender["bias"][["p0", "p2"]], [0.0, 1.0], FLOAT64)
    assert gender.loc["p1", ["share_female", "share_male", "bias"]].isna().all()
    assert gender["share_light"].isna().all()
    race = table[(table["attribute"] == "race") & (table["prompt_id"] == "p0")].iloc[0]
    assert_close(race["bias"], (0.75 + 0.5 + 0.25) / 3, FLOAT64)
    joint = table[(table["attribute"] == "gender_x_race") & (table["prompt_id"] == "p0")].iloc[0]
    assert_close(joint["share_male/dark"], 0.25, FLOAT64)


def test_prompts_are_never_pooled():
    """Opposite biases: .23 per prompt on average, .05 if their faces were thrown together."""
    faces = make_faces({"nurse": "f" * 64 + "m" * 36, "guard": "f" * 41 + "m" * 59})
    table = per_prompt(faces, SPACE, [["gender"]])
    row = summary(table).iloc[0]
    assert_close(row["mean"], 0.23, FLOAT64)
    pooled = bias(frequencies((faces["gender"] == "male").astype(int), 2))
    assert_close(pooled, 0.05, FLOAT64)


def test_opposite_prompts_pooled_hide_what_each_shows():
    """The published mistake in small: pooled, .0546 is reported where the figure is .23."""
    gaps = {"a": 0.2846, "b": -0.1754}
    n = 10_000
    faces = make_faces(
        {name: "f" * round(n * (1 + gap) / 2) + "m" * round(n * (1 - gap) / 2)
         for name, gap in gaps.items()}
    )  # fmt: skip
    row = summary(per_prompt(faces, SPACE, [["gender"]])).iloc[0]
    assert_close(row["mean"], 0.23, FLOAT64)
    pooled = bias(frequencies((faces["gender"] == "male").astype(int), 2))
    assert_close(pooled, 0.0546, FLOAT64)


def test_summary_has_the_population_deviation_and_drops_prompts_without_face():
    faces = make_faces({"a": "ffff", "b": "ffmm", "c": "---", "d": "fffm"})
    row = summary(per_prompt(faces, SPACE, [["gender"]])).iloc[0]
    gaps = np.array([1.0, 0.0, 0.5])
    assert_close(row["mean"], gaps.mean(), FLOAT64)
    assert_close(row["sd"], np.sqrt(((gaps - gaps.mean()) ** 2).sum() / 3), FLOAT64)
    assert (row["prompts"], row["prompts_without_face"], row["faces"]) == (3, 1, 12)


def test_no_face_anywhere():
    table = per_prompt(make_faces({"a": "--", "b": "-"}), SPACE, [["gender"]])
    assert_close(table["n"], [0, 0], EXACT)
    with pytest.raises(FaceError, match=r"No image of any prompt has a face.*Given: 2 prompts"):
        summary(table)


def test_bad_tables_are_refused():
    faces = make_faces({"a": "fm"})
    with pytest.raises(ArtifactError, match="lacks present, race"):
        count_faces(faces.drop(columns=["present", "race"]), SPACE, ["gender", "race"])
    with pytest.raises(ArtifactError, match=r"class of 'gender' that does not exist.*robot"):
        count_faces(faces.replace("male", "robot"), SPACE, ["gender"])
    with pytest.raises(ArtifactError, match="class of 'gender' that does not exist"):
        count_faces(faces.assign(gender=None), SPACE, ["gender"])
    with pytest.raises(ConfigError, match="no attribute 'age'"):
        count_faces(faces.assign(age="old"), SPACE, ["age"])


def test_group_names():
    assert group_name(["gender"]) == "gender"
    assert group_name(["gender", "race", "age"]) == "gender_x_race_x_age"
