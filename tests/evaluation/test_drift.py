"""Variety, Frechet distance and scenes, on embeddings whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation import (
    Assessment,
    Bootstrap,
    diversity_figures,
    drift_figures,
    frechet_figures,
    scene_figures,
)

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)
BOOTSTRAP = Bootstrap(0, 200)
PROMPTS, IMAGES, WIDTH = 12, 20, 16


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seen(model, *, spread=1.0, moved=0.0, scenes=4, draw=7, faces_in_scenes=0.0):
    """Measurements of a model; embeddings of a prompt lie around its own direction."""
    rng = np.random.default_rng(draw)
    rows = [("test", f"p{p:02d}", i) for p in range(PROMPTS) for i in range(IMAGES)]
    rows += [("scenes", f"s{p}", i) for p in range(scenes) for i in range(IMAGES)]
    table = pd.DataFrame(rows, columns=["split", "prompt_id", "index"])
    people = (table["split"] == "test").to_numpy()
    table["image_id"], table["model"] = table["prompt_id"] + table["index"].astype(str), model
    table["present"] = people | (rng.random(len(table)) < faces_in_scenes)
    # These prompts have a single man, whose class then says nothing about variety.
    male = table["index"].eq(0) | ~table["prompt_id"].str.endswith(("0", "3", "6", "9")) & (
        table["index"] % 2 == 0
    )
    table["gender"] = np.where(table["present"], np.where(male, "male", "female"), None)
    table["age"] = np.where(table["present"], "young", None)
    own = np.random.default_rng(1).normal(size=(PROMPTS + scenes, WIDTH))
    places = own[pd.factorize(table["prompt_id"])[0]]
    noise = np.random.default_rng(2).normal(size=(len(table), WIDTH))
    vectors = unit(3 * places + spread * noise + moved * rng.normal(size=WIDTH))
    return Assessment(table, rng.random(len(table)), vectors, vectors)


def test_images_that_become_alike_are_less_diverse_within_every_class():
    found = diversity_figures(
        seen("base"), seen("aligned", spread=0.5), SPACE, BOOTSTRAP, split="test"
    )
    assert set(found) == {
        "prompt", "gender", "gender=female", "gender=male", "age", "age=young", "gender_x_age"
    }  # fmt: skip
    for entry in found.values():
        assert entry["ci95"]["ratio"][1] < 0.6
        assert entry["difference"] == pytest.approx(entry["aligned"] - entry["base"])
        assert entry["ci95"]["difference"][1] < 0
    assert found["gender=female"]["prompts"] == PROMPTS
    assert found["gender=male"]["prompts"] == 7


def test_the_same_images_are_as_diverse():
    entry = diversity_figures(seen("base"), seen("aligned"), SPACE, BOOTSTRAP, split="test")[
        "gender"
    ]
    assert entry["ci95"]["ratio"] == [1.0, 1.0]
    assert entry["difference"] == 0


def test_one_model_is_at_its_floor_and_another_above():
    same = frechet_figures(seen("base"), seen("aligned"), BOOTSTRAP, split="test")
    assert same["floor"] > 0.01  # small samples: never 0
    assert same["ci95"]["excess"] == [0.0, 0.0]
    assert (same["images"], same["prompts"], same["dimensions"]) == (120, PROMPTS, WIDTH)
    other = frechet_figures(seen("base"), seen("aligned", moved=2.0), BOOTSTRAP, split="test")
    assert other["floor"] == pytest.approx(same["floor"], rel=0.1)
    assert other["ci95"]["excess"][0] > same["floor"]
    low, high = other["ci95"]["distance"]
    assert low < other["distance"] < high


def test_more_images_lower_the_floor():
    few = seen("base")
    rows = few.faces["index"] < 4
    kept = Assessment(
        few.faces[rows].reset_index(drop=True), *(part[rows] for part in (
            few.text_cosine, few.image_text, few.image_self)),
    )  # fmt: skip
    floors = [frechet_figures(x, x, BOOTSTRAP, split="test")["floor"] for x in (kept, few)]
    assert floors[0] > 1.5 * floors[1]
    one = kept.faces["index"] < 1
    alone = Assessment(
        kept.faces[one].reset_index(drop=True), *(part[one] for part in (
            kept.text_cosine, kept.image_text, kept.image_self)),
    )  # fmt: skip
    assert frechet_figures(alone, alone, BOOTSTRAP, split="test") == {}


def test_scenes_that_stay_and_scenes_that_change():
    base = seen("base")
    stay = scene_figures(base, seen("aligned"), BOOTSTRAP)
    assert stay["aligned"]["dino"] == pytest.approx(1)
    assert 0 < stay["other_noise"]["dino"] < 1
    assert stay["aligned"]["face_rate"] == 0
    gone = scene_figures(base, seen("aligned", moved=5.0, faces_in_scenes=0.5), BOOTSTRAP)
    assert gone["aligned"]["ci95"]["dino"][1] < 0.9
    assert gone["change"]["face_rate"]["difference_ci95"][0] > 0.2
    assert (gone["n_prompts"], gone["images_per_prompt"]) == (4, IMAGES)


def test_a_catalog_without_scenes_has_no_such_figures():
    base, aligned = seen("base", scenes=0), seen("aligned", scenes=0)
    found = drift_figures(base, aligned, SPACE, BOOTSTRAP, split="test")
    assert found["scenes"] == {}
    assert set(found["frechet"]) == {"people"}
