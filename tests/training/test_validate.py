"""Held-out bias during training: what it measures, that it disturbs nothing, and when it stops."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.diffusion import adapter_state, encode_prompts, load_adapter_state, sample
from fairness_core.errors import ConfigError
from fairness_core.metrics import parity_gaps
from fairness_core.runtime.distributed import World
from fairness_core.runtime.seeds import image_noise
from fairness_core.training import Finetuned, Validation
from fairness_core.training.perceive import decode_all, perceive
from fairness_core.training.state import TrainingState
from tests.helpers.close import EXACT, assert_close
from tests.helpers.tiny_world import PROMPTS, SPACE, TinyWorld, tiny_models, tiny_settings
from tests.training.test_loop import SCHEDULE, assert_same_result, train
from tests.training.threads import in_threads

HELD_OUT = Validation(prompts=PROMPTS[:2], every=2, images=6, steps=2, seed=3, stop_at={})
GROUPS = ("gender", "age", "gender_x_age")


def test_it_measures_the_averaged_weights_and_leaves_the_live_ones(
    tiny_world: TinyWorld, alone: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, settings = tiny_models(tiny_world), tiny_settings()
    state = TrainingState(models.stack, SCHEDULE)
    averaged = {name: weight + 0.5 for name, weight in state.average.weights.items()}
    state.average.restore(averaged, 1)
    before = adapter_state(models.stack)
    sampled_with = []

    def watch(*args, **options):
        sampled_with.append(adapter_state(models.stack))
        return sample(*args, **options)

    monkeypatch.setattr("fairness_core.training.validate.sample", watch)
    found = HELD_OUT.measure(models, settings, state, alone)
    assert set(found) == {f"validation_{g}{end}" for g in GROUPS for end in ("", "_low", "_high")}
    for group in GROUPS:
        name = f"validation_{group}"
        assert 0 <= found[f"{name}_low"] <= found[name] <= found[f"{name}_high"] <= 1
    for one in sampled_with:
        for name, weight in one.items():
            assert_close(weight, averaged[name], EXACT)
    for name, weight in adapter_state(models.stack).items():
        assert_close(weight, before[name], EXACT)


def test_its_figure_is_the_metrics_own(tiny_world: TinyWorld, alone: World) -> None:
    """Counted again by hand from the images of the same noise."""
    models, settings = tiny_models(tiny_world), tiny_settings()
    state = TrainingState(models.stack, SCHEDULE)
    found = HELD_OUT.measure(models, settings, state, alone)
    load_adapter_state(models.stack, state.average.weights)
    gaps: dict[str, list[float]] = {group: [] for group in GROUPS}
    for prompt in HELD_OUT.prompts:
        noise = image_noise("validation-3", [prompt] * 6, range(6), models.stack.latent_shape)
        both = encode_prompts(models.stack, [prompt, ""])
        latents = sample(
            models.stack, noise, both[:1].expand(6), both[1:], guidance=settings.guidance, steps=2
        ).final
        seen = perceive(
            decode_all(models.stack, latents.detach(), None), models.detector, models.classifier
        )
        table = pd.DataFrame({n: c[seen.faces.present].numpy() for n, c in seen.classes.items()})
        table["gender_x_age"] = 2 * table["gender"] + table["age"]
        for group in GROUPS:
            cells = 4 if "_x_" in group else 2
            shares = table[group].value_counts(normalize=True).reindex(range(cells), fill_value=0)
            gaps[group].append(float(parity_gaps(shares.to_numpy())))
    for group, values in gaps.items():
        assert found[f"validation_{group}"] == pytest.approx(sum(values) / len(values))


def test_a_run_with_it_trains_as_one_without(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    reported: list[Mapping[str, float]] = []
    result = train(
        tiny_models(tiny_world, trained=False), alone, tmp_path / "with", validation=HELD_OUT,
        on_iteration=lambda _, row: reported.append(row),
    )  # fmt: skip
    plain = train(tiny_models(tiny_world, trained=False), alone, tmp_path / "without")
    own = [name for name in result.log if str(name).startswith("validation_")]
    log = result.log.drop(columns=own)
    assert_same_result(dataclasses.replace(result, log=log), plain)
    assert result.log[own].notna().all(axis=1).tolist() == [False, True, False, True, False]
    assert [any(name in row for name in own) for row in reported] == [False, True] * 2 + [False]


def test_it_ends_the_run_once_every_interval_is_there_and_a_resumed_one_at_the_same_place(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    schedule = dataclasses.replace(SCHEDULE, iterations=8)
    early = dataclasses.replace(HELD_OUT, stop_at=dict.fromkeys(GROUPS, 1.0))

    def run(name: str, validation: Validation) -> Finetuned:
        models = tiny_models(tiny_world, trained=False)
        return train(models, alone, tmp_path / name, schedule, validation=validation)

    free = run("free", early)
    assert len(free.log) == 2
    # The checkpoint that was saved with the last validation leaves nothing to do.
    assert_same_result(run("free", early), free)
    never = dataclasses.replace(HELD_OUT, stop_at={"gender": 1.0, "age": 1e-9})
    assert len(run("through", never).log) == 8


def test_processes_share_the_images(tiny_world: TinyWorld, alone: World) -> None:
    def measure(world: World) -> Mapping[str, float]:
        models = tiny_models(tiny_world)
        state = TrainingState(models.stack, SCHEDULE)
        return HELD_OUT.measure(models, tiny_settings(), state, world)

    assert in_threads(2, measure) == [measure(alone)] * 2


def test_a_limit_that_not_even_a_fair_sampler_reaches_is_refused() -> None:
    space = AttributeSpace.from_mapping(
        {"gender": {"classes": ["female", "male"], "target": "uniform"}}
    )
    with pytest.raises(ConfigError, match=r"never be reached.*a fair sampler has 0\.3\d\d with 6"):
        dataclasses.replace(HELD_OUT, stop_at={"gender": 0.3}).check(space)
    dataclasses.replace(HELD_OUT, stop_at={"gender": 0.4}).check(space)
    joint = dataclasses.replace(HELD_OUT, stop_at={"gender_x_age": 0.01})
    with pytest.raises(ConfigError, match="gender_x_age can never be reached"):
        joint.check(SPACE)


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_row_without_a_validation_ends_nothing(value: float | None) -> None:
    row = {} if value is None else {"validation_gender_high": value}
    assert not dataclasses.replace(HELD_OUT, stop_at={"gender": 0.5}).reached(row)
    assert not HELD_OUT.reached({"validation_gender_high": 0.0})
