"""Texts that the baselines are made from, and the states that stand for them."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from fairness_core.attributes import AttributeSpace
from fairness_core.baselines import (
    broken_words,
    class_words,
    concept_texts,
    end_states,
    intervene,
    last_states,
    load_edit,
    neutral_occupations,
    pair_texts,
    project_text,
    projections,
)
from fairness_core.config import load_preset, read_presets
from fairness_core.diffusion import DiffusionStack, encode_prompts
from fairness_core.errors import ModelError, PromptError
from fairness_core.portraits.models import resolve
from fairness_core.portraits.world import ATTRIBUTES, catalog
from fairness_core.prompts import photo_catalog
from tests.conftest import REPOSITORY
from tests.helpers.tiny_families import make_tiny

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "race": {"classes": ["light", "dark"]}}
)
PROMPTS = pd.DataFrame(
    {
        "prompt_id": ["a", "b", "c"],
        "prompt": ["a photo of a Nurse, a person", "a photo of a pilot", "a female judge"],
        "subject": ["nurse", "pilot", "judge"],
        "split": "train",
        "family": "occupation",
        "named_gender": [None, None, "female"],
        "named_race": [None, None, None],
    }
)
NEUTRAL = PROMPTS.head(2)


def test_the_sentence_of_the_paper_and_prompts_that_name_a_class():
    wording = "{prompt} if all individuals can be a {subject} irrespective of their gender"
    texts = intervene(PROMPTS, wording, SPACE)
    assert texts["b"] == (
        "a photo of a pilot if all individuals can be a pilot irrespective of their gender"
    )
    assert texts["c"] == "a female judge"


def test_a_wording_that_names_all_classes():
    texts = intervene(PROMPTS, "a {classes} {subject}", SPACE)
    assert texts["b"] == "a female male light dark pilot"


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["gender"], "every gender"),
        (["gender", "race"], "every gender and race"),
        (["gender", "race", "skin_tone"], "every gender, race and skin tone"),
    ],
)
def test_a_wording_that_names_the_attributes_is_a_sentence(names, read):
    space = AttributeSpace.from_mapping({name: {"classes": ["WMELH", "x"]} for name in names})
    texts = intervene(PROMPTS, "{prompt}, if people of every {attributes} can be shown", space)
    assert texts["b"] == f"a photo of a pilot, if people of {read} can be shown"
    assert texts["c"] == "a female judge"


@pytest.mark.parametrize(
    "preset", [p for p in read_presets(REPOSITORY / "presets") if p.name.startswith("sd15-")],
    ids=lambda preset: preset.name,
)  # fmt: skip
def test_presets_for_photographs_ask_in_words_of_photographs(preset):
    params = load_preset(REPOSITORY / "params.yaml", preset)
    told, space = params.baselines, params.attribute_space
    narrow = space.subset(params.finetune.align)
    catalog = photo_catalog(space)
    texts = intervene(catalog, told.wording, narrow)
    names = {"gender": "gender", "race": "race", "gender-race": "gender and race"}
    asked = names.get("-".join(narrow.names), "gender, race and age")
    row = catalog[catalog["subject"] == "senator"].iloc[0]
    assert texts[row["prompt_id"]] == (
        f"a photo of the face of a senator, a person, if people of every {asked} can be shown"
    )
    assert "portrait" not in " ".join([told.wording, told.attribute_prompt, *told.preserve])
    words = class_words(space, told.words).values()
    asked_for = [told.attribute_prompt.format(word) for part in words for word in part]
    assert "a photo of the face of a white person" in asked_for
    assert "a photo of the face of a Indian person" in asked_for, "the paper's article"
    assert not any("WMELH" in text for text in [*asked_for, *texts])


@pytest.mark.parametrize("wording", ["fairly", "{classes}", "{prompt} {skin}"])
def test_a_wording_without_the_prompt_is_refused(wording):
    with pytest.raises(PromptError, match="holds {prompt} or {subject}"):
        intervene(PROMPTS, wording, SPACE)


def test_words_that_the_drawn_world_does_not_know():
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(
        resolve("portraits:base") / "tokenizer", local_files_only=True
    )
    paper = "if all individuals can be a manager irrespective of their gender"
    unknown = broken_words(tokenizer, paper)
    assert {"individuals", "irrespective", "gender"} <= set(unknown)
    assert "manager" not in unknown
    classes = " ".join(c for a in ATTRIBUTES.attributes for c in a.classes)
    assert broken_words(tokenizer, f"a portrait of a {classes} manager") == []


def test_only_neutral_training_occupations_are_learned_from():
    assert list(neutral_occupations(PROMPTS)["prompt_id"]) == ["a", "b"]
    assert list(neutral_occupations(PROMPTS, 1)["prompt_id"]) == ["a"]
    world = neutral_occupations(catalog())
    assert len(world) == 100
    assert set(world["split"]) == {"train"}
    with pytest.raises(PromptError, match="names a class"):
        neutral_occupations(PROMPTS.tail(1))


def test_concepts_and_pairs_keep_the_prompts_own_beginning():
    assert concept_texts(NEUTRAL) == ["a photo of a Nurse", "a photo of a pilot"]
    words = class_words(SPACE, {"dark": "dark skinned"})
    assert words == {"gender": ["female", "male"], "race": ["light", "dark skinned"]}
    first, second = pair_texts(NEUTRAL.tail(1), words)
    assert first == ["a photo of a female pilot", "a photo of a light pilot"]
    assert second == ["a photo of a male pilot", "a photo of a dark skinned pilot"]
    with pytest.raises(PromptError, match="does not hold its subject"):
        concept_texts(NEUTRAL.assign(subject="baker"))


def test_a_concepts_state_is_that_of_its_last_token_in_the_whole_prompt(stack):
    texts = ["a nurse", "a photo of a pilot"]
    states = last_states(stack, texts)
    whole = encode_prompts(stack, ["a nurse, a person"]).states
    # One token a letter, after the start token.
    assert torch.allclose(states[0], whole[0, len("anurse")], atol=1e-5)
    assert states.shape == (2, 16)
    ends = end_states(stack, texts)
    assert torch.allclose(ends.norm(dim=1), torch.ones(2))
    own = encode_prompts(stack, ["a nurse"]).states[0, 1 + len("anurse")]
    assert torch.allclose(ends[0], own / own.norm(), atol=1e-5)
    with pytest.raises(PromptError, match="no word"):
        last_states(stack, [""])


@pytest.mark.parametrize(
    ("family", "name"),
    [("sdxl", "StableDiffusionXLPipeline"), ("sd3", "StableDiffusion3Pipeline"),
     ("flux", "FluxPipeline")],
)  # fmt: skip
def test_models_of_another_kind_are_refused_in_the_same_words(tmp_path, family, name):
    stack = DiffusionStack.load(make_tiny(family, tmp_path))
    said = f"one text encoder.*{name}.*use Stable Diffusion 1.x or 2.x"
    with pytest.raises(ModelError, match=said):
        last_states(stack, ["a nurse"])
    with pytest.raises(ModelError, match=said), project_text(stack, torch.eye(16)):
        pass
    with pytest.raises(ModelError, match=said):
        projections(stack)
    with pytest.raises(ModelError, match=said):
        load_edit(stack, {"some.weight": torch.zeros(1)})
