"""Files and folders that parameters name: which values count, and naming others for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairness_core.config import load
from fairness_core.config.places import moved_places, named_places
from tests.conftest import REPOSITORY

OVERRIDES = {
    "models": {
        "base": "models/sd",
        "face_embedder": "glint.onnx",
        "detector": "org/pack@0123456",
        "image_self": "org/dino@01",
    },
    "generate_prompts": {"world": "own.csv"},
    "targets": {"overrides": "who.csv"},
    "calibrate_classifier": {
        "source": {"gender": "celeba:data/celeba", "race": "fairface:data/none"},
        "train_network": {"gender": "models/g", "race": "/elsewhere/r"},
        "train_weights": "start.safetensors",
    },
}


def plain(*overrides):
    return load(REPOSITORY / "params.yaml", overrides).model_dump(mode="json")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder: Path) -> None:
    # The last ones share their names with what is no folder.
    names = ("models/sd", "models/g", "data/celeba", "org/dino@01")
    for name in (*names, "base", "resnet", "portraits", "photos"):
        (folder / name).mkdir(parents=True)
    for name in ("own.csv", "who.csv", "start.safetensors", "glint.onnx"):
        (folder / name).touch()


def test_everything_that_lies_here_is_named_otherwise(here):
    fill(here)
    values = plain()
    for section, entries in OVERRIDES.items():
        values[section] = {**values[section], **entries}
    assert moved_places(values, lambda path: None if path.is_absolute() else here / path) == {
        "models": {
            "base": f"{here}/models/sd",
            "face_embedder": f"{here}/glint.onnx",
            "image_self": f"{here}/org/dino@01",
        },
        "targets": {"overrides": f"{here}/who.csv"},
        "generate_prompts": {"world": f"{here}/own.csv"},
        "calibrate_classifier": {
            "source": {"gender": f"celeba:{here}/data/celeba"},
            "train_network": {"gender": f"{here}/models/g"},
            "train_weights": f"{here}/start.safetensors",
        },
    }
    missing = [".".join(one.place) for one in named_places(values) if not one.there]
    assert missing == [
        "calibrate_classifier.source.race",
        "calibrate_classifier.train_network.race",
    ]


def test_words_are_no_places_whatever_lies_here(here):
    fill(here)
    assert named_places(plain()) == []
    assert named_places(plain("generate_prompts.world=photos", "models.base=org/sd@0123456")) == []


def test_a_classifier_of_the_hub_is_no_folder(here):
    values = plain()
    values["calibrate_classifier"]["train_network"] = {"gender": f"org/faces@{'0' * 40}"}
    assert named_places(values) == []


def test_a_task_names_what_its_own_sections_do(here):
    assert named_places({"run": {}}) == []
    (found,) = named_places({"models": {"base": "nowhere", "detector_device": "auto"}})
    assert (found.place, found.there) == (("models", "base"), False)
