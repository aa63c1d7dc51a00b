from __future__ import annotations

import copy
import sys
from types import SimpleNamespace

import pytest
from kfp.dsl import pipeline_task

from pipelines.compile import compile_pipeline
from pipelines.lint import read_compiled
from pipelines.resources import Cluster, Images, Placement

IMAGES = Images(
    "registry.example/evenhand-cpu@sha256:" + "1" * 64,
    "registry.example/evenhand-gpu@sha256:" + "2" * 64,
)


@pytest.fixture(scope="session", autouse=True)
def _no_whole_stack():
    """Spare kfp the description of the whole stack where it asks for its caller's name.

    Under pytest's deep stack, and with all that the tests import, it takes seconds a pipeline.
    """

    def stack():
        return [(), (None, None, None, sys._getframe(2).f_code.co_name)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=stack))
        yield


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Both pipelines in both profiles: files by (pipeline, profile)."""
    folder = tmp_path_factory.mktemp("compiled")
    files = {}
    for name, profile in (
        ("align-and-evaluate", "cpu"), ("align-and-evaluate", "gpu"), ("audit-only", "gpu"),
    ):  # fmt: skip
        files[name, profile] = folder / f"{name}.{profile}.yaml"
        cluster = Cluster(gpu_type="NVIDIA-A100-SXM4-80GB" if profile == "gpu" else "")
        compile_pipeline(name, files[name, profile], Placement(profile, IMAGES, cluster))
    return files


@pytest.fixture(scope="session")
def _documents(compiled):
    return read_compiled(compiled["align-and-evaluate", "gpu"])


@pytest.fixture
def documents(_documents):
    """The GPU pipeline, to be changed at will."""
    return copy.deepcopy(_documents)
