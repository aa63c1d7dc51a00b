"""The drawn world: what is planted, who is held out, and that the same names draw the same."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest

from fairness_core.errors import ArtifactError, ModelError
from fairness_core.portraits import models
from fairness_core.portraits.dataset import captioned_portraits, labelled_portraits
from fairness_core.portraits.world import ATTRIBUTES, catalog, occupations

MIB = 2**20


def test_splits_have_the_promised_sizes_and_hold_out_two_fields_of_every_role():
    split = Counter(o.split for o in occupations())
    assert split == {"train": 100, "validation": 8, "test": 24}
    held_out = [o for o in occupations() if o.split == "test"]
    assert set(Counter(o.role.name for o in held_out).values()) == {2}
    assert {o.field.name for o in held_out} == {o.field.name for o in occupations()}


def test_planted_shares_are_distributions_and_biased():
    for occupation in occupations():
        for name, shares in occupation.planted.items():
            assert len(shares) == ATTRIBUTES[name].size
            assert sum(shares) == pytest.approx(1.0)
    male = np.array([o.planted["gender"][1] for o in occupations()])
    assert np.abs(2 * male - 1).mean() > 0.4


def test_prompts_that_name_a_class_say_so_and_differ_between_training_and_test():
    table = catalog()
    assert not table["prompt"].duplicated().any()
    named = table[table["family"] == "named"]
    for _, row in named.dropna(subset=["named_gender"]).iterrows():
        assert f" {row['named_gender']} " in row["prompt"]
    assert set(named["split"]) == {"train", "named"}


def test_the_same_names_draw_the_same_pictures_whatever_else_was_drawn():
    few, more = captioned_portraits(6, "test"), captioned_portraits(9, "test")
    assert np.array_equal(few.images, more.images[:6])
    assert few.captions == more.captions[:6]
    assert not np.array_equal(few.images, captioned_portraits(6, "other").images)


def test_even_portraits_show_an_occupation_with_all_classes_equally_often():
    planted = captioned_portraits(400, "test", naming=0.0)
    even = captioned_portraits(400, "test", naming=0.0, even=True)
    assert even.captions == planted.captions
    guards = np.array([" guard" in c or " engineer" in c for c in even.captions])
    assert planted.labels[guards, 0].mean() > 0.65
    assert even.labels[guards, 0].mean() == pytest.approx(0.5, abs=0.15)
    assert (even.labels[guards, 1] == 0).mean() == pytest.approx(0.25, abs=0.15)


def test_labelled_portraits_show_every_cell_and_their_faces_lie_inside():
    images, labels, boxes, landmarks = labelled_portraits(32, "test")
    assert Counter(map(tuple, labels.tolist())).most_common(1)[0][1] == 2
    assert images.shape == (32, 32, 32, 3)
    assert (landmarks >= boxes[:, None, :2]).all()
    assert (landmarks <= boxes[:, None, 2:]).all()


@pytest.mark.parametrize("name", models.SHIPPED)
def test_shipped_weights_are_whole(name):
    assert models.resolve(f"portraits:{name}").is_dir()


def test_shipped_weights_are_small():
    size = sum(p.stat().st_size for p in models.WEIGHTS.rglob("*") if p.is_file())
    assert size < 15 * MIB


def test_a_damaged_weight_file_is_named_with_both_hashes(tmp_path, monkeypatch):
    shutil.copytree(models.WEIGHTS / "clip", tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    with pytest.raises(ArtifactError, match=r"SHA-256 is \w{64}, the manifest says \w{64}"):
        models.resolve("portraits:clip")


def test_unknown_models_are_refused_with_what_there_is():
    with pytest.raises(ModelError, match="choose among base, clip"):
        models.resolve("portraits:sd15")
    with pytest.raises(ModelError, match="A model folder does not exist"):
        models.resolve("nowhere/at/all")
