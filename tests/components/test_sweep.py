"""The sweep: one curve for each setting of the sampler, resumable, into the evaluation if told."""

from __future__ import annotations

import shutil

import pytest

from components.sweep.main import main as sweep
from fairness_core.runtime import read_json, write_json
from tests.components.test_bad_input import message

FEW = [
    "--set", "sweep.prompts=1", "--set", "sweep.images=4", "--set", "sweep.bootstrap=100",
    "--set", "sweep.steps=[3]", "--set", "sweep.samplers=[ddim]",
]  # fmt: skip


@pytest.fixture(scope="module")
def swept(done, tmp_path_factory):
    """Swept once; the evaluation's figures are a copy."""
    out = tmp_path_factory.mktemp("sweep")
    shutil.copy(done / "metrics/evaluation.json", out / "evaluation.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(done.folder)
        argv = [*FEW, "--set", "sweep.guidance=[1]", "--out", str(out / "s")]
        assert sweep([*argv, "--into", str(out / "evaluation.json")]) == 0
    return out


def test_each_curve_passes_through_the_settings_of_the_run(here, swept):
    found = read_json(swept / "s/sweeps.json")
    values = {axis: [p["value"] for p in points] for axis, points in found["axes"].items()}
    assert values == {"guidance": [1.0, 3.0], "steps": [2, 3], "sampler": ["own", "ddim"]}
    assert found["centre"] == {"guidance": 3.0, "steps": 2, "sampler": "own"}
    assert (found["n_prompts"], found["images_per_prompt"]) == (1, 4)
    centre = found["axes"]["guidance"][1]
    assert {key: centre[key] for key in centre if key != "value"} == {
        key: part for key, part in found["axes"]["sampler"][0].items() if key != "value"
    }
    for points in found["axes"].values():
        for point in points:
            for model in ("base", "aligned"):
                entry = point[model]["gender"]
                assert entry["ci95"][0] <= entry["ci95"][1]
                assert {"bias", "fair_floor", "shares"} <= set(entry)
                assert {"clip_t", "clip_i", "no_face_rate"} <= set(point[model])
    # The centre's images are the evaluation's own.
    one = "png/test-0/00000.png"
    centre_image = swept / "s/images/guidance-3-steps-2-own/aligned" / one
    assert centre_image.read_bytes() == (here / "artifacts/images/aligned" / one).read_bytes()
    others = [swept / f"s/images/{name}/aligned" / one for name in (
        "guidance-1-steps-2-own", "guidance-3-steps-3-own", "guidance-3-steps-2-ddim")]  # fmt: skip
    assert len({path.read_bytes() for path in (centre_image, *others)}) == 4


def test_the_evaluation_gets_the_figures_and_keeps_its_own(here, swept):
    told = read_json(swept / "evaluation.json")
    before = read_json(here / "metrics/evaluation.json")
    assert told.pop("sweeps") == read_json(swept / "s/sweeps.json")
    assert told == before


def test_what_is_there_is_not_sampled_again(here, swept, monkeypatch):
    from fairness_core.evaluation import generate

    sampled = []
    batch = generate.sample_images
    monkeypatch.setattr(generate, "sample_images", lambda *args: sampled.append(1) or batch(*args))
    alone = ["--set", "sweep.steps=[]", "--set", "sweep.samplers=[]"]
    guidance = ["--set", "sweep.guidance=[1, 2]"]
    assert sweep([*FEW, *alone, *guidance, "--out", str(swept / "s")]) == 0
    assert len(sampled) == 2  # one new setting, a batch of each model
    axes = read_json(swept / "s/sweeps.json")["axes"]
    assert set(axes) == {"guidance"}
    assert [point["value"] for point in axes["guidance"]] == [1.0, 2.0, 3.0]


def test_bad_input_is_one_message(here, tmp_path, capsys):
    nothing = [f"--set=sweep.{key}=[]" for key in ("guidance", "steps", "samplers")]
    assert "Nothing is swept" in message(capsys, sweep, *nothing, "--out", tmp_path)
    odd = ["--set", "sweep.samplers=[magic]", "--out", tmp_path]
    assert "sweep.samplers" in message(capsys, sweep, *odd)
    write_json({}, tmp_path / "x.json")
    said = message(capsys, sweep, *FEW, "--bundle", tmp_path, "--out", tmp_path / "o")
    assert "manifest" in said
