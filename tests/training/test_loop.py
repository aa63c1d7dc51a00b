from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import fairness_core.training.loop as loop
from fairness_core.diffusion import adapter_state, trainable
from fairness_core.errors import ArtifactError, ConfigError, FaceError, ModelError, PromptError
from fairness_core.runtime.distributed import World
from fairness_core.training import Finetuned, Models, Schedule, finetune, prompt_of_iteration
from fairness_core.training.checkpoint import newest_checkpoint
from tests.helpers.close import EXACT, FLOAT32, FLOAT32_SUM, assert_close
from tests.helpers.tiny_world import PROMPTS, BrightSpot, TinyWorld, tiny_models, tiny_settings
from tests.training.threads import in_threads

SCHEDULE = Schedule(
    iterations=5,
    images=3,
    steps=(1, 3),
    learning_rate=1e-2,
    betas=(0.9, 0.999),
    weight_decay=1e-2,
    max_gradient_norm=1e6,
    ema_decay=0.9,
    checkpoint_every=2,
    seed=7,
)
RUN = "c" * 64


def train(
    models: Models, world: World, checkpoints: Path, schedule: Schedule = SCHEDULE, **options: Any
) -> Finetuned:
    arguments = {"prompts": PROMPTS, "checkpoints": checkpoints, "fingerprint": RUN}
    settings = options.pop("settings", tiny_settings(gradient_steps=1))
    return finetune(models, settings, schedule, world, **(arguments | options))


def assert_same_result(actual: Finetuned, expected: Finetuned) -> None:
    for kind in ("live", "average"):
        for name, value in getattr(expected, kind).items():
            assert_close(getattr(actual, kind)[name], value, EXACT)
    own, wanted = (log.drop(columns="seconds") for log in (actual.log, expected.log))
    pd.testing.assert_frame_equal(own, wanted, check_exact=True)


@pytest.fixture(scope="session")
def finished(
    tiny_world: TinyWorld, alone: World, tmp_path_factory: pytest.TempPathFactory
) -> Finetuned:
    """A run that nothing interrupted."""
    return train(tiny_models(tiny_world, trained=False), alone, tmp_path_factory.mktemp("free"))


def test_each_pass_goes_through_all_prompts_in_a_new_order() -> None:
    passes = [[prompt_of_iteration(PROMPTS, 5 * n + i, 7) for i in range(5)] for n in range(4)]
    assert all(Counter(one) == Counter(PROMPTS) for one in passes)
    assert len({tuple(one) for one in passes}) > 1
    again = [prompt_of_iteration(list(PROMPTS), i, 7) for i in range(20)]
    assert again == [prompt for one in passes for prompt in one]
    assert again != [prompt_of_iteration(PROMPTS, i, 8) for i in range(20)]


def test_it_trains_and_logs(tiny_world: TinyWorld, finished: Finetuned) -> None:
    start = adapter_state(tiny_models(tiny_world, trained=False).stack)
    assert finished.live.keys() == finished.average.keys() == start.keys()
    assert any(not torch.equal(finished.live[name], start[name]) for name in start)
    assert any(not torch.equal(finished.live[name], finished.average[name]) for name in start)
    log = finished.log
    assert log["iteration"].tolist() == list(range(5))
    assert log.columns.is_unique
    assert {"loss_total", "loss_align_age", "share_gender_1", "used_age"} < set(log.columns)
    assert (log["face_rate"] == 1).all()
    assert (log["gradient_norm"] > 0).all()
    # Per image: 2 calls a step for the tuned and the original sampling, 2 for one chosen step.
    steps = (log["network_forwards"] / SCHEDULE.images - 2) / 4
    assert set(steps) <= {1, 2, 3}
    assert len(set(steps)) > 1
    assert (log["network_backwards"] == 2 * SCHEDULE.images).all()


def test_the_learning_rate_falls_to_almost_nothing_and_is_resumed(
    tiny_world: TinyWorld, alone: World, finished: Finetuned, tmp_path: Path
) -> None:
    """Over the last 60 % of five iterations: at 3/3, 2/3 and 1/3 of it."""
    falling = dataclasses.replace(SCHEDULE, decay=0.6)
    rates = [1e-2, 1e-2, 1e-2, 2e-2 / 3, 1e-2 / 3]
    assert [falling.rate(i) for i in range(5)] == pytest.approx(rates)
    assert [SCHEDULE.rate(i) for i in range(5)] == [1e-2] * 5
    result = train(tiny_models(tiny_world, trained=False), alone, tmp_path, falling)
    assert result.log["learning_rate"].tolist() == pytest.approx(rates)
    # The same until the rate falls; then other weights, and a resumed run's are these.
    pd.testing.assert_frame_equal(
        result.log.drop(columns="seconds")[:4],
        finished.log.drop(columns=["seconds"])[:4].assign(learning_rate=rates[:4]),
    )
    assert any(not torch.equal(result.live[name], finished.live[name]) for name in result.live)
    again = train(tiny_models(tiny_world, trained=False), alone, tmp_path, falling)
    assert_same_result(again, result)


def test_the_average_follows_the_live_weights(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    models = tiny_models(tiny_world)
    start = adapter_state(models.stack)
    schedule = dataclasses.replace(SCHEDULE, iterations=1, checkpoint_every=1)
    result = train(models, alone, tmp_path, schedule)
    for name, live in result.live.items():
        assert_close(result.average[name], 0.1 * start[name] + 0.9 * live, FLOAT32)


@pytest.mark.parametrize(("killed", "resumed"), [(3, 2), (4, 4)])
def test_an_interrupted_run_ends_where_a_free_one_does(
    tiny_world: TinyWorld,
    alone: World,
    finished: Finetuned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed: int,
    resumed: int,
) -> None:
    def stop(iteration: int, row: Mapping[str, float]) -> None:
        if iteration == killed:
            raise KeyboardInterrupt("enough")

    with pytest.raises(KeyboardInterrupt, match="enough"):
        train(tiny_models(tiny_world, trained=False), alone, tmp_path, on_iteration=stop)
    reported: list[tuple[int, float]] = []
    ran: list[int] = []
    original = loop.training_step
    monkeypatch.setattr(loop, "training_step", lambda *a, **k: ran.append(1) or original(*a, **k))
    again = train(
        tiny_models(tiny_world, trained=False),
        alone,
        tmp_path,
        on_iteration=lambda i, row: reported.append((i, row["loss_total"])),
    )
    assert len(ran) == SCHEDULE.iterations - resumed
    assert_same_result(again, finished)
    # The tracker of the new start is told about the iterations before it, too.
    assert reported == list(enumerate(finished.log["loss_total"]))


def test_soft_tokens_go_on_from_a_checkpoint_too(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    """Weights, average and AdamW's moments of a part that is no LoRA weight."""

    def stop(iteration: int, row: Mapping[str, float]) -> None:
        if iteration == 1:
            raise KeyboardInterrupt("enough")

    def make() -> Models:
        return tiny_models(tiny_world, soft_tokens=2, trained=False)

    schedule = dataclasses.replace(SCHEDULE, iterations=2, checkpoint_every=1)
    start = adapter_state(make().stack)["soft_prompt.tokens"]
    free = train(make(), alone, tmp_path / "free", schedule)
    with pytest.raises(KeyboardInterrupt, match="enough"):
        train(make(), alone, tmp_path / "killed", schedule, on_iteration=stop)
    assert_same_result(train(make(), alone, tmp_path / "killed", schedule), free)
    assert not torch.equal(free.live["soft_prompt.tokens"], start)
    assert not torch.equal(free.live["soft_prompt.tokens"], free.average["soft_prompt.tokens"])
    # Sampling tuned and original images as ever, then the prompt's branch of one step alone.
    assert (free.log["network_backwards"] == SCHEDULE.images).all()


def test_a_prompt_that_is_too_long_ends_no_run_halfway(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    models = tiny_models(tiny_world, soft_tokens=5)
    with pytest.raises(PromptError, match="5 soft tokens among them"):
        train(models, alone, tmp_path, prompts=[*PROMPTS, "x" * 71])
    assert models.stack.calls.forwards == 0


def test_prompts_that_name_a_class_say_so(
    tiny_world: TinyWorld, alone: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    original = loop.training_step

    def listen(*args: Any, **options: Any) -> Any:
        told[options["prompt"]] = options["named"]
        return original(*args, **options)

    monkeypatch.setattr(loop, "training_step", listen)
    named = {PROMPTS[0]: ["gender"], PROMPTS[3]: ["age", "gender"]}
    result = train(tiny_models(tiny_world), alone, tmp_path, named=named)
    assert told == dict.fromkeys(PROMPTS, ()) | named
    # Each row has every attribute's values, whatever the prompt names.
    assert result.log.notna().all().all()


def test_no_prompts(tiny_world: TinyWorld, alone: World, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no prompts to train on"):
        train(tiny_models(tiny_world), alone, tmp_path, prompts=[])


def test_faceless_iterations_end_the_run_and_lose_nothing(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    class LosesSight(BrightSpot):
        """Finds every face in the first two iterations and none from then on."""

        def detect(self, images: torch.Tensor) -> Any:
            return BrightSpot(-2.0 if len(seen) < 2 else 2.0).detect(images)

    seen: list[int] = []
    weights = []
    models = tiny_models(tiny_world, detector=LosesSight())

    def watch(iteration: int, row: Mapping[str, float]) -> None:
        seen.append(iteration)
        weights.append(adapter_state(models.stack))

    schedule = dataclasses.replace(
        SCHEDULE, iterations=1000, steps=(1, 1), images=2, checkpoint_every=500
    )
    with pytest.raises(FaceError, match="last 20 iterations has a face") as raised:
        train(models, alone, tmp_path, schedule, on_iteration=watch)
    assert any(prompt in str(raised.value) for prompt in PROMPTS)
    assert seen == list(range(22))
    found = newest_checkpoint(tmp_path, RUN)
    assert found is not None
    assert found.iteration == 22
    assert found.log["face_rate"].tolist() == [1.0] * 2 + [0.0] * 20
    # Without faces neither the weights nor their average move, and AdamW's moments stay.
    assert found.updates == 2
    assert {float(v) for k, v in found.optimizer.items() if k.startswith("step/")} == {2.0}
    for name, value in weights[1].items():
        assert_close(found.weights[name], value, EXACT)
    # A checkpoint holds what it holds: starting again tries one more iteration, not twenty.
    with pytest.raises(FaceError, match="last 20 iterations has a face"):
        train(models, alone, tmp_path, schedule, on_iteration=watch)
    assert len(seen) == 22 + 23


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_it_reaches_the_weights(
    tiny_world: TinyWorld,
    alone: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    models = tiny_models(tiny_world)
    original = loop.training_step

    def diverging(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        if what == "loss":
            return dataclasses.replace(result, losses=result.losses | {"total": math.inf})
        next(iter(trainable(models.stack).values())).grad[0] = math.nan
        return result

    before = adapter_state(models.stack)
    monkeypatch.setattr(loop, "training_step", diverging)
    with pytest.raises(ModelError, match="Iteration 0 has a loss or a gradient that is not"):
        train(models, alone, tmp_path)
    for name, value in adapter_state(models.stack).items():
        assert_close(value, before[name], EXACT)


def test_processes_train_the_same_weights(
    tiny_world: TinyWorld, finished: Finetuned, tmp_path: Path
) -> None:
    results = in_threads(
        2, lambda world: train(tiny_models(tiny_world, trained=False), world, tmp_path)
    )
    for result in results:
        for column in ("network_forwards", "network_backwards", "face_rate"):
            assert_close(result.log[column], finished.log[column], EXACT)
        assert_close(result.log["loss_total"], finished.log["loss_total"], FLOAT32_SUM)
    # Equal to the last bit among each other, or they would drift apart.
    assert_same_result(dataclasses.replace(results[1], log=results[0].log), results[0])
    # Only the first one writes.
    assert len(list(tmp_path.iterdir())) == 2


def test_more_processes_than_images(tiny_world: TinyWorld, tmp_path: Path) -> None:
    def work(world: World) -> None:
        with pytest.raises(ConfigError, match="4 processes cannot share 3 images"):
            train(tiny_models(tiny_world), world, tmp_path)

    in_threads(4, work)


def test_processes_that_find_different_checkpoints(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    """As two machines without a common filesystem would."""
    short = dataclasses.replace(SCHEDULE, iterations=2, checkpoint_every=1)
    train(tiny_models(tiny_world), alone, tmp_path / "0", short)

    def work(world: World) -> None:
        with pytest.raises(ArtifactError, match=r"after iterations \[1, 0\]"):
            train(tiny_models(tiny_world), world, tmp_path / str(world.rank), short)

    in_threads(2, work)
