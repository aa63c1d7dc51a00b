"""What the steps after training take: planned beside measured, and what to set where it is much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.measure import peak_bytes
from components.measuring import judging, missing_judges, sampling
from components.planning import GIB, RESERVED, USABLE
from components.step import audit_instruments
from fairness_core.classifiers import build
from fairness_core.config import Params, load
from fairness_core.diffusion import DiffusionStack
from fairness_core.errors import ConfigError
from fairness_core.evaluation import Sampling, assess, generate_folder, plan_images, write_png
from fairness_core.portraits.models import resolve
from fairness_core.training.dry_run import weight_bytes

LARGE = 100 * GIB


def told(repository: Path, *changes: str) -> Params:
    return load(repository / "params.yaml", list(changes))


def gpu_of(peak_gib: float, more: float) -> float:
    """Memory of the GPU that has this many bytes of room beyond a peak."""
    return (peak_gib * GIB + more) / USABLE


@pytest.mark.parametrize("decoded", ["null", "4"])
def test_a_plan_is_what_sampling_takes(repository: Path, tmp_path: Path, decoded: str) -> None:
    words = ["generate_images.batch_size=16", f"generate_images.decode_batch_size={decoded}"]
    params = told(repository, *words, "generate_images.steps=2")
    section = params.generate_images
    prompts = pd.DataFrame({"prompt_id": ["a"], "prompt": ["a portrait of a nurse"], "split": "t"})
    counts = pd.DataFrame({"prompt_id": ["a"], "images": [16]})
    how = Sampling("s", 0, section.guidance, section.steps, 16, section.decode_batch_size)
    rows = plan_images(prompts, counts, how, model="base")
    stack = DiffusionStack.load(resolve(params.models.base))
    runs = iter(range(9))

    def run() -> None:
        generate_folder(stack, rows, tmp_path / str(next(runs)), how, recipe={})

    run()
    planned = sampling(params, LARGE).gib * GIB - RESERVED
    planned -= weight_bytes(stack.network, stack.vae, stack.text_encoder)
    assert planned == pytest.approx(peak_bytes(run), rel=0.1)


def test_a_plan_is_what_judging_takes(repository: Path, tmp_path: Path) -> None:
    params = told(repository, "measure_images.batch_size=8")
    space, models = params.attribute_space, params.section("models")
    kind = params.section("calibrate_classifier")["audit_network"]
    build(kind, space, 32, torch.Generator().manual_seed(0)).save(tmp_path / "audit")
    judges = audit_instruments(models, tmp_path, space, torch.device("cpu"))
    draw = np.random.default_rng(0)
    for i in range(8):
        write_png(draw.integers(0, 256, (32, 32, 3)).astype(np.uint8), tmp_path / f"{i}.png")
    rows = [(f"i{i}", "a", i, "base", "test", f"{i}.png") for i in range(8)]
    names = ["image_id", "prompt_id", "index", "model", "split", "file"]
    table = pd.DataFrame(rows, columns=names)
    prompts = pd.DataFrame({"prompt_id": ["a"], "prompt": ["a nurse"]})

    def run() -> None:
        assess(table, tmp_path, prompts, judges, space, batch_size=8)

    run()
    networks = (judges.classifier, judges.image_text.model, judges.image_self.model)
    always, *both = (weight_bytes(network) for network in networks)
    planned = judging(params, LARGE).gib * GIB - RESERVED - always
    # One of the two is held at a time; of equal sizes, the plan's worst is the measured one's.
    assert planned - max(both) <= 1.1 * peak_bytes(run)
    assert planned - min(both) >= 0.9 * peak_bytes(run)


def test_what_to_set_where_it_does_not_fit_does(repository: Path) -> None:
    params = told(repository)
    sampled, judged = sampling(params, LARGE), judging(params, LARGE)
    assert (sampled.words, judged.words) == ((), ())
    # Decoding takes more than sampling here: to decode fewer at once is enough.
    tight = gpu_of(sampled.gib, -1e5)
    found = sampling(params, tight)
    assert not found.fits
    (word,) = found.words
    assert word.startswith("generate_images.decode_batch_size=")
    again = sampling(told(repository, *found.words), tight)
    assert again.fits
    assert again.gib == pytest.approx(found.then)
    tight = gpu_of(judged.gib, -1e5)
    found = judging(params, tight)
    assert 0 < found.changes["batch_size"] < params.measure_images.batch_size
    assert judging(told(repository, *found.words), tight).fits
    for need in (sampling, judging):
        with pytest.raises(ConfigError, match="not even one image at a time fits"):
            need(params, GIB)


def test_half_the_bits_take_half_the_memory(repository: Path) -> None:
    def peak(*changes: str) -> float:
        return sampling(told(repository, *changes), LARGE).gib * GIB - RESERVED

    half = peak("generate_images.precision=bfloat16")
    assert 0.45 * peak() < half < 0.65 * peak()


def test_judges_that_are_not_there_are_named(repository: Path) -> None:
    assert missing_judges(told(repository)) == []
    folders = "{gender: no/a, race: no/b, age: no/c}"
    words = ["models.audit_image_text=no/clip", f"calibrate_classifier.audit_network={folders}"]
    keys = [f"calibrate_classifier.audit_network.{name}" for name in ("gender", "race", "age")]
    assert missing_judges(told(repository, *words)) == ["models.audit_image_text", *keys]
