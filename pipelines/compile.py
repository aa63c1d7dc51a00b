"""Compiling: a pipeline as the YAML that Kubeflow takes, checked before it is written."""

from __future__ import annotations

import importlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairness_core.config import Params, read_policy, take
from fairness_core.errors import ConfigError
from pipelines.lint import check, read_compiled
from pipelines.resources import Placement

__all__ = [
    "PIPELINES",
    "arguments",
    "compile_pipeline",
    "given_inputs",
    "given_policy",
    "steps_of",
]

PIPELINES = ("align-and-evaluate", "audit-only")
SUFFIX = "_parameters"
DEFAULT_SHARDS = 2
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+/\S+")


def _module(name: str) -> Any:
    if name not in PIPELINES:
        raise ConfigError(
            "There is no such pipeline", given=name, do=f"choose among {', '.join(PIPELINES)}"
        )
    return importlib.import_module(f"pipelines.{name.replace('-', '_')}")


def steps_of(name: str) -> tuple[str, ...]:
    """Steps of a pipeline that have parameters.

    Raises:
        ConfigError: No such pipeline.
    """
    steps: tuple[str, ...] = _module(name).STEPS
    return steps


def arguments(name: str, params: Params) -> dict[str, str]:
    """What each step of a pipeline reads, and no more: a value that changes repeats its readers.

    Args:
        name: The pipeline.
        params: Of the whole run, checked.

    Returns:
        Parameter of the pipeline to JSON, whose numbers are those of params.yaml to the last digit.
    """
    values = params.model_dump(mode="json")
    found = {}
    for step in steps_of(name):
        reads = importlib.import_module(f"components.{step}.component").READS
        found[step + SUFFIX] = json.dumps(take(values, reads))
    return found


def given_inputs(name: str, inputs: Sequence[str], *, here: bool = False) -> dict[str, str]:
    """Artifacts of an earlier run that a pipeline starts from.

    Args:
        name: The pipeline.
        inputs: ``NAME=URI`` each.
        here: The pipeline runs on this machine, where a folder will do.

    Returns:
        Parameter of the pipeline to URI.

    Raises:
        ConfigError: Another form, one missing, or one that the pipeline does not take; for a
            cluster, what is no address that its pods could read.
    """
    found = dict(entry.partition("=")[::2] for entry in inputs)
    wanted: tuple[str, ...] = _module(name).INPUTS
    if set(found) != set(wanted) or not all(found.values()):
        needs = " ".join(f"--input {one}=URI" for one in wanted) or "no --input"
        raise ConfigError(
            f"The pipeline {name} starts from other artifacts",
            given=", ".join(inputs) or "none",
            do=f"give {needs}",
        )
    lost = [f"{one}={uri}" for one, uri in found.items() if not REMOTE.fullmatch(uri)]
    if lost and not here:
        raise ConfigError(
            "Pods cannot read these artifacts, which are in no object store",
            given=", ".join(lost),
            do="give the URIs that the earlier run's page shows, such as s3://BUCKET/FOLDER",
        )
    return {f"{one}_uri": found[one] for one in wanted}


def given_policy(policy: Path, attributes: Sequence[str] = ()) -> dict[str, str]:
    """The gate's policy as a parameter, since pods do not see the file.

    Its text to the last byte, as JSON: kfp writes defaults into comments, which end with a line.

    Args:
        policy: The file.
        attributes: The run's, which the policy's rules are about; empty: not looked at.

    Raises:
        ConfigError: The policy cannot be read or is unsound.
    """
    read_policy(policy, attributes)
    return {"policy": json.dumps(policy.read_text(encoding="utf-8"))}


def compile_pipeline(
    name: str,
    out: Path,
    placement: Placement,
    *,
    shards: int = DEFAULT_SHARDS,
    defaults: Mapping[str, str] | None = None,
    unpinned: bool = False,
) -> None:
    """Write a pipeline's YAML; the same inputs give the same bytes.

    Args:
        name: The pipeline.
        out: File to write, ``.yaml``.
        placement: Images, profile and cluster, all constants.
        shards: Tasks that sample each model's images, and that measure all, >= 1; no result
            depends on it.
        defaults: Values of pipeline parameters that the file carries; None: all must be given
            when a run is started.
        unpinned: Take images without a digest.

    Raises:
        ConfigError: No such pipeline, a value out of range, or the result has problems.
    """
    from kfp.compiler import Compiler

    if shards < 1:
        raise ConfigError("Images need at least one shard", given=shards, do="give 1 or more")
    if out.suffix != ".yaml":
        raise ConfigError(
            "A compiled pipeline's name ends in .yaml",
            given=out,
            do=f"write {out.with_suffix('.yaml')}",
        )
    built = _module(name).build(placement, shards)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pipeline.yaml")
        Compiler().compile(built, str(file), pipeline_parameters=dict(defaults or {}) or None)
        check(read_compiled(file), unpinned=unpinned)
        out.parent.mkdir(parents=True, exist_ok=True)
        # Ends of lines that are blank come from kfp's own program text.
        out.write_text(re.sub(r"\s*\Z", "\n", file.read_text(encoding="utf-8")), encoding="utf-8")
