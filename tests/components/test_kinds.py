"""Finetune, publish and generate with each kind of adapter that the default run does not train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from components.finetune.main import main as finetune
from components.generate_images.main import main as generate_images
from components.publish.main import main as publish
from components.report.main import main as report
from fairness_core.runtime import image_noise, read_table, verify
from tests.components.conftest import Run, pixels

SHORT = {
    "iterations": 2,
    "checkpoint_every": 1,
    "images_per_prompt": 4,
    "learning_rate": 0.1,
    "train_text_encoder": "false",
}
KINDS: dict[str, dict[str, Any]] = {
    "soft tokens": {"soft_tokens": 5},
    "U-Net": {"train_unet": "true", "alpha": 3},
}
PROMPT = "a bank nurse"


def load_lora(pipeline: Any, bundle: Path) -> str:
    pipeline.load_lora_weights(str(bundle))
    return PROMPT


def load_tokens(pipeline: Any, bundle: Path) -> str:
    pipeline.load_textual_inversion(str(bundle), local_files_only=True)
    return f"<evenhand> {PROMPT}"


LOADERS: dict[str, Callable[[Any, Path], str]] = {"soft tokens": load_tokens, "U-Net": load_lora}


@dataclass(frozen=True)
class Trained:
    """What a run of one kind wrote."""

    kind: str
    folder: Path

    def bundle(self, weights: str) -> Path:
        return self.folder / weights


@pytest.fixture(scope="module", params=list(KINDS))
def trained(
    request: pytest.FixtureRequest, done: Run, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """Trained, published with both kinds of weights, images sampled with the averaged ones."""
    folder = tmp_path_factory.mktemp("kind")
    changes = SHORT | KINDS[request.param]
    common = ["--params", str(done / "params.yaml")]
    for name, value in changes.items():
        common += ["--set", f"finetune.{name}={value}"]
    inputs = [f"--{name}={done / 'artifacts' / name}" for name in ("prompts", "classifiers")]
    own = ["--checkpoints", folder / "checkpoints", "--out", folder / "finetune"]
    own += ["--metrics", folder / "metrics.json"]
    assert finetune([*common, *inputs, *map(str, own)]) == 0
    for weights in ("ema", "live"):
        out = ["--finetuned", str(folder / "finetune"), "--out", str(folder / weights)]
        out += ["--set", f"publish.weights={weights}", inputs[1]]
        assert publish([*common, *out]) == 0
    out = ["--model", "aligned", "--bundle", str(folder / "ema"), "--out", str(folder / "images")]
    assert generate_images([*common, inputs[0], *out]) == 0
    return Trained(request.param, folder)


def test_the_images_are_those_of_stock_diffusers(trained: Trained, done: Run) -> None:
    row = read_table(trained.folder / "images" / "images.parquet").iloc[1]
    assert (row["prompt_id"], row["index"]) == ("test-0", 1)
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(done.base), local_files_only=True, use_safetensors=True, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    prompt = LOADERS[trained.kind](pipeline, trained.bundle("ema"))
    noise = image_noise("generate_images", [PROMPT], [1], (4, 8, 8), seed=0)
    image = pipeline(
        prompt, latents=noise, guidance_scale=3.0, num_inference_steps=2, output_type="np"
    ).images[0]
    written = pixels(trained.folder / "images", row["file"]).astype(int)
    assert np.abs(written - (image * 255).round()).max() <= 1
    base = pixels(done / "artifacts/images/base", row["file"]).astype(int)
    assert np.abs(written - base).max() > 1


def test_both_kinds_of_weights_are_published(trained: Trained) -> None:
    found = {}
    for weights in ("ema", "live"):
        extra = verify(trained.bundle(weights), kind="adapter-bundle")["extra"]
        assert extra["weights"] == weights
        assert extra["soft_tokens"] == KINDS[trained.kind].get("soft_tokens", 0)
        (file,) = trained.bundle(weights).glob("*.safetensors")
        found[weights] = load_file(file)
    assert found["ema"].keys() == found["live"].keys()
    assert any(not found["ema"][name].equal(found["live"][name]) for name in found["ema"])
    if trained.kind == "U-Net":
        assert (extra["rank"], extra["alpha"]) == ({"unet": 2}, {"unet": 3})
    else:
        assert extra["placeholder"] == "<evenhand>"
        assert found["live"]["<evenhand>"].shape[0] == 5


def test_both_cards_say_how_to_load_the_bundle(trained: Trained, here: Run) -> None:
    call, tag, other = {
        "soft tokens": ("load_textual_inversion(", '"textual_inversion"', "LoRA"),
        "U-Net": ("load_lora_weights(", '"lora"', "textual"),
    }[trained.kind]
    out = trained.folder / "report"
    assert report(["--bundle", str(trained.bundle("ema")), "--out", str(out)]) == 0
    for card in (trained.bundle("ema") / "README.md", out / "model-card.md"):
        text = card.read_text()
        assert call in text
        assert tag in text
        assert other not in text
        assert ('pipeline("<evenhand> a photo' in text) == (trained.kind == "soft tokens")
