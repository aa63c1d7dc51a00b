from __future__ import annotations

import itertools
import json
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler
from torch import Tensor

from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    accumulate_gradient,
    add_lora,
    choose_steps,
    decode,
    disabled,
    encode_prompts,
    sample,
    sampler_coefficients,
    step_weights,
    trainable,
)
from fairness_core.errors import ConfigError
from tests.diffusion.conftest import PROMPTS
from tests.diffusion.plain import SCHEDULERS, every_scheduler, measured_coefficients, plain_run
from tests.helpers.tiny_diffusion import SD_NOISE

STEPS = 5
GUIDANCE = 3.0
# DDIM computes in the latents' type; the others pass latents, and gradients, through float32.
FLOAT64_TOLERANCE = dict.fromkeys(SCHEDULERS, 1e-6) | {"ddim": 1e-9}


@pytest.fixture
def noise(generator: torch.Generator) -> Tensor:
    """Three images of a quarter of the model's size: float64 convolutions are slow."""
    return torch.randn(3, 4, 4, 4, generator=generator)


def adapted(stack: DiffusionStack, *, text: bool = True, unet: bool = True) -> DiffusionStack:
    """Adapters whose every weight is set, so that A and B both have a gradient."""
    generator = torch.Generator().manual_seed(1)
    spec = LoraSpec(2)
    add_lora(
        stack,
        text_encoder=spec if text else None,
        unet=spec if unet else None,
        generator=generator,
    )
    with torch.no_grad():
        for parameter in trainable(stack).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return stack


def to_float64(stack: DiffusionStack) -> None:
    for network in (stack.text_encoder, stack.vae, stack.unet):
        network.double()


def loss_of(stack: DiffusionStack, final: Tensor) -> Tensor:
    return decode(stack, final).tanh().square().mean() * 100


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(True)


def collected(stack: DiffusionStack) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in trainable(stack).items() if p.grad is not None}


def reset(stack: DiffusionStack) -> None:
    for parameter in trainable(stack).values():
        parameter.grad = None


def ours(
    stack: DiffusionStack,
    noise: Tensor,
    *modes: str,
    guidance: float = GUIDANCE,
    steps: int = STEPS,
    subsets: Sequence[Sequence[int]] | None = None,
    batch_size: int | None = None,
) -> list[dict[str, Tensor]]:
    """The adapters' gradients by per-step products and one text-encoder backward.

    One for each mode and subset of the steps, all from one trajectory.
    """
    encoded, encoded_empty = encode_prompts(stack, PROMPTS), encode_prompts(stack, [""])
    trajectory = sample(stack, noise, encoded, encoded_empty, guidance=guidance, steps=steps)
    final = leaf(trajectory.final)
    (cotangent,) = torch.autograd.grad(loss_of(stack, final), final)
    found = []
    for mode, chosen in itertools.product(modes, subsets or [range(steps)]):
        reset(stack)
        embedding, empty = encoded.leaf(), encoded_empty.leaf()
        accumulate_gradient(
            stack,
            trajectory,
            cotangent,
            embedding=embedding,
            empty=empty,
            guidance=guidance,
            weights=step_weights(stack.scheduler, steps, mode),
            indices=chosen,
            scale=steps / len(chosen),
            batch_size=batch_size,
        )
        if encoded.requires_grad:
            encoded.states.backward(embedding.states.grad, retain_graph=True)
            if empty.states.grad is not None:
                encoded_empty.states.backward(empty.states.grad, retain_graph=True)
        found.append(collected(stack))
    return found


def plain(
    stack: DiffusionStack, noise: Tensor, *modes: str, guidance: float = GUIDANCE
) -> list[dict[str, Tensor]]:
    """The same by autograd through the sampler; ``exact`` by hooks of 1/A_t, A_t measured."""
    embedding, empty = encode_prompts(stack, PROMPTS), encode_prompts(stack, [""])
    factors = [1.0] * STEPS
    run = plain_run(stack, noise, embedding, empty, guidance=guidance, steps=STEPS, factors=factors)
    inverse = (1.0 / measured_coefficients(run).mean(1)).tolist()
    loss = loss_of(stack, run.final)
    found = []
    for mode in modes:
        reset(stack)
        factors[:] = {"unadjusted": [1.0] * STEPS, "exact": inverse}[mode]
        loss.backward(retain_graph=True)
        found.append(collected(stack))
    return found


def largest_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest relative error over the parameters, each by its norm."""
    assert found.keys() == expected.keys()
    assert found
    assert all(value.norm() > 0 for value in expected.values())
    return max(
        float((found[name] - value).norm() / value.norm()) for name, value in expected.items()
    )


@every_scheduler
def test_equals_a_plain_graph_through_the_sampler(
    stack: DiffusionStack, noise: Tensor, name: str
) -> None:
    stack.scheduler = SCHEDULERS[name]
    adapted(stack)
    modes = ("unadjusted", "exact")
    found, expected = ours(stack, noise, *modes), plain(stack, noise, *modes)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.keys() == trainable(stack).keys()
        assert largest_error(mine, theirs) < 1e-4


@every_scheduler
def test_equals_a_plain_graph_in_float64(stack: DiffusionStack, noise: Tensor, name: str) -> None:
    stack.scheduler = SCHEDULERS[name]
    to_float64(adapted(stack))
    noise = noise.double()
    modes = ("unadjusted", "exact")
    found, expected = ours(stack, noise, *modes), plain(stack, noise, *modes)
    for mine, theirs in zip(found, expected, strict=True):
        assert {value.dtype for value in mine.values()} == {torch.float64}
        assert largest_error(mine, theirs) < FLOAT64_TOLERANCE[name]


def test_a_sampler_chosen_in_place_of_the_folders_own(
    folder: Path, tmp_path: Path, noise: Tensor
) -> None:
    """A folder that ships PNDM, as published ones do; ``dpm++2m`` ends with first-order steps."""
    shutil.copytree(folder, tmp_path / "model")
    own = PNDMScheduler(**SD_NOISE, skip_prk_steps=True, set_alpha_to_one=False)
    own.save_pretrained(tmp_path / "model" / "scheduler")
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "PNDMScheduler"]
    (tmp_path / "model" / "model_index.json").write_text(json.dumps(index))
    found = {name: DiffusionStack.load(tmp_path / "model", sampler=name) for name in (
        None, "dpm++2m")}  # fmt: skip
    assert len(sampler_coefficients(found[None], 21)) == 22
    assert float(sampler_coefficients(found[None], 21).min()) < 0
    stack = found["dpm++2m"]
    coefficients = sampler_coefficients(stack, 21)
    assert len(coefficients) == 21
    assert float(coefficients.min()) > 0
    to_float64(adapted(stack))
    modes = ("unadjusted", "exact")
    mine, theirs = ours(stack, noise.double(), *modes), plain(stack, noise.double(), *modes)
    for got, expected in zip(mine, theirs, strict=True):
        assert largest_error(got, expected) < FLOAT64_TOLERANCE["dpm2"]


@pytest.mark.parametrize(("text", "unet"), [(True, False), (False, True)])
@pytest.mark.parametrize("guidance", [1.0, GUIDANCE])
def test_equals_a_plain_graph_for_one_network_alone(
    stack: DiffusionStack, noise: Tensor, text: bool, unet: bool, guidance: float
) -> None:
    to_float64(adapted(stack, text=text, unet=unet))
    (found,) = ours(stack, noise.double(), "exact", guidance=guidance)
    (expected,) = plain(stack, noise.double(), "exact", guidance=guidance)
    assert largest_error(found, expected) < 1e-6


def test_the_modes_differ(stack: DiffusionStack, noise: Tensor) -> None:
    adapted(stack, unet=False)
    found = ours(stack, noise, "exact", "reference", "unadjusted")
    for first, second in itertools.combinations(found, 2):
        assert largest_error(first, second) > 0.1


def test_a_velocity_needs_no_special_case(stack: DiffusionStack, noise: Tensor) -> None:
    stack.scheduler = DDIMScheduler(**SD_NOISE, clip_sample=False, prediction_type="v_prediction")
    to_float64(adapted(stack))
    (found,), (expected,) = (f(stack, noise.double(), "exact") for f in (ours, plain))
    assert largest_error(found, expected) < 1e-9


def test_k_of_s_steps_are_unbiased(stack: DiffusionStack, noise: Tensor) -> None:
    to_float64(adapted(stack))
    noise = noise.double()
    subsets = [range(4), *itertools.combinations(range(4), 2)]
    full, *parts = ours(stack, noise, "exact", steps=4, subsets=subsets)
    mean = {name: torch.stack([part[name] for part in parts]).mean(0) for name in full}
    assert largest_error(mean, full) < 1e-9
    assert largest_error(parts[0], full) > 0.01


def test_every_set_of_steps_is_as_likely(generator: torch.Generator) -> None:
    draws = [choose_steps(5, 2, generator) for _ in range(2000)]
    assert {scale for _, scale in draws} == {2.5}
    counts = Counter(indices for indices, _ in draws)
    assert set(counts) == set(itertools.combinations(range(5), 2))
    # 200 expected of each of 10 sets, sd 13.4: five of them.
    assert all(abs(count - 200) < 67 for count in counts.values())


@pytest.mark.parametrize(("steps", "k"), [(10, 4), (21, 5), (9, 2), (7, 6), (5, 1)])
def test_one_step_of_each_stretch_is_unbiased(
    generator: torch.Generator, steps: int, k: int
) -> None:
    counts: Counter[int] = Counter()
    for _ in range(4000):
        chosen, scale = choose_steps(steps, k, generator, "stratified")
        assert scale == steps / k
        for i, step in enumerate(chosen):
            assert math.floor(i * scale) <= step < math.ceil((i + 1) * scale)
        counts.update(chosen)
    for step in range(steps):
        assert counts[step] / 4000 == pytest.approx(k / steps, abs=0.04)
    assert choose_steps(4, None, generator, "stratified") == ((0, 1, 2, 3), 1.0)


def test_all_steps_draw_nothing(generator: torch.Generator) -> None:
    state = generator.get_state()
    assert choose_steps(4, None, generator) == ((0, 1, 2, 3), 1.0)
    assert torch.equal(generator.get_state(), state)
    assert choose_steps(4, 4, generator) == ((0, 1, 2, 3), 1.0)


@pytest.mark.parametrize("k", [0, 6])
def test_more_steps_than_there_are_are_refused(generator: torch.Generator, k: int) -> None:
    with pytest.raises(ConfigError, match=f"Cannot choose {k} of 5 steps"):
        choose_steps(5, k, generator)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_does_not_depend_on_the_batch_size(
    stack: DiffusionStack, noise: Tensor, batch_size: int
) -> None:
    to_float64(adapted(stack))
    (whole,) = ours(stack, noise.double(), "exact", steps=2)
    (parts,) = ours(stack, noise.double(), "exact", steps=2, batch_size=batch_size)
    assert largest_error(parts, whole) < 1e-9


def test_gradients_add_up(stack: DiffusionStack, noise: Tensor) -> None:
    to_float64(adapted(stack))
    run = Products(stack, noise.double())
    run.accumulate()
    once = run.embedding.states.grad.clone()
    run.accumulate()
    torch.testing.assert_close(run.embedding.states.grad, 2 * once)


class Products:
    """One trajectory and what its products need."""

    def __init__(
        self,
        stack: DiffusionStack,
        noise: Tensor,
        steps: int = 3,
        prompts: Sequence[str] = tuple(PROMPTS),
    ) -> None:
        self.stack = stack
        with torch.no_grad():
            self.embedding = encode_prompts(stack, prompts).map(leaf)
            self.empty = encode_prompts(stack, [""]).map(leaf)
        self.trajectory = sample(
            stack, noise, self.embedding, self.empty, guidance=GUIDANCE, steps=steps
        )
        self.cotangent = torch.ones_like(noise)
        self.weights = step_weights(stack, steps, "exact")

    def accumulate(self, **changes: Any) -> None:
        options: dict[str, Any] = {
            "embedding": self.embedding,
            "empty": self.empty,
            "guidance": GUIDANCE,
            "weights": self.weights,
            "indices": range(len(self.trajectory)),
            "scale": 1.0,
        } | changes
        trajectory = options.pop("trajectory", self.trajectory)
        cotangent = options.pop("cotangent", self.cotangent)
        accumulate_gradient(self.stack, trajectory, cotangent, **options)


def test_calls_an_image_are_those_of_the_methods_table(
    stack: DiffusionStack, noise: Tensor
) -> None:
    """Section 3: 126/42 for all of 21 steps, 94/10 for five, 52/10 with stored originals."""
    adapted(stack, unet=False)
    rows = [0]
    stack.unet.register_forward_hook(
        lambda _, args, __: rows.__setitem__(0, rows[0] + len(args[0]))
    )
    run = Products(stack, noise, steps=21)
    images = len(noise)
    assert (stack.calls.forwards, stack.calls.backwards) == (42 * images, 0)
    with disabled(stack):
        Products(stack, noise, steps=21)
    assert stack.calls.forwards == 84 * images
    original = 42 * images

    run.accumulate()
    assert (stack.calls.forwards, stack.calls.backwards) == (126 * images, 42 * images)
    assert rows[0] == stack.calls.forwards

    before = replace(stack.calls)
    indices, scale = choose_steps(21, 5, torch.Generator().manual_seed(0))
    run.accumulate(indices=indices, scale=scale)
    products = stack.calls.forwards - before.forwards
    assert products == stack.calls.backwards - before.backwards == 10 * images
    assert (84 * images + products, 84 * images - original + products) == (94 * images, 52 * images)


def test_without_guidance_half_the_calls(stack: DiffusionStack, noise: Tensor) -> None:
    run = Products(stack, noise)
    stack.calls.reset()
    run.accumulate(guidance=1.0)
    assert (stack.calls.forwards, stack.calls.backwards) == (9, 9)
    assert run.empty.states.grad is None


def test_a_branch_that_wants_no_gradient_costs_nothing(
    stack: DiffusionStack, noise: Tensor
) -> None:
    run = Products(stack, noise)
    run.accumulate()
    both = run.embedding.states.grad.clone()
    run.embedding.states.grad = None
    run.empty.states.requires_grad_(False)
    stack.calls.reset()
    run.accumulate()
    assert (stack.calls.forwards, stack.calls.backwards) == (9, 9)
    torch.testing.assert_close(run.embedding.states.grad, both)


def test_frozen_weights_get_no_gradient(stack: DiffusionStack, noise: Tensor) -> None:
    with torch.no_grad():  # as a training loop may have it
        Products(stack, noise).accumulate()
    assert all(p.grad is None for p in stack.unet.parameters())


def test_a_conditioning_inside_a_graph_is_refused(stack: DiffusionStack, noise: Tensor) -> None:
    run = Products(stack, noise)
    with pytest.raises(ConfigError, match="'embedding' is part of a graph"):
        run.accumulate(embedding=run.embedding.map(lambda tensor: tensor * 1.0))


def test_nothing_to_train_is_refused(stack: DiffusionStack, noise: Tensor) -> None:
    run = Products(stack, noise)
    run.embedding.states.requires_grad_(False)
    run.empty.states.requires_grad_(False)
    with pytest.raises(ConfigError, match="Nothing requires a gradient"):
        run.accumulate()


def test_a_cotangent_of_another_batch_is_refused(stack: DiffusionStack, noise: Tensor) -> None:
    run, fewer = Products(stack, noise), Products(stack, noise[:2], prompts=PROMPTS[:2])
    with pytest.raises(ConfigError, match="of different batches"):
        run.accumulate(trajectory=fewer.trajectory)


def test_weights_of_another_run_are_refused(stack: DiffusionStack, noise: Tensor) -> None:
    run = Products(stack, noise)
    with pytest.raises(ConfigError, match="4 weights for 3 steps"):
        run.accumulate(weights=step_weights(stack, 4, "exact"))
