"""Peak memory of an iteration as ``evenhand plan`` says it, and as it is measured.

Run from the repository's root: ``python -m benchmarks.planned_memory``. The default run's models, a
whole iteration each: what the plan's dry run adds up without running anything, beside the most
that torch's allocator held. Not run on a GPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import DEVICES, MIB, peak_bytes, save, say
from benchmarks.portraits import PROMPT, iterate, portraits
from components.planning import kept_bytes
from components.shapes import costs
from fairness_core.config import Params, load
from fairness_core.runtime import prepare
from fairness_core.runtime.seeds import image_noise

CASES: dict[str, tuple[str, ...]] = {
    "default": (),
    "blocks recomputed": ("finetune.checkpointing=true",),
    "LoRA on both networks": ("finetune.train_unet=true",),
    "text branch alone": ("finetune.guided_gradient=text",),
    "MobileNet as classifier": (
        "calibrate_classifier.train_network=mobilenet",
        "calibrate_classifier.audit_network=resnet",
    ),
}
STEPS = 2  # they cost kilobytes each


def planned(params: Params) -> float:
    """Bytes above the weights that the plan expects."""
    section = params.finetune
    peak = costs(params)(section.batch_size, section.checkpointing).peak
    return peak + kept_bytes(params, STEPS)


def measured(folder: Path, changes: list[str]) -> int:
    """Bytes above the weights that an iteration takes."""
    params, models, settings, _ = portraits(folder, changes)
    n, shape = params.finetune.images_per_prompt, models.stack.latent_shape
    device = models.stack.device
    noise = image_noise("benchmark", [PROMPT] * n, list(range(n)), shape).to(device)

    def run() -> None:
        iterate(models, settings, noise, steps=STEPS)

    run()
    return peak_bytes(run, device)


def main() -> int:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--device", choices=DEVICES, default="auto")
    arguments = parser.parse_args()
    n = arguments.images
    common = [f"finetune.images_per_prompt={n}", f"finetune.batch_size={n}", "run.threads=1"]
    common += [f"finetune.gradient_steps={STEPS}", f"run.device={arguments.device}"]
    cases = {**CASES, "a quarter at a time": (f"finetune.batch_size={max(1, n // 4)}",)}
    rows = {}
    for name, case in cases.items():
        changes = [*common, *case]
        plan = planned(load(Path("params.yaml"), changes))
        # A run's own classifiers would stand for every kind.
        with TemporaryDirectory() as folder:
            real = measured(Path(folder), changes)
        rows[name] = {"planned_mib": plan / MIB, "measured_mib": real / MIB, "ratio": plan / real}
        say(f"{name:24} planned {plan / MIB:6.2f} measured {real / MIB:6.2f} ({plan / real:.3f})")
    save("planned_memory", {"images": n, "rows": rows}, prepare(arguments.device, 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
