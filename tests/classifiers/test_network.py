from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier, build, label_names
from fairness_core.errors import ConfigError, ModelError

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "race": {"classes": ["a", "b", "c", "d"]}}
)
KINDS = ["resnet", "mobilenet"]


@pytest.fixture
def crops(generator):
    return torch.rand(7, 3, 32, 32, generator=generator) * 2 - 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = build("mobilenet", SPACE, 32, torch.Generator().manual_seed(1))
    model.set_temperatures({"gender": 2.0, "race": 0.5})
    return model.save(tmp_path_factory.mktemp("classifier") / "train")


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


@pytest.mark.parametrize("kind", KINDS)
def test_small_networks_are_small_and_cover_the_space(kind, crops, generator):
    model = build(kind, SPACE, 32, generator)
    parameters = sum(p.numel() for p in model.parameters())
    assert 100_000 < parameters < 1_000_000
    assert {k: v.shape for k, v in model.logits(crops).items()} == {
        "gender": (7, 2),
        "race": (7, 4),
    }


def test_resnet_ends_at_four_by_four(generator):
    for size in (32, 64):
        model = build("resnet", SPACE, size, generator)
        output = model.network(torch.zeros(1, 3, size, size), output_hidden_states=True)
        assert output.hidden_states[-1].shape[-2:] == (4, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_come_from_the_generator_alone(kind):
    before = torch.get_rng_state()
    one, same, other = (
        build(kind, SPACE, 32, torch.Generator().manual_seed(s)).state_dict() for s in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_a_loaded_classifier_is_the_saved_one(saved, crops):
    model = AttributeClassifier.load(saved, SPACE)
    original = build("mobilenet", SPACE, 32, torch.Generator().manual_seed(1))
    raw = original(crops)
    assert model.input_size == 32
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    logits = model.logits(crops)
    torch.testing.assert_close(logits["gender"], raw[:, :2] / 2.0)
    torch.testing.assert_close(logits["race"], raw[:, 2:] / 0.5)


def test_stock_transformers_reads_the_folder(saved, crops):
    network = AutoModelForImageClassification.from_pretrained(saved)
    assert tuple(network.config.id2label.values()) == label_names(SPACE)
    expected = AttributeClassifier.load(saved, SPACE)(crops)
    torch.testing.assert_close(network(crops).logits, expected)


def test_normalisation_is_the_folders(folder, crops):
    path = folder / "preprocessor_config.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps(entries | {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4] * 3}))
    model = AttributeClassifier.load(folder, SPACE)
    mean = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    expected = model.network(((crops + 1) / 2 - mean) / 0.4).logits
    torch.testing.assert_close(model(crops), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_prediction_does_not_depend_on_the_batch(kind, crops, generator):
    model = build(kind, SPACE, 32, generator).train()
    whole = model.predict(crops)
    ones = model.predict(crops, batch_size=1)
    assert model.training, "the mode is put back"
    for name in SPACE.names:
        torch.testing.assert_close(whole[name], ones[name], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(whole[name].sum(-1), torch.ones(7))
    model.eval()
    expected = model.logits(crops)["race"].softmax(-1)
    torch.testing.assert_close(whole["race"], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_have_the_gradient_of_the_crops(kind, generator):
    model = build(kind, SPACE, 32, generator).double().requires_grad_(False)
    crops = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.double) * 2 - 1
    crops.requires_grad_()
    direction = torch.randn(crops.shape, generator=generator, dtype=torch.double)

    def value(at):
        # forward() ends in float32, too coarse for a difference: ask the network itself.
        return model.network(at).logits[:, 3].sum()

    (gradient,) = torch.autograd.grad(model.logits(crops)["race"][:, 1].sum(), crops)
    step = 1e-6
    slope = (value(crops + step * direction) - value(crops - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-8)


def test_crops_of_another_size_are_refused(saved):
    model = AttributeClassifier.load(saved, SPACE)
    with pytest.raises(ModelError, match=r"not of the classifier's input size.*size=32"):
        model.predict(torch.zeros(1, 3, 48, 48))


@pytest.mark.parametrize(
    "name",
    ["config.json", "model.safetensors", "preprocessor_config.json", "calibration.json"],
)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        AttributeClassifier.load(folder, SPACE)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no configuration.*nowhere"):
        AttributeClassifier.load(tmp_path / "nowhere", SPACE)


def test_truncated_weights_are_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="Could not load the classifier"):
        AttributeClassifier.load(folder, SPACE)


def test_lost_weights_are_refused(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["classifier.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights, the first of them classifier\.bias"):
        AttributeClassifier.load(folder, SPACE)


def test_weights_of_another_architecture_are_refused(folder, tmp_path, generator):
    other = build("resnet", SPACE, 32, generator).save(tmp_path / "resnet")
    shutil.copy(other / "model.safetensors", folder)
    with pytest.raises(ModelError, match=r"lacks .* weights"):
        AttributeClassifier.load(folder, SPACE)


def test_labels_must_be_the_spaces(saved):
    swapped = AttributeSpace.from_mapping(
        {"gender": {"classes": ["male", "female"]}, "race": {"classes": ["a", "b", "c", "d"]}}
    )
    with pytest.raises(ModelError, match=r"other classes.*gender=female, gender=male.*gender=male"):
        AttributeClassifier.load(saved, swapped)
    with pytest.raises(ModelError, match="other classes"):
        AttributeClassifier.load(saved, SPACE.subset(["gender"]))


@pytest.mark.parametrize("temperatures", [{"gender": 1.0}, {"gender": 1.0, "race": 0.0}, {}])
def test_temperatures_must_be_complete_and_positive(folder, temperatures):
    (folder / "calibration.json").write_text(json.dumps({"temperatures": temperatures}))
    with pytest.raises(ModelError, match="one temperature above 0 for each"):
        AttributeClassifier.load(folder, SPACE)


def test_a_damaged_calibration_is_named(folder):
    (folder / "calibration.json").write_text("{")
    with pytest.raises(ModelError, match=r"calibration\.json is damaged"):
        AttributeClassifier.load(folder, SPACE)
    (folder / "calibration.json").write_text("{}")
    with pytest.raises(ModelError, match="has no temperatures"):
        AttributeClassifier.load(folder, SPACE)


def test_an_oblong_input_is_refused(folder):
    path = folder / "preprocessor_config.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps(entries | {"size": {"height": 32, "width": 64}}))
    with pytest.raises(ModelError, match=r"square RGB input \(ValueError\('not square'"):
        AttributeClassifier.load(folder, SPACE)
    path.write_text(json.dumps({name: entries[name] for name in entries if name != "image_mean"}))
    with pytest.raises(ModelError, match=r"square RGB input \(KeyError\('image_mean'"):
        AttributeClassifier.load(folder, SPACE)


def test_build_refuses_what_it_cannot_make(generator):
    with pytest.raises(ConfigError, match="too small"):
        build("resnet", SPACE, 16, generator)
    with pytest.raises(ConfigError, match=r"no such classifier network.*vgg.*use resnet"):
        build("vgg", SPACE, 32, generator)
