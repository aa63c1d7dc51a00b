"""Images per second: detection, crops, classification, embedding, decoding, generation.

Run from the repository's root: ``python -m benchmarks.throughput``, on the default run's models.
``one by one`` is the same work with one image a call, as in a loop. Seconds are the process's own
on a CPU and the clock's on a GPU, where this has not run; faces are detected on the CPU, as in
training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import DEVICES, clock, in_turns, save, say
from benchmarks.portraits import PROMPT, portraits
from fairness_core.diffusion import decode, encode_prompts, sample
from fairness_core.faces import crop_faces
from fairness_core.runtime.seeds import image_noise


def main() -> int:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    arguments = parser.parse_args()
    n = arguments.images
    changes = [f"run.threads={arguments.threads}", f"run.device={arguments.device}"]
    params, models, _, _ = portraits(arguments.artifacts, changes)
    stack, classifier, device = models.stack, models.classifier, models.stack.device
    unit = clock(device)
    noise = image_noise("benchmark", [PROMPT] * n, list(range(n)), stack.latent_shape).to(device)
    told = params.generate_images
    with torch.no_grad():
        states = encode_prompts(stack, [PROMPT, ""])

        def generate(rows: Tensor) -> Tensor:
            text = states[:1].expand(len(rows))
            options = {"guidance": told.guidance, "steps": told.steps}
            return decode(stack, sample(stack, rows, text, states[1:], **options).final)

        images = generate(noise).clamp(-1, 1)
        faces = models.detector.detect(images)
        size = classifier.input_size

        def crop(pictures: Tensor) -> Tensor:
            rows = torch.arange(len(pictures), device=device)
            found = faces.take(rows)
            return crop_faces(pictures, found.boxes, found.present, size=size)

        crops = crop(images)
        kinds: dict[str, tuple[Callable[[Tensor], object], Tensor]] = {
            "detect": (models.detector.detect, images),
            "crop": (crop, images),
            "classify": (classifier.predict, crops),
            "CLIP": (models.image_text.image, images),
            "DINO": (models.image_self.image, images),
            "decode": (lambda rows: decode(stack, rows), noise),
            f"generate, {told.steps} steps": (generate, noise),
        }
        rows = {}
        for name, (work, given) in kinds.items():
            alone = given[: max(n // 8, 1)]
            times = in_turns(
                {
                    "batch": lambda work=work, given=given: work(given),
                    "one by one": lambda work=work, alone=alone: [work(x) for x in alone.split(1)],
                },
                arguments.rounds,
                device=device,
            )
            rate = n / times["batch"][unit]
            single = len(alone) / times["one by one"][unit]
            rows[name] = {f"images_per_{unit.removesuffix('s')}": rate, "one_by_one": single}
            say(f"{name:22} {rate:9.0f} images/s, one by one {single:7.0f}, x{rate / single:.1f}")
    save("throughput", {"images": n, "rows": rows}, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
