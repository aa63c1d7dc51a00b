"""dvc.yaml: commands, inputs and parameters are those of the steps."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

STEP_LINE = re.compile(r'^STEP = "(\w+)"$', re.MULTILINE)


@pytest.fixture(scope="module")
def stages(repository):
    """Every stage with its templates filled in, by name."""
    found = {}
    for name, stage in yaml.safe_load((repository / "dvc.yaml").read_text())["stages"].items():
        for key, item in stage.get("foreach", {"": {}}).items():
            text = yaml.safe_dump(stage["do"] if "foreach" in stage else stage)
            text = text.replace("${key}", key)
            for field, value in item.items():
                text = text.replace("${item." + field + "}", value)
            found[f"{name}@{key}" if key else name] = yaml.safe_load(text)
    return found


def outputs(stage):
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def test_the_stages_are_the_steps(stages):
    assert list(stages) == [
        "generate_prompts",
        "calibrate_classifier",
        "build_bank",
        "finetune",
        "publish",
        "generate_images@base",
        "generate_images@aligned",
        "generate_baselines",
        "measure_images",
        "evaluate_bias",
        "report",
        "gate",
    ]


def test_every_input_exists_or_is_an_earlier_output(stages, repository):
    made: list[str] = []
    for name, stage in stages.items():
        for path in stage["deps"]:
            inside = any(path == out or path.startswith(out + "/") for out in made)
            assert inside or (repository / path).exists(), f"{name}: {path}"
        made += outputs(stage)
    assert len(made) == len(set(made))


def test_results_lie_in_artifacts_and_metrics_stay_in_git(stages):
    for stage in stages.values():
        assert all(out.startswith("artifacts/") for out in stage["outs"])
        for metric in stage.get("metrics", []):
            ((path, options),) = metric.items()
            assert path.startswith("metrics/")
            assert options == {"cache": False}


def test_commands_name_what_they_read_and_write(stages):
    for name, stage in stages.items():
        words = shlex.split(stage["cmd"])
        assert words[:3] == ["python", "-m", f"components.{name.split('@')[0]}.main"]
        for out in outputs(stage):
            assert out in words, f"{name}: {out}"
        for dep in stage["deps"]:
            if dep.startswith(("artifacts/", "metrics/")):
                folder = "/".join(dep.split("/")[:2])
                assert any(word.startswith(folder) for word in words), f"{name}: {dep}"


def test_commands_are_accepted_by_the_steps(stages, monkeypatch):
    for name, stage in stages.items():
        module = importlib.import_module(f"components.{name.split('@')[0]}.main")
        # An option that does not exist ends the process with status 2.
        monkeypatch.setattr(module, "execute", lambda parser, argv, _: parser.parse_args(argv))
        assert module.main(shlex.split(stage["cmd"])[3:]) is not None


def read_parameters(path: Path) -> set[str]:
    """Sections and values that a step's main function takes from the parameters."""
    code = path.read_text()
    step = STEP_LINE.search(code)
    found = set(re.findall(r'params\.section\("(\w+)"\)', code))
    if "params.section(STEP)" in code and step:
        found.add(step.group(1))
    found |= {".".join(pair) for pair in re.findall(r"params\.(\w+)\.(\w+)", code)}
    return found | {"run.seed"}


def test_parameters_are_declared_as_read_and_exist(stages, repository):
    params = yaml.safe_load((repository / "params.yaml").read_text())
    for name, stage in stages.items():
        declared = stage["params"]
        for entry in declared:
            section, _, key = entry.partition(".")
            assert section in params, f"{name}: {entry}"
            assert not key or key in params[section], f"{name}: {entry}"
        read = read_parameters(repository / "components" / name.split("@")[0] / "main.py")
        for entry in read - ({"run.seed"} if name == "generate_prompts" else set()):
            assert entry in declared or entry.split(".")[0] in declared, f"{name}: {entry}"


def test_the_shared_command_line_is_declared(stages):
    assert all("components/step.py" in stage["deps"] for stage in stages.values())


def test_code_that_steps_import_directly_is_declared(stages, repository):
    """A package of the core that a step's main imports is a dependency, or a file of it is."""
    shared = {"attributes", "config", "errors", "runtime", "portraits"}
    for name, stage in stages.items():
        code = (repository / "components" / name.split("@")[0] / "main.py").read_text()
        used = set(re.findall(r"from fairness_core\.(\w+)", code)) - shared
        for package in used:
            assert any(
                dep == f"fairness_core/{package}" or dep.startswith(f"fairness_core/{package}/")
                for dep in stage["deps"]
            ), f"{name}: {package}"
