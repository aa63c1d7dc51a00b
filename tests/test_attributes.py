"""Attributes, their targets and the cells that they span."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.attributes import Attribute, AttributeSpace
from fairness_core.errors import ConfigError, TargetError
from tests.helpers.close import FLOAT64, assert_close

MAPPING = {
    "gender": {"classes": ["female", "male"], "target": "uniform"},
    "race": {"classes": ["light", "golden", "brown", "dark"]},
    "age": {"classes": ["young", "old"], "target": [0.75, 0.25]},
}
SPACE = AttributeSpace.from_mapping(MAPPING)


def test_space_as_configured():
    assert SPACE.names == ("gender", "race", "age")
    assert SPACE.sizes == (2, 4, 2)
    assert SPACE.width == 8
    assert SPACE.slices == {"gender": slice(0, 2), "race": slice(2, 6), "age": slice(6, 8)}
    assert SPACE["gender"].target == (0.5, 0.5)
    assert SPACE["race"].target == (0.25,) * 4
    assert SPACE["age"].target == (0.75, 0.25)


def test_cells_count_with_the_last_attribute_fastest():
    assert SPACE.n_cells == len(SPACE.cells) == len(set(SPACE.cells)) == 16
    assert SPACE.cells[:3] == ((0, 0, 0), (0, 0, 1), (0, 1, 0))
    assert SPACE.cell_names[1] == "female/light/old"
    for i, cell in enumerate(SPACE.cells):
        assert np.ravel_multi_index(cell, SPACE.sizes) == i


shares = st.lists(st.integers(0, 9), min_size=2, max_size=5).filter(any)


@given(first=shares, second=shares)
def test_cell_target_has_the_targets_as_marginals(first: list[int], second: list[int]):
    space = AttributeSpace(
        tuple(
            Attribute(
                name, tuple(f"c{i}" for i in range(len(w))), tuple(share / sum(w) for share in w)
            )
            for name, w in (("a", first), ("b", second))
        )
    )
    table = np.array(space.cell_target).reshape(space.sizes)
    assert_close(table.sum(1), space["a"].target, FLOAT64)
    assert_close(table.sum(0), space["b"].target, FLOAT64)


def test_subset_keeps_the_order_asked_for():
    assert SPACE.subset(["age", "gender"]).names == ("age", "gender")
    assert SPACE.subset(["race"]).cell_names == ("light", "golden", "brown", "dark")
    with pytest.raises(ConfigError, match=r"no attribute 'hair'.*choose among gender, race, age"):
        SPACE.subset(["hair"])
    with pytest.raises(ConfigError, match="at least one attribute"):
        SPACE.subset([])
    with pytest.raises(
        ConfigError, match="each named once. Given: age, age. What to do: name each attribute"
    ):
        SPACE.subset(["age", "age"])


@pytest.mark.parametrize("classes", [[], ["female"], ["female", "female"]])
def test_classes_must_differ_and_be_two(classes: list[str]):
    with pytest.raises(ConfigError, match="'gender' needs at least two different classes"):
        Attribute("gender", tuple(classes), (0.5, 0.5))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0.5, 0.4], r"'gender' sums to 0\.9, not 1"),
        ([0.5, 0.5, 0.0], "has 3 shares for 2 classes"),
        ([1.5, -0.5], "negative or not a number"),
        ([float("nan"), 1.0], "negative or not a number"),
        ([float("inf"), 0.0], "negative or not a number"),
        ("even", "a word other than 'uniform'"),
    ],
)
def test_targets_must_be_distributions(target: object, message: str):
    with pytest.raises(TargetError, match=message):
        AttributeSpace.from_mapping({"gender": {"classes": ["female", "male"], "target": target}})


def test_a_target_may_leave_a_class_out_and_be_a_rounding_away_from_one():
    assert Attribute("a", ("x", "y"), (0.0, 1.0)).size == 2
    assert Attribute("a", ("x", "y", "z"), (0.3333333, 0.3333333, 0.3333333)).size == 3
