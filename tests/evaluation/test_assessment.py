"""Measuring images: every row belongs to its image."""

import numpy as np
import pandas as pd
import pytest
import torch

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import build
from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.errors import ArtifactError
from fairness_core.evaluation import Instruments, assess, quality_table, read_images, write_png
from fairness_core.faces import crop_faces
from tests.embeddings.tiny_encoders import make_clip, make_dino
from tests.helpers.tiny_world import BrightSpot

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)
PROMPTS = pd.DataFrame({"prompt_id": ["a", "b"], "prompt": ["a nurse", "a guard"]})
DARK = 3


@pytest.fixture(scope="module")
def instruments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    return Instruments(
        # The darkest image has no face.
        detector=BrightSpot(darkest=-0.9),
        classifier=build("resnet", SPACE, 32, torch.Generator().manual_seed(0)),
        image_text=ImageTextEncoder.load(make_clip(folder / "clip")),
        image_self=ImageSelfEncoder.load(make_dino(folder / "dino")),
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    rows = []
    for i in range(5):
        pixels = draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        write_png(pixels * (i != DARK), folder / f"{i}.png")
        rows.append((f"img{i}", "ab"[i % 2], i // 2, "base", "test", f"{i}.png"))
    table = pd.DataFrame(rows, columns=["image_id", "prompt_id", "index", "model", "split", "file"])
    return folder, table


def measure(images, instruments, rows=slice(None), batch_size=2):
    folder, table = images
    return assess(table.iloc[rows], folder, PROMPTS, instruments, SPACE, batch_size=batch_size)


def test_the_faces_table_has_one_row_per_image_and_only_faces_have_classes(images, instruments):
    faces = measure(images, instruments).faces
    assert list(faces["image_id"]) == [f"img{i}" for i in range(5)]
    assert list(faces["present"]) == [i != DARK for i in range(5)]
    absent = faces.iloc[DARK]
    assert absent[["gender", "age"]].isna().all()
    assert absent[["p_gender_female", "p_age_old"]].isna().all()
    assert absent["score"] == 0
    seen = faces[faces["present"]]
    assert np.allclose(seen["p_gender_female"] + seen["p_gender_male"], 1)
    male = seen["p_gender_male"] > seen["p_gender_female"]
    assert list(seen["gender"]) == ["male" if flag else "female" for flag in male]


def test_figures_are_those_of_the_networks_on_the_files(images, instruments):
    folder, table = images
    found = measure(images, instruments)
    pixels = read_images(folder, table["file"])
    faces = instruments.detector.detect(pixels)
    crops = crop_faces(pixels, faces.boxes, faces.present, size=32)
    shares = instruments.classifier.predict(crops)["age"].numpy()
    present = faces.present.numpy()
    assert np.allclose(found.faces["p_age_old"][present], shares[present, 1], atol=1e-5)
    assert np.allclose(found.faces[["x0", "y0", "x1", "y1"]], faces.boxes, atol=1e-4)
    with torch.no_grad():
        seen = instruments.image_text.image(pixels)
        said = instruments.image_text.text(["a nurse", "a guard", "a nurse", "a guard", "a nurse"])
        own = instruments.image_self.image(pixels)
    assert np.allclose(found.text_cosine, (seen * said).sum(1), atol=1e-5)
    assert np.allclose(found.image_self, own, atol=1e-5)


def test_one_judge_is_on_the_device_at_a_time(images, instruments, monkeypatch):
    """Their places are told by what the networks are asked: no second device is needed."""
    there, most = set(), []
    for name in ("image_text", "image_self"):
        judge = getattr(instruments, name)

        def move(device, name=name, judge=judge):
            (there.discard if name in there else there.add)(name)
            most.append(len(there))
            return judge

        def look(pixels, name=name, image=judge.image):
            assert there == {name}
            return image(pixels)

        monkeypatch.setattr(judge, "to", move)
        monkeypatch.setattr(judge, "image", look)
    found = measure(images, instruments)
    assert found.image_self.shape[0] == 5
    assert most == [1, 0, 1, 0]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_change_nothing(images, instruments, batch_size):
    first, second = (
        measure(images, instruments),
        measure(images, instruments, batch_size=batch_size),
    )
    pd.testing.assert_frame_equal(first.faces, second.faces, atol=1e-5)
    assert np.allclose(first.image_text, second.image_text, atol=1e-5)


def test_cosines_with_the_base_pair_prompt_and_index(images, instruments):
    base = measure(images, instruments)
    same = quality_table(base, base)
    assert np.allclose(same[["clip_i", "dino"]], 1, atol=1e-5)
    shuffled = measure(images, instruments, [4, 2, 0, 1, 3])
    table = quality_table(shuffled, base)
    assert np.allclose(table[["clip_i", "dino"]], 1, atol=1e-5)
    assert list(table["image_id"]) == ["img4", "img2", "img0", "img1", "img3"]
    assert np.allclose(table["clip_t"], base.text_cosine[[4, 2, 0, 1, 3]], atol=1e-5)


def test_unpaired_models_are_refused(images, instruments):
    base, part = measure(images, instruments), measure(images, instruments, slice(0, 4))
    with pytest.raises(ArtifactError, match="not of the same prompts and noise"):
        quality_table(part, base)
    with pytest.raises(ArtifactError, match="5 and 4 images, 1 without partner"):
        quality_table(base, part)


def test_bad_tables_are_refused(images, instruments):
    folder, table = images
    with pytest.raises(ArtifactError, match="no images to measure"):
        assess(table.iloc[:0], folder, PROMPTS, instruments, SPACE, batch_size=2)
    with pytest.raises(ArtifactError, match=r"catalog does not have.*'b'"):
        assess(table, folder, PROMPTS.iloc[:1], instruments, SPACE, batch_size=2)
