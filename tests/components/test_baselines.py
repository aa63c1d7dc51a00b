"""Images of the training-free methods, made and judged like all others."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import load_file

from components.evaluate_bias.main import main as evaluate_bias
from components.generate_baselines.main import main as generate_baselines
from components.generate_images.main import main as generate_images
from components.measure_images.main import main as measure_images
from fairness_core.runtime import read_json, read_table, verify
from tests.components.conftest import pixels

METHODS = ("intervention", "uce", "debiasvl")


def test_every_method_starts_from_the_noise_of_the_base(done):
    keys = ["image_id", "prompt_id", "index", "seed", "file", "split"]
    base = read_table(done / "artifacts/images/base/images.parquet")
    verify(done / "artifacts/baselines", kind="baselines")
    for method in METHODS:
        folder = done / "artifacts/baselines" / method / "images"
        table = read_table(folder / "images.parquet")
        assert table[keys].equals(base[keys])
        assert set(table["model"]) == {method}
        row = base.iloc[0]
        here, there = pixels(folder, row["file"]), pixels(done / "artifacts/images/base", row.file)
        assert here.shape == there.shape
        assert not np.array_equal(here, there)


def test_an_intervention_leaves_prompts_that_name_a_class(done):
    base, changed = (
        done / "artifacts/images/base",
        done / "artifacts/baselines/intervention/images",
    )
    rows = read_table(base / "images.parquet")
    for _, row in rows[rows["split"] == "named"].iterrows():
        assert np.array_equal(pixels(base, row["file"]), pixels(changed, row["file"]))


def test_each_method_says_what_it_cost_and_keeps_its_weights(done):
    found = verify(done / "artifacts/baselines", kind="baselines")["extra"]["methods"]
    assert found["intervention"]["network_forwards"] == 0
    assert found["intervention"]["example"] == "a bank guard, female male young old"
    # One character is one token here, so every word of more than one is in pieces.
    assert "female" in found["intervention"]["words_in_pieces"]
    # Two occupations, two images each, two steps under guidance.
    assert found["uce"]["network_forwards"] == 2 * 2 * 2 * 2
    assert len(found["uce"]["gaps"]) == 1
    assert found["debiasvl"]["pairs"] == 2 * 2
    assert found["debiasvl"]["pair_distance_after"] < found["debiasvl"]["pair_distance_before"]
    weights = load_file(done / "artifacts/baselines/uce/weights.safetensors")
    assert all(".attn2.to_" in name for name in weights)


def test_the_evaluation_has_a_block_for_each(done):
    evaluation = read_json(done / "metrics/evaluation.json")
    assert list(evaluation["baselines"]) == list(METHODS)
    for block in evaluation["baselines"].values():
        assert set(block) >= set(evaluation["base"])
        assert block["gender"]["ci95"][0] <= block["gender"]["bias"] <= block["gender"]["ci95"][1]
        assert block["change"]["gender"]["difference"] == pytest.approx(
            block["gender"]["bias"] - evaluation["base"]["gender"]["bias"]
        )
        assert 0 <= block["named"]["value"] <= 1
    table = read_table(done / "artifacts/evaluation/prompts.parquet")
    assert set(table["model"]) == {"base", "aligned", *METHODS}


def test_without_methods_the_evaluation_is_as_it_was(done, here, tmp_path):
    options = ["--set", "baselines.methods=[]", "--out", str(tmp_path / "none")]
    assert generate_baselines(options) == 0
    assert [path.name for path in (tmp_path / "none").iterdir()] == ["manifest.json"]
    measured = str(tmp_path / "measured")
    assert measure_images(["--baselines", str(tmp_path / "none"), "--out", measured]) == 0
    options = ["--measured", measured, "--out", str(tmp_path / "evaluation")]
    assert evaluate_bias([*options, "--metrics", str(tmp_path / "evaluation.json")]) == 0
    alone = read_json(tmp_path / "evaluation.json")
    full = read_json(done / "metrics/evaluation.json")
    full.pop("baselines")
    assert alone == full


def test_a_model_of_another_kind_is_refused_before_any_method_samples(tmp_path):
    from components.generate_baselines.prepare import check_model
    from fairness_core.diffusion import DiffusionStack
    from fairness_core.errors import ModelError
    from tests.helpers.tiny_families import make_tiny

    stack = DiffusionStack.load(make_tiny("sdxl", tmp_path))
    check_model(["intervention"], stack)
    for method in ("uce", "debiasvl"):
        with pytest.raises(ModelError, match="StableDiffusionXLPipeline.*leave them out of"):
            check_model(["intervention", method], stack)


def test_a_joint_target_is_refused_by_uce(done, here, tmp_path, capsys):
    cells = "{female/young: 0.2, female/old: 0.6, male/young: 0.05, male/old: 0.15}"
    joint = "{attributes: [gender, age], shares: " + cells + "}"
    options = ["--out", str(tmp_path / "b"), "--set", "finetune.align=[gender, age]"]
    assert generate_baselines([*options, "--set", f"targets.joint={joint}"]) == 1
    said = capsys.readouterr().err
    assert "no way to a joint target" in said
    assert "leave uce out of baselines.methods" in said
    assert not list(tmp_path.glob("b*"))


def test_further_splits_are_measured_for_every_method(done):
    evaluation = read_json(done / "metrics/evaluation.json")
    for block in evaluation["baselines"].values():
        part = block["also"]["sports"]
        assert part["change"]["gender"]["difference"] == pytest.approx(
            part["gender"]["bias"] - evaluation["also"]["sports"]["base"]["gender"]["bias"]
        )


def test_a_killed_run_goes_on_where_it_stopped(done, here, tmp_path, monkeypatch):
    """The second method fails; the first is not made again."""
    from components.generate_baselines import prepare as module

    made = []
    real = module.prepare

    def watched(method, *args, **kwargs):
        made.append(method)
        if method == "uce" and len(made) == 2:
            raise KeyboardInterrupt
        return real(method, *args, **kwargs)

    monkeypatch.setattr(module, "prepare", watched)
    options = ["--out", str(tmp_path / "b"), "--set", "baselines.methods=[debiasvl, uce]"]
    with pytest.raises(KeyboardInterrupt):
        generate_baselines(options)
    first = tmp_path / "b.partial/debiasvl"
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    assert any(path.suffix == ".png" for path in before)
    assert generate_baselines(options) == 0
    after = {
        tmp_path / "b.partial/debiasvl" / path.relative_to(tmp_path / "b/debiasvl"): (
            path.stat().st_mtime_ns
        )
        for path in (tmp_path / "b/debiasvl").rglob("*")
        if path.is_file()
    }
    assert after == before
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "debiasvl",
        "manifest.json",
        "uce",
    ]


def test_every_model_is_sampled_and_judged_in_bfloat16_too(here, tmp_path):
    common = ["--set", "generate_images.precision=bfloat16"]
    common += ["--set", "generate_images.decode_batch_size=3"]
    for model in ("base", "aligned"):
        words = ["--model", model, "--out", str(tmp_path / model)]
        assert generate_images([*common, *words]) == 0
        near = read_table(tmp_path / model / "images.parquet")
        for file in near["file"][:3]:
            made = pixels(tmp_path / model, file).astype(int)
            exact = pixels(here / "artifacts/images" / model, file).astype(int)
            assert 0 < np.abs(made - exact).mean() < 8
    assert generate_baselines([*common, "--out", str(tmp_path / "baselines")]) == 0
    folders = [f"--{name}={tmp_path / name}" for name in ("base", "aligned", "baselines")]
    assert measure_images([*folders, "--out", str(tmp_path / "m")]) == 0
    out = ["--out", str(tmp_path / "e"), "--metrics", str(tmp_path / "m.json")]
    assert evaluate_bias(["--measured", str(tmp_path / "m"), *out]) == 0
    recipe = verify(tmp_path / "baselines" / "uce" / "images")["extra"]["recipe"]
    assert (recipe["dtype"], recipe["decode_batch_size"]) == ("torch.bfloat16", 3)
