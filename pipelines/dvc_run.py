"""A preset as a DVC experiment: what is asked of the checkout first, and what DVC is told."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from components.places import check_places
from components.stages import RUN_STEPS
from components.task import CHECKPOINTS, ORIGINALS, TRACKING, kept_originals
from fairness_core.config import load, load_preset
from fairness_core.config.places import moved_places
from fairness_core.config.presets import assignments, experiment
from fairness_core.config.source import parse, read
from fairness_core.errors import ConfigError

if TYPE_CHECKING:
    from fairness_core.config import Preset

__all__ = ["run_by_dvc"]

# The file that DVC lays the values over.
PARAMS = Path("params.yaml")


def run_by_dvc(
    params: Path, preset: Preset | None, values: Sequence[str], *, keep: bool, show: bool
) -> int:
    """Check values and checkout, then start ``dvc exp run``.

    A workspace of DVC's own holds what git tracks and nothing else: other files and folders that
    the parameters name are given to it by their whole path. DVC keeps no experiment that failed,
    so that the gate there says whether the policy is met and ends well, unless told otherwise.

    Args:
        params: ``params.yaml`` of the working directory.
        preset: Laid over it; it names the experiment.
        values: ``section.key=value``, laid over both.
        keep: Run here instead.
        show: Print the command and run nothing.

    Returns:
        DVC's exit status.

    Raises:
        ConfigError: The values have problems, a file or folder that they name is not here, the
            checkout is none that DVC can run, or there is an experiment of that name.
    """
    if params.absolute() != PARAMS.absolute():
        raise ConfigError(
            "DVC reads params.yaml and no other file",
            given=f"--params {params}",
            do="put the values into a preset or --set, or choose another --runner",
        )
    checked = load(params, values) if preset is None else load_preset(params, preset, values)
    if not show:
        _check_checkout(preset)
    plain = checked.model_dump(mode="json")
    moved = {} if keep else moved_places(plain, _outside)
    kept = [] if keep or _names_enforce(preset, values) else ["gate.enforce=false"]
    command = experiment(preset, [*values, *kept, moved], keep=keep, base=read(params).values)
    if show:
        typer.echo(shlex.join(command))
        return 0
    check_places(checked, *RUN_STEPS)
    env = _environment(preset.name if preset else checked.run.name, keep=keep)
    status = subprocess.run([sys.executable, "-m", *command], env=env, check=False).returncode
    if status == 0 and not keep:
        name = preset.name if preset else "NAME"
        typer.echo(f"Figures: dvc exp show.  Report, images, metrics: dvc exp apply {name}")
    elif not keep:
        # DVC removes the workspace of a failed run, and knows its stages again by the values that
        # they had there.
        given = [word for one in assignments(moved) for word in ("--set", _bare(one))]
        typer.echo(
            "Finished stages stay in DVC's cache: the same command goes on after them. It brings "
            f"their results here with {shlex.join(['--keep', *given])}",
            err=True,
        )
    return status


def _names_enforce(preset: Preset | None, values: Sequence[str]) -> bool:
    given = [preset.values if preset else {}, *map(parse, values)]
    return any("enforce" in (one.get("gate") or {}) for one in given)


def _bare(assignment: str) -> str:
    """As ``--set`` takes it, without Hydra's quotes where YAML needs none."""
    quoted = assignment.removeprefix("++")
    bare = quoted.replace("'", "")
    return bare if parse(bare) == parse(quoted) else quoted


def _environment(name: str, *, keep: bool) -> dict[str, str]:
    """What steps need in any workspace: this Python first; here lies what is to outlive it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    tracking = os.environ.get(TRACKING) or f"sqlite:///{Path.cwd()}/mlflow.db"
    given = os.environ | {
        "PATH": path,
        ORIGINALS: str(kept_originals().absolute()),
        TRACKING: tracking,
    }
    if not keep:
        # By name: at its end a run removes what others in its folder have half written.
        given[CHECKPOINTS] = str(Path("artifacts/checkpoints").absolute() / name)
    return given


def _check_checkout(preset: Preset | None) -> None:
    """DVC's own words for these come late, or name no way out."""
    if importlib.util.find_spec("dvc") is None:
        raise ConfigError(
            "DVC is not installed", do="install evenhand[data], or choose --runner subprocess"
        )
    head = _git("rev-parse", "--verify", "HEAD")
    if head.returncode != 0 or not Path(".dvc").is_dir() or not Path("dvc.yaml").is_file():
        raise ConfigError(
            "A DVC experiment needs the root of a git checkout with a commit, .dvc and dvc.yaml",
            given=Path.cwd(),
            do="run from the root of a clone, or choose --runner subprocess",
        )
    commit = head.stdout.strip()
    name = preset.name if preset else ""
    taken = _git("show-ref", "--verify", f"refs/exps/{commit[:2]}/{commit[2:]}/{name}")
    if name and taken.returncode == 0:
        raise ConfigError(
            "There is an experiment of that name on this commit",
            given=name,
            do=f"see dvc exp show; dvc exp apply {name} brings its results here, "
            f"dvc exp remove {name} makes room for another one",
        )


def _outside(path: Path) -> Path | None:
    """The whole path of what DVC's workspace would not hold; None for what git tracks."""
    if path.is_absolute():
        return None
    others = _git("ls-files", "--others", "--directory", "--", str(path))
    tracked = _git("ls-files", "--stage", "--", str(path))
    # Links and submodules are tracked, and what they stand for is not.
    modes = {line.split()[0] for line in tracked.stdout.splitlines()}
    whole = others.returncode == 0 and not others.stdout and modes <= {"100644", "100755"}
    return None if whole and modes else path.absolute()


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "--literal-pathspecs", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"git cannot be asked: {error}", do="install git, or choose another --runner"
        ) from error
