"""What fits, and what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from benchmarks.measure import peak_bytes
from benchmarks.planned_memory import measured, planned
from components.planning import GIB, Assumptions, plan
from components.planning import _gigabytes as gigabytes
from components.shapes import costs, missing
from fairness_core.config import Finetune, Params, load
from fairness_core.errors import ConfigError
from fairness_core.training.dry_run import Cost, Peak, without_contents
from tests.embeddings.tiny_packs import make_pack


def section(repository: Path, *changes: str) -> Finetune:
    return load(repository / "params.yaml", list(changes)).finetune


def cost(images: int, checkpointing: bool) -> Cost:
    """3 GiB of weights; an image takes 1 GiB, or a quarter with blocks recomputed."""
    peak = int(images * GIB * (0.25 if checkpointing else 1))
    return Cost(3 * GIB, peak, {}, sampling=2e12, gradient=4e12, decoding=1e12, loss=3e12)


def test_the_largest_micro_batch_that_fits(repository: Path) -> None:
    told = section(repository)
    found = plan(told, cost, 16 * GIB, Assumptions())
    # 0.92 * 16 - 1 for the driver - 3 of weights = 10.7
    assert (found.micro_batch, found.checkpointing) == (10, False)
    assert found.gib == pytest.approx(14.0)
    assert plan(told, cost, 500 * GIB, Assumptions()).micro_batch == told.images_per_prompt
    tight = plan(told, cost, 5 * GIB, Assumptions())
    assert (tight.micro_batch, tight.checkpointing) == (2, True)
    with pytest.raises(ConfigError, match="Not even one image at a time fits"):
        plan(told, cost, 4 * GIB, Assumptions())


def test_calls_and_hours_follow_the_parameters(repository: Path) -> None:
    base = ("finetune.steps=[21, 21]", "finetune.gradient_steps=5", "finetune.iterations=1000")
    kinds = {
        (94, 10): (),
        (52, 10): ("finetune.originals=stored",),
        (47, 5): ("finetune.originals=stored", "finetune.guided_gradient=text"),
    }
    hours = []
    for calls, changes in kinds.items():
        found = plan(section(repository, *base, *changes), cost, 24 * GIB, Assumptions())
        assert found.calls == calls
        hours.append(found.hours)
    assert hours[0] > hours[1]
    # 32 images, 2 x 21 x 2 + 5 x 4 + 2 + 3 = 109 Tera-operations each, at 36 T a second
    assert hours[0] == pytest.approx(1000 * 32 * 109 / 36 / 3600)
    every = section(repository, "finetune.gradient_steps=null", "finetune.steps=[21, 21]")
    assert plan(every, cost, 24 * GIB, Assumptions()).gradient_steps == 5


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


def test_memory_is_gib_however_it_is_written() -> None:
    for text in ("24", "24GB", "24 GiB", "24g"):
        assert gigabytes(text) == 24 * GIB
    with pytest.raises(ConfigError, match="a number of GiB. Given: 24TB. What to do: write 24 or"):
        gigabytes("24TB")
