"""A warning of a third party that these tests meet."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Let diffusers hand tensors to numpy in the way that numpy 2 calls outdated."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept:DeprecationWarning"
    )
