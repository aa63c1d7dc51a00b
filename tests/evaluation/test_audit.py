"""The figures of an audit, from faces whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import build
from fairness_core.errors import ArtifactError, FaceError
from fairness_core.evaluation import (
    AuditRules,
    Bootstrap,
    audit_figures,
    audit_prompts,
    list_images,
    measure_faces,
    undecided,
    write_png,
)
from fairness_core.faces import largest

SPACE = AttributeSpace.from_mapping({"gender": {"classes": ["female", "male"]}})
RULES = AuditRules(undecided_below=0.6, false_claims=0.05, labels_per_class=10)
MATRIX = np.array([[0.95, 0.05], [0.30, 0.70]])
PER_PROMPT = 100


@pytest.fixture(scope="module")
def world():
    """Ten prompts from even to all female, seen by a classifier that takes men for women."""
    draw = np.random.default_rng(0)
    rows = []
    for p in range(10):
        for i in range(PER_PROMPT):
            true = int(draw.random() > 0.5 + p / 20)
            seen = int(draw.random() < MATRIX[true, 1])
            rows.append((f"p{p}", f"{p}/{i}.png", true, seen, draw.uniform(0.5, 1.0)))
    names = np.array(["female", "male"])
    table = pd.DataFrame(rows, columns=["prompt_id", "file", "true", "seen", "sure"])
    faces = table.assign(present=True, readable=True, gender=names[table["seen"]])
    likely = np.where(table["seen"] == 0, table["sure"], 1 - table["sure"])
    faces["p_gender_female"], faces["p_gender_male"] = likely, 1 - likely
    labels = pd.DataFrame({"file": table["file"], "face": "yes", "gender": names[table["true"]]})
    return faces, labels.iloc[::2]


def figures(world, labels=None, **changes):
    return audit_figures(world[0].assign(**changes), SPACE, RULES, Bootstrap(0, 300), labels=labels)


def test_labels_undo_the_classifiers_errors(world):
    faces, labels = world
    truth = faces.groupby("prompt_id")["true"].mean()
    bias, female = (2 * truth - 1).abs().mean(), 1 - truth.mean()
    found = figures(world, labels)["gender"]
    corrected = found["corrected"]
    assert corrected["ci95"][0] <= bias <= corrected["ci95"][1]
    assert abs(corrected["bias"] - bias) <= abs(found["bias"] - bias) / 3
    low, high = corrected["shares_ci95"]["female"]
    assert low <= female <= high
    assert abs(corrected["shares"]["female"] - female) <= (found["shares"]["female"] - female) / 3
    assert np.sum(corrected["confusion"]) == len(labels)


def test_without_enough_labels_the_reason_stands_in_the_place(world):
    corrected = figures(world, world[1].iloc[:5])["gender"]["corrected"]
    assert "fewer than 10 labelled faces" in corrected["reason"]
    assert "corrected" not in figures(world)["gender"]


def test_no_face_and_undecided_are_outcomes_of_their_own(world):
    faces, _ = world
    absent = faces["file"].str.endswith("0.png")
    found = figures(world, present=~absent)
    assert found["no_face_rate"]["rate"] == pytest.approx(0.1)
    below = faces.loc[~absent, ["p_gender_female", "p_gender_male"]].max(axis=1) < 0.6
    assert found["undecided"]["gender"]["rate"] == pytest.approx(below.mean())
    low, high = found["undecided"]["gender"]["ci95"]
    assert low < below.mean() < high
    gone = figures(world, present=faces["prompt_id"] != "p3")
    assert gone["prompts_without_face"] == ["p3"]


def test_claims_about_prompts_are_adjusted(world):
    table = audit_prompts(world[0], SPACE, RULES, Bootstrap(0, 300)).set_index("prompt_id")
    assert (table["q_value"] >= table["p_value"]).all()
    assert table.loc["p9", "claim"]
    assert table["claim"].sum() == figures(world)["gender"]["claims"]
    assert figures(world)["gender"]["worst_prompt"]["prompt_id"] == table["bias"].idxmax()


def test_missing_probabilities_are_an_error(world):
    faces, _ = world
    with pytest.raises(ArtifactError, match="lacks probabilities of 'gender'.*no p_gender_male"):
        undecided(faces.drop(columns="p_gender_male"), SPACE, 0.6)
    with pytest.raises(ArtifactError, match="Given: 1000 faces without"):
        figures(world, p_gender_male=np.nan)


def test_labels_of_other_images_are_an_error(world):
    with pytest.raises(ArtifactError, match="not among the audited"):
        figures(world, world[1].assign(file="elsewhere.png"))


def test_nothing_to_measure_is_an_error(world):
    with pytest.raises(FaceError, match="No image of any prompt has a face"):
        figures(world, present=False)
    with pytest.raises(ArtifactError, match="None of the images can be read"):
        figures(world, readable=False)


class TwoPeople:
    """A small face on the left and a large one on the right of every image."""

    def detect(self, images):
        n, _, side, _ = images.shape
        small, large = (0.0, 0.0, side / 4, side / 4), (side / 2, 0.0, side, side / 2)
        boxes = torch.tensor([[small, large]]).repeat(n, 1, 1)
        scores = torch.tensor([[0.9, 0.6]]).repeat(n, 1)
        valid = torch.ones(n, 2, dtype=torch.bool)
        return largest(boxes, scores, torch.zeros(n, 2, 5, 2), (side, side), valid=valid)

    def detect_all(self, images):
        raise AssertionError("an audit measures one face of each image")


def test_of_two_people_the_larger_is_measured():
    rows = pd.DataFrame(
        {"image_id": ["a"], "prompt_id": ["p"], "index": [0], "model": ["m"], "split": ["s"]}
    )
    classifier = build("resnet", SPACE, 32, torch.Generator().manual_seed(0))
    faces = measure_faces(rows, torch.zeros(1, 3, 64, 64), TwoPeople(), [classifier], batch_size=1)
    assert faces[["x0", "y0", "x1", "y1"]].to_numpy().tolist() == [[32, 0, 64, 32]]
    assert len(faces) == 1


def test_folders_and_tables_that_cannot_be_listed(tmp_path):
    prompts = pd.DataFrame({"prompt_id": ["a"], "prompt": ["a nurse"]})
    (tmp_path / "a").mkdir()
    with pytest.raises(ArtifactError, match=r"no image \(.png"):
        list_images(tmp_path, prompts)
    write_png(np.zeros((8, 8, 3), np.uint8), tmp_path / "a" / "0.png")
    assert list_images(tmp_path, prompts)[1]["image_id"].tolist() == ["a-00000"]
    (tmp_path / "t.csv").write_text("file,prompt\na/0.png,a nurse\na/0.png,a nurse\n")
    with pytest.raises(ArtifactError, match="listed twice"):
        list_images(tmp_path / "t.csv", prompts)
    (tmp_path / "t.csv").write_text("file\na/0.png\n")
    with pytest.raises(ArtifactError, match="needs the columns file and prompt_id or prompt"):
        list_images(tmp_path / "t.csv", prompts)
    (tmp_path / "t.csv").write_text("file,prompt\na/0.png,a pilot\n")
    with pytest.raises(ArtifactError, match="does not have.*a pilot"):
        list_images(tmp_path / "t.csv", prompts)
