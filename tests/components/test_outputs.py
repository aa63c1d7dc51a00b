"""No step replaces what another wrote; it says so before it computes anything."""

from __future__ import annotations

import importlib
import shutil

import pytest

from components.audit.main import main as audit
from components.finetune.main import main as finetune
from components.generate_baselines.main import main as generate_baselines
from components.generate_images.main import main as generate_images
from components.generate_prompts.main import main as generate_prompts
from tests.components.test_bad_input import message

# Each with what its command line cannot do without.
STEPS = {
    "generate_prompts": (),
    "calibrate_classifier": (),
    "build_bank": (),
    "finetune": (),
    "publish": (),
    "generate_images": ("--model", "base"),
    "generate_baselines": (),
    "measure_images": (),
    "evaluate_bias": (),
    "report": (),
    "gate": (),
    "audit": ("--images", "artifacts/images/base", "--prompts", "catalog.csv"),
}


@pytest.fixture
def taken(tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    return folder


def untouched(capsys, main, out, *argv):
    """What the step says that leaves the folder alone and does not even start."""
    before = sorted(out.rglob("*"))
    assert main([str(arg) for arg in argv]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "started on" not in said
    assert sorted(out.rglob("*")) == before
    return said


@pytest.mark.parametrize("step", STEPS)
def test_a_folder_of_others_is_left_alone(here, capsys, taken, step):
    main = importlib.import_module(f"components.{step}.main").main
    said = untouched(capsys, main, taken, *STEPS[step], "--out", taken)
    assert "no step wrote it" in said
    assert (taken / "thesis.txt").read_text() == "years of work"
    other = "artifacts/classifiers" if step == "generate_prompts" else "artifacts/prompts"
    there = shutil.copytree(here / other, taken / "other")
    assert "of kind '" in untouched(capsys, main, taken, *STEPS[step], "--out", there)


def test_an_audit_does_not_write_into_the_images_it_reads(here, capsys, tmp_path):
    images = shutil.copytree(here / "artifacts/images/base", tmp_path / "images")
    read = ("--images", images, "--prompts", here / "catalog.csv")
    for out in (images, images / "audit", tmp_path):
        assert "where it reads" in untouched(capsys, audit, tmp_path, *read, "--out", out)


def test_what_lies_beside_the_folder_is_left_alone_too(here, capsys, tmp_path):
    for name in ("o.partial", "p-images"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work")
    read = ("--prompts", here / "catalog.csv")
    base = ("--images", "artifacts/images/base", *read, "--out", tmp_path / "o")
    assert "o.partial: thesis.txt" in untouched(capsys, audit, tmp_path, *base)
    sampled = ("--model", here.base, *read, "--out", tmp_path / "p")
    assert "p-images" in untouched(capsys, audit, tmp_path, *sampled)
    for main, more in ((generate_baselines, ()), (generate_images, ("--model", "base"))):
        said = untouched(capsys, main, tmp_path, *more, "--out", tmp_path / "o")
        assert "o.partial: thesis.txt" in said


def test_checkpoints_do_not_end_with_the_folder_that_is_replaced(here, capsys, tmp_path):
    (tmp_path / "o" / "checkpoints").mkdir(parents=True)
    argv = ("--out", tmp_path / "o", "--checkpoints", tmp_path / "o" / "checkpoints")
    assert "where it reads" in untouched(capsys, finetune, tmp_path, *argv)


def test_a_step_replaces_what_it_wrote(here, capsys, tmp_path):
    out = ("--out", str(tmp_path / "o"))
    for _ in range(2):
        assert generate_prompts([*out]) == 0
    (tmp_path / "o" / "thesis.txt").write_text("years of work")
    assert "holds files that no step put there" in message(capsys, generate_prompts, *out)
