from __future__ import annotations

import pytest
import torch

from fairness_core.errors import ConfigError
from fairness_core.runtime.device import as_dtype, prepare


def test_threads_are_set(monkeypatch):
    assert prepare("cpu", threads=2) == torch.device("cpu")
    assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    prepare("cpu")
    assert torch.get_num_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    prepare("cpu")
    assert torch.get_num_threads() == 4


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert prepare("auto", 1).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert prepare("auto", 1) == torch.device("cuda", 1)
    assert prepare("cpu", 1).type == "cpu"


@pytest.mark.parametrize(
    ("device", "threads", "message"),
    [
        ("cuda", 1, "torch finds none"),
        ("gpu", 1, "Unknown device. Given: gpu. What to do: choose auto, cpu or cuda"),
        ("cpu", 0, "At least one CPU thread"),
    ],
)
def test_what_cannot_be_had_is_an_error(monkeypatch, device, threads, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=message):
        prepare(device, threads)


def test_precision_by_name():
    assert as_dtype("bfloat16") is torch.bfloat16
    with pytest.raises(ConfigError, match="choose float32, float16, bfloat16"):
        as_dtype("half")
