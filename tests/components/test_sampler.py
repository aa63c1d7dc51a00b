"""models.sampler: one sampler wherever the base model samples, named on the card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.audit.main import main as audit
from components.evaluate_bias.main import main as evaluate_bias
from components.finetune.assemble import fingerprint, originals_store
from components.generate_baselines.main import main as generate_baselines
from components.generate_images.main import main as generate_images
from components.measure_images.main import main as measure_images
from components.publish.main import main as publish
from components.step import Settings
from components.sweep.main import main as sweep
from fairness_core.config import load
from fairness_core.diffusion import DiffusionStack
from fairness_core.runtime import image_noise, read_json, verify
from tests.components.conftest import Run, pixels
from tests.components.test_bad_input import message
from tests.helpers.tiny_families import make_tiny

EULER = ("--set", "models.sampler=euler")
ONE = "png/test-0/00001.png"
STEPS = 5  # of the whole folder's two a sampler's order could not be told


@pytest.fixture(scope="module")
def sampled(done: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle, both models' images and a baseline's by Euler's method."""
    out = tmp_path_factory.mktemp("euler")
    words = [*EULER, "--set", f"generate_images.steps={STEPS}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(done.folder)
        assert publish([*words, "--out", str(out / "bundle")]) == 0
        for model in ("base", "aligned"):
            told = ["--model", model, "--bundle", str(out / "bundle"), "--out", str(out / model)]
            assert generate_images([*words, *told]) == 0
        one = ["--set", "baselines.methods=[intervention]", "--out", str(out / "baselines")]
        assert generate_baselines([*words, *one]) == 0
    return out


def card_code(bundle: Path, base: Path) -> Any:
    """The pipeline that the card's lines make."""
    (code,) = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    code = code.replace("PATH/OF/THE/BASE/MODEL", str(base))
    names: dict[str, Any] = {}
    exec(code.replace("PATH/OF/THE/BUNDLE", str(bundle)), names)
    names["pipeline"].set_progress_bar_config(disable=True)
    return names["pipeline"]


def stock_image(pipeline: Any) -> np.ndarray:
    noise = image_noise("generate_images", ["a bank nurse"], [1], (4, 8, 8), seed=0)
    made = pipeline(
        "a bank nurse",
        latents=noise,
        guidance_scale=3.0,
        num_inference_steps=STEPS,
        output_type="np",
    )
    return (made.images[0] * 255).round()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_cards_lines_make_the_images_that_were_measured(done: Run, sampled: Path) -> None:
    image = stock_image(card_code(sampled / "bundle", done.base))
    assert np.abs(pixels(sampled / "aligned", ONE) - image).max() <= 1
    # Without the line that sets the sampler it is another image, as large as the difference is.
    other = stock_image(card_code(done / "artifacts/bundle", done.base))
    assert np.abs(other - image).max() > 1
    card = (sampled / "bundle/README.md").read_text()
    assert "sampled with euler (EulerDiscreteScheduler" in card
    assert verify(sampled / "bundle")["extra"]["sampler"] == {
        "name": "euler", "scheduler": "EulerDiscreteScheduler", "options": {},
    }  # fmt: skip
    own = (done / "artifacts/bundle/README.md").read_text()
    assert "the base model's own DPMSolverMultistepScheduler" in own
    assert "pipeline.scheduler" not in own


def test_images_of_another_sampler_are_not_compared(
    here: Run, sampled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = {
        name: verify(sampled / name, kind="images")["extra"]["recipe"]
        for name in ("base", "aligned", "baselines/intervention/images")
    }
    assert {recipe["scheduler"] for recipe in recipes.values()} == {"EulerDiscreteScheduler"}
    told = ["--base", sampled / "base", "--out", tmp_path / "m"]
    said = message(capsys, measure_images, *told)
    assert "scheduler: base EulerDiscreteScheduler, aligned DPMSolverMultistepScheduler" in said
    told += ["--aligned", sampled / "aligned", "--baselines", sampled / "baselines"]
    assert measure_images([str(word) for word in told]) == 0
    told = ["--measured", tmp_path / "m", "--out", tmp_path / "e", "--metrics", tmp_path / "m.json"]
    assert evaluate_bias([str(word) for word in told]) == 0
    assert read_json(tmp_path / "m.json")["scheduler"] == "EulerDiscreteScheduler"


def test_the_sweeps_centre_is_the_runs_sampler(here: Run, sampled: Path, tmp_path: Path) -> None:
    words = [
        "--set", f"generate_images.steps={STEPS}", "--set", "sweep.prompts=1",
        "--set", "sweep.images=4", "--set", "sweep.bootstrap=100", "--set", "sweep.guidance=[]",
        "--set", "sweep.steps=[]", "--set", "sweep.samplers=[dpm++2m, euler]",
    ]  # fmt: skip
    assert sweep([*EULER, *words, "--bundle", str(sampled / "bundle"),
                  "--out", str(tmp_path)]) == 0  # fmt: skip
    found = read_json(tmp_path / "sweeps.json")
    assert found["centre"] == {"guidance": 3.0, "steps": STEPS, "sampler": "euler"}
    assert [point["value"] for point in found["axes"]["sampler"]] == ["euler", "dpm++2m"]
    images = {
        name: tmp_path / f"images/guidance-3-steps-{STEPS}-{name}/aligned/png/test-0/00001.png"
        for name in ("euler", "dpm++2m")
    }
    assert images["euler"].read_bytes() == (sampled / "aligned" / ONE).read_bytes()
    assert images["dpm++2m"].read_bytes() != images["euler"].read_bytes()


def test_an_audited_model_is_solved_by_it_too(here: Run, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a bank nurse\n")
    few = ["--set", "audit.images_per_prompt=4", "--set", "audit.bootstrap=100"]
    told = ["--model", str(here.base), "--prompts", str(tmp_path / "prompts.txt"), *few]
    assert audit([*told, *EULER, "--out", str(tmp_path / "a")]) == 0
    recipe = verify(tmp_path / "a-images")["extra"]["recipe"]
    assert recipe["scheduler"] == "EulerDiscreteScheduler"


def test_a_model_that_matches_flows_says_what_fits(
    here: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = make_tiny("sd3", tmp_path / "sd3")
    told = ["--set", f"models.base={base}", "--set", "models.sampler=dpm++2m"]
    said = message(capsys, generate_images, "--model", "base", *told, "--out", tmp_path / "i")
    assert "flow-matching model" in said
    assert "dpm++2m for FlowMatchEulerDiscreteScheduler" in said
    assert "set models.sampler to null" in said


def test_checkpoints_and_originals_are_of_one_sampler(
    done: Run, repository: Path, tmp_path: Path
) -> None:
    params = load(done / "params.yaml")
    models, section = params.section("models"), params.section("finetune")
    place = done / "artifacts/prompts", done / "artifacts/classifiers", done / "artifacts/bank"

    def key(sampler: str | None) -> str:
        settings = Settings("x", 0, "cpu", 1, False)
        told = models | {"sampler": sampler}
        attributes, targets = params.section("attributes"), params.section("targets")
        return fingerprint(section, told, attributes, targets, settings, *place)

    assert key(None) == key(None)
    assert len({key(name) for name in (None, "euler", "dpm++2m")}) == 3

    def store(sampler: str | None) -> dict[str, Any]:
        stack = DiffusionStack.load(done.base, sampler=sampler)
        return dict(originals_store(params.finetune, models["base"], stack, tmp_path).model)

    assert store(None) != store("euler")
    # The folder's own is DPM-Solver++ 2M: what is the same may be shared.
    assert store(None) == store("dpm++2m")


def test_originals_are_of_one_kind_of_machine(
    done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, stack = load(done / "params.yaml"), DiffusionStack.load(done.base)

    def model() -> dict[str, Any]:
        return dict(originals_store(params.finetune, params.models.base, stack, tmp_path).model)

    here = model()
    assert here["threads"] == torch.get_num_threads()
    assert here["capability"] == torch.backends.cpu.get_cpu_capability()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ABACUS")
    assert model()["capability"] == "ABACUS"
    monkeypatch.setattr(DiffusionStack, "device", torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU of {device}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    found = model()
    assert (found["device"], found["gpu"]) == ("cuda", "GPU of cuda:1")
    assert found["capability"] == [9, 0]
    assert "threads" not in found


def test_images_are_as_before_without_one(done: Run) -> None:
    recipe = verify(done / "artifacts/images/base")["extra"]["recipe"]
    assert recipe["scheduler"] == "DPMSolverMultistepScheduler"
    assert read_json(done / "metrics/evaluation.json")["scheduler"] == recipe["scheduler"]
    card = (done / "artifacts/report/model-card.md").read_text()
    assert "2 sampling steps of DPMSolverMultistepScheduler" in card
    page = (done / "artifacts/report/report.html").read_text().replace("<wbr>", "")
    assert "DPMSolverMultistepScheduler" in page
