"""A tiny world on disk, and this process as the only one."""

from __future__ import annotations

import pytest
import torch

from fairness_core.runtime.distributed import World
from tests.helpers.tiny_world import TinyWorld, make_tiny_world


def pytest_configure(config: pytest.Config) -> None:
    """Let diffusers hand tensors to numpy in the way that numpy 2 calls outdated."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept:DeprecationWarning"
    )


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return make_tiny_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def alone() -> World:
    return World(torch.device("cpu"))
