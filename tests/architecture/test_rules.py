"""Rules of the code that no linter knows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LONGEST = 250  # lines
# Tables of words and numbers, which are long but say one thing; each is named here.
LONGER: dict[str, int] = {}

PACKAGES = ("fairness_core", "components", "pipelines")
SOURCES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
CORE = [path for path in SOURCES if path.is_relative_to(REPOSITORY / "fairness_core")]
MATHEMATICS = [
    path
    for path in CORE
    if {"alignment", "losses", "metrics"} & set(path.parts) or path.stem == "adjusted_gradient"
]

FILE_MODULES = {"io", "json", "os", "pathlib", "pickle", "safetensors", "shutil", "yaml"}
DRAWS = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson"}
DRAWS_WITHOUT_GENERATOR = {"rand_like", "randn_like", "randint_like", "manual_seed", "seed"}
DRAWS_IN_PLACE = {"normal_", "uniform_", "bernoulli_", "random_", "exponential_", "trunc_normal_"}

Rule = Callable[[ast.Module], Iterator[tuple[int, str]]]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, (node.module or "").split(".")[0]


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Each call with what it is called on and the name called: ``torch``, ``randn``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield node, owner.id if isinstance(owner, ast.Name) else "", node.func.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node, "", node.func.id


def forked(tree: ast.Module) -> set[ast.AST]:
    """What runs in a global random state of its own: dropout and layers' own initialisation."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.With))
    return {
        node
        for block in blocks
        if any("fork_rng" in ast.unparse(item.context_expr) for item in block.items)
        for node in ast.walk(block)
    }


def global_randomness(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Draws from a generator that was not passed in, outside a forked state."""
    own = forked(tree)
    yield from ((line, "import random") for line, module in imported(tree) if module == "random")
    for node, owner, called in calls(tree):
        passed = any(keyword.arg == "generator" for keyword in node.keywords)
        unseeded = owner == "torch" and (
            called in DRAWS_WITHOUT_GENERATOR or (called in DRAWS and not passed)
        )
        if node not in own and (unseeded or (called in DRAWS_IN_PLACE and not passed)):
            yield node.lineno, f"{owner}.{called}"


def unsafe_loading(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Formats that can run code when read."""
    for line, module in imported(tree):
        if module in {"pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}:
            yield line, f"import {module}"
    for node, owner, called in calls(tree):
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (owner, called) in {("torch", "load"), ("torch", "save")}:
            yield node.lineno, f"{owner}.{called}"
        elif called == "from_pretrained" and keywords.get("local_files_only") != "True":
            yield node.lineno, "from_pretrained without local_files_only=True"


def file_access(tree: ast.Module) -> Iterator[tuple[int, str]]:
    yield from (
        (line, f"import {module}") for line, module in imported(tree) if module in FILE_MODULES
    )
    yield from ((node.lineno, "open") for node, owner, called in calls(tree) if called == "open")


def violations(rule: Rule, paths: list[Path]) -> list[str]:
    return [f"{name(path)}:{line}: {what}" for path in paths for line, what in rule(parsed(path))]


def test_randomness_is_passed_in():
    assert violations(global_randomness, SOURCES) == []


def test_nothing_read_can_run_code_or_reach_the_network():
    assert violations(unsafe_loading, SOURCES) == []


def test_mathematics_touches_no_files():
    assert violations(file_access, MATHEMATICS) == []


def test_files_stay_short():
    long = {
        name(path): lines
        for path in SOURCES
        if (lines := len(path.read_text().splitlines())) > LONGER.get(name(path), LONGEST)
    }
    assert long == {}
    assert all((REPOSITORY / path).is_file() for path in LONGER)


def test_annotations_are_not_evaluated_except_by_kfp():
    for path in SOURCES:
        text = path.read_text()
        lazy = "from __future__ import annotations" in text
        if path.name == "component.py" or "@dsl.pipeline" in text:
            assert not lazy, f"{name(path)}: kfp cannot read annotations as text"
        elif path.name != "__init__.py":
            assert lazy, name(path)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (global_randomness, "import random"),
        (global_randomness, "torch.randn(3)"),
        (global_randomness, "torch.randn_like(x)"),
        (global_randomness, "torch.manual_seed(0)"),
        (global_randomness, "x.normal_()"),
        (unsafe_loading, "from pickle import load"),
        (unsafe_loading, "torch.load(path)"),
        (unsafe_loading, "CLIPModel.from_pretrained(folder)"),
        (file_access, "from pathlib import Path"),
        (file_access, "open('x')"),
    ],
)
def test_each_rule_finds_what_it_is_for(rule, code):
    assert len(list(rule(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (
            global_randomness,
            "torch.randn(3, generator=g); x.normal_(generator=g); rng.normal(0, 1)",
        ),
        (unsafe_loading, "CLIPModel.from_pretrained(folder, local_files_only=True)"),
        (file_access, "import math"),
    ],
)
def test_no_rule_finds_what_is_sound(rule, code):
    assert list(rule(ast.parse(code))) == []
