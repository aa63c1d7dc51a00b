from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
import torch

from fairness_core.training.checkpoint import (
    Checkpoint,
    clear_checkpoints,
    newest_checkpoint,
    save_checkpoint,
)
from tests.helpers.close import EXACT, assert_close

RUN, OTHER = "a" * 64, "b" * 64


def make_checkpoint(iteration: int) -> Checkpoint:
    source = torch.Generator().manual_seed(iteration)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=source)

    return Checkpoint(
        iteration=iteration,
        weights={"unet.a": draw(2, 3), "unet.b": draw(4)},
        average={"unet.a": draw(2, 3), "unet.b": draw(4)},
        updates=iteration - 1,
        optimizer={"step/unet.a": torch.tensor(float(iteration)), "exp_avg/unet.a": draw(2, 3)},
        log=pd.DataFrame(
            {"iteration": range(iteration), "loss_total": 0.1 / 3, "share_gender_0": float("nan")}
        ),
    )


def assert_same(found: Checkpoint | None, expected: Checkpoint) -> None:
    assert found is not None
    assert (found.iteration, found.updates) == (expected.iteration, expected.updates)
    for kind in ("weights", "average", "optimizer"):
        actual, wanted = getattr(found, kind), getattr(expected, kind)
        assert actual.keys() == wanted.keys()
        for name, value in wanted.items():
            assert actual[name].dtype == value.dtype
            assert_close(actual[name], value, EXACT)
    pd.testing.assert_frame_equal(found.log, expected.log, check_exact=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> object:
    """Warnings of the library, which keeps its log to itself once a step has configured it."""
    monkeypatch.setattr(logging.getLogger("evenhand"), "propagate", True)
    caplog.set_level(logging.WARNING)
    return caplog


def test_round_trip_is_exact(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "new" / "folder", make_checkpoint(3), RUN)
    assert_same(newest_checkpoint(tmp_path / "new" / "folder", RUN), make_checkpoint(3))


def test_before_the_first_step_there_is_no_optimizer_state(tmp_path: Path) -> None:
    empty = make_checkpoint(1)
    empty = Checkpoint(1, empty.weights, empty.average, 0, {}, empty.log)
    save_checkpoint(tmp_path, empty, RUN)
    assert_same(newest_checkpoint(tmp_path, RUN), empty)


def test_no_folder_no_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "none", RUN) is None


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    # Beyond the digits of any fixed width that sorts by text, 10 after 9 must still be newer.
    for iteration in (9, 10, 100, 25):
        save_checkpoint(tmp_path, make_checkpoint(iteration), RUN)
        assert len(names(tmp_path)) <= 2
    found = newest_checkpoint(tmp_path, RUN)
    assert_same(found, make_checkpoint(100))


def test_a_half_written_one_is_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, make_checkpoint(2), RUN)

    def die(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt("in the middle")

    for writer in ("write_json", "write_table", "write_manifest"):
        with monkeypatch.context() as patch:
            patch.setattr(f"fairness_core.training.checkpoint.{writer}", die)
            with pytest.raises(KeyboardInterrupt, match="in the middle"):
                save_checkpoint(tmp_path, make_checkpoint(4), RUN)
        assert_same(newest_checkpoint(tmp_path, RUN), make_checkpoint(2))
    assert len(names(tmp_path)) == 1


def test_what_a_killed_process_left_is_passed_over_and_cleared(tmp_path: Path) -> None:
    place = save_checkpoint(tmp_path, make_checkpoint(2), RUN)
    # SIGKILL runs no clean-up: the temporary folder, here even complete, stays.
    later = save_checkpoint(tmp_path, make_checkpoint(4), RUN)
    later.rename(later.with_name(f".{later.name}.0123abcd.tmp"))
    assert_same(newest_checkpoint(tmp_path, RUN), make_checkpoint(2))
    assert place.is_dir()
    clear_checkpoints(tmp_path, RUN)
    assert names(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "no manifest"])
def test_a_damaged_one_is_named_and_the_one_before_taken(
    tmp_path: Path, warnings: pytest.LogCaptureFixture, damage: str
) -> None:
    save_checkpoint(tmp_path, make_checkpoint(2), RUN)
    newest = save_checkpoint(tmp_path, make_checkpoint(4), RUN)
    file = newest / ("manifest.json" if damage == "no manifest" else "average.safetensors")
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[:-8])
    elif damage == "flipped":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        file.unlink()
    assert_same(newest_checkpoint(tmp_path, RUN), make_checkpoint(2))
    assert "damaged checkpoint" in warnings.text
    assert newest.name in warnings.text


def test_all_damaged_is_none(tmp_path: Path, warnings: pytest.LogCaptureFixture) -> None:
    place = save_checkpoint(tmp_path, make_checkpoint(2), RUN)
    (place / "state.json").write_text("{}")
    assert newest_checkpoint(tmp_path, RUN) is None
    assert "state.json" in warnings.text


def test_another_runs_are_not_taken_and_left_alone(
    tmp_path: Path, warnings: pytest.LogCaptureFixture
) -> None:
    theirs = {save_checkpoint(tmp_path, make_checkpoint(i), OTHER).name for i in (100, 200)}
    assert newest_checkpoint(tmp_path, RUN) is None
    assert "2 checkpoints of runs with other settings" in warnings.text
    # Neither do they push out younger ones of this run, whatever their iterations.
    for iteration in (1, 2, 100):
        save_checkpoint(tmp_path, make_checkpoint(iteration), RUN)
        assert_same(newest_checkpoint(tmp_path, RUN), make_checkpoint(iteration))
    assert theirs < set(names(tmp_path))
    clear_checkpoints(tmp_path, RUN)
    assert set(names(tmp_path)) == theirs
    assert_same(newest_checkpoint(tmp_path, OTHER), make_checkpoint(200))


def test_fingerprints_are_compared_whole(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make_checkpoint(2), RUN)
    assert newest_checkpoint(tmp_path, RUN[:-1] + "c") is None
