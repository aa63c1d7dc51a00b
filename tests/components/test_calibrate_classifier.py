"""Classifiers on data sets in their published layouts, and ready ones, through the step itself."""

from __future__ import annotations

import pytest
import torch
import yaml

from components.calibrate_classifier.main import main
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.runtime import read_json, verify
from tests.helpers.photo_sets import ATTRIBUTES, SPACE, write_celeba, write_fairface
from tests.helpers.ready_classifiers import write_ready
from tests.helpers.tiny_world import CROP

TWO = {name: ATTRIBUTES[name] for name in ("gender", "age")}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return {
        "fairface": f"fairface:{write_fairface(root / 'fairface', train=96, val=48)}",
        "celeba": f"celeba:{write_celeba(root / 'celeba', count=80)}",
    }


def write_step_params(path, repository, attributes, **changes):
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["run"] |= {"device": "cpu", "threads": 1, "tracking": False}
    params["attributes"] = {n: {**a, "target": "uniform"} for n, a in attributes.items()}
    params["finetune"] |= {
        "align": ["gender"],
        "factor1": {"gender": 0.2},
        "factor2": {"gender": 0.2},
    }
    few = {"epochs": 1, "audit_epochs": 1, "batch_size": 16, "size": CROP}
    params["calibrate_classifier"] |= few | changes
    params["build_bank"] |= {"source": None}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return path


def run(tmp_path, repository, attributes=ATTRIBUTES, **changes):
    params = write_step_params(tmp_path / "params.yaml", repository, attributes, **changes)
    return main(
        ["--params", str(params), "--out", str(tmp_path / "out"),
         "--metrics", str(tmp_path / "metrics.json")]
    )  # fmt: skip


def said(capsys):
    return capsys.readouterr().err.split("error: ")[-1]


def test_fairface_from_pictures_to_cards(sets, tmp_path, repository):
    assert run(tmp_path, repository, source=sets["fairface"], epochs=6) == 0
    manifest = verify(tmp_path / "out", kind="classifiers")
    used = {"train": 48, "audit": 48, "calibration": 10, "test": 20}
    # 100 images in all would be fewer than there are: the default is more.
    assert manifest["extra"]["images"] == used | {"calibration": 16, "test": 32}
    report = read_json(tmp_path / "out" / "calibration.json")
    assert report["train"]["gender"]["n"] == 32
    assert report["train"]["race"]["accuracy"] > 0.5, "four tones are learnt quickly"
    assert "race=Indian" in report["audit"]["age"]["groups"]
    assert (tmp_path / "out" / "reliability.png").is_file()
    model = AttributeClassifier.load(tmp_path / "out" / "train", SPACE)
    entry = report["train"]["age"]
    assert model.temperatures["age"] == entry["temperature"] != 1
    card = (tmp_path / "out" / "train" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["pipeline_tag"] == "image-classification"
    for text in ("FairFace", "CC BY 4.0", "WMELH = White + Middle Eastern", "48 for train",
                 f"| age | {entry['accuracy']:.3f} | 32 |", "race=Black"):  # fmt: skip
        assert text in card
    assert "audit" not in card.split("Pictures used")[1].splitlines()[0]


def test_attributes_from_different_sources(sets, tmp_path, repository):
    source = {"gender": sets["celeba"], "race": sets["fairface"], "age": sets["fairface"]}
    assert run(tmp_path, repository, source=source) == 0
    report = read_json(tmp_path / "out" / "calibration.json")["train"]
    assert {name: report[name]["n"] for name in report} == {"gender": 16, "race": 32, "age": 32}
    assert set(report["gender"]["groups"]) == {"gender=female", "gender=male"}
    assert "race=Black" in report["age"]["groups"]
    card = (tmp_path / "out" / "audit" / "README.md").read_text()
    assert "CC BY 4.0" in card
    assert "non-commercial" in card


def test_at_most_so_many_pictures_are_used(sets, tmp_path, repository):
    assert run(tmp_path, repository, TWO, source=sets["fairface"], images=100) == 0
    used = verify(tmp_path / "out")["extra"]["images"]
    assert used == {"train": 35, "audit": 35, "calibration": 10, "test": 20}


def test_ready_classifiers_are_measured_and_joined(sets, tmp_path, repository):
    ready = {
        "gender": str(write_ready(tmp_path / "g", ("Male", "Female"))),
        "age": str(write_ready(tmp_path / "a", ("Old", "Young"), kind="convnext")),
    }
    assert run(tmp_path, repository, TWO, source=sets["celeba"], train_network=ready) == 0
    space = AttributeSpace.from_mapping(TWO)
    model = AttributeClassifier.load(tmp_path / "out" / "train", space)
    assert model.temperatures["gender"] != 1
    report = read_json(tmp_path / "out" / "calibration.json")["train"]
    assert report["gender"]["n"] == 16
    card = (tmp_path / "out" / "train" / "README.md").read_text()
    assert "gender from `g`" in card
    assert str(tmp_path) not in card
    crops = torch.zeros(2, 3, 32, 32)
    assert model.predict(crops)["age"].shape == (2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "fairface:nowhere"}, "not here. Given: calibrate_classifier.source: nowhere"),
        ({"source": "lfw:x"}, "'portraits', fairface:FOLDER, celeba:FOLDER or a mapping"),
        ({"source": {"gender": "celeba:x"}}, "has nothing for age"),
        ({"train_network": {"gender": "nowhere", "age": "nowhere"}}, "train_network.age: nowhere"),
        ({"train_network": "vgg"}, "one of resnet, mobilenet, mobilenet_v3_large, resnet50"),
        ({"train_network": {"gender": "g", "age": "g"}, "audit_network": {"gender": "g",
          "age": "h"}}, "must not have a classifier that training has; given g"),
        ({"train_weights": __file__}, "no safetensors file"),
        ({"merges": {"agee": {}}}, "did you mean 'age'"),
    ],
)  # fmt: skip
def test_bad_parameters_are_one_clear_error(tmp_path, repository, capsys, changes, message):
    assert run(tmp_path, repository, TWO, images=100, **changes) == 1
    assert message in said(capsys)
    assert not (tmp_path / "out").exists()


def test_bad_data_are_one_clear_error(tmp_path, repository, capsys):
    folder = write_fairface(tmp_path / "set", train=16, val=6)
    picture = folder / "train" / "3.jpg"
    picture.write_bytes(picture.read_bytes()[:100])
    assert run(tmp_path, repository, TWO, source=f"fairface:{folder}") == 1
    text = said(capsys)
    assert "An image cannot be decoded" in text
    assert "train/3.jpg" in text
    table = folder / "fairface_label_val.csv"
    table.write_text(table.read_text().replace("Female", "Femal", 1))
    assert run(tmp_path, repository, TWO, source=f"fairface:{folder}") == 1
    assert "'Femal' in row 1" in said(capsys), "labels come before pictures"
    assert not (tmp_path / "out").exists()
