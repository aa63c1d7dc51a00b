from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairness_core.errors import ArtifactError
from fairness_core.reporting import ReportData
from fairness_core.reporting.grids import Sheet, sheet, tile_size
from fairness_core.reporting.sprites import LARGE, SMALL, Size, choose_size


def made_of(data: ReportData, prompt_id: str) -> Sheet:
    return sheet(data.pictures, prompt_id, tile_size(data.pictures, [prompt_id]))


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_each_tile_is_its_own_picture(data: ReportData) -> None:
    made = made_of(data, "test-0001")
    assert (made.tile, made.width, made.height) == (96, 4 * 96, 96)
    for model in ("base", "aligned"):
        sprite = decoded(made.sprites[model])
        assert sprite.size == (384, 96)
        for pair in made.pairs:
            cell = pair.cells[model]
            file = data.folders[model] / f"images/test-0001-{pair.index:03d}.png"
            source = np.asarray(Image.open(file), dtype=float).mean((0, 1))
            tile = sprite.crop((cell.x, cell.y, cell.x + 96, cell.y + 96))
            assert np.asarray(tile, dtype=float).mean((0, 1)) == pytest.approx(source, abs=3)


def test_pairs_join_the_same_index_and_tell_what_changed(data: ReportData) -> None:
    made = made_of(replace(data, images_per_prompt=3), "test-0000")
    assert [pair.index for pair in made.pairs] == [0, 1, 2]
    assert made.pairs[2].cells["base"].classes == ()
    assert made.pairs[2].cells["base"].box is None
    assert made.pairs[2].changed
    for pair in made.pairs[:2]:
        faces = data.faces.query("prompt_id == 'test-0000' and index == @pair.index")
        classes = [tuple(faces.iloc[k][list(data.space.names)]) for k in range(2)]
        assert pair.changed == (classes[0] != classes[1])


def test_only_indices_that_both_models_have_are_shown(data: ReportData) -> None:
    images = data.images
    cut = images[~((images["model"] == "aligned") & (images["index"] == 0))]
    shown = made_of(replace(data, images=cut, images_per_prompt=3), "test-0000").pairs
    assert [pair.index for pair in shown] == [1, 2, 3]
    apart = images[(images["model"] == "base") == (images["index"] % 2 == 0)]
    with pytest.raises(ArtifactError, match="'test-0000' has no image that both models made"):
        made_of(replace(data, images=apart), "test-0000")


def test_a_repeated_row_is_refused(data: ReportData) -> None:
    twice = pd.concat([data.faces, data.faces.head(1)])
    with pytest.raises(ArtifactError, match="two rows for one image"):
        made_of(replace(data, faces=twice), "test-0000")


def test_large_and_oblong_images_are_fitted_with_their_boxes(
    data: ReportData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("large")
    (folder / "images").mkdir()
    for index in range(4):
        picture = Image.new("RGB", (320, 160), "white")
        picture.save(folder / f"images/test-0001-{index:03d}.png")
    faces = data.faces.assign(x0=0.0, y0=0.0, x1=320.0, y1=160.0)
    made = made_of(
        replace(data, faces=faces, folders={"base": folder, "aligned": folder}), "test-0001"
    )
    assert made.tile == 256
    assert made.pairs[1].cells["base"].box == (0.0, 64.0, 256.0, 128.0)


def test_many_images_wrap_into_rows(
    data: ReportData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("many")
    Image.new("RGB", (32, 32), "teal").save(folder / "one.png")
    row = data.faces[data.faces["model"] == "base"].iloc[[0]].assign(prompt_id="test-0001")
    faces = pd.concat(
        [row.assign(index=k, model=m) for k in range(18) for m in ("base", "aligned")]
    )
    images = faces[["image_id", "prompt_id", "index", "model"]].assign(file="one.png")
    run = replace(
        data,
        faces=faces,
        images=images,
        folders={"base": folder, "aligned": folder},
        images_per_prompt=18,
    )
    made = made_of(run, "test-0001")
    assert (made.width, made.height) == (16 * 96, 2 * 96)
    assert (made.pairs[17].cells["aligned"].x, made.pairs[17].cells["aligned"].y) == (96, 96)


def test_thumbnails_shrink_until_the_page_is_within_its_limit() -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (300, 300, 3)).astype(np.uint8))] * 4
    sizes = [choose_size(lambda k: noise[k % 4], 400, limit=n) for n in (10**9, 4_000_000, 1000)]
    assert sizes[0] == LARGE[0]
    assert LARGE[0].tile > sizes[1].tile > LARGE[-1].tile
    assert sizes[2] == LARGE[-1]
    small = [Image.new("RGB", (32, 32))]
    assert choose_size(lambda k: small[0], 1) == SMALL[0]


def test_pictures_beyond_those_shown_do_not_count(data: ReportData) -> None:
    def refuse(name: str) -> bool:
        return name.endswith("003.png")

    hidden = data.images.assign(file=[f"gone/{f}" if refuse(f) else f for f in data.images["file"]])
    source = replace(data, images=hidden, images_per_prompt=3).pictures
    assert tile_size(source, ["test-0000", "test-0001"]) == Size(96, SMALL[0].quality)
