"""Bad input: one message, exit status 1, no traceback, and nothing half-written."""

from __future__ import annotations

import shutil

import pytest
import yaml

from components.calibrate_classifier.main import main as calibrate_classifier
from components.evaluate_bias.main import main as evaluate_bias
from components.generate_images.main import main as generate_images
from components.generate_prompts.main import main as generate_prompts
from components.measure_images.main import main as measure_images
from components.publish.main import main as publish
from components.report.main import main as report
from fairness_core.runtime import write_manifest


def message(capsys, main, *argv):
    """What a failing step prints, log lines aside."""
    assert main([str(arg) for arg in argv]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    lines = said.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error: "))
    return "\n".join(lines[start:])


def test_every_problem_of_the_parameters_is_listed(here, capsys, tmp_path):
    params = yaml.safe_load((here / "params.yaml").read_text())
    params["generate_images"]["stepz"] = 3
    params["attributes"]["age"]["target"] = [0.5, 0.6]
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    said = message(
        capsys, generate_prompts, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o"
    )
    assert "stepz" in said
    assert "attributes.age" in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.splitlines()[0] + "\n", "prompt list is empty"),
        (lambda text: text.replace(",test,", ",validation,"), "split 'test' is empty"),
        (
            lambda text: text.replace("a bank guard,", "a bank nurse by day,"),
            "can be learned from another",
        ),
        (lambda text: text.replace(",test,", ",tset,"), "did you mean 'test'"),
    ],
)
def test_bad_catalogs(here, capsys, tmp_path, change, expected):
    (tmp_path / "c.csv").write_text(change((here / "catalog.csv").read_text()))
    world = f"generate_prompts.world={tmp_path / 'c.csv'}"
    assert expected in message(capsys, generate_prompts, "--set", world, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_missing_inputs_are_named(here, capsys, tmp_path):
    nowhere = tmp_path / "nowhere"
    out = ("--out", tmp_path / "o")
    said = message(capsys, generate_images, "--model", "base", "--prompts", nowhere, *out)
    assert str(nowhere) in said
    said = message(capsys, generate_images, "--model", "aligned", "--bundle", nowhere, *out)
    assert str(nowhere) in said
    assert str(nowhere) in message(capsys, publish, "--finetuned", nowhere, *out)
    assert str(nowhere) in message(capsys, measure_images, "--classifiers", nowhere, *out)
    assert str(nowhere) in message(capsys, evaluate_bias, "--measured", nowhere, *out)
    assert str(nowhere) in message(capsys, report, "--evaluated", nowhere, *out)
    assert not (tmp_path / "o").exists()


def test_damaged_inputs_are_named_with_both_hashes(here, capsys, tmp_path):
    shutil.copytree(here / "artifacts/bundle", tmp_path / "bundle")
    weights = tmp_path / "bundle" / "pytorch_lora_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    said = message(
        capsys, generate_images, "--model", "aligned", "--bundle", tmp_path / "bundle",
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert "SHA-256" in said
    assert weights.name in said


def test_the_training_classifier_may_not_measure(here, capsys, tmp_path):
    classifiers = tmp_path / "classifiers"
    shutil.copytree(here / "artifacts/classifiers", classifiers)
    shutil.rmtree(classifiers / "audit")
    shutil.copytree(classifiers / "train", classifiers / "audit")
    write_manifest(classifiers, "classifiers")
    said = message(capsys, measure_images, "--classifiers", classifiers, "--out", tmp_path / "o")
    assert "audit classifier is the one that the model was trained with" in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("guidance=1.0", "guidance: base 1.0, aligned 3.0"),
        ("precision=bfloat16", "dtype: base torch.bfloat16, aligned torch.float32"),
    ],
)
def test_images_made_otherwise_are_not_compared(here, capsys, tmp_path, value, expected):
    words = ["--set", f"generate_images.{value}", "--out", str(tmp_path / "b")]
    assert generate_images(["--model", "base", *words]) == 0
    capsys.readouterr()
    said = message(capsys, measure_images, "--base", tmp_path / "b", "--out", tmp_path / "o")
    assert expected in said


def test_images_without_any_face_are_an_error(here, capsys, tmp_path, monkeypatch):
    from fairness_core.faces.backends import insightface
    from tests.helpers.tiny_world import BrightSpot

    monkeypatch.setattr(
        insightface, "InsightFaceDetector", lambda *_, **__: BrightSpot(darkest=9.0)
    )
    assert measure_images(["--out", str(tmp_path / "m")]) == 0
    capsys.readouterr()
    told = ("--out", tmp_path / "o", "--metrics", tmp_path / "m.json")
    said = message(capsys, evaluate_bias, "--measured", tmp_path / "m", *told)
    assert "face" in said
    assert not (tmp_path / "o").exists()


def test_attributes_that_the_portraits_do_not_have(here, capsys, tmp_path):
    params = yaml.safe_load((here / "params.yaml").read_text())
    params["attributes"]["gender"]["classes"] = ["male", "female"]
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    said = message(
        capsys, calibrate_classifier, "--params", tmp_path / "p.yaml", "--out", tmp_path / "o",
        "--metrics", tmp_path / "m.json",
    )  # fmt: skip
    assert "portraits does not draw 'gender' as male, female, but female, male" in said
    assert not (tmp_path / "o").exists()
