"""The command line ``evenhand``: what it does not need, it does not import."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components import plan_command, sweeps
from components.portraits import app as portraits
from components.stages import RUN_STEPS
from fairness_core import __version__
from fairness_core.errors import ArtifactError, ConfigError, EvenhandError, told

if TYPE_CHECKING:
    from fairness_core.runtime.registry import Registry

__all__ = ["app", "main"]

STEPS = (*RUN_STEPS, "check_portraits", "audit", "sweep")

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # its own hides what stands in brackets
    help="Align text-to-image diffusion models to a chosen distribution of perceived attributes.",
)
app.add_typer(portraits, name="portraits")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"evenhand {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def table(
    metrics: Annotated[Path, typer.Option(help="Figures of evaluate_bias.")] = Path(
        "metrics/evaluation.json"
    ),
    report: Annotated[Path, typer.Option(help="Where the report is.")] = Path(
        "artifacts/report/report.html"
    ),
) -> None:
    """Print bias and quality before and after, and where report and tracking store are."""
    from rich.console import Console

    from fairness_core.reporting import before_after_table, before_after_text
    from fairness_core.runtime import read_json

    evaluation = read_json(metrics)
    if not isinstance(evaluation, dict):
        raise ArtifactError(
            "This is no evaluation",
            given=metrics,
            do="name evaluation.json, which evaluate_bias writes",
        )
    console = Console()
    if console.is_terminal:
        console.print(before_after_table(evaluation))
    else:
        typer.echo(before_after_text(evaluation))
    if report.is_file():
        typer.echo(f"Report:   {report.resolve()}")
    typer.echo(f"Tracking: {_tracking()}")


def _tracking() -> str:
    """Where runs are tracked; credentials in an address are not shown."""
    import os
    from urllib.parse import urlsplit

    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        netloc = urlsplit(uri).netloc
        # Put together anew, an address without a host would lose slashes.
        return uri.replace(f"//{netloc}", f"//{netloc.rpartition('@')[2]}", 1) if netloc else uri
    store = Path("mlflow.db").resolve()
    if not store.is_file():
        return "off"
    return f"{store} (mlflow ui --backend-store-uri sqlite:///mlflow.db)"


@app.command(context_settings=PASSED_ON, add_help_option=False)
def step(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=", ".join(STEPS))],
) -> None:
    """Run one step; what follows its name are the step's own options, ``--help`` too."""
    if name == "--help":
        typer.echo(context.get_help())
        return
    if name not in STEPS:
        raise ConfigError(
            "There is no such step", given=name, do=f"choose among {', '.join(STEPS)}"
        )
    raise typer.Exit(importlib.import_module(f"components.{name}.main").main(context.args))


@app.command(context_settings=PASSED_ON, add_help_option=False)
def audit(context: typer.Context) -> None:
    """Audit a model or a folder: --model DIR | --images DIR, --prompts FILE, --out DIR."""
    step(context, "audit")


@app.command(context_settings=PASSED_ON, add_help_option=False)
def sweep(context: typer.Context) -> None:
    """Measure base and aligned at other guidance scales, steps and samplers: --out DIR."""
    step(context, "sweep")


@app.command(context_settings=PASSED_ON, add_help_option=False)
def label(context: typer.Context) -> None:
    """Label images on a local web page, by keyboard: --images DIR, --out CSV."""
    raise typer.Exit(importlib.import_module("components.label.main").main(context.args))


@app.command(context_settings=PASSED_ON, add_help_option=False)
def originals(context: typer.Context) -> None:
    """Sample the frozen model's latents of a run ahead of it, in shards: --shard I/N."""
    from components.finetune.originals import main as work

    raise typer.Exit(work(context.args))


Who = Annotated[str, typer.Option(help="Who decides.")]
Why = Annotated[str, typer.Option(help="Why; kept with the change.")]
Parameters = Annotated[Path, typer.Option(help="Parameter file: gate.model is the model's name.")]


@app.command()
def promote(
    by: Who,
    reason: Why,
    version: Annotated[
        int | None, typer.Option(help="Its number [default: the candidate].")
    ] = None,
    params: Parameters = Path("params.yaml"),
) -> None:
    """Make a version that passed the gate the champion: a person's decision, kept in MLflow."""
    change = _registry(params).promote(by=by, reason=reason, version=version)
    typer.echo(f"Champion: version {change.after} (before: {change.before or 'none'})")


@app.command()
def rollback(by: Who, reason: Why, params: Parameters = Path("params.yaml")) -> None:
    """Make the champion's predecessor the champion again, kept in MLflow."""
    change = _registry(params).rollback(by=by, reason=reason)
    typer.echo(f"Champion: version {change.after} (before: {change.before})")


def _registry(params: Path) -> Registry:
    from fairness_core.config import load
    from fairness_core.runtime.registry import Registry

    return Registry(load(params).gate.model)


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Parameter file [default: params.yaml].")
    ] = None,
    params: Annotated[
        Path | None, typer.Option(help="The same, as other commands take it.")
    ] = None,
) -> None:
    """Check a parameter file; every problem is listed, and what it names that is not here."""
    from components.places import absent_places, check_places
    from fairness_core.config import load

    if file is not None and params is not None:
        raise ConfigError(
            "The parameter file is named twice", given=f"{file}, {params}", do="name it once"
        )
    chosen = file or params or Path("params.yaml")
    loaded = load(chosen)
    check_places(loaded)
    typer.echo(f"{chosen} is sound")
    for absent in absent_places(loaded):
        typer.echo(f"not here, so a run here would stop: {absent}")


# By name: the pipelines stand above the steps, which import nothing of them.
sweeps.register(app)
plan_command.register(app)
importlib.import_module("pipelines.commands").register(app)


def main() -> None:
    """Entry point: an error that was raised on purpose is one message, not a traceback."""
    try:
        app()
    except (EvenhandError, OSError) as error:
        known = told(error)
        typer.echo(f"error: {known}", err=True)
        sys.exit(known.status)


if __name__ == "__main__":
    main()
