"""Images made in shards are those of one process, to the byte."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from fairness_core.diffusion import DiffusionStack
from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.evaluation import Sampling, Shard, generate_folder, merge_shards, plan_images
from fairness_core.runtime import read_json, read_table, verify
from tests.helpers.tiny_diffusion import make_tiny_pipeline

SAMPLING = Sampling(stage="images", seed=3, guidance=3.0, steps=2, batch_size=3)
PROMPTS = pd.DataFrame(
    {"prompt_id": ["test-0", "named-0"], "prompt": ["a nurse", "a guard"], "split": ["test"] * 2}
)
COUNTS = pd.DataFrame({"prompt_id": ["test-0", "named-0"], "images": [4, 3]})
BATCHES = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of one process, and of every shard of 2 and of 4; not to be written to."""
    folder = tmp_path_factory.mktemp("shards")
    stack = DiffusionStack.load(make_tiny_pipeline(folder / "base"))
    rows = plan_images(PROMPTS, COUNTS, SAMPLING, model="base")
    for shard in (None, *(Shard(n, of) for of in (2, 4) for n in range(1, of + 1))):
        out = folder / (f"{shard.number}-{shard.of}" if shard else "whole")
        generate_folder(stack, rows, out, SAMPLING, recipe={"w": "1"}, shard=shard)
    return folder


def contents(folder):
    files = [path for path in folder.rglob("*") if path.suffix in (".png", ".parquet")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("of", [2, 4])
def test_merged_shards_are_what_one_process_makes(made, tmp_path, of):
    shards = [made / f"{number}-{of}" for number in range(of, 0, -1)]
    assert merge_shards(shards, tmp_path / "out") == 7
    assert contents(tmp_path / "out") == contents(made / "whole")
    extras = [verify(f, kind="images")["extra"] for f in (tmp_path / "out", made / "whole")]
    assert extras[0]["recipe"] == extras[1]["recipe"]
    assert extras[0]["images"] == extras[1]["images"] == 7
    assert read_json(tmp_path / "out" / "recipe.json") == extras[0]["recipe"]
    seconds = [verify(shard)["extra"]["seconds"] for shard in shards]
    assert extras[0]["seconds"] == pytest.approx(sum(seconds))


def test_a_shard_has_its_own_batches_and_passes_for_no_whole(made):
    sizes = [len(read_table(made / f"{n}-4" / "images.parquet")) for n in range(1, 5)]
    assert sizes == [0, 3, 3, 1]
    with pytest.raises(ArtifactError, match="kind 'image-shard' where 'images' is needed"):
        verify(made / "1-2", kind="images")


@pytest.mark.parametrize("of", range(1, 9))
def test_every_batch_is_in_one_shard(of):
    parts = [Shard(number, of).part(BATCHES) for number in range(1, of + 1)]
    assert [batch for part in parts for batch in part] == list(range(BATCHES))


def test_what_cannot_be_put_together(made, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ArtifactError, match=r"Not every shard is there once. Given: 2/2"):
        merge_shards([made / "2-2"], out)
    with pytest.raises(ArtifactError, match="Not every shard is there once. Given: 1/2, 1/2"):
        merge_shards([made / "1-2", made / "1-2"], out)
    with pytest.raises(ArtifactError, match="Not every shard is there once"):
        merge_shards([made / "1-2", made / "2-4"], out)
    with pytest.raises(ArtifactError, match="kind 'images' where 'image-shard' is needed"):
        merge_shards([made / "whole"], out)
    with pytest.raises(ArtifactError, match="no shards"):
        merge_shards([], out)
    damaged = shutil.copytree(made / "1-2", tmp_path / "damaged")
    next(damaged.rglob("*.png")).write_bytes(b"x")
    with pytest.raises(ArtifactError, match="A file is damaged"):
        merge_shards([damaged, made / "2-2"], out)
    assert not out.exists()


def test_shards_of_other_settings_are_not_mixed(made, tmp_path):
    stack = DiffusionStack.load(made / "base")
    rows = plan_images(PROMPTS, COUNTS, SAMPLING, model="base")
    other = tmp_path / "other"
    generate_folder(stack, rows, other, SAMPLING, recipe={"w": "2"}, shard=Shard(1, 2))
    with pytest.raises(ArtifactError, match="made with different settings"):
        merge_shards([other, made / "2-2"], tmp_path / "out")


def test_how_a_shard_is_written():
    assert Shard.parse("2/4") == Shard(2, 4)
    for text in ("0/4", "5/4", "2", "a/b", "1/0"):
        with pytest.raises(ConfigError, match="number/of, counted from 1"):
            Shard.parse(text)
