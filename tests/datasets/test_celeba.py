from __future__ import annotations

import shutil

import numpy as np
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.datasets import read_celeba, read_faces
from fairness_core.errors import ConfigError, DataError
from fairness_core.portraits.dataset import labelled_portraits
from tests.helpers.photo_sets import SPACE, write_celeba

COUNT = 80
BOTH = SPACE.subset(["gender", "age"])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("celeba") / "csv", count=COUNT)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("celeba") / "text", count=COUNT, text=True)


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "copy")


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def overlap(a, b):
    start, end = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    common = (end - start).clip(0).prod(axis=1)
    areas = [(x[:, 2:] - x[:, :2]).prod(axis=1) for x in (a, b)]
    return common / (areas[0] + areas[1] - common)


def test_male_and_young_are_gender_and_age(written):
    drawn = labelled_portraits(COUNT, "celeba", 0, size=64)[1]
    found = [read_faces(f"celeba:{written}", split, BOTH) for split in ("train", "val", "test")]
    assert [len(part) for part in found] == [48, 16, 16]
    labels = np.concatenate([part.labels for part in found])
    assert np.array_equal(labels, drawn[:, [0, 2]])
    assert found[1].source(0) == "celeba:img_align_celeba/000049.jpg"
    assert "non-commercial" in found[0].about.licence
    assert found[0].about.labels == ("gender: female = Male -1; male = Male 1",
                                     "age: young = Young 1; old = Young -1")  # fmt: skip


def test_the_official_text_files_say_the_same(written, official):
    for split in ("train", "test"):
        one, other = (read_celeba(place, split, BOTH) for place in (written, official))
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.boxes, other.boxes)
        assert other.files[0].startswith("Img/img_align_celeba/")
        assert other.image(0).shape == (64, 64, 3)


def test_boxes_from_the_five_points_are_where_faces_are(written):
    true = labelled_portraits(COUNT, "celeba", 0, size=64)[2][:48]
    assert np.median(overlap(read_celeba(written, "train", BOTH).boxes, true)) > 0.5


def test_without_points_faces_are_where_the_alignment_puts_them(folder):
    (folder / "list_landmarks_align_celeba.csv").unlink()
    boxes = read_celeba(folder, "train", BOTH).boxes
    assert (boxes == boxes[0]).all()
    x0, y0, x1, y1 = boxes[0]
    # 178x218 px: eyes and mouth inside, the chin too.
    assert 0 < x0 < 60
    assert 40 < y0 < 90
    assert 120 < x1 < 178
    assert 165 < y1 < 218


@pytest.mark.parametrize("text", [False, True])
def test_pictures_in_the_wild_have_their_boxes_in_a_table(tmp_path, text):
    folder = write_celeba(tmp_path / "wild", count=16, text=text, wild=True)
    true = labelled_portraits(16, "celeba", 0, size=64)[2]
    faces = read_celeba(folder, "train", BOTH)
    np.testing.assert_allclose(faces.boxes, true, atol=1.01)
    assert faces.image(2).shape == (64, 64, 3)


def test_a_zip_inside_a_zip_is_found(folder):
    inner = folder / "img_align_celeba" / "img_align_celeba"
    pictures = list((folder / "img_align_celeba").iterdir())
    inner.mkdir()
    for path in pictures:
        path.rename(inner / path.name)
    assert read_celeba(folder, "train", BOTH).image(0).shape == (64, 64, 3)


def test_classes_of_other_names_need_a_merge(written):
    space = AttributeSpace.from_mapping({"gender": {"classes": ["woman", "man"]}})
    with pytest.raises(ConfigError, match=r"labels of CelebA.*Female"):
        read_celeba(written, "train", space)
    merge = {"gender": {"woman": ["Female"], "man": ["Male"]}}
    found = read_celeba(written, "train", space, merges=merge).labels
    assert np.array_equal(found, read_celeba(written, "train", BOTH).labels[:, :1])


def test_race_needs_another_source(written):
    with pytest.raises(ConfigError, match=r"CelebA does not label attribute 'race'.*another"):
        read_celeba(written, "train", SPACE)


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("list_attr_celeba", "000003.jpg,1,-1", "000003.jpg,1,0",
         r"column 'Male' has 1: '0' in row 3 \(000003.jpg\); allowed are -1, 1"),
        ("list_attr_celeba", "Male", "Female", r"lacks the columns Male"),
        ("list_attr_celeba", "000004.jpg", "000003.jpg", r"listed twice in CelebA: 000003\.jpg"),
        ("list_eval_partition", "000003.jpg,0", "000003.jpg,7", r"'7' in row 3"),
        ("list_eval_partition", "000003.jpg", "000000.jpg", r"not in a table.*000003\.jpg"),
        ("list_landmarks_align_celeba", "lefteye_x", "left", r"lacks the columns lefteye_x"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(folder, table, old, new, message):
    change(folder / f"{table}.csv", old, new)
    with pytest.raises(DataError, match=message):
        read_celeba(folder, "train", BOTH)


def test_points_that_are_no_numbers_are_named(folder):
    path = folder / "list_landmarks_align_celeba.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].rsplit(",", 1)[0] + ",x"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"'x' in row 2, column 'rightmouth_y'"):
        read_celeba(folder, "train", BOTH)


def test_what_is_missing_is_named(folder):
    with pytest.raises(DataError, match="no folder of CelebA"):
        read_celeba(folder / "nowhere", "train", BOTH)
    (folder / "img_align_celeba" / "000002.jpg").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of 48 pictures.*000002\.jpg"):
        read_celeba(folder, "train", BOTH)
    shutil.rmtree(folder / "img_align_celeba")
    with pytest.raises(DataError, match=r"no folder of pictures.*unpack img_align_celeba"):
        read_celeba(folder, "train", BOTH)
    (folder / "list_eval_partition.csv").unlink()
    with pytest.raises(DataError, match=r"missing: list_eval_partition\.csv"):
        read_celeba(folder, "train", BOTH)
