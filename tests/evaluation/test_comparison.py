"""The evaluation dictionary, on tables whose answers are known."""

import json

import numpy as np
import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError, FaceError
from fairness_core.evaluation import Bootstrap, compare, named_hits, prompt_table
from fairness_core.groups import measured_groups
from fairness_core.metrics import fair_floor

SPACE = AttributeSpace.from_mapping(
    {
        "gender": {"classes": ["female", "male"]},
        "age": {"classes": ["young", "old"], "target": [0.75, 0.25]},
    }
)
N = 8
BOOTSTRAP = Bootstrap(seed=0, resamples=200)


def catalog():
    return pd.DataFrame(
        {
            "prompt_id": ["t0", "t1", "n0", "n1"],
            "prompt": ["a", "b", "a female c", "an old male d"],
            "split": ["test", "test", "named", "named"],
            "named_gender": [None, None, "female", "male"],
            "named_age": [None, None, None, "old"],
            "planted_gender_female": [0.5, 0.25, np.nan, np.nan],
            "planted_gender_male": [0.5, 0.75, np.nan, np.nan],
            "planted_age_young": np.nan,
            "planted_age_old": np.nan,
        }
    )


def rows(model, prompt, females, *, olds=2, faces=N, split="test"):
    """The first images are female, the last old; from ``faces`` on there is none."""
    present = np.arange(N) < faces
    return pd.DataFrame(
        {
            "image_id": [f"{prompt}-{i}" for i in range(N)],
            "prompt_id": prompt,
            "index": range(N),
            "model": model,
            "split": split,
            "present": present,
            "gender": np.where(present, np.where(np.arange(N) < females, "female", "male"), None),
            "age": np.where(present, np.where(np.arange(N) >= N - olds, "old", "young"), None),
        }
    )


def faces(**changes):
    tables = {
        "t0": rows("base", "t0", 8),
        "t1": rows("base", "t1", 2),
        "n0": rows("base", "n0", 8, split="named"),
        "n1": rows("base", "n1", 0, olds=8, split="named"),
        "a0": rows("aligned", "t0", 5),
        "a1": rows("aligned", "t1", 4),
        "an0": rows("aligned", "n0", 8, split="named"),
        "an1": rows("aligned", "n1", 0, olds=6, split="named"),
    }
    return pd.concat([*(tables | changes).values()], ignore_index=True)


def quality(table):
    keys = ["image_id", "prompt_id", "index", "model", "split"]
    base = (table["model"] == "base").to_numpy()
    return table[keys].assign(
        clip_t=np.where(base, 0.30, 0.28) + 0.001 * table["index"],
        clip_i=np.where(base, 1.0, 0.8),
        dino=np.where(base, 1.0, 0.7),
    )


def evaluate(table, **changes):
    arguments = {
        "split": "test",
        "seconds": {"base": 3.0, "aligned": 4.0},
        "bootstrap": BOOTSTRAP,
    }
    return compare(table, quality(table), catalog(), SPACE, **(arguments | changes))


def test_bias_is_the_mean_of_per_prompt_gaps_beside_the_floor():
    base = evaluate(faces())["base"]["gender"]
    # |2 * 1 - 1| = 1 and |2 * 0.25 - 1| = 0.5; pooled first it would be 0.25.
    assert base["bias"] == pytest.approx(0.75)
    assert base["sd"] == pytest.approx(0.25)
    assert base["fair_floor"] == pytest.approx(fair_floor(np.array([N, N]), (0.5, 0.5)))
    assert base["ci95"][0] <= 0.75 <= base["ci95"][1]
    assert base["shares"] == pytest.approx({"female": 0.625, "male": 0.375})


def test_joint_cells_of_the_first_two_attributes():
    assert measured_groups(SPACE.names) == [("gender",), ("age",), ("gender", "age")]
    joint = evaluate(faces())["base"]["gender_x_age"]
    assert sum(joint["shares"].values()) == pytest.approx(1)
    # t0: 6 young and 2 old women; t1: 2 young women, 4 young and 2 old men.
    assert joint["shares"]["female/young"] == pytest.approx((6 / 8 + 2 / 8) / 2)
    assert measured_groups(["age"]) == [("age",)]


def test_planted_truth_is_compared_where_there_is_one():
    result = evaluate(faces())
    planted = result["base"]["gender"]["planted"]
    assert planted["mean_abs_difference"] == pytest.approx((0.5 + 0.0) / 2)
    assert planted["bias"] == pytest.approx((0 + 0.5) / 2)
    assert "planted" not in result["base"]["age"]


def test_change_is_relative_to_the_distance_to_the_floor():
    result = evaluate(faces(t1=rows("base", "t1", 0)))
    change, floor = result["change"]["gender"], result["base"]["gender"]["fair_floor"]
    # Before: one class only. After: 5 and 4 of 8 female, gaps 0.25 and 0.
    assert change["difference"] == pytest.approx(0.125 - 1)
    assert change["reduction"] == pytest.approx(1 - 0.125)
    assert change["reduction_to_floor"] == pytest.approx(1 - (0.125 - floor) / (1 - floor))
    assert change["ci95"][0] <= change["reduction_to_floor"] <= change["ci95"][1]
    assert result["change"]["clip_t"]["difference"] == pytest.approx(-0.02)


def test_a_base_that_cannot_be_told_from_its_floor_has_no_reduction():
    even = rows("base", "t0", 4), rows("base", "t1", 4)
    change = evaluate(faces(t0=even[0], t1=even[1]))["change"]["gender"]
    assert (change["reduction_to_floor"], change["ci95"], change["reduction"]) == (None,) * 3


def test_quality_and_totals():
    result = evaluate(faces(a1=rows("aligned", "t1", 3, faces=6)))
    assert result["base"]["clip_t"] == pytest.approx(0.3035)
    assert result["aligned"]["dino"] == pytest.approx(0.7)
    assert (result["base"]["clip_i"], result["base"]["no_face_rate"]) == (1.0, 0.0)
    assert result["aligned"]["no_face_rate"] == pytest.approx(2 / 16)
    assert (result["base"]["seconds"], result["aligned"]["seconds"]) == (3.0, 4.0)
    assert (result["n_prompts"], result["images_per_prompt"]) == (2, N)
    assert result["target"]["age"] == {"young": 0.75, "old": 0.25}
    json.dumps(result, allow_nan=False)


def test_a_prompt_without_faces_is_listed_dropped_and_counted(caplog):
    result = evaluate(faces(a0=rows("aligned", "t0", 0, faces=0)))
    assert result["aligned"]["prompts_without_face"] == ["t0"]
    assert result["base"]["prompts_without_face"] == []
    assert result["aligned"]["gender"]["bias"] == pytest.approx(0.0)
    assert result["base"]["gender"]["bias"] == pytest.approx(0.75)
    change = result["change"]["gender"]
    assert (change["prompts"], change["dropped"]) == (1, 1)
    assert change["difference"] == pytest.approx(-0.5)
    assert result["aligned"]["no_face_rate"] == pytest.approx(0.5)


def test_no_face_at_all_is_an_error():
    none = {
        "a0": rows("aligned", "t0", 0, faces=0),
        "a1": rows("aligned", "t1", 0, faces=0),
    }
    with pytest.raises(FaceError, match="has a face"):
        evaluate(faces(**none))


def test_named_prompts_count_what_they_ask_for():
    named = evaluate(faces())["named"]
    assert named["prompts"] == 2
    assert named["base"] == pytest.approx(1.0)
    # n1 asks for two things; six of eight images show both.
    assert named["aligned"] == pytest.approx((1 + 0.75) / 2)
    assert named["ratio"] == pytest.approx(0.875)
    assert named["ci95"]["ratio"][0] <= 0.875 <= named["ci95"]["ratio"][1]
    assert named["per_attribute"]["gender"]["ratio"] == pytest.approx(1.0)
    assert named["per_attribute"]["age"]["aligned"] == pytest.approx(0.75)
    assert named["per_attribute"]["gender"]["images"] == 2 * N
    assert named["audit_accuracy"]["aligned"]["age"]["accuracy"] == pytest.approx(0.75)


def test_an_image_without_a_face_misses_what_it_names_but_is_no_classifier_error():
    named = evaluate(faces(an0=rows("aligned", "n0", 6, faces=6, split="named")))["named"]
    assert named["per_attribute"]["gender"]["aligned"] == pytest.approx((0.75 + 1) / 2)
    accuracy = named["audit_accuracy"]["aligned"]["gender"]
    assert (accuracy["accuracy"], accuracy["faces"]) == (1.0, 6 + N)


def test_named_rates_that_cannot_be_divided_are_null():
    wrong = rows("base", "n0", 0, split="named")
    also = rows("base", "n1", 8, olds=0, split="named")
    named = evaluate(faces(n0=wrong, n1=also))["named"]
    assert (named["base"], named["ratio"], named["ci95"]["ratio"]) == (0.0, None, None)
    json.dumps(named, allow_nan=False)


def test_without_naming_prompts_nothing_is_claimed():
    table = faces()
    assert evaluate(table[table["split"] == "test"])["named"] == {}


def test_hits_are_one_row_per_image_and_attribute():
    hits = named_hits(faces(), catalog(), SPACE)
    assert len(hits) == 2 * (N + 2 * N)
    assert set(hits.loc[hits["prompt_id"] == "n1", "attribute"]) == {"gender", "age"}


def test_figures_repeat_and_do_not_depend_on_each_other():
    table = faces()
    first, again = evaluate(table), evaluate(table)
    assert first == again
    other = evaluate(faces(n0=rows("base", "n0", 4, split="named")))
    assert other["base"] == first["base"]
    changed = evaluate(table, bootstrap=Bootstrap(seed=1, resamples=200))
    assert changed["base"]["gender"]["ci95"] != first["base"]["gender"]["ci95"]


def test_a_missing_split_or_model_is_named():
    with pytest.raises(ArtifactError, match="split 'validation' from the base model"):
        evaluate(faces(), split="validation")
    table = faces()
    with pytest.raises(ArtifactError, match="from the aligned model"):
        evaluate(table[table["model"] == "base"])


def test_prompt_table_has_wilson_intervals_around_single_shares():
    table = prompt_table(faces(), SPACE, "test")
    row = table[
        (table["model"] == "base") & (table["prompt_id"] == "t1") & (table["attribute"] == "gender")
    ].iloc[0]
    assert row["share_female"] == pytest.approx(0.25)
    assert row["low_female"] < 0.25 < row["high_female"]
    assert len(table) == 2 * 2 * 3
