"""MobileNetV3-Large: the published network, and a start from published weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier, build, load_weights
from fairness_core.classifiers.mobilenet_v3 import (
    MobileNetV3Config,
    MobileNetV3LargeForImageClassification,
)
from fairness_core.errors import ModelError

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "race": {"classes": ["a", "b", "c", "d"]}}
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Weights with the published names and shapes, as if trained for 1,000 classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MobileNetV3LargeForImageClassification(MobileNetV3Config(num_labels=1000))
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v3_large.safetensors"
    save_file(network.state_dict(), path)
    return network, path


def test_it_has_the_published_size_and_names(published):
    network, _ = published
    assert sum(p.numel() for p in network.parameters()) == 5_483_032
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert shapes["features.0.0.weight"] == (16, 3, 3, 3)
    assert shapes["features.4.block.2.fc1.weight"] == (24, 72, 1, 1)
    assert shapes["features.15.block.3.0.weight"] == (160, 960, 1, 1)
    assert shapes["features.16.0.weight"] == (960, 160, 1, 1)
    assert shapes["classifier.3.weight"] == (1000, 1280)


def test_its_last_map_is_seven_by_seven(published):
    network, _ = published
    with torch.no_grad():
        assert network.eval().features(torch.zeros(1, 3, 224, 224)).shape == (1, 960, 7, 7)


def test_a_saved_one_is_loaded_again(tmp_path, generator):
    model = build("mobilenet_v3_large", SPACE, 64, generator)
    crops = torch.rand(3, 3, 64, 64, generator=generator) * 2 - 1
    again = AttributeClassifier.load(model.save(tmp_path / "c"), SPACE)
    torch.testing.assert_close(again(crops), model(crops))
    assert again.format.mean == pytest.approx((0.485, 0.456, 0.406))
    crops.requires_grad_()
    (gradient,) = torch.autograd.grad(again.logits(crops)["race"][:, 1].sum(), crops)
    assert (gradient.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_a_fit_starts_from_published_weights(published, generator):
    network, path = published
    model = build("mobilenet_v3_large", SPACE, 64, generator)
    before = model.network.classifier[3].weight.clone()
    assert load_weights(model.network, path) == ["classifier.3.weight", "classifier.3.bias"]
    ours, theirs = model.network.state_dict(), network.state_dict()
    assert torch.equal(ours["features.9.block.1.0.weight"], theirs["features.9.block.1.0.weight"])
    assert torch.equal(ours["classifier.0.weight"], theirs["classifier.0.weight"])
    assert torch.equal(ours["classifier.3.weight"], before)


def test_the_conversion_in_the_docs_gives_a_file_to_start_from(
    published, tmp_path, generator, monkeypatch, repository
):
    page = (repository / "docs" / "data.md").read_text()
    lines = page.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    torch.save(published[0].state_dict(), "mobilenet_v3_large.pth")
    exec(lines, {})
    model = build("mobilenet_v3_large", SPACE, 64, generator)
    kept = load_weights(model.network, "mobilenet_v3_large.safetensors")
    assert kept == ["classifier.3.weight", "classifier.3.bias"]


def test_other_weights_are_refused(published, tmp_path, generator):
    _, path = published
    with pytest.raises(ModelError, match=r"weights lack .*same architecture"):
        load_weights(build("mobilenet", SPACE, 32, generator).network, path)
    with pytest.raises(ModelError, match=r"no safetensors file.*converted"):
        load_weights(torch.nn.Linear(1, 1), tmp_path / "weights.pth")
    (tmp_path / "bad.safetensors").write_bytes(path.read_bytes()[:999])
    with pytest.raises(ModelError, match="Weights are damaged"):
        load_weights(torch.nn.Linear(1, 1), tmp_path / "bad.safetensors")
