"""Finished runs of several seeds as estimates with intervals, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from fairness_core.errors import ArtifactError
from fairness_core.metrics import Interval, percentiles
from fairness_core.reporting.finished_runs import FinishedRun

__all__ = [
    "experiment_kind",
    "floor_removed",
    "interval_of_share",
    "reduction_over_seeds",
    "resampled_means",
    "seed_mean",
]

LEVEL = 0.95


def experiment_kind(run: FinishedRun) -> str:
    """Which of the paper's experiments a run is: a key of ``published.GOALS``, or its attributes.

    Training on further families of prompts than occupations (``finetune.prompt_families``) makes
    it multi-concept, soft tokens that are trained make it one of tokens.
    """
    finetune = run.params["finetune"]
    aligned = " ".join(finetune["align"])
    families = {name for name, times in finetune.get("prompt_families", {}).items() if times}
    if families - {"occupation", "named"}:
        return "multi-concept"
    tokens = any(value for key, value in finetune.items() if "token" in key or "soft" in key)
    return f"{aligned} tokens" if tokens else aligned


def _paired(
    runs: Sequence[FinishedRun], group: str, model: str, family: str | None, column: str
) -> Float[np.ndarray, "r p 2"]:
    """The column for base and model of every run, over the prompts that all have faces for.

    Raises:
        ArtifactError: There is no such prompt.
    """
    tables = []
    for run in runs:
        rows = run.prompts[run.prompts["attribute"] == group]
        if family is not None:
            rows = rows[rows["family"] == family]
        else:
            rows = rows[rows["split"] == run.params["evaluate_bias"]["split"]]
        wide = rows.pivot_table(index="prompt_id", columns="model", values=column)
        if not {"base", model} <= set(wide.columns):
            raise ArtifactError(
                f"A run's prompts have no '{column}' of {group}",
                given=f"{run.name}, seed {run.seed}, models {list(wide.columns)}",
                do="run evaluate_bias again",
            )
        tables.append(wide[["base", model]].dropna())
    shared = sorted(set.intersection(*(set(table.index) for table in tables)))
    if not shared:
        raise ArtifactError(
            "The runs have no prompt in common", given=[f"{r.name}, seed {r.seed}" for r in runs]
        )
    return np.stack([table.loc[shared].to_numpy(dtype=float) for table in tables])


def resampled_means(
    values: Float[np.ndarray, "r p 2"], rng: np.random.Generator, resamples: int
) -> Float[np.ndarray, "b 2"]:
    """Means of resampled seeds and, for all of them alike, resampled prompts."""
    runs, prompts, _ = values.shape
    # How often each seed and each prompt is drawn decides the mean; the order does not.
    seeds = rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples)
    chosen = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    total = np.einsum("br,bp,rpk->bk", seeds, chosen, values, optimize=True)
    return np.asarray(total / (runs * prompts))


def reduction_over_seeds(
    runs: Sequence[FinishedRun],
    group: str,
    *,
    model: str = "aligned",
    family: str | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> tuple[Interval, Interval, Interval]:
    """Bias of the base, bias of the model, and ``1 - model / base``, over seeds and prompts.

    Means over seeds and prompts; a two-way bootstrap draws seeds and prompts anew, the same
    prompts for every seed and for both models. With few seeds it understates what another seed
    would change, and with one seed it says nothing of it.

    Args:
        runs: Runs of one experiment, at least one.
        group: ``gender``, ``gender_x_race``, ...
        model: The model compared with the base.
        family: Prompts of that family, of every split measured; None: the held-out split.
        rng: Generator of the resamples.
        resamples: At least 1.

    Raises:
        ArtifactError: A run lacks the figure, or the runs share no prompt.
    """
    values = _paired(runs, group, model, family, "bias")
    base, after = values.mean(axis=(0, 1))
    drawn = resampled_means(values, rng, resamples)
    drawn = drawn[drawn[:, 0] > 0]
    if base <= 0 or not len(drawn):
        raise ArtifactError("The base model has no bias to reduce", given=group)
    return (
        percentiles(base, drawn[:, 0], LEVEL),
        percentiles(after, drawn[:, 1], LEVEL),
        percentiles(1 - after / base, 1 - drawn[:, 1] / drawn[:, 0], LEVEL),
    )


def floor_removed(
    runs: Sequence[FinishedRun], group: str, family: str, floor: float
) -> Interval | float:
    """Share of a family's distance to the fair sampler's bias that is gone, over seeds.

    Args:
        runs: Runs of one experiment.
        group: ``gender``, ``gender_x_race``, ...
        family: Prompts of that family, of every split measured.
        floor: What a fair sampler scores with as many images a prompt, less than the base.
    """
    means = _paired(runs, group, "aligned", family, "bias").mean(axis=1)
    gone = (means[:, 0] - means[:, 1]) / (means[:, 0] - floor)
    return seed_mean(gone.tolist())


def interval_of_share(
    runs: Sequence[FinishedRun],
    attribute: str,
    name: str,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> tuple[Interval, Interval]:
    """Share of a class for base and aligned, as `reduction_over_seeds` makes its intervals."""
    values = _paired(runs, attribute, "aligned", None, f"share_{name}")
    drawn = resampled_means(values, rng, resamples)
    base, after = values.mean(axis=(0, 1))
    return percentiles(base, drawn[:, 0], LEVEL), percentiles(after, drawn[:, 1], LEVEL)


def seed_mean(values: Sequence[float]) -> Interval | float:
    """Mean over seeds with Student's t interval; the bare value where there is one seed."""
    array = np.asarray(values, dtype=float)
    mean = float(array.mean())
    if len(array) < 2:
        return mean
    half = stats.t.ppf((1 + LEVEL) / 2, len(array) - 1) * stats.sem(array)
    return Interval(mean, mean - float(half), mean + float(half))
