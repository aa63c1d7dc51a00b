"""Recognition models of insightface's packs: the same vectors as there, with gradients."""

from __future__ import annotations

import builtins

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn
from torch.nn.functional import normalize

from fairness_core.embeddings import (
    FaceEmbedder,
    PackEmbedder,
    load_face_embedder,
    onnx_twin_gap,
    recognition_file,
    untrained_face_embedder,
    weights_sha256,
)
from fairness_core.embeddings.onnx_operators import OPERATORS
from fairness_core.errors import ModelError
from fairness_core.portraits.models import WEIGHTS, resolve
from fairness_core.training.dry_run import Peak, without_contents
from tests.embeddings.tiny_packs import (
    average,
    export,
    make_network,
    make_pack,
    normalise_inside,
    tensor,
    write_graph,
)

# Float32 rounding in another order; what loading refuses is ten times as far.
CLOSE = 1e-5


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp("models") / "buffalo_l")


@pytest.fixture(scope="module")
def faces():
    return torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(2)) * 2 - 1


def embedded(network, faces):
    """What ``embed`` says of torch's own network."""
    both = [normalize(network(view), dim=1) for view in (faces, faces.flip(-1))]
    return normalize(both[0] + both[1], dim=1)


def kinds(path):
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize(("folded", "batch"), [(True, True), (False, True), (True, False)], ids=str)
def test_vectors_and_gradients_are_those_of_the_network_exported(tmp_path, faces, folded, batch):
    network = make_network()
    path = export(network, tmp_path / "r.onnx", folded=folded, batch=batch)
    norms = sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())
    assert (kinds(path).count("BatchNormalization") == norms) == (not folded)
    loaded = load_face_embedder(path)
    assert onnx_twin_gap(loaded, path, faces) < CLOSE
    assert loaded.device.type == "cpu"
    assert not loaded.training
    assert not any(weight.requires_grad for weight in loaded.parameters())
    weight = torch.randn(16, generator=torch.Generator().manual_seed(3))
    found = []
    for embed in (loaded.embed, lambda x: embedded(network, x)):
        pictures = faces.clone().requires_grad_()
        vectors = embed(pictures)
        (gradient,) = torch.autograd.grad((vectors @ weight).sum(), pictures)
        found.append((vectors.detach(), gradient))
    torch.testing.assert_close(found[0][0], found[1][0], atol=CLOSE, rtol=0)
    largest = found[1][1].abs().max()
    assert largest > 1e-4
    torch.testing.assert_close(found[0][1], found[1][1], atol=float(1e-4 * largest), rtol=1e-3)


def test_the_pack_s_recognition_model_is_picked(pack, faces):
    assert recognition_file(pack) == pack / "w600k_r50.onnx"
    vectors = load_face_embedder(pack).embed(faces)
    torch.testing.assert_close(vectors, embedded(make_network(), faces), atol=CLOSE, rtol=0)
    assert weights_sha256(pack) == weights_sha256(pack / "w600k_r50.onnx")
    assert resolve(str(pack / "w600k_r50.onnx")) == pack / "w600k_r50.onnx"


def test_the_project_s_own_embedder_has_the_same_vectors_as_its_onnx_twin(faces):
    own = load_face_embedder(WEIGHTS / "faces" / "embedder")
    assert isinstance(own, FaceEmbedder)
    twin = load_face_embedder(WEIGHTS / "faces")
    assert isinstance(twin, PackEmbedder)
    torch.testing.assert_close(twin.embed(faces), own.embed(faces), atol=CLOSE, rtol=0)


def test_a_file_that_normalises_its_input_itself_takes_pixels(tmp_path, faces):
    plain = export(make_network(), tmp_path / "plain.onnx")
    inside = normalise_inside(export(make_network(), tmp_path / "old.onnx"))
    loaded = load_face_embedder(inside)
    torch.testing.assert_close(
        loaded.embed(faces), load_face_embedder(plain).embed(faces), atol=CLOSE, rtol=0
    )


class MobileLike(nn.Module):
    """Depthwise convolutions, a global one, and the shapes that ``view`` leaves in a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.PReLU(1), nn.Conv2d(8, 8, 3, 4, 1, groups=8), nn.ReLU()
        )
        self.read = nn.Conv2d(8, 8, 14, groups=8, bias=False)
        self.project = nn.Linear(8, 6, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.read(self.body(x))
        return self.project(x.view(x.size(0), -1))


@pytest.mark.parametrize("batch", [True, False])
def test_a_mobile_network_whose_shape_is_read_from_the_batch(tmp_path, faces, batch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = MobileLike().eval()
    path = export(network, tmp_path / "mbf.onnx", batch=batch)
    assert {"Reshape"} <= set(kinds(path))
    with torch.no_grad():
        expected = embedded(network, faces)
    torch.testing.assert_close(load_face_embedder(path).embed(faces), expected, atol=CLOSE, rtol=0)


def test_operators_of_older_files_agree_with_onnxruntime(tmp_path, faces):
    """Unequal padding, squeezed axes, Gemm of every form, slopes of a whole map."""
    draw = np.random.default_rng(0)

    def some(name, *shape):
        return tensor(name, draw.normal(size=shape).astype(np.float32))

    nodes = [
        helper.make_node(
            "Conv", ["input.1", "w"], ["a"], pads=[0, 1, 2, 0], strides=[16, 16], dilations=[2, 1]
        ),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Identity", ["b"], ["b1"]),
        helper.make_node("Dropout", ["b1"], ["b2", "mask"]),
        helper.make_node("GlobalAveragePool", ["b2"], ["c"]),
        helper.make_node("Squeeze", ["c"], ["d"], axes=[2, 3]),
        helper.make_node("Unsqueeze", ["d"], ["e"], axes=[1]),
        helper.make_node("Concat", ["e", "e"], ["f"], axis=2),
        helper.make_node("Flatten", ["f"], ["g"], axis=-2),
        helper.make_node("Gemm", ["g", "m", "v"], ["h"], alpha=0.5, beta=2.0, transB=1),
        helper.make_node("ReduceL2", ["h"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["h", "length"], ["i"]),
        helper.make_node("Sub", ["i", "v"], ["out"]),
    ]
    weights = [some("w", 4, 3, 3, 3), some("slope", 4, 7, 7), some("m", 5, 8), some("v", 5)]
    path = write_graph(tmp_path / "old.onnx", nodes, weights, version=11)
    loaded = load_face_embedder(path)
    assert onnx_twin_gap(loaded, path, faces) < CLOSE


def test_a_graph_without_gradients_keeps_no_more_than_it_still_reads(pack, faces):
    loaded = load_face_embedder(pack)
    with torch.no_grad(), Peak(loaded) as measured:
        loaded.embed(faces)
    # The mirror images and three maps of 4 channels at 112 px; 11.8 if every node's output stays.
    assert measured.most < 6 * faces.nbytes


def test_a_plan_needs_the_shapes_alone(pack):
    with without_contents():
        network = untrained_face_embedder(pack)
        published = untrained_face_embedder(None)
        assert network.embed(torch.zeros(2, 3, 112, 112)).shape == (2, 16)
        assert published.embed(torch.zeros(2, 3, 112, 112)).shape == (2, 512)
    sizes = [sum(w.numel() for w in each.parameters()) for each in (network, published)]
    # IResNet-50 has 43.6 million weights.
    assert sizes[0] < 1e5 < 43e6 < sizes[1] < 44e6
    shipped = WEIGHTS / "faces" / "embedder"
    assert isinstance(untrained_face_embedder(shipped), FaceEmbedder)


def test_another_computation_than_insightface_s_is_refused(pack, monkeypatch):
    monkeypatch.setitem(OPERATORS, "PRelu", lambda told, x, slope: x)
    with pytest.raises(ModelError, match=r"other vectors in torch.*w600k_r50\.onnx.*differ by"):
        load_face_embedder(pack)


def refused(place, match):
    with pytest.raises(ModelError, match=match) as caught:
        load_face_embedder(place)
    assert str(caught.value).count("What to do") == 1


def test_unknown_operators_are_all_named(tmp_path):
    nodes = [
        helper.make_node("Softplus", ["input.1"], ["a"]),
        helper.make_node("Mish", ["a"], ["b"], domain="mine"),
        average("b", "out"),
    ]
    refused(
        write_graph(tmp_path / "r.onnx", nodes), r"not known here: Softplus, mine\.Mish.*r\.onnx"
    )


def test_an_attribute_that_is_not_computed_is_named(tmp_path):
    weight = tensor("w", np.ones((4, 3, 3, 3), np.float32))
    conv = helper.make_node("Conv", ["input.1", "w"], ["a"], auto_pad="SAME_UPPER")
    nodes = [conv, average("a", "b"), helper.make_node("Flatten", ["b"], ["out"])]
    path = write_graph(tmp_path / "r.onnx", nodes, [weight])
    refused(path, r"cannot be computed in the ONNX graph's Conv 'a'.*auto_pad")


def test_old_operator_sets_and_other_types_are_named(tmp_path):
    nodes = [average("input.1", "out")]
    refused(write_graph(tmp_path / "a.onnx", nodes, version=6), "operator set 6, older than 7")
    half = tensor("h", np.ones(3, np.float16))
    refused(write_graph(tmp_path / "b.onnx", nodes, [half]), "'h' is of type FLOAT16")
    away = tensor("x", np.ones(3, np.float32))
    away.ClearField("raw_data")
    away.data_location = onnx.TensorProto.EXTERNAL
    away.external_data.add(key="location", value="x.bin")
    refused(write_graph(tmp_path / "c.onnx", nodes, [away]), "'x' lies in another file")


def test_two_recognition_models_or_none_are_named(tmp_path, pack):
    two = make_pack(tmp_path / "two")
    export(make_network(1), two / "w600k_mbf.onnx")
    refused(two, r"more than one recognition model.*w600k_mbf\.onnx, .*w600k_r50\.onnx.*name one")
    load_face_embedder(two / "w600k_mbf.onnx")
    (two / "w600k_mbf.onnx").unlink()
    (two / "w600k_r50.onnx").unlink()
    refused(two, r"not a face embedder.*1k3d68\.onnx, .*det_10g\.onnx, genderage\.onnx")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"not a face embedder.*no \.onnx file")
    refused(pack / "genderage.onnx", "not a face embedder")
    refused(pack / "none.onnx", r"has no none\.onnx")


def test_a_damaged_file_is_named(tmp_path, pack):
    whole = (pack / "w600k_r50.onnx").read_bytes()
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(whole[: len(whole) // 2])
    refused(cut, r"ONNX file is damaged.*cut\.onnx")
    model = onnx.load(pack / "w600k_r50.onnx")
    del model.graph.node[4]
    onnx.save(model, cut)
    refused(cut, r"ONNX file is damaged \(.* before it is made\).*cut\.onnx")
    model = onnx.load(pack / "w600k_r50.onnx")
    weight = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    weight.raw_data = weight.raw_data[:40]
    onnx.save(model, cut)
    refused(cut, r"ONNX file is damaged \(constant .*cut\.onnx")


def test_without_onnx_the_extra_is_named(pack, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    refused(pack, r"evenhand\[faces\]")
