"""Ready transformers classifiers of single attributes, joined into one."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForImageClassification

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier, build, join_classifiers
from fairness_core.datasets import fairface_merges
from fairness_core.errors import ConfigError, ModelError
from tests.helpers.ready_classifiers import write_ready

SPACE = AttributeSpace.from_mapping(
    {
        "gender": {"classes": ["female", "male"]},
        "race": {"classes": ["WMELH", "Black", "Indian", "Asian"]},
        "age": {"classes": ["young", "old"]},
    }
)
RACES = ("East Asian", "Indian", "Black", "White", "Middle Eastern", "Latino_Hispanic",
         "Southeast Asian")  # fmt: skip
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
PUBLISHED = fairface_merges()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("ready")
    return {
        "gender": write_ready(root / "gender", ("Male", "Female"), kind="swin", seed=1),
        "race": write_ready(root / "race", RACES, kind="vit", seed=2),
        "age": write_ready(root / "age", AGES, kind="dinov2", size=28, seed=3),
    }


@pytest.fixture(scope="module")
def joined(folders):
    return join_classifiers(folders, SPACE, published=PUBLISHED)


@pytest.fixture
def crops(generator):
    coarse = torch.rand(5, 3, 8, 8, generator=generator) * 2 - 1
    return functional.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(-1, 1)


def stock(folder, crops, size, mode):
    """What transformers alone makes of the crops."""
    network = AutoModelForImageClassification.from_pretrained(folder)
    if size != 32:
        crops = functional.interpolate(crops, size=(size, size), mode=mode, antialias=True)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.48, 0.45, 0.40], [0.27, 0.26, 0.28]))
    with torch.no_grad():
        return network(pixel_values=((crops + 1) / 2 - mean) / std).logits.softmax(-1)


def test_a_classs_probability_is_the_sum_over_its_labels(joined, folders, crops):
    seen = joined.predict(crops)
    gender = stock(folders["gender"], crops, 32, "bilinear")
    torch.testing.assert_close(seen["gender"], gender[:, [1, 0]], atol=1e-5, rtol=1e-4)
    race = stock(folders["race"], crops, 32, "bilinear")
    expected = torch.stack(
        [race[:, 3] + race[:, 4] + race[:, 5], race[:, 2], race[:, 1], race[:, 0] + race[:, 6]],
        dim=1,
    )
    torch.testing.assert_close(seen["race"], expected, atol=1e-5, rtol=1e-4)
    age = stock(folders["age"], crops, 28, "bicubic")
    torch.testing.assert_close(seen["age"][:, 1], age[:, 5:].sum(dim=1), atol=1e-5, rtol=1e-4)
    assert seen["race"].std(dim=0).max() > 1e-3, "the images look different"


def test_a_prediction_leaves_no_dropout_on(joined, crops):
    before = joined(crops)
    joined.predict(crops)
    torch.testing.assert_close(joined(crops), before, atol=0, rtol=0)
    assert not any(module.training for module in joined.modules())


def test_one_folder_holds_them_all(joined, crops, tmp_path):
    """What training and evaluation load is one classifier folder like any other."""
    joined.set_temperatures({"gender": 2.0, "race": 0.5, "age": 1.5})
    try:
        folder = joined.save(tmp_path / "train")
        again = AttributeClassifier.load(folder, SPACE)
        assert {path.name for path in folder.iterdir()} == {
            "config.json", "model.safetensors", "preprocessor_config.json", "calibration.json",
        }  # fmt: skip
        for name, logits in joined.logits(crops).items():
            torch.testing.assert_close(again.logits(crops)[name], logits)
    finally:
        joined.set_temperatures(dict.fromkeys(SPACE.names, 1.0))


def test_the_gradient_reaches_the_crops_through_every_member(joined, crops):
    crops = crops.double().requires_grad_()
    model = joined.double()
    try:
        for name in SPACE.names:
            value = model.network(pixel_values=crops).logits[:, SPACE.slices[name]][:, 0].sum()
            (gradient,) = torch.autograd.grad(value, crops)
            step = 1e-5 * gradient / gradient.norm()
            with torch.no_grad():
                ends = [
                    model.network(pixel_values=at).logits[:, SPACE.slices[name]][:, 0].sum()
                    for at in (crops + step, crops - step)
                ]
            torch.testing.assert_close(ends[0] - ends[1], 2e-5 * gradient.norm(), rtol=1e-3, atol=0)
    finally:
        joined.float()


def test_the_users_merge_counts_before_the_published_one(folders, crops):
    merge = {"age": {"young": list(AGES[:7]), "old": list(AGES[7:])}}
    model = join_classifiers(folders, SPACE, merges=merge, published=PUBLISHED)
    age = stock(folders["age"], crops, 28, "bicubic")
    torch.testing.assert_close(
        model.predict(crops)["age"][:, 1], age[:, 7:].sum(dim=1), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("kind", ["vit", "convnext", "swin", "dinov2"])
def test_any_architecture_survives_saving(kind, tmp_path, crops):
    space = SPACE.subset(["gender"])
    folder = write_ready(tmp_path / "g", ("female", "male"), kind=kind)
    model = join_classifiers({"gender": folder}, space)
    again = AttributeClassifier.load(model.save(tmp_path / "saved"), space)
    torch.testing.assert_close(again(crops), model(crops))


def test_labels_that_do_not_fit_are_named(folders, tmp_path):
    gender = SPACE.subset(["gender"])
    other = write_ready(tmp_path / "three", ("female", "male", "unsure"))
    with pytest.raises(ConfigError, match=r"without a class: unsure.*merges\.gender"):
        join_classifiers({"gender": other}, gender, published=PUBLISHED)
    few = write_ready(tmp_path / "few", RACES[:6])
    with pytest.raises(ConfigError, match=r"does not have: Southeast Asian;"):
        join_classifiers({"race": few}, SPACE.subset(["race"]), published=PUBLISHED)
    with pytest.raises(ConfigError, match=r"labels that the classifier in .* does not have"):
        join_classifiers({"gender": folders["race"]}, gender)


def test_each_attribute_needs_a_folder(folders):
    with pytest.raises(ConfigError, match=r"one folder for each attribute.*gender, race, age"):
        join_classifiers({"gender": folders["gender"]}, SPACE)


def test_what_cannot_be_read_is_refused(folders, tmp_path, generator):
    space = SPACE.subset(["gender"])
    with pytest.raises(ModelError, match=r"no configuration.*nowhere"):
        join_classifiers({"gender": tmp_path / "nowhere"}, space)
    copy = shutil.copytree(folders["gender"], tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ModelError, match="Could not load the classifier"):
        join_classifiers({"gender": copy}, space)
    entries = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps(entries | {"resample": 0}))
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"KeyError\(0\).*resample 2 or 3"):
        join_classifiers({"gender": copy}, space)
    own = build("mobilenet_v3_large", space, 32, generator).save(tmp_path / "own")
    with pytest.raises(ModelError, match="Only networks that transformers knows"):
        join_classifiers({"gender": own}, space)
