"""What a compiled pipeline must hold before it is sent anywhere.

kfp 2.17 compiles a resource limit that is given by a pipeline parameter inside ``If``,
``ParallelFor`` or ``ExitHandler`` to a reference to an input that the group does not have: such a
pipeline is accepted, starts, and fails, or runs without the limit. References of every kind are
therefore followed here, in any compiled file, and ours must be pinned, limited and unprivileged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fairness_core.errors import ConfigError

__all__ = ["broken_references", "check", "read_compiled", "unsafe_settings"]

Spec = Mapping[str, Any]
PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.(?:parameters|artifacts)\[['\"]([^'\"]+)['\"]\]")
# libyaml's loader reads a compiled file ten times as fast; not every PyYAML is built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PINNED = re.compile(r"@sha256:[0-9a-f]{64}$")


def read_compiled(path: Path | str) -> list[Spec]:
    """The documents of a compiled file: the pipeline, and the platform's settings if it has any.

    Raises:
        ConfigError: No such file, not YAML, or not a compiled pipeline.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        documents = [document for document in yaml.load_all(text, Loader=LOADER) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        brief = " ".join(str(error).split())
        raise ConfigError(
            f"A compiled pipeline cannot be read: {brief}",
            given=path,
            do="name a file that evenhand compile has written",
        ) from error
    if not documents or not isinstance(documents[0], dict) or "root" not in documents[0]:
        raise ConfigError("A file is no compiled pipeline", given=path, do="run evenhand compile")
    return documents


def check(documents: Sequence[Spec], *, unpinned: bool = False) -> None:
    """Refuse a compiled pipeline that has any problem.

    Args:
        documents: From `read_compiled`.
        unpinned: Let images pass that are not named by their digest.

    Raises:
        ConfigError: One line for each problem.
    """
    problems = [*broken_references(documents), *unsafe_settings(documents, unpinned=unpinned)]
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"The compiled pipeline has {count}\n{lines}")


def broken_references(documents: Sequence[Spec]) -> list[str]:
    """References that lead nowhere, in any compiled pipeline; one line each."""
    spec = documents[0]
    components = {**spec.get("components", {}), "root": spec["root"]}
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    supplied: dict[str, list[set[str]]] = {}
    problems: list[str] = []
    for name, component in components.items():
        tasks = component.get("dag", {}).get("tasks", {})
        for task_name, task in tasks.items():
            where = f"{name}, task {task_name}"
            problems += _task(where, task, component, tasks, components)
            target = components.get(task["componentRef"]["name"], {})
            if "executorLabel" in target:
                supplied.setdefault(target["executorLabel"], []).append(_inputs(task))
        label = component.get("executorLabel")
        if label is not None and label not in executors:
            problems.append(f"{name}: there is no executor '{label}'")
    platform = _platform(documents)
    problems += [f"platform: there is no executor '{n}'" for n in platform if n not in executors]
    for label, executor in executors.items():
        used = [*_placeholders(executor), *_parameters(platform.get(label, {}))]
        for wanted in dict.fromkeys(used):
            if any(wanted not in inputs for inputs in supplied.get(label, [])):
                problems.append(f"{label}: nothing fills the placeholder '{wanted}'")
    return problems


def _task(where: str, task: Spec, group: Spec, siblings: Spec, components: Spec) -> Iterator[str]:
    """Problems of one task's inputs, its producers and the component it names."""
    given = {
        **task.get("inputs", {}).get("parameters", {}),
        **task.get("inputs", {}).get("artifacts", {}),
    }
    known = _defined(group, "inputDefinitions")
    for name, source in given.items():
        wanted = source.get("componentInputParameter") or source.get("componentInputArtifact")
        if wanted is not None and wanted not in known:
            yield f"{where}: input '{name}' comes from '{wanted}', which its group does not have"
        for placeholder in _placeholders(source):
            if placeholder not in given:
                yield f"{where}: nothing fills the placeholder '{placeholder}' of '{name}'"
        yield from _producer(where, name, source, task, siblings, components)
    target = components.get(task["componentRef"]["name"])
    if target is None:
        yield f"{where}: there is no component '{task['componentRef']['name']}'"
        return
    for name, definition in _defined(target, "inputDefinitions").items():
        optional = definition.get("isOptional") or "defaultValue" in definition
        if name not in _inputs(task) and not optional:
            yield f"{where}: the needed input '{name}' is not given"
    for name in task.get("dependentTasks", []):
        if name not in siblings:
            yield f"{where}: it waits for '{name}', which is not in its group"


def _producer(
    where: str, name: str, source: Spec, task: Spec, siblings: Spec, components: Spec
) -> Iterator[str]:
    for kind, key in (
        ("taskOutputParameter", "outputParameterKey"),
        ("taskOutputArtifact", "outputArtifactKey"),
    ):
        if kind not in source:
            continue
        producer, output = source[kind]["producerTask"], source[kind][key]
        if producer not in siblings:
            yield f"{where}: input '{name}' comes from task '{producer}', which its group lacks"
            continue
        made = components.get(siblings[producer]["componentRef"]["name"], {})
        if output not in _defined(made, "outputDefinitions"):
            yield f"{where}: task '{producer}' has no output '{output}'"
        if producer not in task.get("dependentTasks", []):
            yield f"{where}: it does not wait for '{producer}', whose output it reads"


def _defined(component: Spec, kind: str) -> dict[str, Any]:
    definitions = component.get(kind, {})
    return {**definitions.get("parameters", {}), **definitions.get("artifacts", {})}


def _inputs(task: Spec) -> set[str]:
    """Names of the inputs that a task gives, a loop's item among them."""
    inputs = task.get("inputs", {})
    names = {*inputs.get("parameters", {}), *inputs.get("artifacts", {})}
    for kind in ("parameterIterator", "artifactIterator"):
        if kind in task:
            names.add(task[kind]["itemInput"])
    return names


def _placeholders(value: Any) -> Iterator[str]:
    """Names of the inputs that placeholders anywhere in a value ask for."""
    if isinstance(value, str):
        yield from PLACEHOLDER.findall(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _placeholders(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _placeholders(inner)


def _parameters(value: Any) -> Iterator[str]:
    """Names of the task's inputs that platform settings refer to."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "componentInputParameter":
                yield inner
            else:
                yield from _parameters(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parameters(inner)


def _platform(documents: Sequence[Spec]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for document in documents[1:]:
        kubernetes = document.get("platforms", {}).get("kubernetes", {})
        found |= kubernetes.get("deploymentSpec", {}).get("executors", {})
    return found


def unsafe_settings(documents: Sequence[Spec], *, unpinned: bool = False) -> list[str]:
    """What our own pipelines must have in every task, and one of them lacks; one line each."""
    platform = _platform(documents)
    problems = []
    for label, executor in documents[0].get("deploymentSpec", {}).get("executors", {}).items():
        container = executor.get("container")
        if container is None:
            continue
        image = container.get("image", "")
        if not unpinned and not PINNED.search(image):
            problems.append(f"{label}: the image is not named by its digest: '{image}'")
        limits = container.get("resources", {})
        for kind in ("Cpu", "Memory"):
            if not limits.get(f"resource{kind}Limit"):
                problems.append(f"{label}: there is no {kind.lower()} limit")
        settings = platform.get(label, {})
        security = settings.get("securityContext", {})
        if security.get("runAsNonRoot") is not True or str(security.get("runAsUser", "0")) == "0":
            problems.append(f"{label}: it may run as root")
        if not settings.get("activeDeadlineSeconds"):
            problems.append(f"{label}: there is no timeout")
    return problems
