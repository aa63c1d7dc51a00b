from __future__ import annotations

import copy
import json
import string

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from fairness_core.config import Params, load
from fairness_core.config.nearest import nearest, pair_names
from fairness_core.errors import ConfigError
from tests.conftest import REPOSITORY

VALUES = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
LETTERS = string.ascii_lowercase + string.digits + "_"


def _keys() -> list[tuple[str, ...]]:
    """Every key that the schema names: sections, their keys, the keys of an attribute."""
    places: list[tuple[str, ...]] = [(section,) for section in Params.model_fields]
    for section, value in VALUES.items():
        if section != "attributes":
            places += [(section, key) for key in value]
    return places + [("attributes", "race", key) for key in ("classes", "target")]


@st.composite
def typos(draw) -> tuple[tuple[str, ...], str]:
    """A key and the same with one character changed, added or left out, or two swapped."""
    place = draw(st.sampled_from(_keys()))
    key = place[-1]
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from(LETTERS))
    forms = {
        "change": key[:at] + letter + key[at + 1 :],
        "add": key[:at] + letter + key[at:],
        "leave out": key[:at] + key[at + 1 :],
        "swap": key[:at] + key[at : at + 2][::-1] + key[at + 2 :],
    }
    return place, forms[draw(st.sampled_from(sorted(forms)))]


@given(typo=typos())
def test_a_misspelt_key_is_reported_with_the_right_one(typo, tmp_path_factory):
    (*sections, key), wrong = typo
    values = copy.deepcopy(VALUES)
    parent = values
    for section in sections:
        parent = parent[section]
    assume(wrong not in parent)
    parent[wrong] = parent.pop(key)
    path = tmp_path_factory.getbasetemp() / "typo.yaml"
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="typo.yaml has one problem") as caught:
        load(path)
    where = ".".join([*sections, wrong])
    assert f"\n  {where} (line 1): unknown key; did you mean '{key}'?" in str(caught.value)


def test_a_missing_name_beats_a_present_one():
    assert pair_names(["factor3"], ["factor2"]) == {"factor3": "factor2"}


def test_each_missing_name_is_suggested_once():
    assert pair_names(["stepz", "step"], ["steps", "stops"]) == {"step": "steps", "stepz": "stops"}
    assert pair_names(["zzz"], ["steps"]) == {}


def test_without_a_close_name_all_are_listed():
    assert nearest("rac", ["gender", "race"]) == "; did you mean 'race'?"
    assert nearest("zzz", ["gender", "race"]) == "; there are gender, race"
