from __future__ import annotations

import subprocess
import sys

import pytest

from fairness_core.errors import ModelError
from fairness_core.onnx_files import CPU, insightface_model, read_onnx
from tests.embeddings.tiny_packs import average, write_graph


def test_the_extra_is_not_imported_before_a_file_is_opened():
    program = (
        "import sys, fairness_core.embeddings.face_pack, fairness_core.faces.backends; "
        "print([name for name in ('insightface', 'onnx', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("missing", "opened"),
    [
        ("onnx", read_onnx),
        ("insightface", lambda file: insightface_model(file, "network")),
        ("onnxruntime", lambda file: insightface_model(file, "network")),
    ],
)
def test_a_missing_package_and_its_extra_are_named(tmp_path, monkeypatch, missing, opened):
    file = write_graph(tmp_path / "r.onnx", [average("input.1", "out")])
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModelError, match=rf"\(import of {missing} .*evenhand\[faces\]"):
        opened(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"damaged \(FileNotFoundError.*r\.onnx"):
        read_onnx(tmp_path / "r.onnx")


def test_a_session_runs_on_the_cpu_with_the_threads_it_was_given(tmp_path):
    file = write_graph(tmp_path / "r.onnx", [average("input.1", "out")])
    assert [node.op_type for node in read_onnx(file).graph.node] == ["GlobalAveragePool"]
    session = insightface_model(file, "network", threads=3).session
    assert session.get_providers() == [CPU]
    assert session.get_session_options().intra_op_num_threads == 3
