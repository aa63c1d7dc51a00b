"""Commands over many runs: presets, their runs with several seeds, results and training curves."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairness_core.errors import ConfigError

if TYPE_CHECKING:
    from components.experiments import Experiment
    from components.stages import Stage

__all__ = ["register"]

PRESETS = Path("presets")


def presets(
    folder: Annotated[Path, typer.Option(help="Folder of presets.")] = PRESETS,
) -> None:
    """List the presets, one line each."""
    from fairness_core.config import read_preset
    from fairness_core.config.presets import preset_files

    found, broken = [], []
    for path in preset_files(folder):
        try:
            found.append(read_preset(path))
        except ConfigError as error:
            broken.append(error)
    width = max((len(preset.name) for preset in found), default=0)
    for preset in found:
        typer.echo(f"{preset.name:{width}}  {preset.about}")
    for problem in broken:
        typer.echo(f"error: {problem}", err=True)
    if broken:
        raise typer.Exit(ConfigError.status)


def experiments(
    presets: Annotated[str, typer.Option(help="Names in presets/, or overlay files; a,b,c.")],
    out: Annotated[Path, typer.Option(help="Folder of all runs: NAME/seed-N in it.")],
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0,1,2.")] = "0",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE for all; may repeat.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="SECTION.KEY=[A, B]: one experiment for each value; may repeat."),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Label appended to each name, to keep runs with other --set apart.")
    ] = "",
    until: Annotated[str | None, typer.Option(help="Last stage to run [default: all].")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once; set run.threads to fit.")] = 1,
    params: Annotated[Path, typer.Option(help="Parameter file below all.")] = Path("params.yaml"),
    folder: Annotated[Path, typer.Option(help="Folder of presets.")] = PRESETS,
    pipeline: Annotated[Path, typer.Option(help="The stages.")] = Path("dvc.yaml"),
) -> None:
    """Run presets with several seeds; finished ones are skipped."""
    from components import experiments as driver
    from components.children import ended_together
    from components.stages import read_stages, stages_until
    from fairness_core.runtime import configure

    if not all(seed.strip().isdigit() for seed in seeds.split(",")):
        raise ConfigError(
            "Seeds are whole numbers with commas between", given=seeds, do="write for example 0,1,2"
        )
    configure("experiments")
    stages = read_stages(pipeline)
    names = [preset.strip() for preset in presets.split(",")]
    found = driver.experiments(names, folder, overrides=set_ or [], vary=vary or [], label=name)
    wanted = [(experiment, int(seed)) for experiment in found for seed in seeds.split(",")]
    _check(wanted, out, params, stages_until(stages, until))

    failed = threading.Event()

    def work(one: tuple[driver.Experiment, int]) -> Path | None:
        if failed.is_set():
            return None
        try:
            return driver.run_experiment(*one, out, params=params, stages=stages, until=until)
        except BaseException:
            failed.set()
            raise

    # After a failure what is running ends, and nothing more starts.
    with ended_together(), ThreadPoolExecutor(jobs) as pool:
        for done in pool.map(work, wanted):
            typer.echo(f"Finished: {done}")


def _check(
    wanted: list[tuple[Experiment, int]], out: Path, params: Path, stages: list[Stage]
) -> None:
    """Refuse before the first run starts what a later one could not run with."""
    from components.places import check_runs

    runs = []
    for experiment, seed in wanted:
        folder = experiment.folder(out, seed)
        # What a stage has opened that has its results may be gone.
        left = {one.step for one in stages if not all((folder / o).exists() for o in one.outputs)}
        runs.append((experiment.params(params, seed), left))
    check_runs(runs)


def results(
    runs: Annotated[list[Path], typer.Argument(help="Runs, or folders of runs.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    keep: Annotated[
        Path | None, typer.Option(help="Copy what the page is made of here, to add runs to later.")
    ] = None,
) -> None:
    """Write the table of results over seeds beside the paper's figures."""
    from fairness_core.reporting import find_runs, keep_run, read_run, results_page

    found = find_runs(runs)
    if keep is not None:
        found = [keep_run(folder, keep) for folder in found]
    page = results_page([read_run(folder) for folder in found])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    typer.echo(f"Wrote {out}")


def curves(
    runs: Annotated[list[Path], typer.Argument(help="Runs, or folders of runs.")],
    out: Annotated[Path, typer.Option(help="SVG file to write.")],
    column: Annotated[str, typer.Option(help="Column of the training logs.")] = "loss_align",
    smooth: Annotated[int, typer.Option(min=1, help="Iterations of the moving mean.")] = 20,
) -> None:
    """Draw a training curve of each experiment, mean over seeds with intervals."""
    from fairness_core.reporting import bands, draw_bands, find_runs
    from fairness_core.runtime import read_table

    log = "artifacts/finetune/log.parquet"
    logs: dict[str, list[Any]] = {}
    for folder in find_runs(runs, holding=log):
        logs.setdefault(folder.resolve().parent.name, []).append(read_table(folder / log))
    found = bands(logs, column, smooth=smooth)
    draw_bands(found, column, out)
    for band in found:
        typer.echo(f"{band.name}: {column} {band.mean[-1]:.3f} at the end, {band.seeds} seeds")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (presets, experiments, results, curves):
        app.command()(command)
