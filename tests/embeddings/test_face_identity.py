from __future__ import annotations

import builtins
import json

import pytest
import torch

from fairness_core.embeddings import FaceEmbedder, export_onnx, onnx_twin_gap
from fairness_core.errors import ModelError

# Twins differ by float32 rounding in another order only.
TWIN = 1e-5


@pytest.fixture(scope="module")
def embedder():
    return FaceEmbedder.build(torch.Generator().manual_seed(1), width=8, dimensions=16).eval()


@pytest.fixture(scope="module")
def faces():
    return torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.fixture(scope="module")
def exported(embedder, tmp_path_factory):
    root = tmp_path_factory.mktemp("embedder")
    return embedder.save(root / "torch"), export_onnx(embedder, root / "onnx" / "rec.onnx")


def test_vectors_are_unit_and_mirror_images_have_the_same(embedder, faces):
    vectors = embedder.embed(faces)
    assert vectors.shape == (3, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(embedder.embed(faces.flip(-1)), vectors)
    assert (embedder(faces.flip(-1)) - embedder(faces)).abs().max() > 0.01
    alone = torch.cat([embedder.embed(face[None]) for face in faces])
    torch.testing.assert_close(alone, vectors, atol=1e-6, rtol=1e-5)


def test_flip_averaging_is_the_mean_of_unit_vectors(embedder, faces):
    mean = (embedder(faces) + embedder(faces.flip(-1))) / 2
    expected = mean / mean.norm(dim=1, keepdim=True)
    torch.testing.assert_close(embedder.embed(faces), expected)


def test_gradient(embedder, generator):
    double = FaceEmbedder.build(torch.Generator().manual_seed(1), width=8, dimensions=16).double()
    faces = torch.rand(1, 3, 112, 112, generator=generator, dtype=torch.double) * 2 - 1
    faces.requires_grad_()
    direction = torch.randn(faces.shape, generator=generator, dtype=torch.double)
    weight = torch.randn(16, generator=generator, dtype=torch.double)
    (gradient,) = torch.autograd.grad((double.embed(faces) @ weight).sum(), faces)
    with torch.no_grad():
        ahead, behind = (double.embed(faces + s * 1e-6 * direction) @ weight for s in (1, -1))
    slope = (ahead - behind)[0] / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-7)


def test_weights_come_from_the_generator_alone():
    state = torch.get_rng_state()
    one, same, other = (
        FaceEmbedder.build(torch.Generator().manual_seed(s), width=8).project.weight
        for s in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_loaded_embedder_is_the_saved_one(exported, embedder, faces):
    state = torch.get_rng_state()
    loaded = FaceEmbedder.load(exported[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(loaded.embed(faces), embedder.embed(faces))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_half_precision_storage_computes_in_float32(embedder, faces, tmp_path):
    loaded = FaceEmbedder.load(embedder.save(tmp_path / "half", dtype=torch.float16))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded.embed(faces), embedder.embed(faces), atol=5e-3, rtol=0)


def test_the_onnx_twin_gives_the_same_vectors_inside_insightface(exported, faces):
    folder, path = exported
    assert onnx_twin_gap(FaceEmbedder.load(folder), path, faces) < TWIN


def test_other_weights_and_swapped_channels_show_as_a_gap(exported, embedder, faces, tmp_path):
    folder, _ = exported
    loaded = FaceEmbedder.load(folder)
    other = FaceEmbedder.build(torch.Generator().manual_seed(5), width=8, dimensions=16)
    assert onnx_twin_gap(loaded, export_onnx(other, tmp_path / "other.onnx"), faces) > 0.05
    swapped = FaceEmbedder.load(folder)
    swapped.stem.weight.copy_(swapped.stem.weight.flip(1))
    assert onnx_twin_gap(loaded, export_onnx(swapped, tmp_path / "bgr.onnx"), faces) > 0.005


def test_a_file_that_is_no_embedder_is_refused(embedder, faces, tmp_path):
    from tests.faces.tiny_detector import bright_cells, write_detector

    detector = write_detector(tmp_path / "det.onnx", bright_cells())
    with pytest.raises(ModelError, match=r"not take the file for a face embedder.*det\.onnx"):
        onnx_twin_gap(embedder, detector, faces)


def test_a_missing_or_damaged_twin_is_named(exported, embedder, faces, tmp_path):
    with pytest.raises(ModelError, match=r"has no rec\.onnx"):
        onnx_twin_gap(embedder, tmp_path / "rec.onnx", faces)
    (tmp_path / "rec.onnx").write_bytes(exported[1].read_bytes()[:5000])
    with pytest.raises(ModelError, match="Could not load the ONNX face embedder"):
        onnx_twin_gap(embedder, tmp_path / "rec.onnx", faces)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(embedder, name, tmp_path):
    folder = embedder.save(tmp_path / "faces")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"has no {name}"):
        FaceEmbedder.load(folder)


def test_another_folder_or_damaged_weights_are_refused(embedder, tmp_path):
    folder = embedder.save(tmp_path / "faces")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="Could not load the face embedder"):
        FaceEmbedder.load(folder)
    embedder.save(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"width": 12}))
    with pytest.raises(ModelError, match="Could not load the face embedder"):
        FaceEmbedder.load(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(ModelError, match="not a face embedder"):
        FaceEmbedder.load(folder)


def test_without_insightface_the_extra_is_named(exported, embedder, faces, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "insightface":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ModelError, match=r"evenhand\[faces\]"):
        onnx_twin_gap(embedder, exported[1], faces)
