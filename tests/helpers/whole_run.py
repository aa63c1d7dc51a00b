"""The whole run by the steps' own command lines, and what any other way of running must equal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from components.build_bank.main import main as build_bank
from components.calibrate_classifier.main import main as calibrate_classifier
from components.evaluate_bias.main import main as evaluate_bias
from components.finetune.main import main as finetune
from components.gate.main import main as gate
from components.generate_baselines.main import main as generate_baselines
from components.generate_images.main import main as generate_images
from components.generate_prompts.main import main as generate_prompts
from components.measure_images.main import main as measure_images
from components.publish.main import main as publish
from components.report.main import main as report

__all__ = ["EASY_POLICY", "assert_same_run", "run_every_step"]

EASY_POLICY = "version: 1\nrules: {no_face_rate: 1.0}\n"
FILES = (
    "prompts/prompts.parquet",
    "prompts/plan.parquet",
    "bank/faces.safetensors",
    "gate/verdict.json",
    "classifiers/train/model.safetensors",
    "classifiers/audit/model.safetensors",
    "finetune/live.safetensors",
    "finetune/ema.safetensors",
    "bundle/pytorch_lora_weights.safetensors",
    "bundle/manifest.json",
    "evaluation/faces.parquet",
    "evaluation/quality.parquet",
)


def run_every_step(folder: Path) -> None:
    """Run each step in this process in a folder with ``params.yaml`` and ``policy.yaml``."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        for step in (generate_prompts, calibrate_classifier, build_bank, finetune, publish):
            assert step([]) == 0
        assert generate_images(["--model", "base"]) == 0
        assert generate_images(["--model", "aligned"]) == 0
        assert generate_baselines([]) == 0
        assert measure_images([]) == 0
        assert evaluate_bias([]) == 0
        assert report(["--policy", "policy.yaml"]) == 0
        assert gate([]) == 0
    finally:
        os.chdir(before)


def assert_same_run(one: Path, other: Path, *, pictures: int) -> None:
    """Two folders hold the same bytes, and the same figures but for how long things took.

    Args:
        one: A folder with ``artifacts`` and ``metrics``.
        other: Another.
        pictures: Of all models together.
    """
    images = [
        path.relative_to(one / "artifacts").as_posix()
        for place in ("images", "baselines")
        for path in sorted((one / "artifacts" / place).rglob("*.png"))
    ]
    assert len(images) == pictures
    differing = [
        name
        for name in (*FILES, *images)
        if (one / "artifacts" / name).read_bytes() != (other / "artifacts" / name).read_bytes()
    ]
    assert differing == []
    for name in ("calibration.json", "finetune.json", "evaluation.json"):
        figures, others = (_figures(folder / "metrics" / name) for folder in (one, other))
        assert len(figures) >= 2
        assert figures == others, name


def _figures(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = _without_seconds(json.loads(path.read_text()))
    return found


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if not k.startswith("seconds")}
    return value
