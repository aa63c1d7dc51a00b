"""A tiny world on disk, and how to call the finetuning step on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.tiny_world import TinyWorld, make_tiny_world


def pytest_configure(config: pytest.Config) -> None:
    """Let diffusers hand tensors to numpy in the way that numpy 2 calls outdated."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept:DeprecationWarning"
    )


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return make_tiny_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def finetune_arguments(tiny_world: TinyWorld) -> Callable[[Path, Path], list[str]]:
    """Options of ``python -m components.finetune.main`` that keep all of a run in one folder."""

    def arguments(params: Path, folder: Path) -> list[str]:
        places = {
            "params": params,
            "prompts": tiny_world.prompts,
            "classifiers": tiny_world.classifiers,
            "bank": tiny_world.bank,
            "checkpoints": folder / "checkpoints",
            "output": folder / "output",
            "metrics": folder / "metrics.json",
        }
        return [text for name, place in places.items() for text in (f"--{name}", str(place))]

    return arguments


@pytest.fixture
def hashes() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of a run's two weight files."""

    def read(folder: Path) -> dict[str, str]:
        names = ("live.safetensors", "ema.safetensors")
        return {
            name: hashlib.sha256((folder / "output" / name).read_bytes()).hexdigest()
            for name in names
        }

    return read
