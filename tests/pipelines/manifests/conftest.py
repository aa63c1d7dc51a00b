from __future__ import annotations

import copy
import os
import shutil

import pytest

from pipelines.manifests import Objects, read
from tests.conftest import REPOSITORY

KUBERNETES = REPOSITORY / "infra" / "kubernetes"
OVERLAYS = ("overlays/kind", "overlays/gke", "overlays/eks")


def needs_renderer():
    """Skips where nothing renders; on CI that is a failure."""
    if not shutil.which("kubectl") and not shutil.which("kustomize"):
        message = "neither kubectl nor kustomize is installed: manifests are not rendered"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session")
def rendered():
    """Objects of each overlay, and of the scheduled audit."""
    needs_renderer()
    return {name: read(KUBERNETES / name) for name in (*OVERLAYS, "audit")}


@pytest.fixture
def eks(rendered):
    """The objects of one overlay, to be changed at will."""
    return Objects(copy.deepcopy(rendered["overlays/eks"].all))
