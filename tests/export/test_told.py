"""What a bundle's card and manifest say of the targets."""

from __future__ import annotations

import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import TargetError
from fairness_core.export import BundleTargets

ATTRIBUTES = {
    "gender": {"classes": ["female", "male"], "target": [0.6, 0.4]},
    "race": {"classes": ["light", "dark"], "target": "uniform"},
    "age": {"classes": ["young", "old"], "target": "uniform"},
}
JOINT = {
    "attributes": ["gender", "race"],
    "shares": {"female/light": 0.5, "female/dark": 0.1, "male/dark": 0.4},
}
SPACE = AttributeSpace.from_mapping(ATTRIBUTES)
BOTH = AttributeSpace.from_mapping(ATTRIBUTES, JOINT).subset(["gender", "race"])


def told(space=SPACE, overrides=None):
    return BundleTargets.of(space, overrides or {}, source="a made-up census", date="2025-01-02")


def test_marginal_shares_source_and_date():
    text = told().text()
    assert text.startswith("- **gender**: female 60 %, male 40 %\n- **race**: light 50 %")
    assert text.endswith("Source of the targets: a made-up census. Date: 2025-01-02.")
    assert "together" not in text
    assert "of their own" not in text
    plain = told().as_dict()
    assert plain["targets"]["gender"] == {"female": 0.6, "male": 0.4}
    assert (plain["targets_joint"], plain["targets_overrides"]) == (None, {})
    assert (plain["targets_source"], plain["targets_date"]) == ("a made-up census", "2025-01-02")


def test_the_joint_table_as_far_as_it_is_aligned():
    text = told(BOTH).text()
    assert (
        "These hold together: of gender and race, female/light 50 %, female/dark 10 %, male/dark "
        "40 %; any other combination 0 %." in text
    )
    plain = told(BOTH).as_dict()["targets_joint"]
    assert plain["attributes"] == ["gender", "race"]
    assert plain["shares"] == {
        "female/light": 0.5, "female/dark": 0.1, "male/light": 0.0, "male/dark": 0.4,
    }  # fmt: skip
    assert told(BOTH.subset(["race"])).joint is None


def test_targets_of_single_prompts_all_where_they_are_few():
    own = {
        "nurse": {"gender": {"male": 1}, "race": "uniform"},
        "pilot": {"age": [0.5, 0.5]},
    }
    found = told(BOTH, own)
    # Age is not aligned: what it is to be decided nothing.
    assert found.overrides == {
        "nurse": {"gender": {"female": 0.0, "male": 1.0}, "race": {"light": 0.5, "dark": 0.5}}
    }
    assert "One prompt or subject has targets of their own:" in found.text()
    line = '- "nurse": gender female 0 %, male 100 %; race light 50 %, dark 50 %'
    assert line in found.text().splitlines()
    with pytest.raises(TargetError, match="sums to 1.2"):
        told(BOTH, {"nurse": {"gender": [0.6, 0.6]}})


def test_of_many_the_first_and_their_number():
    own = {f"job {i}": {"gender": "uniform"} for i in range(100)}
    text = told(SPACE, own).text()
    assert "100 prompts or subjects have targets of their own:" in text
    assert text.count('- "job ') == 8
    assert "- and 92 more, all in `manifest.json`" in text
    assert len(told(SPACE, own).as_dict()["targets_overrides"]) == 100
