"""Images measured in shards by several processes: what is evaluated is that of one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from components.evaluate_bias.main import main as evaluate_bias
from components.measure_images.main import main as measure_images
from fairness_core.evaluation import Shard, read_measurements, write_measurements
from fairness_core.runtime import read_json, read_table, verify, write_manifest
from tests.components.conftest import Run
from tests.components.test_bad_input import message
from tests.conftest import REPOSITORY

MODELS = ("base", "aligned", "intervention", "uce", "debiasvl")
IMAGES, BATCH = 20, 8  # of each model; the last batch has 4
SHARDS = (3, 5)  # more than the three batches: two of five are empty


@pytest.fixture(scope="module")
def measured(done: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``NUMBER-OF`` of every shard; not to be written to."""
    out = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(done.folder)
        for of in SHARDS:
            for number in range(1, of + 1):
                told = ["--shard", f"{number}/{of}", "--out", str(out / f"{number}-{of}")]
                assert measure_images(told) == 0
    return out


def given(folders) -> list[str]:
    return [word for folder in folders for word in ("--measured", str(folder))]


def evaluated(tmp_path: Path, *folders: Path) -> Path:
    out = ["--out", str(tmp_path / "e"), "--metrics", str(tmp_path / "e.json")]
    assert evaluate_bias([*given(folders), *out]) == 0
    return tmp_path / "e"


@pytest.mark.parametrize("of", SHARDS)
def test_what_is_evaluated_in_shards_is_what_one_process_gives(here, measured, tmp_path, of):
    shards = [measured / f"{number}-{of}" for number in range(of, 0, -1)]
    found = evaluated(tmp_path, *shards)
    whole = here / "artifacts/evaluation"
    names = sorted(path.name for path in whole.iterdir())
    assert names == ["faces.parquet", "manifest.json", "prompts.parquet", "quality.parquet"]
    for name in names:
        assert (found / name).read_bytes() == (whole / name).read_bytes(), name
    figures = (here / "metrics/evaluation.json").read_bytes()
    assert (tmp_path / "e.json").read_bytes() == figures


@pytest.mark.parametrize("of", SHARDS)
def test_shards_together_are_the_folder_of_one_process(here, measured, tmp_path, of):
    whole = here / "artifacts/measurements"
    seen, recipe = read_measurements([measured / f"{number}-{of}" for number in range(1, of + 1)])
    write_measurements(seen, tmp_path / "again", recipe)
    for name in ("faces.parquet", "vectors.safetensors", "manifest.json"):
        assert (tmp_path / "again" / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_shard_has_whole_batches_of_each_model_and_passes_for_no_whole(here, measured):
    for of in SHARDS:
        for number in range(1, of + 1):
            folder = measured / f"{number}-{of}"
            part = Shard(number, of).part(-(-IMAGES // BATCH))
            rows = min(part.stop * BATCH, IMAGES) - min(part.start * BATCH, IMAGES)
            extra = verify(folder, kind="measurement-shard")["extra"]
            assert extra["images"] == dict.fromkeys(MODELS, rows)
            assert extra["recipe"]["shard"] == [number, of]
            assert len(read_table(folder / "faces.parquet")) == rows * len(MODELS)
    assert len(read_table(measured / "1-5/faces.parquet")) == 0


def test_what_is_kept_is_what_the_evaluation_needs(here):
    seen, recipe = read_measurements([here / "artifacts/measurements"])
    assert list(seen) == list(recipe["models"]) == list(MODELS)
    for model in ("base", "aligned"):
        extra = verify(here / "artifacts/images" / model)["extra"]
        told = recipe["models"][model]
        assert (told["recipe"], told["seconds"]) == (extra["recipe"], extra["seconds"])
    methods = verify(here / "artifacts/baselines")["extra"]["methods"]
    assert recipe["methods"] == methods
    audit = verify(here / "artifacts/evaluation")["extra"]["audit_sha256"]
    assert recipe["audit_sha256"] == audit
    table = read_table(here / "artifacts/evaluation/faces.parquet")
    for model, part in seen.items():
        assert part.faces["image_id"].tolist() == table.loc[
            table["model"] == model, "image_id"
        ].tolist()  # fmt: skip
        for vectors in (part.image_text, part.image_self):
            assert vectors.shape[0] == IMAGES
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)  # float32


def test_every_shard_is_needed_once(here, measured, tmp_path, capsys):
    out = ("--out", tmp_path / "o", "--metrics", tmp_path / "m.json")

    def said(*folders: Path) -> str:
        return message(capsys, evaluate_bias, *given(folders), *out)

    one, two, three = (measured / f"{number}-3" for number in (1, 2, 3))
    assert "Not every shard is there once. Given: 1/3, 2/3. What to do: give shards 1/3" in said(
        one, two
    )
    assert "Not every shard is there once" in said(one)
    assert "Not every shard is there once. Given: 1/3, 2/3, 2/3" in said(two, one, two)
    assert "Not every shard is there once" in said(one, two, measured / "3-5")
    whole = here / "artifacts/measurements"
    assert "of kind 'measurements' where 'measurement-shard'" in said(whole, one)
    prompts = here / "artifacts/prompts"
    assert "where 'measurements or measurement-shard' is needed" in said(prompts)
    damaged = shutil.copytree(three, tmp_path / "damaged")
    (damaged / "vectors.safetensors").write_bytes(b"x")
    assert "A file is damaged" in said(one, two, damaged)
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "m.json").exists()


def test_shards_of_other_settings_are_not_mixed(here, measured, tmp_path, capsys):
    told = ["--shard", "1/3", "--out", str(tmp_path / "other")]
    assert measure_images([*told, "--set", "measure_images.batch_size=4"]) == 0
    capsys.readouterr()
    folders = [tmp_path / "other", measured / "2-3", measured / "3-3"]
    out = ("--out", tmp_path / "o", "--metrics", tmp_path / "m.json")
    assert "made with different settings" in message(capsys, evaluate_bias, *given(folders), *out)


def test_other_prompts_or_attributes_than_measured_are_refused(here, tmp_path, capsys):
    prompts = shutil.copytree(here / "artifacts/prompts", tmp_path / "prompts")
    table = read_table(prompts / "prompts.parquet")
    table.iloc[:-1].to_parquet(prompts / "prompts.parquet", index=False)
    write_manifest(prompts, "prompts")
    out = ("--out", tmp_path / "o", "--metrics", tmp_path / "m.json")
    said = message(capsys, evaluate_bias, "--prompts", prompts, *out)
    assert "measured with other attributes or prompts. Given: prompts_sha256: " in said
    params = yaml.safe_load((here / "params.yaml").read_text())
    del params["attributes"]["age"]
    part = {name: params[name] for name in ("run", "attributes", "targets", "evaluate_bias")}
    (tmp_path / "p.json").write_text(json.dumps(part))
    said = message(capsys, evaluate_bias, "--part", "--params", tmp_path / "p.json", *out)
    assert "Given: attributes: " in said
    assert "What to do: run measure_images again" in said


def test_a_shard_that_is_none_is_refused(here, tmp_path, capsys):
    said = message(capsys, measure_images, "--shard", "4/3", "--out", tmp_path / "o")
    assert "number/of, counted from 1" in said


def test_the_evaluation_loads_no_network(here, tmp_path):
    """In a process of its own: this one has imported everything."""
    code = (
        "import sys; from components.evaluate_bias.main import main; status = main();"
        "print([n for n in ('transformers', 'diffusers', 'onnxruntime', 'kornia',"
        " 'fairness_core.faces', 'fairness_core.classifiers') if n in sys.modules]);"
        "sys.exit(status)"
    )
    out = ["--out", str(tmp_path / "e"), "--metrics", str(tmp_path / "e.json")]
    done = subprocess.run(
        [sys.executable, "-c", code, *out], capture_output=True, text=True, check=True,
        env={"PATH": "", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
    assert read_json(tmp_path / "e.json") == read_json(here / "metrics/evaluation.json")
