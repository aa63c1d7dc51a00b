"""Results over seeds: estimates that are known, intervals that behave, and the page's words."""

from __future__ import annotations

import copy
import re

import numpy as np
import pandas as pd
import pytest

from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.metrics import Interval
from fairness_core.reporting import FinishedRun, bands, draw_bands, results_page
from fairness_core.reporting.finished_runs import find_runs, read_run
from fairness_core.reporting.published import GOALS, Goal, published_row
from fairness_core.reporting.results import (
    experiment_kind,
    floor_removed,
    reduction_over_seeds,
    seed_mean,
)
from fairness_core.reporting.results_markdown import _verdict

PROMPTS = 12
BASE = np.linspace(0.4, 0.8, PROMPTS)  # mean 0.6


def finished(seed, after, *, name="portraits-gender", align=("gender",), family="occupation"):
    """A run in which the base's bias differs from prompt to prompt and the model's does not."""
    tables = []
    for model, values in (("base", BASE), ("aligned", np.full(PROMPTS, after))):
        for group in ("gender", "race", "gender_x_race"):
            tables.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "attribute": group,
                        "prompt_id": [f"p{i}" for i in range(PROMPTS)],
                        "bias": values,
                        "share_old": 0.2 if model == "base" else 0.26,
                        "family": family,
                        "split": "test",
                    }
                )
            )
    tables.append(tables[0].assign(attribute="age"))
    tables.append(tables[-2].assign(attribute="age", model="aligned"))
    quality = {"clip_t": 0.38, "clip_i": 0.8, "dino": 0.7, "seconds": 10.0}
    change = {g: {"reduction_to_floor": 0.9} for g in ("gender", "race", "gender_x_race", "age")}
    return FinishedRun(
        name=name,
        seed=seed,
        params={
            "finetune": {"align": list(align), "rank": 8},
            "evaluate_bias": {"split": "test"},
        },
        evaluation={
            "base": {**quality, "clip_t": 0.39},
            "aligned": quality | {group: {"fair_floor": 0.081} for group in change},
            "change": {**change, "clip_t": {"difference": -0.01}},
            "named": {"aligned": 0.9, "ratio": 0.96},
            "n_prompts": PROMPTS,
            "images_per_prompt": 40,
            "target": {
                "gender": {"female": 0.5, "male": 0.5},
                "race": {"a": 0.5, "b": 0.5},
                "age": {"young": 0.75, "old": 0.25},
            },
        },
        training={"seconds": 600.0, "network_forwards": 1000.0, "network_backwards": 200.0},
        prompts=pd.concat(tables, ignore_index=True),
        seconds=900.0,
    )


def rng():
    return np.random.default_rng(0)


def test_the_goals_are_the_papers_relative_reductions():
    (gender,) = GOALS["gender"]
    assert gender.reduction == pytest.approx(0.66, abs=0.005)
    (race,) = GOALS["race"]
    assert race.reduction == pytest.approx(0.71, abs=0.005)
    joint = [goal.reduction for goal in GOALS["gender race"]]
    assert joint == pytest.approx([0.76, 0.79, 0.71], abs=0.005)
    assert len(GOALS["multi-concept"]) == 12
    row = published_row("gender", "uce")
    assert row is not None
    assert (row.bias["gender"], row.dino) == (0.59, 0.78)


def test_a_reduction_over_seeds_and_its_interval():
    runs = [finished(seed, after) for seed, after in enumerate((0.1, 0.2, 0.3))]
    base, after, gone = reduction_over_seeds(runs, "gender", rng=rng())
    assert base.estimate == pytest.approx(0.6)
    assert after.estimate == pytest.approx(0.2)
    assert gone.estimate == pytest.approx(2 / 3)
    assert gone.low < 2 / 3 < gone.high
    # Seeds differ: all three alike are the extremes of what resampling them can give.
    assert after.low == pytest.approx(0.1, abs=0.04)
    assert after.high == pytest.approx(0.3, abs=0.04)
    alike = [finished(seed, 0.2) for seed in range(3)]
    _, still, narrower = reduction_over_seeds(alike, "gender", rng=rng())
    assert still.low == pytest.approx(still.high)
    assert narrower.high - narrower.low < gone.high - gone.low


def test_the_interval_of_a_reduction_covers_in_most_of_many_worlds():
    """Seeds and prompts drawn anew 30 times; six seeds, as few of them understate by design."""
    draw, hits = np.random.default_rng(1), 0
    for _ in range(30):
        prompts = draw.normal(0.6, 0.1, PROMPTS)
        runs = []
        for seed in range(6):
            run = finished(seed, 0.2)
            after = 0.2 + draw.normal(0, 0.03) + draw.normal(0, 0.02, PROMPTS)
            table = run.prompts.copy()
            table.loc[(table.model == "base") & (table.attribute == "gender"), "bias"] = prompts
            table.loc[(table.model == "aligned") & (table.attribute == "gender"), "bias"] = after
            runs.append(copy.copy(run))
            object.__setattr__(runs[-1], "prompts", table)
        gone = reduction_over_seeds(runs, "gender", rng=draw, resamples=200)[2]
        hits += gone.low <= 1 - 0.2 / 0.6 <= gone.high
    assert 0.8 <= hits / 30 <= 1.0


def test_seeds_have_students_interval_and_one_seed_has_none():
    found = seed_mean([1.0, 2.0, 3.0])
    assert isinstance(found, Interval)
    # t(0.975, 2) = 4.3027, standard error 1 / sqrt(3).
    assert found.high - 2.0 == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert seed_mean([0.5]) == 0.5


def test_kinds_of_experiment():
    assert experiment_kind(finished(0, 0.2)) == "gender"
    run = finished(0, 0.2, align=("gender", "race"))
    assert experiment_kind(run) == "gender race"
    run.params["finetune"]["soft_tokens"] = 5
    assert experiment_kind(run) == "gender race tokens"
    mixed = finished(0, 0.2)
    mixed.params["finetune"]["prompt_families"] = {"occupation": 1, "named": 1, "sport": 0}
    assert experiment_kind(mixed) == "gender"
    mixed.params["finetune"]["prompt_families"]["sport"] = 4
    assert experiment_kind(mixed) == "multi-concept"


def test_the_page_says_what_is_met_and_what_falls_short():
    runs = [finished(seed, 0.15) for seed in range(2)]
    runs.append(finished(0, 0.45, name="portraits-race", align=("race",)))
    page = results_page(runs, resamples=100)
    gender, race = (
        next(line for line in page.splitlines() if line.startswith(f"| {name} "))
        for name in ("portraits-gender", "portraits-race")
    )
    assert "75 %" in gender.replace("\u00a0", " ")
    assert "met" in gender
    assert "| 0.150 [0.150, 0.150] | 0.081 |" in gender
    assert "0.67 → 0.23" in gender
    assert "short by 46 points" in race
    short = page.split("## What falls short")[1]
    assert "portraits-race" in short
    assert "portraits-gender" not in short
    assert "a perfectly fair sampler would show 86\u00a0%" in short
    assert "| 10.0 [10.0, 10.0] | 15.0 [15.0, 15.0] | sampled | 1,000 | 200 |" in page


def test_attributes_that_get_lost_are_said_and_so_is_the_sample():
    run = finished(0, 0.05)
    assert "Nothing: every goal above is met." in results_page([run], resamples=50)
    run.evaluation["named"]["ratio"] = None
    assert "that name an attribute" not in results_page([run], resamples=50)
    run.evaluation["named"]["ratio"] = 0.55
    page = results_page([run], resamples=50)
    assert "drawn 0.550 times as often as by the base" in page
    assert "Measured on 12 held-out prompts of 40 images." in page


def test_a_share_with_a_target_of_its_own_and_clip_t():
    run = finished(0, 0.05, name="portraits-age", align=("gender", "race", "age"))
    page = results_page([run], resamples=50)
    line = next(line for line in page.splitlines() if "| old |" in line)
    assert "0.260" in line
    assert "0.25 ± 0.03" in line
    assert "met" in line
    run.evaluation["change"]["clip_t"]["difference"] = -0.05
    run.prompts.loc[run.prompts.model == "aligned", "share_old"] = 0.31
    short = results_page([run], resamples=50).split("## What falls short")[1]
    assert "CLIP-T: changed by \u22120.050" in short
    assert "share of old: 0.310" in short


def test_baselines_stand_beside_the_aligned_model():
    run = finished(0, 0.15)
    block = {
        **run.evaluation["aligned"],
        "named": {"value": 1.0},
        "preparation": {"seconds": 3.0, "network_forwards": 40, "network_backwards": 0},
    }
    run.evaluation["baselines"] = {"uce": block}
    extra = run.prompts[run.prompts.model == "aligned"].assign(model="uce", bias=0.3)
    object.__setattr__(run, "prompts", pd.concat([run.prompts, extra], ignore_index=True))
    section = results_page([run], resamples=50).split("## Against methods")[1]
    rows = [line for line in section.splitlines() if line.startswith("| portraits-gender")]
    assert [row.split("|")[2].strip() for row in rows] == ["uce", "aligned"]
    assert "50" in rows[0]
    assert rows[0].endswith("| 3.0 | 40 |")
    assert rows[1].endswith("| 600.0 | 1,200 |")


def test_families_are_of_all_splits_and_the_held_out_figure_is_of_its_own():
    run = finished(0, 0.2)
    sports = run.prompts.assign(family="sport", split="sports")
    sports["prompt_id"] += "s"
    sports.loc[sports.model == "aligned", "bias"] = 0.3
    object.__setattr__(run, "prompts", pd.concat([run.prompts, sports], ignore_index=True))
    assert reduction_over_seeds([run], "gender", rng=rng())[1].estimate == pytest.approx(0.2)
    sport = reduction_over_seeds([run], "gender", family="sport", rng=rng())
    assert sport[1].estimate == pytest.approx(0.3)
    assert floor_removed([run], "gender", "sport", 0.1) == pytest.approx(0.3 / 0.5)


def test_runs_that_do_not_belong_together_are_refused(tmp_path):
    first, second = finished(0, 0.2), finished(1, 0.2)
    second.prompts["prompt_id"] += "x"
    with pytest.raises(ArtifactError, match="no prompt in common"):
        reduction_over_seeds([first, second], "gender", rng=rng())
    with pytest.raises(ArtifactError, match="no 'bias' of gender"):
        reduction_over_seeds([first], "gender", model="uce", rng=rng())
    with pytest.raises(ArtifactError, match="no finished run"):
        find_runs([tmp_path])


def test_the_docs_page_is_that_of_the_runs_kept_beside_it(repository):
    runs = [read_run(folder) for folder in find_runs([repository / "docs/results"])]
    assert results_page(runs) == (repository / "docs/results.md").read_text(encoding="utf-8")


def log(offset, n=30):
    at = np.arange(n)
    return pd.DataFrame({"iteration": at, "loss_align": 1.0 - 0.02 * at + offset})


def test_bands_are_means_over_seeds_with_students_interval(tmp_path):
    found = bands({"exact": [log(-0.1), log(0.0), log(0.1)]}, "loss_align", smooth=1)
    (band,) = found
    assert band.seeds == 3
    assert band.mean[10] == pytest.approx(0.8)
    assert band.high[10] - 0.8 == pytest.approx(4.3027 * 0.1 / np.sqrt(3), rel=1e-4)
    (one,) = bands({"exact": [log(0.0)]}, "loss_align", smooth=4)
    assert np.isnan(one.low).all()
    assert one.mean[10] == pytest.approx(0.8 + 0.03)
    for name in ("a.svg", "b.svg"):
        draw_bands([*found, one], "loss_align", tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert "exact" in text
    assert text == (tmp_path / "b.svg").read_text()


def test_a_wide_interval_leaves_the_means_readable(tmp_path):
    found = bands({"exact": [log(-5.0), log(5.0)]}, "loss_align", smooth=1)
    assert found[0].high.max() > 40
    draw_bands(found, "loss_align", tmp_path / "a.svg")
    ticks = re.findall(r"<!-- (\d+\.\d+) -->", (tmp_path / "a.svg").read_text())
    assert max(map(float, ticks)) < 1.3


def test_bands_need_the_column_and_shared_iterations():
    with pytest.raises(ArtifactError, match="no column 'loss_none'"):
        bands({"exact": [log(0.0)]}, "loss_none", smooth=1)
    later = log(0.0).assign(iteration=np.arange(100, 130))
    with pytest.raises(ArtifactError, match="share no iteration"):
        bands({"exact": [log(0.0), later]}, "loss_align", smooth=1)
    with pytest.raises(ConfigError, match="at least one iteration"):
        bands({"exact": [log(0.0)]}, "loss_align", smooth=0)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (0.66, "met"),
        (0.657, "**short by less than a point**"),
        (0.65, "**short by 1 point**"),
        (0.5, "**short by 16 points**"),
    ],
)
def test_what_is_missing_is_said_in_points(gone, said):
    assert _verdict(gone, Goal("gender", 0.66, "Table 1")) == said
