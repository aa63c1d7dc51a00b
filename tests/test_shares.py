"""Targets in every form: lists, mappings, joint tables, targets of single prompts."""

import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import TargetError
from fairness_core.shares import target_shares
from tests.helpers.close import FLOAT64, assert_close

ATTRIBUTES = {
    "gender": {"classes": ["female", "male"]},
    "age": {"classes": ["young", "old"], "target": {"old": 0.25, "young": 0.75}},
    "race": {"classes": ["a", "b", "c"], "target": {"a": 0.5, "c": 0.5}},
}
TABLE = {
    "attributes": ["age", "gender"],
    "shares": {"young/female": 0.5, "young/male": 0.25, "old/male": 0.25},
}


def test_a_mapping_is_read_by_name_and_what_it_leaves_out_is_zero():
    space = AttributeSpace.from_mapping(ATTRIBUTES)
    assert space["age"].target == (0.75, 0.25)
    assert space["race"].target == (0.5, 0.0, 0.5)
    with pytest.raises(TargetError, match="'yung' .did you mean 'young'.*there are young, old"):
        target_shares("age", ("young", "old"), {"yung": 1.0})


def test_a_joint_table_gives_the_cells_and_its_marginals():
    mapping = ATTRIBUTES | {"gender": ATTRIBUTES["gender"] | {"target": [0.5, 0.5]}}
    space = AttributeSpace.from_mapping(mapping, TABLE)
    cells = dict(
        zip(space.subset(["gender", "age"]).cell_names, space.subset(["gender", "age"]).cell_target,
            strict=True)
    )  # fmt: skip
    expected = {"female/young": 0.5, "female/old": 0.0, "male/young": 0.25, "male/old": 0.25}
    assert cells == expected
    assert_close(sum(space.cell_target), 1.0, FLOAT64)
    # An attribute outside the table, or alone, is independent.
    assert space.subset(["age", "race"]).joint is None
    assert space.subset(["gender", "race"]).cell_target == (0.25, 0.0, 0.25) * 2
    third = space.cell_names.index("male/old/c")
    assert_close(space.cell_target[third], 0.125, FLOAT64)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"young/femal": 1.0}, "did you mean 'young/female'"),
        ({"young/female": 0.5}, "sums to 0.5"),
        ({"young/female": 1.5, "old/male": -0.5}, "smallest share is -0.5"),
        ({"young/female": 0.5, "old/male": 0.5}, r"'age' must be \[0.5, 0.5\]"),
    ],
)
def test_bad_tables_are_refused(table, message):
    with pytest.raises(TargetError, match=message):
        AttributeSpace.from_mapping(ATTRIBUTES, {**TABLE, "shares": table})


def test_a_target_of_its_own_leaves_the_table():
    space = AttributeSpace.from_mapping(ATTRIBUTES, TABLE).with_targets({"gender": (0.2, 0.8)})
    assert space.joint is None
    found = space.subset(["age", "gender"]).cell_target
    assert_close(found, [0.15, 0.6, 0.05, 0.2], FLOAT64)
    with pytest.raises(TargetError, match="sums to 0.7"):
        space.with_targets({"gender": (0.2, 0.5)})
