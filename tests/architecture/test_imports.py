"""The levels of the core, and who may import whom (pyproject.toml, "layers")."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_code_keeps_to_its_layers(repository):
    result = lint_imports(repository)
    assert result.returncode == 0, result.stdout + result.stderr


BROKEN = {
    "fairness_core/losses/weights.py": "from fairness_core.metrics import parity",
    "fairness_core/metrics/parity.py": "from fairness_core.config import load",
    "fairness_core/metrics/intervals.py": "from fairness_core.runtime import seeds",
    "fairness_core/config/load.py": "from fairness_core.training import loop",
    "fairness_core/training/loop.py": "import mlflow",
    "fairness_core/errors.py": "from fairness_core import types",
    "fairness_core/surprise/part.py": "",
    "components/publish/main.py": "from components.finetune import main",
    "components/finetune/main.py": "from pipelines import align",
    "pipelines/direct.py": "from components.publish import main",
}
COMPLAINTS = (
    "fairness_core.losses.weights -> fairness_core.metrics.parity",
    "fairness_core.metrics.parity -> fairness_core.config",
    "fairness_core.metrics.intervals -> fairness_core.runtime.seeds",
    "fairness_core.config.load -> fairness_core.training.loop",
    "fairness_core.training.loop -> mlflow",
    "fairness_core.errors -> fairness_core.types",
    "fairness_core.surprise",
    "components.publish.main -> components.finetune.main",
    "components.finetune.main -> pipelines.align",
    "pipelines.direct -> components.publish.main",
)


@pytest.fixture(scope="module")
def complaints(tmp_path_factory, repository):
    """What the linter says of a small tree in which every rule is broken."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "pyproject.toml").write_text((repository / "pyproject.toml").read_text())
    modules = BROKEN | {
        "fairness_core/attributes.py": "",
        "fairness_core/groups.py": "",
        "fairness_core/shares.py": "",
        "fairness_core/types.py": "",
        "fairness_core/runtime/seeds.py": "",
        "pipelines/align.py": "",
        "components/cli.py": "",
        "components/step.py": "",
    }
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for parent in path.parents:
            if parent == folder:
                break
            (parent / "__init__.py").touch()
    return lint_imports(folder).stdout


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_a_broken_rule_is_found(complaints, complaint):
    assert complaint in complaints
