"""Families and their frequencies; targets of single prompts reach the loop."""

from collections import Counter

import pandas as pd
import pytest

from components.finetune.prompts import training_prompts, validation_of
from fairness_core.attributes import AttributeSpace
from fairness_core.config import load
from fairness_core.errors import ConfigError, PromptError
from fairness_core.portraits.concepts import prompt_catalog
from fairness_core.portraits.world import ATTRIBUTES, catalog
from fairness_core.prompts import apply_overrides, check_catalog
from fairness_core.training import prompt_of_iteration

TABLE = check_catalog(prompt_catalog(), ATTRIBUTES)


def test_the_default_visits_what_the_world_alone_has_in_its_order():
    own = catalog()
    texts = training_prompts(TABLE, ATTRIBUTES, {"occupation": 1, "named": 1}).texts
    assert texts == own.loc[own["split"] == "train", "prompt"].tolist()


def test_one_pass_visits_each_family_as_often_as_it_says():
    families = {"occupation": 1, "style": 2, "descriptor": 4, "sport": 4, "named": 0}
    texts = training_prompts(TABLE, ATTRIBUTES, families).texts
    visited = Counter(prompt_of_iteration(texts, i, seed=3) for i in range(len(texts)))
    assert visited == Counter(texts)
    family = dict(zip(TABLE["prompt"], TABLE["family"], strict=True))
    held = set(TABLE.loc[TABLE["split"] != "train", "prompt"])
    assert not held & set(visited)
    assert {times for text, times in visited.items() if family[text] == "sport"} == {4}
    shares = Counter(family[text] for text in texts)
    assert shares == {"occupation": 100, "style": 112, "descriptor": 100, "sport": 100}


def test_what_a_prompt_names_is_held_if_it_is_to_be():
    told = {"named": 1}
    free = training_prompts(TABLE, ATTRIBUTES, told).named
    gender = training_prompts(TABLE, ATTRIBUTES, told, ["gender"]).named
    every = training_prompts(TABLE, ATTRIBUTES, told, ATTRIBUTES.names).named
    assert {name for names in free.values() for name in names} == set()
    assert {name for names in gender.values() for name in names} == {"gender"}
    assert {name for names in every.values() for name in names} == set(ATTRIBUTES.names)
    assert all(set(names) <= set(every[prompt]) for prompt, names in gender.items())
    assert all(every.values())


def test_a_prompts_own_target_is_handed_on():
    text = TABLE.loc[TABLE["split"] == "train", "prompt"].iloc[0]
    table = apply_overrides(TABLE, ATTRIBUTES, {text: {"gender": [0.8, 0.2]}})
    spaces = training_prompts(table, ATTRIBUTES, {"occupation": 1}).spaces
    assert {k: v["gender"].target for k, v in spaces.items()} == {text: (0.8, 0.2)}


def test_no_training_prompt_of_any_family_is_refused():
    with pytest.raises(PromptError, match="No family of finetune.prompt_families"):
        training_prompts(TABLE, ATTRIBUTES, {"scene": 3})
    space = AttributeSpace.from_mapping({"gender": {"classes": ["female", "male"]}})
    few = pd.DataFrame({"split": ["test"], "family": "sport", "prompt": "a", "prompt_id": "b"})
    with pytest.raises(PromptError, match="training prompts {}"):
        training_prompts(few, space, {"sport": 1})


def section(repository, **values):
    words = [f"finetune.{name}={value}" for name, value in values.items()]
    return load(repository / "params.yaml", words).finetune


def test_validation_is_of_the_validation_prompts_and_off_by_default(repository):
    aligned = ATTRIBUTES.subset(["gender", "race"])
    assert validation_of(section(repository), aligned, TABLE, 0) is None
    told = section(repository, validate_every=30, stop_at="{gender: 0.3}")
    found = validation_of(told, aligned, TABLE, 5)
    assert list(found.prompts) == TABLE.loc[TABLE["split"] == "validation", "prompt"].tolist()
    assert (found.every, found.images, found.seed, found.stop_at) == (30, 24, 5, {"gender": 0.3})
    with pytest.raises(PromptError, match="needs prompts of split validation"):
        validation_of(told, aligned, TABLE[TABLE["split"] != "validation"], 5)
    assert found.steps == told.steps[1]
    longer = section(repository, validate_every=30, validation_steps=25)
    assert validation_of(longer, aligned, TABLE, 5).steps == 25
    few = section(repository, validate_every=30, stop_at="{gender: 0.3}", validation_images=4)
    with pytest.raises(ConfigError, match=r"stop_at\.gender can never be reached"):
        validation_of(few, aligned, TABLE, 5)
