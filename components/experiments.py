"""Run presets with several seeds, one after another; what two runs have in common is made once.

The stages are those of ``dvc.yaml``, each run as its command line with the run's own paths. A
stage's result is stored under a key of its command, its parameters and the contents of what it
reads: a run that was stopped goes on, a finished one is skipped, two runs of one seed share their
prompts, classifiers and base images, and more test images of a run do not train it again. Several
processes may work in one folder; a run with other parameters needs another name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.children import call
from components.run_folder import alone, run_folder
from components.stages import PLACES, Stage, stages_until
from fairness_core.config import Params, Preset, find_preset, load_preset, read_preset
from fairness_core.config.source import parse
from fairness_core.errors import ArtifactError, ConfigError, GateError
from fairness_core.runtime.artifacts import read_json, sha256_file, write_json
from fairness_core.runtime.logs import get_logger

__all__ = ["Experiment", "experiments", "run_experiment"]

DONE = "done.json"
TAIL = 30  # lines of a failed stage's log that are shown


@dataclass(frozen=True)
class Experiment:
    """One set of parameters: names its folder; single values are laid over the preset's."""

    name: str
    preset: Preset
    overrides: tuple[str, ...]

    def params(self, below: Path, seed: int) -> Params:
        """The run's parameters, laid over a file's."""
        return load_preset(below, self.preset, [*self.overrides, f"run.seed={seed}"])

    def folder(self, out: Path, seed: int) -> Path:
        """The run's folder."""
        return out / self.name / f"seed-{seed}"


def experiments(
    presets: Sequence[str],
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    vary: Sequence[str] = (),
    label: str = "",
) -> list[Experiment]:
    """Each preset as it is, or once for each value of each key that is varied.

    Args:
        presets: Names of files in the folder, or paths of overlay files of one's own.
        folder: Where presets are.
        overrides: ``section.key=value``, laid over every preset.
        vary: ``section.key=[a, b]``: one experiment for each value, other keys as they are.
        label: Appended to every preset's name, such as for what the overrides are.

    Raises:
        ConfigError: No such preset, an unsound one, values that are no list, or a label that names
            no folder.
    """
    if label and not re.fullmatch(r"[\w.=,+-]+", label):
        raise ConfigError(
            "A label is part of a folder's name",
            given=label,
            do="use letters, digits and _ . = , + -",
        )
    found = []
    for name in presets:
        preset = _preset(name, folder)
        called = f"{preset.name}+{label}" if label else preset.name
        if not vary:
            found.append(Experiment(called, preset, tuple(overrides)))
        for entry in vary:
            key = entry.partition("=")[0]
            values: Any = parse(entry)
            for part in key.strip().split("."):
                values = values[part]
            if not isinstance(values, list) or not values:
                raise ConfigError(
                    "What is varied needs a list of values",
                    given=entry,
                    do="write for example finetune.gradient_weights=[exact, reference]",
                )
            for value in values:
                said = "null" if value is None else str(value)
                varied = f"{called}+{key.rpartition('.')[2]}={said}"
                given = (*overrides, f"{key}={json.dumps(value)}")
                found.append(Experiment(varied, preset, given))
    return found


def _preset(name: str, folder: Path) -> Preset:
    """A preset by its name, or a file of one's own."""
    path = Path(name)
    return read_preset(path) if path.suffix in (".yaml", ".yml") else find_preset(folder, name)


def run_experiment(
    experiment: Experiment,
    seed: int,
    out: Path,
    *,
    params: Path,
    stages: Iterable[Stage],
    until: str | None = None,
) -> Path:
    """Run every stage that has no result yet.

    Args:
        experiment: What is run.
        seed: The run's seed.
        out: Folder of all experiments; the run is in ``NAME/seed-N``.
        params: The parameter file that the experiment is laid over.
        stages: In order.
        until: The last stage to run; None: all.

    Returns:
        The run's folder, with ``params.yaml``, ``run.json``, artifacts and metrics.

    Raises:
        ArtifactError: A stage failed; the error ends with the end of its log.
        ConfigError: The parameters have problems, there is no stage of that name, or the folder
            holds a run with other parameters.
    """
    chosen = stages_until(stages, until)
    values = experiment.params(params, seed).model_dump(mode="json")
    folder = experiment.folder(out, seed)
    with run_folder(folder, values):
        seconds: dict[str, float] = {}
        for stage in chosen:
            store = out / "store" / stage.name / _key(stage, values, folder)
            with alone(store.with_name(store.name + ".lock")):
                if not (store / DONE).is_file():
                    _run(stage, folder, store, f"{experiment.name}, seed {seed}")
            seconds[stage.name] = float(read_json(store / DONE)["seconds"])
            for output in stage.outputs:
                _link(store / output, folder / output)
        write_json(
            {"experiment": experiment.name, "seed": seed, "seconds": seconds}, folder / "run.json"
        )
    return folder


def _key(stage: Stage, values: Mapping[str, Any], folder: Path) -> str:
    """Hash of what decides a stage's result, the program's version and models' folders aside."""
    read = {}
    for entry in stage.params:
        section, _, name = entry.partition(".")
        read[entry] = values[section][name] if name else values[section]
    inputs = sorted((path, _contents(folder / path)) for path in stage.inputs)
    # Files that the command names, such as the gate's policy; params.yaml is the run's own.
    files = {
        word: sha256_file(Path(word))
        for word in stage.command
        if word != "params.yaml" and Path(word).is_file()
    }
    # And those that parameters name, such as a table of targets.
    files |= {word: sha256_file(Path(word)) for word in _words(read) if os.path.isfile(word)}
    text = json.dumps([stage.command, read, inputs, files], sort_keys=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _words(value: Any) -> Iterator[str]:
    """Every text among parameters, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _words(inner)


def _contents(path: Path) -> list[tuple[str, str]]:
    """Names and hashes of a file or of all files of a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [(file.relative_to(path).as_posix(), sha256_file(file)) for file in files]


def _run(stage: Stage, folder: Path, store: Path, label: str) -> None:
    for output in stage.outputs:
        path = folder / output
        # A link to another key's result; what a killed stage left of its own is replaced by it.
        if path.is_symlink():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
    words = [
        str(folder / word) if word.startswith(PLACES) or word == "params.yaml" else word
        for word in stage.command
    ]
    log = folder / "logs" / f"{stage.name}.log"
    log.parent.mkdir(exist_ok=True)
    get_logger("experiments").info("%s: %s", label, stage.name)
    began = time.monotonic()
    with log.open("a", encoding="utf-8") as stream:
        status = call([sys.executable, *words[1:]], stream)
    if status == GateError.status:
        get_logger("experiments").warning("%s: the policy is not met, see %s", label, log)
    elif status != 0:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-TAIL:])
        raise ArtifactError(
            f"Stage {stage.name} of {label} ended with status {status}",
            given=log,
            do=f"see the end of its log:\n{tail}",
        )
    partial = store.with_name(store.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for output in stage.outputs:
        (partial / output).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / output, partial / output)
    write_json({"stage": stage.name, "seconds": time.monotonic() - began}, partial / DONE)
    shutil.rmtree(store, ignore_errors=True)
    os.replace(partial, store)


def _link(target: Path, path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))
