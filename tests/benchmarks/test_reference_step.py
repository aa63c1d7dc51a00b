from __future__ import annotations

import pytest
import torch

from benchmarks.reference_step import counted, reference_step
from fairness_core.diffusion import trainable
from fairness_core.runtime.distributed import World
from fairness_core.training import training_step
from tests.helpers.close import GRADIENT
from tests.helpers.tiny_world import TinyWorld, tiny_models, tiny_settings
from tests.training.test_step import PROMPT, flat, make_noise


@pytest.mark.slow
def test_the_published_step_has_our_gradient_and_the_published_calls(
    tiny_world: TinyWorld, alone: World
) -> None:
    """Three passes, one graph, blocks recomputed: 168 forwards and 42 backwards at S = 21."""
    settings, found = tiny_settings(), {}
    for name in ("reference", "ours"):
        models = tiny_models(tiny_world, double=True)
        common = {
            "prompt": PROMPT,
            "noise": make_noise(models, 1),
            "steps": 21,
            "targets_from": torch.Generator().manual_seed(0),
        }
        with counted(models) as calls:
            if name == "ours":
                draws = torch.Generator().manual_seed(1)
                training_step(models, settings, alone, **common, steps_from=draws)
            else:
                reference_step(models, settings, **common)
        found[name] = flat({k: p.grad for k, p in trainable(models.stack).items()})["all"]
        expected = {"reference": (168, 42), "ours": (126, 42)}[name]
        assert (calls.forwards, calls.backwards) == expected
    distance = (found["ours"] - found["reference"]).norm() / found["reference"].norm()
    assert float(distance) <= GRADIENT.relative, GRADIENT.reason
