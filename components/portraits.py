"""The command line ``evenhand portraits``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",  # its own hides what stands in brackets
    help="The drawn world that ships with the package.",
)


@app.command()
def build(
    out: Annotated[
        Path | None, typer.Option(help="Where the model folders go [default: the package's own]")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Build this one; may repeat.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Models trained at the same time.")] = 2,
) -> None:
    """Draw the world and train its models from nothing (40 minutes on two cores)."""
    from fairness_core.portraits import build as builder
    from fairness_core.portraits.models import SHIPPED, WEIGHTS

    builder.build(out or WEIGHTS, only=tuple(only or SHIPPED), processes=processes)


@app.command()
def draw(
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Portraits.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other people.")] = 0,
    scale: Annotated[int, typer.Option(min=1, max=16, help="Enlargement.")] = 3,
) -> None:
    """Draw portraits of the world, every combination of its attributes in turn, eight in a row."""
    import numpy as np
    from PIL import Image

    from fairness_core.portraits.dataset import labelled_portraits

    images = labelled_portraits(count, "draw", seed)[0]
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    blank = np.full_like(large[:1], 255)
    rows = [
        np.concatenate(
            [*large[i : i + 8], *np.repeat(blank, max(0, i + 8 - count), axis=0)], axis=1
        )
        for i in range(0, count, 8)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(out)
    typer.echo(f"Wrote {out}")
