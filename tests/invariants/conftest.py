"""How to call the finetuning step on the tiny world."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.tiny_world import TinyWorld


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
            "out": folder / "output",
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
