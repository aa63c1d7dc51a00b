"""Packages that import what is asked of them, and no more."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

LAZY = ("evaluation", "export", "reporting", "runtime")


@pytest.mark.parametrize("name", LAZY)
def test_every_public_name_is_there_whatever_was_imported_before(name):
    """A module of a function's name would stand in its place once it is imported."""
    package = importlib.import_module(f"fairness_core.{name}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    assert package.__all__
    found = {each: getattr(package, each) for each in package.__all__}
    assert [each for each, value in found.items() if isinstance(value, ModuleType)] == []


@pytest.mark.parametrize(
    ("imports", "absent"),
    [
        (
            "from fairness_core.reporting import before_after_text; "
            "from fairness_core.runtime import read_json",
            ("torch", "transformers", "diffusers"),
        ),
        ("import fairness_core.embeddings.face_identity", ("transformers", "diffusers")),
    ],
    ids=["a table", "the bank's embedder"],
)
def test_what_needs_no_library_of_networks_imports_none(imports, absent):
    program = f"import sys; {imports}; print([name for name in {absent} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
