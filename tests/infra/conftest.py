from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.helpers.whole_run import EASY_POLICY, run_every_step
from tests.invariants.conftest import finetune_arguments, hashes  # noqa: F401 - fixtures

# The portraits' own models and prompts; few images and iterations.
SMALL = {
    "run": {"name": "small", "device": "cpu", "threads": 1, "tracking": False},
    "generate_prompts": {"test_images": 2, "named_images": 1, "scene_images": 1},
    "calibrate_classifier": {"images": 200, "epochs": 1, "audit_epochs": 1},
    "build_bank": {"images": 64},
    "finetune": {
        "iterations": 8, "images_per_prompt": 8, "steps": [2, 3], "gradient_steps": 2,
        "checkpoint_every": 1, "batch_size": 8, "lambda_face": 0.5,
    },
    "generate_images": {"steps": 2},
    "baselines": {"methods": ["intervention"]},
    "evaluate_bias": {"bootstrap": 100},
    "gate": {"draws": 200},
}  # fmt: skip


@pytest.fixture(scope="session")
def small_params(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The project's params.yaml, small; policy.yaml beside it."""
    folder = tmp_path_factory.mktemp("small")
    params = yaml.safe_load((repository / "params.yaml").read_text())
    for section, values in SMALL.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "policy.yaml").write_text(EASY_POLICY)
    return folder / "params.yaml"


@pytest.fixture(scope="session")
def image() -> str:
    """Name of the CPU image, on the Docker that DOCKER_HOST names."""
    name = os.environ.get("TEST_IMAGE")
    if not name:
        pytest.skip("TEST_IMAGE is not set: make integration does it")
    return name


@pytest.fixture(scope="session")
def plain(small_params: Path) -> Path:
    """A folder in which every step ran by its own command line."""
    run_every_step(small_params.parent)
    return small_params.parent
