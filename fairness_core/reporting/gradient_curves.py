"""Training curves of several experiments, mean over seeds with intervals, in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from scipy import stats

from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.runtime.artifacts import atomic_file

__all__ = ["Band", "bands", "draw_bands"]

LEVEL = 0.95
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


@dataclass(frozen=True)
class Band:
    """One column of the training logs of one experiment's seeds.

    Attributes:
        name: The experiment's.
        seeds: How many logs.
        iterations: Of the points, those that every log has.
        mean: Over seeds, of the logs' moving means.
        low: Lower end of Student's 95 % t interval over seeds; nan with one seed.
        high: Upper end.
    """

    name: str
    seeds: int
    iterations: Float[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"]


def bands(logs: Mapping[str, Sequence[pd.DataFrame]], column: str, *, smooth: int) -> list[Band]:
    """Average the column of each experiment's logs, after a trailing moving mean of each.

    Args:
        logs: Experiment to its seeds' ``log.parquet``.
        column: Such as ``loss_align`` or ``loss_total``.
        smooth: Iterations of the moving mean, at least 1: one prompt an iteration is mostly noise.

    Raises:
        ArtifactError: A log lacks the column, or two logs share no iteration.
        ConfigError: ``smooth`` is less than 1.
    """
    if smooth < 1:
        raise ConfigError("A moving mean is over at least one iteration", given=smooth)
    found = []
    for name, tables in logs.items():
        series = []
        for log in tables:
            if column not in log or "iteration" not in log:
                raise ArtifactError(
                    f"A training log has no column '{column}'",
                    given=f"{name}: {list(log.columns)}",
                    do="name one of these",
                )
            rows = log.drop_duplicates("iteration", keep="last").set_index("iteration")
            series.append(rows[column].sort_index().rolling(smooth, min_periods=1).mean())
        table = pd.concat(series, axis=1, join="inner").dropna()
        if table.empty:
            raise ArtifactError("The training logs share no iteration", given=name)
        values = table.to_numpy(dtype=float)
        n = values.shape[1]
        mean = values.mean(axis=1)
        half = np.full(len(mean), np.nan)
        if n > 1:
            half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * stats.sem(values, axis=1)
        at = table.index.to_numpy(dtype=float)
        found.append(Band(name, n, at, mean, mean - half, mean + half))
    return found


def draw_bands(found: Sequence[Band], column: str, path: Path) -> None:
    """Write the picture as SVG; one set of logs gives one file, to the byte."""
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    FigureCanvasSVG(figure)
    axis = figure.subplots()
    for band, colour in zip(found, COLOURS * len(found), strict=False):
        axis.plot(band.iterations, band.mean, color=colour, label=f"{band.name} ({band.seeds})")
        axis.fill_between(band.iterations, band.low, band.high, color=colour, alpha=0.15, lw=0)
    axis.set_ylim(*_limits(found))
    axis.set_xlabel("iteration")
    axis.set_ylabel(column.replace("_", " "))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, title="experiment (seeds)", title_fontsize=8)
    # Names inside the file are drawn at random unless they are salted.
    with mpl.rc_context({"svg.hashsalt": "evenhand"}), atomic_file(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None, "Creator": None})


def _limits(found: Sequence[Band]) -> tuple[float, float]:
    """Room for the means and a third of it on either side: a band of few seeds can be far wider."""
    means = np.concatenate([band.mean for band in found])
    low, high = float(means.min()), float(means.max())
    room = (high - low) / 3 or 1.0
    return low - room, high + room
