"""What fits, and what it takes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from typer.testing import CliRunner

from benchmarks.measure import peak_bytes
from benchmarks.planned_memory import measured, planned
from components import shapes
from components.calls import calls_of
from components.cli import app
from components.plan_command import gigabytes
from components.planning import GIB, plan
from components.pricing import PEAK, Assumptions, Choice, calls_per_image, cheaper, price
from components.shapes import costs, missing
from fairness_core.config import Finetune, Params, load
from fairness_core.errors import ConfigError
from fairness_core.training.dry_run import Cost, Peak, without_contents
from tests.embeddings.tiny_packs import make_pack


def section(repository: Path, *changes: str) -> Finetune:
    return load(repository / "params.yaml", list(changes)).finetune


TOLD = Assumptions()


def cost(images: int, checkpointing: bool) -> Cost:
    """3 GiB of weights; an image takes 1 GiB, or a quarter with blocks recomputed."""
    peak = int(images * GIB * (0.25 if checkpointing else 1))
    parts = {"sampling": peak // 8, "gradient": peak // 2, "decoding": peak // 8, "loss": peak}
    work = {"sampling": 2e12, "gradient": 4e12, "decoding": 1e12, "loss": 3e12, "judging": 1e12}
    return Cost(3 * GIB, parts, **work)


def test_what_does_not_fit_comes_with_the_largest_values_that_do(repository: Path) -> None:
    told = section(repository)
    found = plan(told, cost, 16 * GIB)
    # 3 of weights, 32 images, 1 for the driver; 0.92 * 16 - 1 - 3 = 10.7 images'
    # losses fit, and twice as many calls of the network.
    assert (found.fits, found.gib) == (False, 36.0)
    assert found.words == ("finetune.batch_size=21", "finetune.loss_batch_size=10")
    assert found.then == pytest.approx(14.5)
    tight = plan(told, cost, 5 * GIB)
    sizes = ("finetune.batch_size=4", "finetune.loss_batch_size=2")
    assert tight.words == (*sizes, "finetune.checkpointing=true")
    with pytest.raises(ConfigError, match="not even one image at a time fits"):
        plan(told, cost, 4 * GIB)


def test_what_fits_stays_as_it_is(repository: Path) -> None:
    told = section(repository, "finetune.batch_size=4")
    found = plan(told, cost, 500 * GIB)
    assert (found.fits, found.words, found.gib) == (True, (), 8.0)
    assert found.most == {"batch_size": told.images_per_prompt, "loss_batch_size": None}
    held = plan(section(repository, "finetune.checkpointing=true"), cost, 16 * GIB)
    assert (held.fits, held.gib) == (True, 12.0)


def test_the_parameters_are_priced_as_they_are(repository: Path) -> None:
    base = ("finetune.steps=[21, 21]", "finetune.gradient_steps=5", "finetune.iterations=1000")
    kinds = {
        (94, 10): (),
        (52, 10): ("finetune.originals=stored",),
        (47, 5): ("finetune.originals=stored", "finetune.guided_gradient=text"),
        (126, 42): ("finetune.gradient_steps=null",),
    }
    for calls, changes in kinds.items():
        assert calls_per_image(section(repository, *base, *changes)) == calls
    found = price(section(repository, *base), cost(1, False), TOLD)
    # 32 images, 2 x 21 x 2 + 5 x 4 + 2 + 3 = 109 Tera-operations each, of a share of 31.2 a second
    assert found.hours == pytest.approx(1000 * 32 * 109 / (0.3 * PEAK["float32"]) / 3600)
    every = price(section(repository, *base, "finetune.gradient_steps=null"), cost(1, False), TOLD)
    assert every.hours == pytest.approx(found.hours * (109 + 16 * 4) / 109)


def test_judges_stay_float32(repository: Path) -> None:
    half = section(repository, "finetune.precision=bfloat16", "finetune.steps=[21, 21]")
    found = price(half, cost(1, False), Assumptions(tflops={"float32": 1.0, "bfloat16": 1e6}))
    # All but 1 of the loss's 3 Tera-operations takes no time.
    seconds = half.iterations * half.images_per_prompt / 0.3
    assert found.hours == pytest.approx(seconds / 3600, rel=1e-3)


def test_the_gradient_through_the_whole_sampler_has_no_plan(repository: Path) -> None:
    full = ("finetune.gradient_weights=full", "finetune.gradient_steps=null")
    with pytest.raises(ConfigError, match="one network call for each step with a gradient"):
        price(section(repository, *full), cost(1, False), TOLD)


def test_cheaper_choices_are_values_to_set_and_what_they_take(repository: Path) -> None:
    words = ("finetune.steps=[19, 23]", "finetune.gradient_steps=null", "finetune.guidance=7.5")
    given = section(repository, *words)
    options = cheaper(given, cost(1, False), TOLD)
    assert [option.changes for option in options[:-1]] == [
        ("finetune.precision=bfloat16",),
        ("finetune.gradient_steps=5", "finetune.gradient_choice=stratified"),
        ("finetune.originals=stored", "finetune.noise_seed=0"),
        ("finetune.guided_gradient=text",),
    ]
    asked = price(given, cost(1, False), TOLD)
    assert all(option.hours < asked.hours for option in options)
    assert options[-1].hours < min(option.hours for option in options[:-1])
    # What was suggested is what a run with it takes, as given.
    stored = section(repository, *words, *options[2].changes)
    assert price(stored, cost(1, False), TOLD).hours == options[2].hours
    assert [option.once > 0 for option in options] == [False, False, True, False, True]
    assert cheaper(section(repository, *words, *options[-1].changes), cost(1, False), TOLD) == []


def test_the_command_that_is_shown_is_what_was_planned(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(shapes, "costs", lambda params: cost)

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["plan", "--gpu", "16GB", *words])
        assert done.exit_code == 0, done.output
        return done.output

    first = said("--set", "finetune.batch_size=32", "--set", "finetune.steps=[4, 6]")
    chosen = ["finetune.batch_size=21", "finetune.loss_batch_size=10"]
    assert f"does not fit; with {' '.join(chosen)} 14.5" in first
    (line,) = (line for line in first.splitlines() if line.startswith("Run: "))
    options = shlex.split(line)[3:]
    assert options[:2] == ["--set", "finetune.steps=[4, 6]"]
    assert options[2:] == ["--set", chosen[0], "--set", chosen[1]]
    second = said(*options)
    assert "does not fit" not in second
    assert line in second
    assert "31.2 TFLOP/s (float32; an NVIDIA A10" in first
    assert "125 TFLOP/s (bfloat16, judges 31.2" in said("--set", "finetune.precision=bfloat16")


def test_samplers_that_call_the_network_more_often_take_longer(
    repository: Path, tmp_path: Path
) -> None:
    def found(*changes: str) -> Choice:
        words = ["finetune.steps=[20, 22]", "finetune.gradient_steps=5", *changes]
        loaded = load(repository / "params.yaml", words)
        return price(loaded.finetune, cost(1, False), TOLD, calls=calls_of(loaded))

    own, heun = found(), found("models.sampler=heun")
    assert own.calls == (94, 10)
    assert heun.calls == (2 * 2 * (2 * 21 - 1) + 10, 10)
    assert heun.hours > 1.5 * own.hours
    # What is not here is taken for Stable Diffusion 1.5 as published, which ships PNDM.
    elsewhere = f"models.base={tmp_path / 'none'}"
    assert found(elsewhere).calls == (98, 10)
    assert found(elsewhere, "models.sampler=dpm++2m").calls == (94, 10)


def test_memory_without_contents_is_that_with_them() -> None:
    """The same network, once with shapes alone and once run and measured: within 10 %."""
    shape = {
        "sample_size": 8,
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": 16,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }

    def run(unet: UNet2DConditionModel) -> None:
        latents = torch.zeros(16, 4, 8, 8).to(memory_format=torch.channels_last)
        states = torch.zeros(16, 8, 16, requires_grad=True)
        out = unet(latents, torch.tensor(500), states, return_dict=False)[0]
        out.backward(torch.zeros_like(out))

    with without_contents():
        unet = UNet2DConditionModel.from_config(shape).requires_grad_(False)
        with Peak(unet) as predicted:
            run(unet)
    unet = UNet2DConditionModel.from_config(shape).requires_grad_(False)
    run(unet)
    measured = peak_bytes(lambda: run(unet))
    assert measured > 1e6
    assert predicted.most == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    "changes",
    [(), ("finetune.checkpointing=true",), ("finetune.train_unet=true", "finetune.batch_size=2")],
)
def test_a_plan_is_what_an_iteration_takes(
    repository: Path, tmp_path: Path, changes: tuple[str, ...]
) -> None:
    """The default run's models: the classifier, the semantics loss and what is kept included."""
    common = ["finetune.images_per_prompt=4", "finetune.batch_size=4", "run.threads=1"]
    common.append("run.device=cpu")
    words = [*common, "finetune.gradient_steps=2", *changes]
    expected = planned(load(repository / "params.yaml", words))
    assert expected == pytest.approx(measured(tmp_path, words), rel=0.1)


def test_what_the_realism_loss_looks_through_takes_memory(repository: Path) -> None:
    def peak(*changes: str) -> int:
        return costs(load(repository / "params.yaml", list(changes)))(2, False).peak

    assert peak("finetune.lambda_face=1") > 1.1 * peak()


def test_a_pack_s_embedder_is_planned_with_its_own_shapes(repository: Path, tmp_path: Path) -> None:
    """One that is not there counts as an IResNet-50, which is said."""

    def told(place: Path | str) -> Params:
        words = [f"models.face_embedder={place}", "finetune.lambda_face=1"]
        return load(repository / "params.yaml", words)

    there, gone = told(make_pack(tmp_path / "buffalo_l")), told("no/buffalo_l")
    assert missing(there) == []
    assert missing(gone) == ["models.face_embedder (IResNet-50)"]
    assert missing(load(repository / "params.yaml", ["models.face_embedder=no/x"])) == []
    # 43.6 million weights of 4 bytes; the tiny pack has fewer than 100,000.
    weights = costs(gone)(1, False).weights - costs(there)(1, False).weights
    assert weights == pytest.approx(4 * 43.6e6, rel=0.01)


def test_what_stands_for_ready_classifiers_that_are_not_there_is_named(repository: Path) -> None:
    def ready(role: str) -> str:
        folders = ", ".join(f"{name}: no/{role}-{name}" for name in ("gender", "race", "age"))
        return f"calibrate_classifier.{role}_network={{{folders}}}"

    told = load(repository / "params.yaml", [ready("train"), ready("audit")])
    keys = [f"calibrate_classifier.train_network.{name}" for name in ("gender", "race", "age")]
    assert missing(told) == keys
    plain = load(repository / "params.yaml")
    assert missing(plain) == []
    # A network for photographs in place of one for drawn faces of 32 px.
    assert costs(told)(1, False).peak > 2 * costs(plain)(1, False).peak


def test_a_folder_that_is_no_model_is_named(repository: Path, tmp_path: Path) -> None:
    folders = ", ".join(f"{name}: {tmp_path}" for name in ("gender", "race", "age"))
    for key, value, said in (
        ("models.image_text", tmp_path, f"config.json. Given: models.image_text: {tmp_path}."),
        ("models.base", tmp_path, f"one text encoder. Given: models.base: {tmp_path}."),
        (
            "calibrate_classifier.train_network",
            f"{{{folders}}}",
            f"config.json. Given: calibrate_classifier.train_network.gender: {tmp_path}.",
        ),
    ):
        told = load(repository / "params.yaml", [f"{key}={value}"])
        with pytest.raises(ConfigError, match=f"{said} What to do: "):
            missing(told)


def test_memory_is_gib_however_it_is_written() -> None:
    for text in ("24", "24GB", "24 GiB", "24g"):
        assert gigabytes(text) == 24 * GIB
    with pytest.raises(ConfigError, match="a number of GiB. Given: 24TB. What to do: write 24 or"):
        gigabytes("24TB")
