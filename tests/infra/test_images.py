"""The images' recipes, read as text: what may not slip in."""

from __future__ import annotations

import difflib
import importlib.util
import re
import subprocess
import tomllib

import pytest

KINDS = ("cpu", "gpu")
TOOLS = re.compile(r"\b(gcc|g\+\+|build-essential|python3-dev|cmake|git|curl|wget)\b")


@pytest.fixture(params=KINDS)
def recipe(request, repository):
    """An image's instructions, one a string, comments left out."""
    text = (repository / f"infra/images/{request.param}.Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return re.sub(r"\\\n\s*", " ", lines).splitlines()


def stages(recipe):
    starts = [n for n, line in enumerate(recipe) if line.startswith("FROM ")]
    return [recipe[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def installer(repository):
    spec = importlib.util.spec_from_file_location("install", repository / "infra/images/install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_last_stage_is_the_base_and_the_finished_environment(recipe):
    build, run = stages(recipe)
    assert build[0] == "FROM ${BASE_IMAGE} AS build"
    assert run[0] == "FROM ${BASE_IMAGE} AS run"
    copied = [line for line in run if line.startswith(("COPY ", "ADD "))]
    assert copied == ["COPY --from=build /opt/evenhand /opt/evenhand"]
    assert "--without-pip /opt/evenhand" in "\n".join(build)


def test_no_build_tools_and_no_installer_are_left(recipe):
    _, run = stages(recipe)
    text = "\n".join(run)
    assert not TOOLS.search(text)
    assert not re.search(r"\bpip3? install\b|-m pip\b", text)
    assert "rm -rf /usr/local/lib/python3.*/site-packages/pip*" in text


def test_the_user_is_10001_and_nothing_is_done_as_root_after_it(recipe):
    _, run = stages(recipe)
    users = [n for n, line in enumerate(run) if line.startswith("USER ")]
    assert [run[n] for n in users] == ["USER 10001:10001"]
    assert "--uid 10001 --gid 10001" in "\n".join(run[: users[0]])
    assert not any(line.startswith(("COPY", "ADD")) for line in run[users[0] :])


def test_kfps_local_runner_meets_no_entrypoint(recipe):
    assert not any(line.startswith("ENTRYPOINT") for line in recipe)


def test_bases_are_named_by_a_version(recipe, repository):
    (base,) = [line for line in recipe if line.startswith("ARG BASE_IMAGE=")]
    name = base.partition("=")[2]
    assert re.search(r":[\w.-]*\d", name), name
    assert not name.endswith(":latest")
    assert all(line.startswith("FROM ${BASE_IMAGE}") for line in recipe if line[:5] == "FROM ")


def test_labels_say_what_it_is_and_from_which_commit(recipe):
    _, run = stages(recipe)
    (labels,) = [line for line in run if line.startswith("LABEL ")]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert 'revision="${REVISION}"' in labels


def test_versions_are_those_of_the_lock(recipe, repository):
    build, _ = stages(recipe)
    assert any(line.startswith("COPY ") and " requirements.lock " in line for line in build)
    asked = installer(repository)
    extras = next(line for line in build if line.startswith("ARG EXTRAS=")).split('"')[1]
    locked = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in (repository / "requirements.lock").read_text().splitlines()
        if not line.startswith("#")
    }
    for one in asked.requirements(repository / "pyproject.toml", extras.split()):
        assert re.match(r"[\w-]+", one)[0].lower().replace("_", "-") in locked, one


def test_an_extra_that_is_not_there_is_named(repository):
    with pytest.raises(SystemExit, match="no extra 'piplines'"):
        installer(repository).requirements(repository / "pyproject.toml", ["piplines"])


def test_wheels_at_hand_are_the_only_source(repository, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda words, **_: commands.append(words))
    module = installer(repository)
    module.pip(["torch"], tmp_path, "--extra-index-url https://example.org/simple")
    (tmp_path / "torch-1.whl").touch()
    module.pip(["torch"], tmp_path, "--extra-index-url https://example.org/simple")
    assert commands[0][-3:] == ["--extra-index-url", "https://example.org/simple", "torch"]
    assert commands[1][-4:] == ["--no-index", "--find-links", str(tmp_path), "torch"]


def test_the_gpus_onnxruntime_takes_the_place_of_the_other(repository, tmp_path, monkeypatch):
    """Both are the package ``onnxruntime``: the second one installed would lie over the first."""
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda words, **_: commands.append(words))
    monkeypatch.chdir(repository)
    module = installer(repository)
    monkeypatch.setattr(module, "TARGET", tmp_path)
    (tmp_path / "lib/python3.11/site-packages").mkdir(parents=True)
    argv = ["install.py", "packages", "--wheels", str(tmp_path)]
    for told, expected in (([], []), (["--onnxruntime-gpu=1.2.3"], ["uninstall", "install"])):
        commands.clear()
        monkeypatch.setattr(module.sys, "argv", [*argv, *told])
        module.main()
        found = [words for words in commands if words[-1].startswith("onnxruntime")]
        assert [next(w for w in words if w.endswith("install")) for words in found] == expected
    assert found[0][-1] == "onnxruntime"
    assert found[1][-2:] == ["--no-deps", "onnxruntime-gpu==1.2.3"]


def test_only_the_gpus_image_has_it_and_of_one_version(repository):
    cpu, gpu = ((repository / f"infra/images/{kind}.Dockerfile").read_text() for kind in KINDS)
    assert "onnxruntime-gpu" not in cpu
    assert re.search(r'^ARG ONNXRUNTIME_GPU="\d+\.\d+\.\d+"$', gpu, re.MULTILINE)
    assert '--onnxruntime-gpu="${ONNXRUNTIME_GPU}"' in gpu


def test_the_two_recipes_differ_where_they_must(repository):
    cpu, gpu = (
        (repository / f"infra/images/{kind}.Dockerfile").read_text().splitlines() for kind in KINDS
    )
    differing = [line for line in difflib.ndiff(cpu, gpu) if line[0] in "+-"]
    assert len(differing) <= 20, "\n".join(differing)


def test_context_leaves_out_what_no_image_needs(repository):
    ignored = (repository / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {line[1:] for line in rules if line.startswith("!")}
    recipe = (repository / "infra/images/cpu.Dockerfile").read_text()
    copied = {
        word
        for line in recipe.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    for word in copied:
        assert any(word == one or word.startswith(f"{one}/") for one in sent), word
    assert "artifacts" not in sent
    assert ".git" not in sent


def test_extras_of_images_hold_no_tools_of_development(repository):
    content = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    found = content["optional-dependencies"]
    tools = {re.match(r"[\w-]+", one)[0] for one in found["dev"]}
    for extra in ("pipelines", "tracking", "stores", "faces"):
        assert not tools & {re.match(r"[\w-]+", one)[0] for one in found[extra]}
