"""Originals sampled ahead in shards, and the training that reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from components.finetune.main import main as finetune
from components.finetune.originals import main as originals
from components.task import originals_folder
from fairness_core.runtime.artifacts import read_table
from tests.helpers.tiny_world import TinyWorld, write_params


def train(
    world: TinyWorld, params: Path, folder: Path, store: Path | None = None
) -> tuple[list[float], str]:
    """Network calls of each iteration, and the weights' hash."""
    places = {
        "params": params,
        "prompts": world.prompts,
        "classifiers": world.classifiers,
        "bank": world.bank,
        "out": folder / "output",
        "metrics": folder / "metrics.json",
    }
    if store is not None:
        places |= {"originals": store, "checkpoints": folder / "checkpoints"}
    words = [text for name, place in places.items() for text in (f"--{name}", str(place))]
    assert finetune(words) == 0
    weights = (folder / "output" / "live.safetensors").read_bytes()
    log = read_table(folder / "output" / "log.parquet")
    return log["network_forwards"].tolist(), hashlib.sha256(weights).hexdigest()


@pytest.mark.slow
def test_shards_fill_what_training_reads(
    tiny_world: TinyWorld,
    repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = {"iterations": 3, "images_per_prompt": 2, "checkpoint_every": 2}
    params, store = tmp_path / "params.yaml", tmp_path / "store"
    write_params(params, repository, tiny_world, **sizes)
    calls, weights = train(tiny_world, params, tmp_path / "sampled", store)
    assert not store.exists()
    # From here on nobody is told where the store is but by the variable; checkpoints likewise.
    monkeypatch.setenv("EVENHAND_ORIGINALS", str(store))
    monkeypatch.setenv("EVENHAND_CHECKPOINTS", str(tmp_path / "lasting"))
    monkeypatch.chdir(tmp_path)

    write_params(params, repository, tiny_world, **sizes, originals="stored")
    words = ["--params", str(params), "--prompts", str(tiny_world.prompts)]
    for shard, said in (("1/2", "2 batches"), ("2/2", "1 batches"), ("1/2", "0 batches")):
        assert originals([*words, "--shard", shard]) == 0
        assert f"{said} sampled" in capsys.readouterr().err
    assert len(list(store.rglob("*.safetensors"))) == 3

    stored, same = train(tiny_world, params, tmp_path / "stored")
    assert (tmp_path / "lasting").is_dir()
    assert not (tmp_path / "stored/checkpoints").exists()
    assert same == weights
    gradient = 2 * 2 * 2  # two branches of two chosen steps of two images
    assert [n - gradient for n in stored] == [(n - gradient) / 2 for n in calls]
    assert originals([*words, "--shard", "3/2"]) == 1
    assert originals([*words, "--processes", "3"]) == 1
    assert "3 processes cannot share 2 images" in capsys.readouterr().err


def test_a_task_keeps_them_where_the_pod_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EVENHAND_ORIGINALS", raising=False)
    assert originals_folder("/out/model") == Path("/out/model.originals")
    monkeypatch.setenv("EVENHAND_ORIGINALS", str(tmp_path))
    assert originals_folder("/out/model") == tmp_path
