from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fairness_core.errors import ArtifactError
from fairness_core.reporting import side_by_side

COLOURS = ("red", "lime", "blue", "white", "black", "yellow")


def squares(colours: tuple[str, ...]) -> list[Image.Image]:
    return [Image.new("RGB", (8, 8), colour) for colour in colours]


def places(picture: Image.Image, colour: str) -> np.ndarray:
    wanted = np.array(Image.new("RGB", (1, 1), colour))[0, 0]
    return np.argwhere((np.asarray(picture) == wanted).all(-1))


def test_the_same_place_holds_the_same_noise() -> None:
    picture = side_by_side(squares(COLOURS[:2]), squares(COLOURS[4:]), columns=2, tile=40)
    red, lime = places(picture, "red"), places(picture, "lime")
    black, yellow = places(picture, "black"), places(picture, "yellow")
    assert len(red) == len(lime) == len(black) == len(yellow) == 40 * 40
    assert red[0][0] == black[0][0]
    assert lime[0][1] - red[0][1] == yellow[0][1] - black[0][1] == 46
    assert black[0][1] > lime[-1][1]


def test_rows_wrap_and_text_is_written() -> None:
    plain = side_by_side(squares(COLOURS), squares(COLOURS), columns=3, tile=40)
    wordy = side_by_side(
        squares(COLOURS),
        squares(COLOURS),
        columns=3,
        tile=40,
        row_labels=("harbour engineer", "nurse"),
        note="guidance 3",
    )
    assert wordy.width > plain.width
    assert wordy.height > plain.height
    left = np.asarray(wordy.convert("L"))[80:160, 24:120]
    assert left.min() < 100


def test_counts_that_do_not_match_are_refused() -> None:
    with pytest.raises(ArtifactError, match="2 base and 1 aligned"):
        side_by_side(squares(COLOURS[:2]), squares(COLOURS[:1]))
    with pytest.raises(ArtifactError, match="0 base and 0 aligned"):
        side_by_side([], [])
    with pytest.raises(ArtifactError, match="1 labels for 2 rows"):
        side_by_side(squares(COLOURS), squares(COLOURS), columns=3, row_labels=("a",))
