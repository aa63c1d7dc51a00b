"""The reliability diagram: does a confidence of 0.8 mean right in 80 of 100 cases?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["reliability_diagram", "reliability_table"]


def reliability_diagram(report: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw accuracy over confidence, a row per classifier and a column per attribute.

    Args:
        report: Classifier to attribute to ``classifier_report``'s entry.
        path: PNG file to write.
    """
    columns = len(next(iter(report.values())))
    figure = Figure(figsize=(2.6 * columns, 2.8 * len(report)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(report), columns, squeeze=False, sharex=True, sharey=True)
    for row, (role, entries) in zip(axes, report.items(), strict=True):
        for axis, (name, entry) in zip(row, entries.items(), strict=True):
            bins = entry["reliability"]
            total = sum(one["count"] for one in bins)
            axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
            axis.scatter(
                [one["confidence"] for one in bins],
                [one["accuracy"] for one in bins],
                s=[12 + 160 * one["count"] / total for one in bins],
                color="#0072b2",
            )
            axis.set_title(f"{role}: {name}\nECE {entry['ece_after']:.3f}", fontsize=9)
            axis.set(xlim=(0, 1.02), ylim=(0, 1.02))
    figure.supxlabel("confidence (area: number of faces)", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    # Without a date or a version in it, one report gives one file.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def reliability_table(report: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The diagram's numbers: a row for each classifier, attribute and filled bin."""
    rows = [
        {"classifier": role, "attribute": name, **one}
        for role, entries in report.items()
        for name, entry in entries.items()
        for one in entry["reliability"]
    ]
    return pd.DataFrame(rows)
