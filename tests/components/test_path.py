"""What the steps of a whole run write, and that the parts fit together."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from components.publish.main import main as publish
from fairness_core.metrics import fair_floor
from fairness_core.runtime import image_noise, read_json, read_table, verify
from tests.components.conftest import NAMED_IMAGES, SCENE_IMAGES, TEST_IMAGES, pixels
from tests.components.test_bad_input import message
from tests.helpers.tiny_world import ATTRIBUTES


def test_prompts_and_their_plan(done):
    verify(done / "artifacts/prompts", kind="prompts")
    prompts = read_table(done / "artifacts/prompts/prompts.parquet")
    assert len(prompts) == 10
    own = prompts.set_index("prompt_id")["target_gender_female"].dropna()
    assert own.to_dict() == {"test-0": 0.3}
    assert prompts["planted_gender_female"].isna().all()
    plan = read_table(done / "artifacts/prompts/plan.parquet")
    assert dict(zip(plan["prompt_id"], plan["images"], strict=True)) == {
        "test-0": TEST_IMAGES,
        "test-1": TEST_IMAGES,
        "sports-0": TEST_IMAGES,
        "named-0": NAMED_IMAGES,
        "named-1": NAMED_IMAGES,
        "scenes-0": SCENE_IMAGES,
        "scenes-1": SCENE_IMAGES,
    }
    assert read_json(done / "artifacts/prompts/summary.json")["held_out_words_known"] == 1.0


def test_two_separate_classifiers_with_their_calibration(done):
    manifest = verify(done / "artifacts/classifiers", kind="classifiers")
    files = manifest["files"]
    assert files["train/model.safetensors"]["sha256"] != files["audit/model.safetensors"]["sha256"]
    kinds = {
        role: read_json(done / f"artifacts/classifiers/{role}/config.json")["model_type"]
        for role in ("train", "audit")
    }
    assert kinds["train"] != kinds["audit"]
    report = read_json(done / "artifacts/classifiers/calibration.json")
    short = read_json(done / "metrics/calibration.json")
    for role in ("train", "audit"):
        for name in ("gender", "age"):
            assert {"gender=female", "age=old", "female/young"} <= set(report[role][name]["groups"])
            assert report[role][name]["n"] == 20
            assert short[role][name]["accuracy"] == report[role][name]["accuracy"]
            assert short[role][name]["lowest_accuracy"] <= short[role][name]["accuracy"]
    assert {"reliability.csv", "reliability.png"} <= set(files)


def test_the_bundle_says_where_it_comes_from(done):
    extra = verify(done / "artifacts/bundle", kind="adapter-bundle")["extra"]
    classifiers = verify(done / "artifacts/classifiers")["files"]
    assert extra["classifier_sha256"] == classifiers["train/model.safetensors"]["sha256"]
    assert (extra["weights"], extra["iterations"]) == ("ema", 2)
    young, old = ATTRIBUTES["age"]["target"]
    assert young != old
    assert extra["targets"]["age"] == {"young": young, "old": old}
    card = (done / "artifacts/bundle/README.md").read_text()
    assert f"young {100 * young:g} %, old {100 * old:g} %" in card
    assert '- "bank nurse": gender female 30 %, male 70 %' in card
    assert "Source of the targets: a made-up census." in card
    assert extra["targets_overrides"] == {"bank nurse": {"gender": {"female": 0.3, "male": 0.7}}}
    assert "averaged (EMA)" in card
    assert extra["base_sha256"] in card
    # Who downloads it learns the model's name, and not where it lay.
    assert extra["base_model"] == done.base.name
    assert f"`{done.base.name}`" in card
    assert str(done.base.parent) not in card


def test_the_bundle_reads_single_targets_from_their_file(here, tmp_path, capsys):
    table = tmp_path / "own.csv"
    table.write_text("prompt,attribute,class,share\nharbour nurse,age,old,1\n")
    words = ["--out", str(tmp_path / "bundle"), "--set", f"targets.overrides={table}"]
    assert publish(words) == 0
    card = (tmp_path / "bundle/README.md").read_text()
    assert '- "harbour nurse": age young 0 %, old 100 %' in card
    table.unlink()
    assert "own.csv" in message(capsys, publish, *words)


def test_images_are_what_stock_diffusers_makes_of_base_and_bundle(done):
    folder = done / "artifacts/images/aligned"
    row = read_table(folder / "images.parquet").iloc[1]
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(done.base), local_files_only=True, use_safetensors=True, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    shape = (4, 8, 8)
    noise = image_noise("generate_images", ["a bank nurse"], [1], shape, seed=0)
    options = {
        "latents": noise, "guidance_scale": 3.0, "num_inference_steps": 2, "output_type": "np",
    }  # fmt: skip
    base = pipeline("a bank nurse", **options).images[0]
    pipeline.load_lora_weights(str(done / "artifacts/bundle"))
    aligned = pipeline("a bank nurse", **options).images[0]
    assert (row["prompt_id"], row["index"]) == ("test-0", 1)
    for model, image in (("base", base), ("aligned", aligned)):
        written = pixels(done / "artifacts/images" / model, row["file"]).astype(int)
        assert np.abs(written - (image * 255).round()).max() <= 1
    assert np.abs(base - aligned).max() > 0.01


def test_base_and_aligned_images_share_prompts_indices_and_seeds(done):
    tables = [
        read_table(done / f"artifacts/images/{model}/images.parquet")
        for model in ("base", "aligned")
    ]
    keys = ["image_id", "prompt_id", "index", "seed", "file", "split"]
    assert tables[0][keys].equals(tables[1][keys])
    assert len(tables[0]) == 3 * TEST_IMAGES + 2 * NAMED_IMAGES + 2 * SCENE_IMAGES


def test_the_evaluation_holds_every_figure(done):
    evaluation = read_json(done / "metrics/evaluation.json")
    for model in ("base", "aligned"):
        for group in ("gender", "age", "gender_x_age"):
            entry = evaluation[model][group]
            assert 0 <= entry["bias"] <= 1
            assert entry["ci95"][0] <= entry["ci95"][1]
            assert 0 < entry["fair_floor"] < 1
            assert entry["sd"] >= 0
        for name in ("clip_t", "clip_i", "dino", "no_face_rate", "seconds"):
            assert isinstance(evaluation[model][name], float)
    assert evaluation["base"]["clip_i"] == pytest.approx(1, abs=1e-5)
    assert evaluation["aligned"]["clip_i"] < 1
    assert evaluation["named"]["prompts"] == 2
    assert set(evaluation["named"]["per_attribute"]) == {"gender", "age"}
    assert (evaluation["guidance"], evaluation["steps"]) == (3.0, 2)
    assert (evaluation["n_prompts"], evaluation["images_per_prompt"]) == (2, TEST_IMAGES)
    sports = evaluation["also"]["sports"]
    assert (sports["n_prompts"], sports["images_per_prompt"]) == (1, TEST_IMAGES)
    assert set(sports["change"]) == set(evaluation["change"])
    # One of the two prompts has a target of its own, and with it another floor.
    counts = read_table(done / "artifacts/evaluation/prompts.parquet")
    rows = counts[(counts["model"] == "base") & (counts["attribute"] == "gender")]
    n = rows.set_index("prompt_id")["n"]
    floors = [
        fair_floor(np.array([n[name]]), target)
        for name, target in (("test-0", (0.3, 0.7)), ("test-1", (0.8, 0.2)))
        if n[name]
    ]
    assert evaluation["base"]["gender"]["fair_floor"] == pytest.approx(np.mean(floors))


def test_what_else_changed_is_measured_of_every_model(done):
    evaluation = read_json(done / "metrics/evaluation.json")
    for model, place in {"aligned": evaluation, **evaluation["baselines"]}.items():
        assert 0 < place["diversity"]["prompt"][model] <= 2
        assert place["diversity"]["prompt"]["base"] == evaluation["diversity"]["prompt"]["base"]
        for kind, images in (("people", TEST_IMAGES), ("scenes", SCENE_IMAGES)):
            entry = place["frechet"][kind]
            assert entry["images"] == 2 * images // 2
            assert entry["excess"] == pytest.approx(entry["distance"] - entry["floor"])
        scenes = place["scenes"]
        assert scenes["base"]["dino"] == pytest.approx(1, abs=1e-5)
        assert scenes[model]["dino"] < 1
        assert (scenes["n_prompts"], scenes["images_per_prompt"]) == (2, SCENE_IMAGES)
    assert evaluation["aligned"]["no_face_rate"] <= 1  # of the people's prompts alone


def test_the_tables_of_the_evaluation(done):
    verify(done / "artifacts/evaluation", kind="evaluation")
    faces = read_table(done / "artifacts/evaluation/faces.parquet")
    models = {"base", "aligned", "intervention", "uce", "debiasvl"}
    assert set(faces["model"]) == models
    assert len(faces) == len(models) * (3 * TEST_IMAGES + 2 * NAMED_IMAGES + 2 * SCENE_IMAGES)
    assert faces["present"].any()
    quality = read_table(done / "artifacts/evaluation/quality.parquet")
    assert quality["clip_t"].between(-1, 1).all()


def test_the_report_and_the_card_are_written(done):
    verify(done / "artifacts/report", kind="report")
    page = (done / "artifacts/report/report.html").read_text()
    assert "<html" in page
    assert "bank nurse" in page
    for method in ("intervention", "uce", "debiasvl"):
        assert f'<th scope="row">{method}</th>' in page
    assert "a made-up census" in page
    assert "female 30\u00a0%, male 70\u00a0%" in page
    assert "sports: gender bias" in page
    card = (done / "artifacts/report/model-card.md").read_text()
    evaluation = json.loads((done / "metrics/evaluation.json").read_text())
    assert f"{evaluation['aligned']['gender']['bias']:.3f}" in card


def test_steps_leave_the_global_generator_alone(done, here):
    from components.generate_prompts.main import main

    before = torch.get_rng_state()
    assert main(["--out", str(done / "again")]) == 0
    assert torch.equal(before, torch.get_rng_state())
