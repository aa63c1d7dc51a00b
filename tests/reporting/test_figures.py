from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fairness_core.errors import ConfigError
from fairness_core.reporting import ReportData, write_figures
from tests.reporting.test_robustness import extras


def only_gender(data: ReportData) -> ReportData:
    models = ("base", "aligned")
    figures = {model: {"gender": data.evaluation[model]["gender"]} for model in models}
    return replace(
        data, space=data.space.subset(["gender"]), aligned=("gender",), evaluation=figures
    )


def test_each_figure_is_a_file_the_same_every_time(small: ReportData, tmp_path: Path) -> None:
    assert small.training is not None
    log = small.training[["iteration", "loss_align"]]
    data = replace(only_gender(small), training=log)
    data = replace(data, evaluation={**data.evaluation, "sweeps": extras()["sweeps"]})
    written = write_figures(data, tmp_path / "a", ["svg"])
    names = [path.stem for path in written]
    assert names == ["bias", "shares-gender", "training", "sweep-guidance", "sweep-sampler"]
    again = write_figures(data, tmp_path / "b", ["svg"])
    for one, other in zip(written, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert b"<svg" in one.read_bytes()[:1000]


def test_pdf_and_png_are_what_they_say(small: ReportData, tmp_path: Path) -> None:
    bare = replace(only_gender(small), training=None)
    files = write_figures(bare, tmp_path, ["pdf", "png"])
    assert sorted(path.name for path in files) == [
        "bias.pdf", "bias.png", "shares-gender.pdf", "shares-gender.png",
    ]  # fmt: skip
    assert (tmp_path / "bias.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "bias.png") as image:
        assert image.width > 1000
        assert image.convert("RGB").getcolors(1 << 24) is not None


def test_another_format_is_refused(small: ReportData, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not written in that format.*gif.*svg, pdf, png"):
        write_figures(small, tmp_path, ["gif", "png"])
