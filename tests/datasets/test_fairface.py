from __future__ import annotations

import shutil

import numpy as np
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.datasets import fairface_merges, read_faces, read_fairface
from fairness_core.errors import ConfigError, DataError
from fairness_core.portraits.dataset import labelled_portraits
from tests.helpers.photo_sets import SPACE, classes_of, write_fairface

TRAIN, VAL = 16, 9


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_fairface(tmp_path_factory.mktemp("fairface"), train=TRAIN, val=VAL)


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "copy")


def change(folder, old, new, split="train"):
    path = folder / f"fairface_label_{split}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_labels_are_the_papers_classes(written):
    faces = read_fairface(written, "train", SPACE)
    drawn = labelled_portraits(TRAIN, "fairface", "train", 0)[1]
    assert faces.attributes == ("gender", "race", "age")
    assert np.array_equal(faces.labels, classes_of(drawn))
    assert faces.source(0) == "fairface:train/1.jpg"
    assert "CC BY 4.0" in faces.about.licence
    assert "Asian = East Asian + Southeast Asian" in faces.about.labels[1]


def test_examples_are_pictures_with_labels_by_name(written):
    faces = read_fairface(written, "val", SPACE.subset(["age", "gender"]))
    image, labels, source = list(faces.examples())[3]
    drawn = labelled_portraits(VAL, "fairface", "val", 0)[1][3]
    assert (image.shape, image.dtype) == ((48, 48, 3), np.uint8)
    assert labels == {"age": drawn[2], "gender": drawn[0]}
    assert source == "fairface:val/4.jpg"


def test_a_narrow_margin_means_that_the_face_fills_two_thirds(written):
    faces = read_fairface(written, "train", SPACE)
    assert faces.box(0, 48, 48).tolist() == pytest.approx([8, 8, 40, 40])
    wide = read_fairface(written, "train", SPACE, padding=1.25)
    assert wide.box(0, 448, 448)[0] == pytest.approx(448 * 1.25 / 3.5)


def test_the_age_cut_is_a_parameter(written):
    few = read_fairface(written, "train", SPACE, old_from=60).labels[:, 2].sum()
    many = read_fairface(written, "train", SPACE, old_from=20).labels[:, 2].sum()
    assert 0 < few < many
    assert fairface_merges(60)["age"]["old"] == ("60-69", "more than 70")
    with pytest.raises(ConfigError, match=r"No age group.*Given: 35\..*30, 40"):
        fairface_merges(35)


def test_merges_are_data(written):
    space = AttributeSpace.from_mapping({"race": {"classes": ["Black", "other"]}})
    merge = {"Black": ["black"], "other": ["White", "middle-eastern", "Latino Hispanic", "Indian",
             "East Asian", "Southeast Asian"]}  # fmt: skip
    faces = read_fairface(written, "train", space, merges={"race": merge})
    paper = read_fairface(written, "train", SPACE)
    assert np.array_equal(faces.labels[:, 0] == 0, paper.labels[:, 1] == 1)
    seven = {"race": {"classes": ["White", "Middle Eastern", "Latino Hispanic", "Black", "Indian",
             "East Asian", "Southeast Asian"]}}  # fmt: skip
    faces = read_fairface(written, "train", AttributeSpace.from_mapping(seven))
    assert len(set(faces.labels[:, 0].tolist())) == 7


def test_val_is_divided_into_val_and_test(written):
    source = f"fairface:{written}"
    parts = [read_faces(source, split, SPACE).files for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [TRAIN, 3, 6]
    assert len(set(sum(parts, ()))) == TRAIN + VAL


@pytest.mark.parametrize(
    ("classes", "merges", "message"),
    [
        (["white", "other"], None, r"other classes than attribute 'race'.*merged into WMELH"),
        (["a", "b"], {"a": ["White"], "b": ["Black"]}, r"labels without a class: Middle Eastern"),
        (["a", "b"], {"a": ["White", "Martian"], "b": []}, r"not have: Martian.*a label: b"),
        (["a", "b"], {"a": ["White"], "b": ["white"]}, r"named twice: white"),
    ],
)
def test_classes_that_do_not_fit_are_refused(written, classes, merges, message):
    space = AttributeSpace.from_mapping({"race": {"classes": classes}})
    with pytest.raises(ConfigError, match=message):
        read_fairface(written, "train", space, merges=merges and {"race": merges})


def test_an_attribute_without_labels_is_refused(written):
    space = AttributeSpace.from_mapping({"smile": {"classes": ["no", "yes"]}})
    with pytest.raises(ConfigError, match=r"does not label attribute 'smile'.*gender, race, age"):
        read_fairface(written, "train", space)


def test_unknown_labels_are_named_with_row_and_picture_all_at_once(folder):
    change(folder, "East Asian", "Martian")
    change(folder, "20-29", "Oct-19")
    with pytest.raises(DataError) as caught:
        read_fairface(folder, "train", SPACE)
    message = str(caught.value)
    assert "column 'race' has 1: 'Martian' in row" in message
    assert "(train/" in message
    assert "column 'age' has 1: 'Oct-19'" in message
    assert "allowed are White, Middle Eastern, Latino_Hispanic, Black" in message


def test_what_is_missing_is_named(folder):
    with pytest.raises(DataError, match=r"no folder of FairFace.*nowhere"):
        read_fairface(folder / "nowhere", "train", SPACE)
    (folder / "val" / "2.jpg").unlink()
    with pytest.raises(DataError, match=rf"lacks 1 of {VAL} pictures.*2\.jpg"):
        read_fairface(folder, "val", SPACE)
    change(folder, "race", "origin")
    with pytest.raises(DataError, match=r"lacks the columns race.*file, age, gender, origin"):
        read_fairface(folder, "train", SPACE)
    (folder / "fairface_label_train.csv").write_text("file,age,gender,race,service_test\n")
    with pytest.raises(DataError, match="no picture in this split"):
        read_fairface(folder, "train", SPACE)
    (folder / "fairface_label_train.csv").unlink()
    with pytest.raises(DataError, match=r"missing: fairface_label_train\.csv"):
        read_fairface(folder, "train", SPACE)


def test_a_picture_that_does_not_decode_is_named(folder):
    (folder / "train" / "5.jpg").write_bytes(b"\xff\xd8 no picture")
    faces = read_fairface(folder, "train", SPACE)
    with pytest.raises(DataError, match=r"cannot be decoded.*5\.jpg"):
        list(faces.examples())


def test_other_sources_are_refused(written):
    for source in (f"lfw:{written}", "fairface:", "portraits"):
        with pytest.raises(ConfigError, match="no such source of faces"):
            read_faces(source, "train", SPACE)
