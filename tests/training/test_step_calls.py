"""How often a step calls the network, against the table of the method."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fairness_core.runtime.distributed import World
from tests.helpers.close import FLOAT32, GRADIENT, assert_close
from tests.helpers.tiny_world import (
    TinyWorld,
    tiny_models,
    tiny_settings,
)
from tests.training.plain_step import plain_gradient
from tests.training.steps import (
    PARTS,
    PROMPT,
    STEPS,
    assert_same_gradient,
    make_noise,
    run_step,
)


@pytest.mark.parametrize(
    ("part", "chosen", "stored", "branches", "forwards", "backwards"),
    [
        ("text encoder", None, False, "both", 126, 42),
        ("U-Net", None, False, "both", 126, 42),
        ("text encoder", 5, False, "both", 94, 10),
        ("both", 5, True, "both", 52, 10),
        ("soft tokens", 5, False, "both", 89, 5),
        ("text encoder", 5, False, "text", 89, 5),
        ("both", 5, True, "text", 47, 5),
        ("U-Net", None, False, "text", 105, 21),
        ("soft tokens", 5, True, "text", 47, 5),
    ],
)
def test_network_calls_are_those_of_the_table(
    tiny_world: TinyWorld,
    alone: World,
    part: str,
    chosen: int | None,
    stored: bool,
    branches: str,
    forwards: int,
    backwards: int,
) -> None:
    """Method, §3: calls per image and iteration at S = 21 with guidance.

    Training the text encoder trains the empty prompt's embedding too, hence both branches; soft
    tokens stand in the prompt only.
    """
    models = tiny_models(tiny_world, **PARTS[part])
    noise = make_noise(models, 2)
    options: dict[str, Any] = {"steps": 21}
    if stored:
        options["originals"] = torch.zeros_like(noise)
    models.stack.calls.reset()
    settings = tiny_settings(gradient_steps=chosen, guided_gradient=branches)
    run_step(models, settings, alone, noise, **options)
    assert models.stack.calls.forwards / 2 == forwards
    assert models.stack.calls.backwards / 2 == backwards


def test_the_text_branch_holds_the_empty_prompt_fixed(tiny_world: TinyWorld, alone: World) -> None:
    """As a plain graph does in which the empty prompt's embedding is a constant."""
    models = tiny_models(tiny_world, double=True)
    settings = tiny_settings(gradient_weights="unadjusted", guided_gradient="text")
    noise = make_noise(models, 3)
    expected, loss = plain_gradient(models, settings, PROMPT, noise, STEPS, hold_empty=True)
    result, gradient = run_step(models, settings, alone, noise)
    assert_same_gradient(gradient, expected, GRADIENT)
    assert_close(result.losses["total"], loss, FLOAT32)
