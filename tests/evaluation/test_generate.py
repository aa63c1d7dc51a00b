"""Generation: the same noise for every model and batch size, and no work lost to a kill."""

import dataclasses
import multiprocessing
import shutil
import signal
import time

import numpy as np
import pandas as pd
import pytest

from fairness_core.diffusion import DiffusionStack
from fairness_core.errors import ArtifactError, ConfigError, PromptError
from fairness_core.evaluation import Sampling, generate, generate_folder, plan_images, read_images
from fairness_core.runtime import read_json, read_table, seed_for, verify
from tests.helpers.tiny_diffusion import make_tiny_pipeline

SAMPLING = Sampling(stage="images", seed=3, guidance=3.0, steps=2, batch_size=3)
PROMPTS = pd.DataFrame(
    {
        "prompt_id": ["test-0", "named-0"],
        "prompt": ["a nurse", "a guard"],
        "split": ["test", "named"],
    }
)
COUNTS = pd.DataFrame({"prompt_id": ["test-0", "named-0"], "images": [4, 3]})


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    return DiffusionStack.load(make_tiny_pipeline(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def whole(stack, tmp_path_factory):
    """All images, made without interruption; not to be written to."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    generate_folder(stack, rows(), folder, SAMPLING, recipe={"w": "1"})
    return folder


def rows():
    return plan_images(PROMPTS, COUNTS, SAMPLING, model="base")


def pixels(folder):
    table = read_table(folder / "images.parquet")
    return read_images(folder, table["file"])


def contents(folder):
    """Every file that is made of pixels or rows, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".png", ".parquet")
    }


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def kill_after(monkeypatch, files):
    """Let the n-th write of an image be the last thing that happens."""
    left = [files]
    write = generate.write_png

    def limited(image, path):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        write(image, path)

    monkeypatch.setattr(generate, "write_png", limited)


def test_plan_lists_every_image_with_its_seed():
    table = rows()
    assert list(table["image_id"][:2]) == ["test-0-00000", "test-0-00001"]
    assert list(table["index"]) == [0, 1, 2, 3, 0, 1, 2]
    assert table["seed"][5] == seed_for(3, "images", "a guard", 1)
    assert table["file"].is_unique
    assert list(table["split"].unique()) == ["test", "named"]


def test_plans_without_images_or_with_strange_prompts_are_refused():
    with pytest.raises(PromptError, match="prompt list to generate images for is empty"):
        plan_images(PROMPTS, COUNTS.iloc[:0], SAMPLING, model="base")
    with pytest.raises(PromptError, match="does not have.*test-9"):
        plan_images(PROMPTS, COUNTS.replace("test-0", "test-9"), SAMPLING, model="base")


def test_folder_is_complete_and_verifiable(stack, tmp_path):
    seconds = generate_folder(stack, rows(), tmp_path / "base", SAMPLING, recipe={"w": "1"})
    manifest = verify(tmp_path / "base", kind="images")
    assert manifest["extra"]["images"] == 7
    assert manifest["extra"]["seconds"] == pytest.approx(seconds)
    assert seconds > 0
    table = read_table(tmp_path / "base" / "images.parquet")
    assert list(table.columns) == [
        "image_id", "prompt_id", "index", "seed", "file", "model", "split",
    ]  # fmt: skip
    assert not (tmp_path / "base.partial").exists()
    images = pixels(tmp_path / "base")
    assert len(np.unique(images.flatten(1).numpy(), axis=0)) == 7


@pytest.mark.parametrize("batch_size", [1, 16])
def test_batch_size_does_not_change_the_images(stack, whole, tmp_path, batch_size):
    other = dataclasses.replace(SAMPLING, batch_size=batch_size)
    generate_folder(stack, rows(), tmp_path / "b", other, recipe={})
    # One of 255 levels: sums over a batch round differently.
    assert (pixels(whole) - pixels(tmp_path / "b")).abs().max() <= 1 / 127.5 + 1e-6


def test_images_decoded_in_parts_are_the_same(stack, whole, tmp_path, monkeypatch):
    seen = []
    decode = generate.decode
    monkeypatch.setattr(generate, "decode", lambda s, z: seen.append(len(z)) or decode(s, z))
    parts = dataclasses.replace(SAMPLING, batch_size=7, decode_batch_size=3)
    generate_folder(stack, rows(), tmp_path / "parts", parts, recipe={})
    assert seen == [3, 3, 1]
    assert (pixels(whole) - pixels(tmp_path / "parts")).abs().max() <= 1 / 127.5 + 1e-6
    seen.clear()
    generate_folder(stack, rows(), tmp_path / "default", SAMPLING, recipe={"w": "1"})
    assert seen == [3, 3, 1]
    assert contents(tmp_path / "default") == contents(whole)


def test_an_image_depends_on_its_own_prompt_index_stage_and_seed_only(stack, whole, tmp_path):
    alone = plan_images(PROMPTS, COUNTS.iloc[1:], SAMPLING, model="aligned")
    generate_folder(stack, alone, tmp_path / "alone", SAMPLING, recipe={})
    assert (pixels(whole)[4:] - pixels(tmp_path / "alone")).abs().max() < 0.01
    other = dataclasses.replace(SAMPLING, seed=4)
    generate_folder(stack, alone, tmp_path / "other", other, recipe={})
    assert (pixels(tmp_path / "other") - pixels(tmp_path / "alone")).abs().max() > 0.05


@pytest.mark.parametrize("files", [0, 3, 5])
def test_a_killed_run_goes_on_and_ends_the_same(stack, whole, tmp_path, monkeypatch, files):
    with monkeypatch.context() as patch:
        kill_after(patch, files)
        with pytest.raises(Killed):
            generate_folder(stack, rows(), tmp_path / "cut", SAMPLING, recipe={"w": "1"})
    assert not (tmp_path / "cut").exists()
    stack.calls.reset()
    generate_folder(stack, rows(), tmp_path / "cut", SAMPLING, recipe={"w": "1"})
    # Whole batches of three are not sampled again: 2 rows a step and image, 2 steps.
    assert stack.calls.forwards == 4 * (7 - files // 3 * 3)
    assert contents(tmp_path / "cut") == contents(whole)
    verify(tmp_path / "cut", kind="images")


def test_kill_9_loses_at_most_the_batch_under_way(stack, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        write = generate.write_png

        def stop_at_the_fifth(image, path):
            write(image, path)
            if path.parent.name == "named-0":
                time.sleep(60)

        patch.setattr(generate, "write_png", stop_at_the_fifth)
        child = multiprocessing.get_context("fork").Process(
            target=generate_folder,
            args=(stack, rows(), tmp_path / "cut", SAMPLING),
            kwargs={"recipe": {}},
        )
        child.start()
    deadline = time.monotonic() + 60
    fifth = tmp_path / "cut.partial" / "png" / "named-0" / "00000.png"
    while not fifth.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    stack.calls.reset()
    generate_folder(stack, rows(), tmp_path / "cut", SAMPLING, recipe={})
    assert stack.calls.forwards == 4 * 4
    assert contents(tmp_path / "cut") == contents(whole)


def test_a_log_line_cut_short_costs_its_batch_only(stack, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 6)
        with pytest.raises(Killed):
            generate_folder(stack, rows(), tmp_path / "cut", SAMPLING, recipe={})
    log = tmp_path / "cut.partial" / "batches.jsonl"
    log.write_text(log.read_text().rstrip()[:-4])
    stack.calls.reset()
    generate_folder(stack, rows(), tmp_path / "cut", SAMPLING, recipe={})
    assert stack.calls.forwards == 4 * 4


@pytest.mark.parametrize("change", ["recipe", "steps", "code"])
def test_work_of_another_recipe_is_not_mixed_in(stack, tmp_path, monkeypatch, change):
    with monkeypatch.context() as patch:
        kill_after(patch, 6)
        with pytest.raises(Killed):
            generate_folder(stack, rows(), tmp_path / "cut", SAMPLING, recipe={"w": "1"})
    recipe = {"w": "2" if change == "recipe" else "1"}
    sampling = dataclasses.replace(SAMPLING, steps=3 if change == "steps" else 2)
    if change == "code":
        other = tmp_path / "generate.py"
        other.write_text("changed")
        monkeypatch.setattr(generate, "__file__", str(other))
    stack.calls.reset()
    generate_folder(stack, rows(), tmp_path / "cut", sampling, recipe=recipe)
    assert stack.calls.forwards == 2 * sampling.steps * 7
    assert read_json(tmp_path / "cut" / "recipe.json")["steps"] == sampling.steps


def test_a_finished_folder_is_made_anew(stack, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    stack.calls.reset()
    (tmp_path / "out" / "stray.txt").write_text("somebody's")
    with pytest.raises(ArtifactError, match=r"no step put there.* Given: .*stray\.txt"):
        generate_folder(stack, rows(), tmp_path / "out", SAMPLING, recipe={"w": "1"})
    assert stack.calls.forwards == 0
    (tmp_path / "out" / "stray.txt").unlink()
    generate_folder(stack, rows(), tmp_path / "out", SAMPLING, recipe={"w": "1"})
    assert stack.calls.forwards == 4 * 7


def test_impossible_requests_are_refused(stack, tmp_path):
    with pytest.raises(ConfigError, match="at least one image"):
        generate_folder(
            stack, rows(), tmp_path / "x", dataclasses.replace(SAMPLING, batch_size=0), recipe={}
        )
    with pytest.raises(PromptError, match="is empty"):
        generate_folder(stack, rows().iloc[:0], tmp_path / "x", SAMPLING, recipe={})
