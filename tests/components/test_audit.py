"""The audit of any model or folder of images, end to end on a tiny random world."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from components import cli
from components.audit.main import main as audit
from fairness_core.config import load
from fairness_core.evaluation import write_png
from fairness_core.runtime import read_json, read_table, verify
from tests.components.test_bad_input import message
from tests.faces.tiny_detector import bright_cells, write_detector

AUDIT = "artifacts/classifiers/audit"
FEW = ("--set", "audit.bootstrap=100", "--set", "audit.labels_per_class=1")


@pytest.fixture(scope="module")
def folder(done, tmp_path_factory):
    """The base model's images as anybody might have them, and their prompts."""
    root = tmp_path_factory.mktemp("images")
    images = read_table(done / "artifacts/images/base/images.parquet")
    images = images[images["split"] == "test"]
    for row in images.itertuples():
        target = root / "set" / row.prompt_id / f"{row.index:03d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(done / "artifacts/images/base" / row.file, target)
    prompts = pd.DataFrame(
        {
            "prompt_id": ["test-0", "test-1"],
            "prompt": ["a bank nurse", "a harbour guard"],
            "subject": ["bank nurse", "harbour guard"],
        }
    )
    prompts.to_csv(root / "prompts.csv", index=False)
    return root


def run(*argv):
    return audit([str(arg) for arg in argv])


def told(folder, out, *more):
    images = ("--images", folder / "set", "--prompts", folder / "prompts.csv")
    return (*images, "--out", out, *FEW, *more)


def test_a_folder_is_measured_as_the_evaluation_measures_it(here, folder, tmp_path):
    assert run(*told(folder, tmp_path / "o")) == 0
    manifest = verify(tmp_path / "o", kind="audit")
    found = read_json(tmp_path / "o/audit.json")
    assert manifest["extra"]["classifier_sha256"] == found["classifier_sha256"]
    page = (tmp_path / "o/audit.html").read_text(encoding="utf-8")
    assert f"{found['gender']['bias']:.3f}" in page
    assert page.count('<figure class="audited">') == found["images"]
    evaluated = read_json(here / "metrics/evaluation.json")["base"]
    for group in ("gender", "age", "gender_x_age"):
        assert abs(found[group]["bias"] - evaluated[group]["bias"]) < 1e-9
        assert found[group]["sd"] == pytest.approx(evaluated[group]["sd"])
        assert found[group]["fair_floor"] == pytest.approx(evaluated[group]["fair_floor"])
    assert found["prompt_targets"] == {"test-0": {"gender": {"female": 0.3, "male": 0.7}}}
    assert found["no_face_rate"]["rate"] == pytest.approx(evaluated["no_face_rate"])
    assert set(found["undecided"]) == {"gender", "age"}
    table = read_table(tmp_path / "o/prompts.parquet")
    assert set(table["attribute"]) == {"gender", "age", "gender_x_age"}
    assert (table["q_value"].dropna() >= table["p_value"].dropna()).all()
    assert not (tmp_path / "o.partial").exists()


def test_two_classifiers_labels_and_a_table_of_images(here, folder, tmp_path):
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("set/*/*.png"))
    texts = {"test-0": "a bank nurse", "test-1": "a harbour guard"}
    rows = [{"prompt": texts[name.split("/")[1]], "file": name} for name in files]
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    sheet = pd.DataFrame({"file": files, "face": "yes", "gender": "male", "age": "old"})
    sheet.loc[::2, ["gender", "age"]] = ["female", "young"]
    sheet.to_csv(tmp_path / "labels.csv", index=False)
    argv = told(folder, tmp_path / "o", "--second", "artifacts/classifiers/train")
    argv = (*argv[:1], folder / "table.csv", *argv[2:], "--labels", tmp_path / "labels.csv")
    assert run(*argv) == 0
    found = read_json(tmp_path / "o/audit.json")
    assert set(found["disagreement"]) == {"gender", "age"}
    assert found["second"]["gender"]["fair_floor"] == found["gender"]["fair_floor"]
    corrected = found["gender"]["corrected"]
    assert np.sum(corrected["confusion"]) == round(len(files) * (1 - found["no_face_rate"]["rate"]))
    assert "bias" in corrected or "cannot tell" in corrected["reason"]
    assert "female/old" in found["gender_x_age"]["corrected"]["reason"]


def test_a_killed_audit_goes_on_to_the_same_rows(here, folder, tmp_path, monkeypatch):
    from fairness_core.evaluation import folder as module

    assert run(*told(folder, tmp_path / "whole", "--set", "audit.batch_size=2")) == 0
    measure, calls = module.measure_faces, []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(*args, **kwargs)

    monkeypatch.setattr(module, "measure_faces", dying)
    with pytest.raises(KeyboardInterrupt):
        run(*told(folder, tmp_path / "o", "--set", "audit.batch_size=2"))
    assert not (tmp_path / "o").exists()
    assert run(*told(folder, tmp_path / "o", "--set", "audit.batch_size=2")) == 0
    assert len(calls) == 3 + 2  # four batches: two before the kill, two after
    for name in ("faces.parquet", "prompts.parquet"):
        left, right = (read_table(tmp_path / out / name) for out in ("whole", "o"))
        pd.testing.assert_frame_equal(left, right)


def test_a_model_without_a_safety_checker_is_sampled_and_measured(here, folder, tmp_path):
    argv = (
        "--model",
        here.base,
        "--prompts",
        folder / "prompts.csv",
        "--out",
        tmp_path / "o",
        *FEW,
    )
    assert run(*argv, "--set", "audit.images_per_prompt=3") == 0
    assert read_json(tmp_path / "o/audit.json")["images"] == 6
    assert len(list((tmp_path / "o-images").glob("png/*/*.png"))) == 6


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--classifier", "nowhere"), "no model.safetensors. Given: nowhere."),
        (("--second", "nowhere"), "no model.safetensors. Given: nowhere."),
        (("--second", AUDIT), "cannot disagree"),
        (
            ("--classifier", "artifacts/classifiers/train", "--bundle", "artifacts/bundle"),
            "the one that the model was trained with",
        ),
    ],
)
def test_a_classifier_that_cannot_measure_is_said_before_a_model_is_sampled(
    here, folder, tmp_path, capsys, more, said
):
    argv = ("--model", here.base, "--prompts", folder / "prompts.csv", "--out", tmp_path / "o")
    assert said in message(capsys, audit, *argv, *more)
    assert not list(tmp_path.iterdir())


def test_the_training_classifier_is_refused_unless_told(here, folder, tmp_path, capsys):
    argv = (
        "--images", "artifacts/images/aligned", "--prompts", here / "catalog.csv",
        "--classifier", "artifacts/classifiers/train", "--out", tmp_path / "o", *FEW,
    )  # fmt: skip
    assert "the one that the model was trained with" in message(capsys, audit, *argv)
    assert run(*argv, "--allow-training-classifier") == 0
    assert read_json(tmp_path / "o/audit.json")["trained_against_allowed"] is True


def test_damaged_images_end_the_audit_or_are_counted(here, folder, tmp_path, capsys):
    shutil.copytree(folder / "set", tmp_path / "set")
    shutil.copy(folder / "prompts.csv", tmp_path)
    broken = tmp_path / "set/test-0/001.png"
    broken.write_bytes(b"not a picture")
    write_png(np.full((40, 48, 3), 250, np.uint8), tmp_path / "set/test-1/large.png")
    said = message(capsys, audit, *told(tmp_path, tmp_path / "o"))
    assert f"Given: {broken}. What to do: restore it, or audit with --damaged count" in said
    assert run(*told(tmp_path, tmp_path / "o", "--damaged", "count")) == 0
    assert "unreadable: 1 images, in no other figure" in capsys.readouterr().err
    found = read_json(tmp_path / "o/audit.json")
    assert (found["unreadable"], found["images"]) == (1, 8)


def test_bad_input_is_one_message(here, folder, tmp_path, capsys):
    (tmp_path / "twice.txt").write_text("a bank nurse\nA bank nurse\n")
    argv = told(folder, tmp_path / "o")
    said = message(capsys, audit, *argv[:2], "--prompts", tmp_path / "twice.txt", *argv[4:])
    assert "prompt repeated: 'A bank nurse'" in said
    (tmp_path / "other.txt").write_text("a pilot\n")
    said = message(capsys, audit, *argv[:2], "--prompts", tmp_path / "other.txt", *argv[4:])
    assert "prompts that the list does not have. Given: test-0, test-1." in said
    assert "name the folders like its ids: prompt-000." in said
    said = message(capsys, audit, *argv, "--classifier", folder)
    assert "no model.safetensors" in said
    said = message(capsys, audit, *argv, "--second", AUDIT)
    assert "cannot disagree" in said
    said = message(capsys, audit, "--images", tmp_path / "none", *argv[2:])
    assert "There are no images here" in said
    assert not (tmp_path / "o").exists()


def test_a_target_with_a_zero_class_is_a_target(here, folder, tmp_path):
    assert run(*told(folder, tmp_path / "o", "--set", "attributes.age.target=[1.0, 0.0]")) == 0
    found = read_json(tmp_path / "o/audit.json")
    assert found["age"]["fair_floor"] == 1.0


def test_the_planner_speaks(here):
    command = ["plan-audit", "--half-width", "0.03", "--prompts", "50", "--attribute", "gender"]
    said = CliRunner().invoke(cli.app, command, catch_exceptions=False).output
    assert "±0.03 on gender at 50 prompts you need 86 images each, 4300 in all" in said


def test_the_detectors_are_those_of_the_parameters(here, folder, tmp_path, capsys):
    """The second one looks where the first finds nobody; here that is everywhere."""
    blind = bright_cells()
    blind["score"][1][:] = -50
    write_detector(tmp_path / "blind" / "det.onnx", blind)
    usual = load(here / "params.yaml").models.detector
    told_of = [
        f"models.detector={tmp_path / 'blind'}",
        f"models.second_detector={usual}",
        "models.second_detector_size=32",
    ]
    options = [word for one in told_of for word in ("--set", one)]
    assert run(*told(folder, tmp_path / "o", *options)) == 0
    evaluated = read_json(here / "metrics/evaluation.json")["base"]
    found = read_json(tmp_path / "o/audit.json")
    assert found["no_face_rate"]["rate"] == pytest.approx(evaluated["no_face_rate"])
    assert found["no_face_rate"]["rate"] < 1

    options += ["--set", "models.detector_device=cuda"]
    said = message(capsys, audit, *told(folder, tmp_path / "gpu", *options))
    assert "The face detector cannot run there" in said
