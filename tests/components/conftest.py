"""All steps run once, in order, on a tiny random world; tests look at what they wrote."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

from components.calibrate_classifier.main import main as calibrate_classifier
from components.evaluate_bias.main import main as evaluate_bias
from components.generate_baselines.main import main as generate_baselines
from components.generate_images.main import main as generate_images
from components.generate_prompts.main import main as generate_prompts
from components.measure_images.main import main as measure_images
from components.publish.main import main as publish
from components.report.main import main as report
from fairness_core.diffusion import DiffusionStack, LoraSpec, adapter_state, add_lora
from fairness_core.runtime import write_manifest, write_table
from tests.helpers.tiny_world import ATTRIBUTES, make_tiny_world, write_params

CATALOG = """prompt_id,prompt,split,family,subject,named_gender,named_age
train-0,a bank guard,train,occupation,bank guard,,
train-1,a harbour nurse,train,occupation,harbour nurse,,
test-0,a bank nurse,test,occupation,bank nurse,,
test-1,a harbour guard,test,occupation,harbour guard,,
train-2,a tennis player,train,sport,tennis player,,
sports-0,a rower at night,sports,sport,rower,,
named-0,a female bank nurse,named,named,female bank nurse,female,
named-1,an old male harbour guard,named,named,old male harbour guard,male,old
scenes-0,a picture of a tree,scenes,scene,tree,,
scenes-1,a picture of a boat,scenes,scene,boat,,
"""
TEST_IMAGES, NAMED_IMAGES, SCENE_IMAGES = 4, 2, 2


@dataclass(frozen=True)
class Run:
    """A working directory in which every step has run."""

    folder: Path
    base: Path

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def write_finetuned(base: Path, folder: Path) -> None:
    """What finetune leaves behind, with adapters that change the images."""
    stack = DiffusionStack.load(base)
    draw = torch.Generator().manual_seed(5)
    add_lora(stack, text_encoder=LoraSpec(2), unet=None, generator=draw)
    live = {
        k: v + 0.5 * torch.randn(v.shape, generator=draw) for k, v in adapter_state(stack).items()
    }
    folder.mkdir(parents=True)
    save_file(live, folder / "live.safetensors")
    save_file({k: 0.5 * v for k, v in live.items()}, folder / "ema.safetensors")
    log = {"iteration": [0, 1], "loss_total": [2.0, 1.0], "face_rate": [1.0, 1.0]}
    write_table(pd.DataFrame(log), folder / "log.parquet")
    write_manifest(folder, "finetune", alpha=None, iterations=2)


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Run:
    """Not to be written to."""
    folder = tmp_path_factory.mktemp("run")
    world = make_tiny_world(tmp_path_factory.mktemp("world"))
    path = write_params(folder / "params.yaml", repository, world)
    params = yaml.safe_load(path.read_text())
    params["models"] |= {
        "audit_image_text": str(world.image_text),
        "audit_image_self": str(world.image_self),
    }
    (folder / "catalog.csv").write_text(CATALOG)
    params["generate_prompts"] = {
        "world": "catalog.csv",
        "test_images": TEST_IMAGES,
        "named_images": NAMED_IMAGES,
        "scene_images": SCENE_IMAGES,
    }
    params["calibrate_classifier"] |= {"images": 100, "epochs": 1, "audit_epochs": 1}
    params["generate_images"] = {"steps": 2, "guidance": 3.0, "batch_size": 8}
    params["baselines"] |= {
        "methods": ["intervention", "uce", "debiasvl"],
        "wording": "{prompt}, {classes}",
        "words": {"old": "elderly"},
        "iterations": 1,
        "images": 2,
    }
    params["measure_images"]["batch_size"] = 8
    params["evaluate_bias"] |= {"also": ["sports"], "bootstrap": 100}
    params["targets"] |= {
        "source": "a made-up census",
        "overrides": {"bank nurse": {"gender": {"female": 0.3, "male": 0.7}}},
    }
    # The attributes' order is theirs: it names what is measured jointly.
    params["attributes"] = ATTRIBUTES
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    before = Path.cwd()
    os.chdir(folder)
    try:
        # No path is given: the defaults are those of dvc.yaml.
        assert generate_prompts([]) == 0
        assert calibrate_classifier([]) == 0
        write_finetuned(world.base, folder / "artifacts" / "finetune")
        assert publish([]) == 0
        assert generate_images(["--model", "base"]) == 0
        assert generate_images(["--model", "aligned"]) == 0
        assert generate_baselines([]) == 0
        assert measure_images([]) == 0
        assert evaluate_bias([]) == 0
        assert report([]) == 0
    finally:
        os.chdir(before)
    return Run(folder, world.base)


@pytest.fixture
def here(done: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, as the working directory."""
    monkeypatch.chdir(done.folder)
    return done


def pixels(folder: Path, file: str) -> np.ndarray:
    """One image's bytes, h w 3."""
    from PIL import Image

    with Image.open(folder / file) as picture:
        return np.asarray(picture.convert("RGB"))
