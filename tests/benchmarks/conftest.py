"""This process as the only one."""

from __future__ import annotations

import pytest
import torch

from fairness_core.runtime.distributed import World


@pytest.fixture(scope="session")
def alone() -> World:
    return World(torch.device("cpu"))
