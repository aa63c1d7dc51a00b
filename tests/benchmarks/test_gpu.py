"""The GPU's benchmark on a CPU: all cases, their counts, and what is too large for the memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu, measure, whole_iteration
from benchmarks.random_models import SHAPES, FixedBox, random_models, random_stack
from benchmarks.rates import Products, matmul_peak
from benchmarks.whole_iteration import GIB, Bench, Case, measured, shares
from fairness_core.attributes import AttributeSpace
from fairness_core.config import find_preset, load_preset
from fairness_core.diffusion import LoraSpec, add_lora, trainable
from fairness_core.runtime.distributed import World


@pytest.mark.slow
def test_every_case_is_measured(
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    words = ["--shape", "tiny", "--device", "cpu", "--images", "2", "--steps", "3", "--chosen", "1"]
    monkeypatch.setattr(sys, "argv", ["gpu", *words])
    assert gpu.main() == 0
    said = capsys.readouterr().out
    assert "face detection is not in any figure" in said
    found = json.loads((tmp_path / "gpu.json").read_text())
    rows = found["rows"]
    calls = {name: (row["forwards"], row["backwards"]) for name, row in rows.items()}
    # Two branches, three steps: three passes and the recomputation; two and every step's; ...
    assert calls == {
        "sd15-gender: published step": (24, 6),
        "sd15-gender: every step": (18, 6),
        "sd15-gender: K = 1": (14, 2),
        "sd15-gender: K = 1, stored originals": (8, 2),
        "sd15-gender: recipe of 24 GB": (8, 2),
        "sd15-gender: recipe of 16 GB": (14, 2),
        "sd15-gender-race: every step": (18, 6),
        "sd15-gender-race: K = 1, stored originals": (8, 2),
    }
    for row in rows.values():
        assert row["images_per_second"] == pytest.approx(2 / row["seconds"])
        assert row["peak_gib"] > 0
        # Of tiny products beside other work, more than all of it too: a figure, not a promise.
        assert row["share_of_peaks"] > 0
        # The diffusion model computes in bfloat16, what judges its images in float32.
        assert set(row["tera_operations"]) == {"torch.bfloat16", "torch.float32"}
    published, ours = rows["sd15-gender: published step"], rows["sd15-gender: every step"]
    of_network = [row["tera_operations"]["torch.bfloat16"] for row in (published, ours)]
    assert of_network[0] > 1.1 * of_network[1]
    assert published["times_faster"] == pytest.approx(1)
    costs = rows["sd15-gender: K = 1, stored originals"]["largest_costs"]
    assert len(costs) == 3
    assert all(cost["name"] in said and 0 < cost["share"] < 1 for cost in costs)


def test_the_shape_is_the_published_models() -> None:
    space = AttributeSpace.from_mapping({"gender": {"classes": ["female", "male"]}})
    models = random_models(SHAPES["sd15"], space, torch.device("meta"), torch.bfloat16)
    stack = models.stack
    networks = (stack.text_encoder, stack.unet, stack.vae.decoder)
    sizes = [sum(p.numel() for p in network.parameters()) for network in networks]
    judges = (models.image_text, models.image_self, models.classifier)
    found = [sum(p.numel() for p in network.parameters()) for network in judges]
    source = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        add_lora(stack, text_encoder=LoraSpec(50), unet=None, generator=source)
    assert sizes == [123_060_480, 859_520_964, 49_490_179]
    assert sum(p.numel() for p in trainable(stack).values()) == 8_294_400
    assert found == [986_109_441, 86_580_480, 4_204_594]
    assert (stack.latent_shape, stack.image_size) == ((4, 64, 64), 512)


def test_an_image_has_one_face_in_its_middle() -> None:
    faces = FixedBox().detect(torch.zeros(2, 3, 40, 80))
    assert faces.boxes.tolist() == [[20, 10, 60, 30]] * 2
    points = faces.landmarks[0]
    assert bool(((points > torch.tensor([20, 10])) & (points < torch.tensor([60, 30]))).all())
    assert bool(faces.present.all())


def test_what_does_not_fit_is_tried_smaller(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = load_preset(
        repository / "params.yaml", find_preset(repository / "presets", "sd15-gender")
    )
    settings = gpu.settings_of(params)
    assert settings.batch_size == 8

    class State:
        def clear_gradient(self) -> None:
            pass

    bench: Any = type("Small", (), {"state": State()})()

    def figures(_: Bench, __: str, case: Case) -> dict[str, Any]:
        if (case.images if case.reference else case.settings.batch_size) > 4:
            raise torch.OutOfMemoryError
        return {"images": case.images, "call": case.settings.batch_size}

    monkeypatch.setattr(whole_iteration, "_figures", figures)
    assert measured(bench, "ours", Case(settings, 24)) == {"images": 24, "call": 4}
    published = measured(bench, "published", Case(settings, 24, reference=True))
    assert published["images"] == 3
    said = capsys.readouterr().out
    assert "ours: out of memory with 24 images, 8 a call\n" in said
    assert said.count("published: out of memory") == 3
    # A recipe is as it is.
    recipe = Case(settings, 24, limit=24e9)
    assert measured(bench, "recipe", recipe) == {"out_of_memory": True}


def test_what_is_asked_of_a_gpu() -> None:
    rows = {"ours": {"seconds": 1.0}, "recipe": {"fits": True}}
    assert gpu.is_met(3.0, rows)
    assert not gpu.is_met(2.9, rows)
    assert not gpu.is_met(None, rows)
    assert not gpu.is_met(3.0, {**rows, "recipe": {"fits": False}})
    assert not gpu.is_met(3.0, {**rows, "recipe": {"out_of_memory": True}})
    # The published step with a sixth of the images: seconds of an image.
    published = {"seconds": 4.0, "images": 4}
    assert gpu.times_faster({"seconds": 6.0, "images": 24}, published, "seconds") == 4.0
    assert gpu.times_faster({"out_of_memory": True}, published, "seconds") is None


def test_products_are_counted_by_type_backwards_too() -> None:
    weight = torch.randn(8, 4, requires_grad=True)
    image = torch.randn(1, 2, 6, 6)
    kernel = torch.randn(3, 2, 3, 3, requires_grad=True)

    def run() -> None:
        (torch.randn(5, 4) @ weight.T).sum().backward()
        torch.nn.functional.conv2d(image, kernel).sum().backward()

    with FlopCounterMode(display=False) as expected:
        run()
    with Products() as found:
        run()
        torch.ones(2, 3, dtype=torch.bfloat16) @ torch.ones(3, 4, dtype=torch.bfloat16)
    assert found.operations[torch.float32] == expected.get_total_flops() > 0
    assert found.operations[torch.bfloat16] == 2 * 2 * 3 * 4
    peaks = {torch.float32: 1e12, torch.bfloat16: 4e12}
    told = shares({torch.float32: 1e12, torch.bfloat16: 4e12}, peaks, 5.0)
    assert told["share_of_bfloat16_peak"] == pytest.approx(0.25)
    assert told["share_of_peaks"] == pytest.approx(0.4)


def test_the_matmul_peak_is_a_rate() -> None:
    assert 1e8 < matmul_peak(torch.device("cpu"), torch.float32) < 1e14


@pytest.fixture
def fractions(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A GPU of 80e9 bytes: 1e9 beside torch's, which held 10e9 at the most and holds 4e9."""
    found: list[float] = []
    card = type("Card", (), {"total_memory": 80_000_000_000})
    given: dict[str, Any] = {
        "get_device_properties": lambda *_: card,
        "mem_get_info": lambda *_: (75_000_000_000, 80_000_000_000),
        "memory_reserved": lambda *_: 4_000_000_000,
        "max_memory_reserved": lambda *_: 10_000_000_000,
        "memory_allocated": lambda *_: 2 * GIB,
        "max_memory_allocated": lambda *_: 5 * GIB,
        "set_per_process_memory_fraction": lambda share, *_: found.append(share),
    }
    for name in ("empty_cache", "synchronize", "reset_peak_memory_stats"):
        given[name] = lambda *_: None
    for name, value in given.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return found


def test_a_recipe_is_held_to_its_cards_memory(
    repository: Path, monkeypatch: pytest.MonkeyPatch, fractions: list[float]
) -> None:
    """The GPU's counters in place of a GPU: what is read of them, and what they are told."""
    preset = find_preset(repository / "presets", "sd15-gender")
    settings = gpu.settings_of(load_preset(repository / "params.yaml", preset))
    models = type("Models", (), {"stack": random_stack(SHAPES["tiny"], "cpu")})()
    monkeypatch.setattr(Bench, "iterate", lambda *_: torch.ones(2, 2) @ torch.ones(2, 2))
    peaks = {torch.bfloat16: 1e12, torch.float32: 1e12}
    noise, world = torch.zeros(0), World("cuda")
    unused: Any = None
    bench = Bench(models, unused, world, noise, noise, peaks, 3)
    row = measured(bench, "recipe", Case(settings, 24, limit=16e9))
    assert row["fits"]
    assert row["device_gib"] == pytest.approx(11e9 / GIB)
    assert row["peak_gib"] == 3
    assert fractions == [15e9 / 80e9, 1.0]
    fractions.clear()
    assert not measured(bench, "recipe", Case(settings, 24, limit=10e9))["fits"]
    free = measured(bench, "ours", Case(settings, 24))
    assert "fits" not in free
    assert fractions == [9e9 / 80e9, 1.0]
