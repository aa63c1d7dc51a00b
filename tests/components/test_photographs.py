"""Presets for photographs, from a data set in its published layout to what finetuning loads."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml

from components.build_bank.main import main as build_bank
from components.build_bank.sources import Merging, cut_face, open_source
from components.calibrate_classifier.main import main as calibrate_classifier
from components.finetune.assemble import load_realism
from components.finetune.main import main as finetune
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.config import load_preset, read_presets
from fairness_core.embeddings import FaceBank, weights_sha256
from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.portraits.models import resolve
from fairness_core.runtime import read_json, read_table, verify
from tests.conftest import REPOSITORY
from tests.helpers.photo_sets import write_celeba, write_fairface
from tests.helpers.tiny_world import write_params

PRESETS = [p for p in read_presets(REPOSITORY / "presets") if p.name.startswith("sd15-")]
FACES = {
    "detector": "portraits:faces",
    "detector_size": 64,
    "second_detector": None,
    "face_embedder": "portraits:faces/embedder",
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    write_fairface(folder / "fairface", train=160, val=48)
    write_celeba(folder / "celeba", count=160)
    return folder


@pytest.fixture(scope="module")
def done(root):
    """Both steps with a preset's values but for what makes them small; equal values run once."""
    made = {}

    def run(preset, **bank):
        params = load_preset(REPOSITORY / "params.yaml", preset)
        values = params.model_dump(mode="json")
        values["run"] |= {"device": "cpu", "threads": 1, "tracking": False}
        values["models"] |= FACES
        # As somebody would who unpacked the data set elsewhere.
        assert values["calibrate_classifier"]["source"] == "fairface:data/fairface"
        values["calibrate_classifier"] |= {
            "source": f"fairface:{root / 'fairface'}",
            "size": 32,
            "epochs": 1,
            "audit_epochs": 1,
        }
        assert values["build_bank"]["source"] == "fairface:data/fairface"
        values["build_bank"] |= {"source": f"fairface:{root / 'fairface'}"} | bank
        keys = ("models", "attributes", "calibrate_classifier", "build_bank")
        key = json.dumps([values[k] for k in keys])
        if key not in made:
            folder = root / f"run-{len(made)}"
            folder.mkdir()
            path = folder / "params.yaml"
            path.write_text(yaml.safe_dump(values, sort_keys=False))
            options = ["--params", str(path)]
            assert build_bank([*options, "--out", str(folder / "bank")]) == 0
            if not bank:
                places = ["--out", str(folder / "classifiers"), "--metrics", str(folder / "m.json")]
                assert calibrate_classifier([*options, *places]) == 0
            made[key] = folder
        return params, made[key]

    return run


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_has_what_the_paper_says_of_its_classifiers(preset):
    told = load_preset(REPOSITORY / "params.yaml", preset).calibrate_classifier
    assert (told.train_network, told.audit_network) == ("mobilenet_v3_large", "resnet50")
    assert (told.size, told.batch_size, told.epochs, told.audit_epochs) == (224, 256, 10, 20)
    # Half of FairFace's 86,744 training pictures for each classifier.
    assert 0.35 * told.images >= 86_744 / 2


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_gives_classifiers_and_a_bank_that_finetuning_loads(preset, done):
    params, folder = done(preset)
    space = params.attribute_space
    manifest = verify(folder / "classifiers", kind="classifiers")["extra"]
    assert manifest["images"] == {"train": 80, "audit": 80, "calibration": 16, "test": 32}
    for role in ("train", "audit"):
        model = AttributeClassifier.load(folder / "classifiers" / role, space)
        assert set(model.predict(torch.zeros(1, 3, 32, 32))) == {"gender", "race", "age"}
    networks = [
        read_json(folder / f"classifiers/{role}/config.json")["architectures"]
        for role in ("train", "audit")
    ]
    assert networks[0] != networks[1]
    assert params.finetune.lambda_face > 0
    realism = load_realism(params.finetune, params.section("models") | FACES, space,
                           folder / "bank", CPU)  # fmt: skip
    assert set(realism.bank.labels) == set(params.finetune.align)
    assert len(realism.bank) > 140


@pytest.mark.slow
def test_a_bank_of_fairface_has_the_training_faces_and_their_terms(done):
    params, folder = done(PRESETS[0])
    extra = verify(folder / "bank", kind="face-bank")["extra"]
    assert "FairFace, training part (Kärkkäinen" in extra["source"]
    assert extra["licence"].startswith("CC BY 4.0")
    assert any("WMELH = White + Middle Eastern + Latino_Hispanic" in x for x in extra["labels"])
    table = read_table(folder / "bank" / "faces.parquet")
    assert list(table.columns) == ["source_id", "gender", "race", "age", "source", "licence"]
    assert table["source_id"].str.startswith("fairface:train/").all()
    assert table["source_id"].is_unique
    assert set(table["licence"]) == {extra["licence"]}
    assert extra["faces"] == len(table) == 160 - extra["without_face"]
    sha = weights_sha256(resolve(FACES["face_embedder"]))
    space = params.attribute_space.subset(["gender", "race"])
    loaded = FaceBank.load(folder / "bank", space, embedder_sha256=sha)
    assert set(loaded.labels) == {"gender", "race"}
    assert loaded.labels["race"].unique().tolist() == [0, 1, 2, 3]
    races = [space["race"].classes[k] for k in loaded.labels["race"]]
    assert races == table["race"].tolist()


@pytest.mark.slow
def test_finetuning_takes_its_aims_from_a_bank_of_fairface(tiny_world, root, repository, tmp_path):
    path = write_params(tmp_path / "p.yaml", repository, tiny_world, lambda_face=1.0,
                        iterations=1, images_per_prompt=4, checkpoint_every=1)  # fmt: skip
    bank = tmp_path / "bank"
    drawn = {**FACES, "face_embedder": str(tiny_world.face_embedder)}
    options = [f"models.{k}={'null' if v is None else v}" for k, v in drawn.items()]
    options += [f"build_bank.source=fairface:{root / 'fairface'}", "build_bank.images=64"]
    given = [word for option in options for word in ("--set", option)]
    assert build_bank(["--params", str(path), *given, "--out", str(bank)]) == 0
    places = {"params": path, "prompts": tiny_world.prompts, "classifiers": tiny_world.classifiers,
              "bank": bank, "checkpoints": tmp_path / "c", "out": tmp_path / "o",
              "metrics": tmp_path / "m.json"}  # fmt: skip
    assert finetune([word for k, v in places.items() for word in (f"--{k}", str(v))]) == 0
    log = read_table(tmp_path / "o" / "log.parquet")
    assert log["loss_face"].iloc[0] > 0


@pytest.mark.slow
def test_fewer_pictures_than_there_are_come_from_all_over_the_table(done):
    _, folder = done(PRESETS[0], images=60)
    table = read_table(folder / "bank" / "faces.parquet")
    numbers = table["source_id"].str.extract(r"(\d+)")[0].astype(int)
    assert 50 <= len(table) <= 60
    assert numbers.is_monotonic_increasing
    assert numbers.max() > 120


@pytest.mark.slow
def test_a_bank_of_celeba_serves_the_attributes_it_labels(done, root):
    params, folder = done(PRESETS[0], source=f"celeba:{root / 'celeba'}")
    table = read_table(folder / "bank" / "faces.parquet")
    assert table["race"].isna().all()
    assert set(table["age"]) == {"young", "old"}
    assert "non-commercial" in table["licence"][0]
    sha = weights_sha256(resolve(FACES["face_embedder"]))
    space = params.attribute_space
    pair = space.subset(["gender", "age"])
    assert len(FaceBank.load(folder / "bank", pair, embedder_sha256=sha)) == len(table)
    with pytest.raises(ArtifactError, match=r"no face that is female/WMELH.*use a source that has"):
        FaceBank.load(folder / "bank", space.subset(["gender", "race"]), embedder_sha256=sha)


def test_the_bank_merges_labels_as_the_classifiers_do(root):
    space = load_preset(REPOSITORY / "params.yaml", PRESETS[0]).attribute_space
    name = f"fairface:{root / 'fairface'}"
    asian = ["East Asian", "Southeast Asian", "Indian"]
    merged = {"race": {"WMELH": ["White"], "Black": ["Black"], "Indian": ["Middle Eastern",
              "Latino_Hispanic"], "Asian": asian}}  # fmt: skip
    found = {}
    for key, merging in {"usual": Merging({}, 40, 0.25), "own": Merging(merged, 70, 0.25)}.items():
        source = open_source(name, 10**6, space, 0, merging)
        rows = [picture.labels for picture in source.pictures]
        found[key] = {c: sum(row[a] == c for row in rows)
                      for a, c in (("age", "old"), ("race", "Asian"))}  # fmt: skip
    assert found["usual"] == {"old": 80, "Asian": 40}
    assert found["own"] == {"old": 40, "Asian": 80}
    assert "race: WMELH = White; Black = Black" in " ".join(source.labels)


def test_photographs_of_the_official_release_in_the_wild_are_cut_one_by_one(tmp_path):
    space = AttributeSpace.from_mapping({"gender": {"classes": ["female", "male"]}})
    write_celeba(tmp_path / "c", count=80, text=True, wild=True)
    source = open_source(f"celeba:{tmp_path / 'c'}", 99, space, 0, Merging({}, 40, 0.25))
    pictures = list(source.pictures)
    assert len(pictures) == 48, "the training part alone"
    assert pictures[0].source_id == "celeba:Img/img_celeba/000001.jpg"
    assert len({tuple(picture.image.shape) for picture in pictures}) > 1, "of 64 px all"


def test_a_photograph_is_cut_to_its_labelled_face():
    image = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    box = np.array([20, 10, 30, 20], np.float32)
    assert np.array_equal(cut_face(image, box), image[5:25, 15:35])
    at_the_edge = np.array([50, 30, 58, 40], np.float32)
    assert np.array_equal(cut_face(image, at_the_edge), image[25:40, 44:60])
    for odd in ([0, 0, 0, 0], [90, 90, 95, 95], [-9, -9, -5, -5]):
        assert cut_face(image, np.array(odd, np.float32)).size > 0


def test_a_source_without_any_of_the_attributes_is_refused(root):
    space = AttributeSpace.from_mapping({"race": {"classes": ["WMELH", "Black"]}})
    with pytest.raises(ConfigError, match="labels none of the attributes.*labels gender, age"):
        open_source(f"celeba:{root / 'celeba'}", 9, space, 0, Merging({}, 40, 0.25))


def test_without_a_source_the_bank_is_empty_and_no_model_is_needed(tmp_path):
    out = tmp_path / "bank"
    options = ["build_bank.source=null", "models.face_embedder=nowhere", "models.detector=nowhere",
               "run.tracking=false"]  # fmt: skip
    given = [word for option in options for word in ("--set", option)]
    assert build_bank(["--params", str(REPOSITORY / "params.yaml"), *given, "--out", str(out)]) == 0
    extra = verify(out, kind="face-bank")["extra"]
    assert (extra["source"], extra["faces"]) == (None, 0)
    params = load_preset(REPOSITORY / "params.yaml", PRESETS[0])
    with pytest.raises(ArtifactError, match="bank is empty.*set finetune.lambda_face to 0"):
        FaceBank.load(out, params.attribute_space, embedder_sha256="a" * 64)
