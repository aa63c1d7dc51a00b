from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import torch

from fairness_core.runtime.distributed import World
from fairness_core.training import Originals, original_latents, plan_batch
from tests.helpers.close import EXACT, assert_close
from tests.helpers.tiny_world import PROMPTS, TinyWorld, tiny_models
from tests.training.test_loop import SCHEDULE, Finetuned, assert_same_result, finished, train
from tests.training.threads import in_threads

__all__ = ["finished"]  # a fixture

MODEL = {"base": "tiny", "threads": 1}


def store(folder: Path, **changes: object) -> Originals:
    return dataclasses.replace(Originals(folder, MODEL, 3.0, 8), **changes)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_a_run_with_a_store_is_the_run_without(
    tiny_world: TinyWorld, alone: World, finished: Finetuned, tmp_path: Path
) -> None:
    """Bit for bit, while the store fills and when it is full; then without its network calls."""
    runs = [
        train(
            tiny_models(tiny_world, trained=False),
            alone,
            tmp_path / name,
            originals=store(tmp_path / "store"),
        )
        for name in ("fills", "reads")
    ]
    assert len(files(tmp_path / "store")) == SCHEDULE.iterations
    assert_same_result(runs[0], finished)
    calls = ["network_forwards"]
    assert_same_result(
        dataclasses.replace(runs[1], log=runs[1].log.drop(columns=calls)),
        dataclasses.replace(finished, log=finished.log.drop(columns=calls)),
    )
    # Per image: the tuned model's two calls a step, and two of one chosen step.
    sampled = finished.log["network_forwards"] / SCHEDULE.images - 2
    assert (runs[1].log["network_forwards"] / SCHEDULE.images - 2 == sampled / 2).all()


def test_another_run_reads_what_the_same_noise_left(
    tiny_world: TinyWorld, alone: World, tmp_path: Path
) -> None:
    """Another seed with the first one's noise; unequal noise, guidance or model share nothing."""
    schedule = dataclasses.replace(SCHEDULE, iterations=2, checkpoint_every=2)

    def run(name: str, kept: Originals, **changes: int) -> None:
        train(
            tiny_models(tiny_world),
            alone,
            tmp_path / name,
            dataclasses.replace(schedule, **changes),
            originals=kept,
        )

    kept = store(tmp_path / "store")
    run("first", kept)
    run("second", kept, seed=8, noise_seed=7)
    assert len(files(kept.folder)) == 2
    run("third", kept, seed=8)
    assert len(files(kept.folder)) == 4
    run("fourth", dataclasses.replace(kept, guidance=2.0))
    assert len(files(kept.folder)) == 6
    run("fifth", dataclasses.replace(kept, model=MODEL | {"threads": 2}))
    assert len(files(kept.folder)) == 8
    assert len(list(kept.folder.glob("*/model.json"))) == 2


def test_the_adapters_take_no_part(tiny_world: TinyWorld, tmp_path: Path) -> None:
    batch = plan_batch(PROMPTS, 0, SCHEDULE, range(3))
    tuned, frozen = (tiny_models(tiny_world, trained=trained).stack for trained in (True, False))
    kept = store(tmp_path)
    assert not kept.has(tuned, batch)
    made = kept.latents(tuned, batch)
    assert kept.has(tuned, batch)
    expected = original_latents(
        frozen,
        batch.prompt,
        batch.noise(frozen.latent_shape),
        steps=batch.steps,
        guidance=3.0,
        batch_size=8,
    )
    assert_close(made, expected, EXACT)
    assert_close(kept.latents(tuned, batch), expected, EXACT)


@pytest.mark.parametrize("damage", ["cut", "a bit", "other"])
def test_a_damaged_batch_is_sampled_again(
    tiny_world: TinyWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    stack = tiny_models(tiny_world).stack
    kept, batch = store(tmp_path), plan_batch(PROMPTS, 0, SCHEDULE, range(3))
    made = kept.latents(stack, batch)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-9]
    elif damage == "a bit":
        content[-5] ^= 1
    else:
        kept.latents(stack, dataclasses.replace(batch, rows=range(2)))
        (other,) = set(files(tmp_path)) - {path}
        content = bytearray(other.read_bytes())
    path.write_bytes(content)
    stack.calls.reset()
    assert torch.equal(kept.latents(stack, batch), made)
    assert stack.calls.forwards == 2 * 3 * batch.steps
    assert "damaged batch" in caplog.text
    assert kept.has(stack, batch)


def test_processes_keep_their_own_parts(tiny_world: TinyWorld, tmp_path: Path) -> None:
    schedule = dataclasses.replace(SCHEDULE, iterations=2, checkpoint_every=2)
    kept = store(tmp_path / "store")

    def run(world: World) -> pd.DataFrame:
        own = tmp_path / "runs"
        return train(tiny_models(tiny_world), world, own, schedule, originals=kept).log

    logs = [in_threads(2, run)[0] for _ in range(2)]
    assert len(files(kept.folder)) == 4
    assert_close(logs[0]["loss_total"], logs[1]["loss_total"], EXACT)
    assert (logs[1]["network_forwards"] < logs[0]["network_forwards"]).all()
