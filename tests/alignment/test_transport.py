"""Expected targets against the paper's definition, brute force and their own properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.alignment import (
    binary_targets,
    count_compositions,
    enumerated_targets,
    expected_targets,
    sampled_targets,
)
from fairness_core.errors import ConfigError, TargetError
from tests.helpers.brute_force import brute_force_targets, make_space, random_probabilities
from tests.helpers.close import EXACT, FLOAT32, FLOAT64, assert_close, sampled

ratios = st.floats(0.0, 1.0)
seeds = st.integers(0, 10_000)


def tensors(probabilities: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(p) for name, p in probabilities.items()}


def binary(p1: list[float] | np.ndarray) -> torch.Tensor:
    p1 = torch.as_tensor(p1, dtype=torch.float64)
    return torch.stack([1 - p1, p1], dim=1)


def test_paper_example_of_24_images():
    """N = 24, 50/50, C = 0.8: ranks 0-9 class 0, 10-13 unused, 14-23 class 1."""
    p1 = np.random.default_rng(3).permutation(np.linspace(0.01, 0.99, 24))
    q = binary_targets(binary(p1), (0.5, 0.5))[np.argsort(p1)]
    confidence, labels = q.max(dim=1)
    active = confidence >= 0.8
    assert active.tolist() == [True] * 10 + [False] * 4 + [True] * 10
    assert labels[active].tolist() == [0] * 10 + [1] * 10


@pytest.mark.parametrize("target", [(0.5, 0.5), (0.75, 0.25), (0.1, 0.9), (1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_closed_form_is_brute_force(target: tuple[float, float], n: int):
    space = make_space(target)
    p = random_probabilities(space, n, np.random.default_rng(n))
    q = binary_targets(torch.from_numpy(p["a0"]), target)
    assert_close(q, brute_force_targets(p, space)["a0"], FLOAT64)


@pytest.mark.parametrize(
    ("targets", "n"),
    [
        (((0.2, 0.3, 0.5),), 4),
        (((0.6, 0.0, 0.4),), 4),
        (((0.25, 0.25, 0.25, 0.25),), 4),
        (((0.5, 0.5), (0.75, 0.25)), 4),
        (((0.3, 0.7), (0.2, 0.3, 0.5)), 3),
        (((0.5, 0.5), (0.0, 1.0), (0.4, 0.6)), 3),
    ],
)
def test_enumeration_is_brute_force(targets: tuple[tuple[float, ...], ...], n: int):
    space = make_space(*targets)
    p = random_probabilities(space, n, np.random.default_rng(11))
    q = enumerated_targets(tensors(p), space)
    expected = brute_force_targets(p, space)
    assert list(q) == list(space.names)
    for name in space.names:
        assert_close(q[name], expected[name], FLOAT64)


def test_distances_are_not_squared():
    """A batch for which squared distances would give other targets, so the choice is tested."""
    space = make_space((1 / 3, 1 / 3, 1 / 3))
    p = {"a0": np.array([[0.2, 0.8, 0.0], [0.0, 0.65, 0.35]])}
    plain = brute_force_targets(p, space)["a0"]
    squared = brute_force_targets(p, space, power=2)["a0"]
    assert np.abs(plain - squared).max() > 0.2
    assert_close(enumerated_targets(tensors(p), space)["a0"], plain, FLOAT64)


@given(share=ratios, n=st.integers(1, 12), seed=seeds)
def test_enumeration_is_the_closed_form_for_two_classes(share: float, n: int, seed: int):
    space = make_space((share, 1 - share))
    p = torch.from_numpy(random_probabilities(space, n, np.random.default_rng(seed))["a0"])
    closed = binary_targets(p, space.attributes[0].target)
    assert_close(enumerated_targets({"a0": p}, space)["a0"], closed, FLOAT64)


@given(share=ratios, n=st.integers(1, 80), seed=seeds)
def test_closed_form_has_the_target_as_marginal(share: float, n: int, seed: int):
    p = binary(np.random.default_rng(seed).random(n))
    q = binary_targets(p, (share, 1 - share))
    assert_close(q.sum(0), [n * share, n * (1 - share)], FLOAT64)
    assert_close(q.sum(1), np.ones(n), FLOAT64)
    ranked = q[p[:, 1].argsort(), 1]
    assert (ranked.diff() >= 0).all()


@given(
    weights=st.lists(st.integers(0, 5), min_size=3, max_size=4).filter(lambda w: sum(w) > 0),
    share=ratios,
    n=st.integers(1, 4),
    seed=seeds,
)
def test_enumeration_has_the_target_as_marginal(
    weights: list[int], share: float, n: int, seed: int
):
    target = tuple(w / sum(weights) for w in weights)
    space = make_space(target, (share, 1 - share))
    p = random_probabilities(space, n, np.random.default_rng(seed))
    q = enumerated_targets(tensors(p), space)
    for attribute in space.attributes:
        assert_close(q[attribute.name].sum(0), np.array(attribute.target) * n, FLOAT64)
        assert_close(q[attribute.name].sum(1), np.ones(n), FLOAT64)


@given(seed=seeds, n=st.integers(2, 9), share=ratios, joint=st.booleans())
def test_targets_follow_a_permutation_of_the_images(seed: int, n: int, share: float, joint: bool):
    rng = np.random.default_rng(seed)
    targets = ((share, 1 - share), (0.5, 0.2, 0.3)) if joint else ((share, 1 - share),)
    space = make_space(*targets)
    p = random_probabilities(space, n, rng)
    order = rng.permutation(n)
    straight, moved = (
        expected_targets(
            tensors(rows), space, draws=20, generator=torch.Generator().manual_seed(seed)
        )
        for rows in (p, {name: rows[order] for name, rows in p.items()})
    )
    for name in space.names:
        assert_close(moved[name], straight[name][order], FLOAT64)


def test_sampling_approaches_enumeration(generator: torch.Generator):
    space = make_space((0.5, 0.5), (0.2, 0.3, 0.5))
    p = tensors(random_probabilities(space, 4, np.random.default_rng(5)))
    exact = enumerated_targets(p, space)
    drawn = sampled_targets(p, space, draws=4000, generator=generator)
    for name in space.names:
        assert_close(drawn[name], exact[name], sampled(4000))
        assert_close(drawn[name].sum(1), np.ones(4), FLOAT64)


def test_sampling_never_uses_a_class_without_a_share(generator: torch.Generator):
    space = make_space((0.5, 0.0, 0.5))
    p = tensors(random_probabilities(space, 30, np.random.default_rng(5)))
    q = sampled_targets(p, space, draws=50, generator=generator)["a0"]
    assert_close(q[:, 1], np.zeros(30), EXACT)


def test_sampling_repeats_with_its_seed():
    space = make_space((0.25,) * 4, (0.5, 0.5))
    p = tensors(random_probabilities(space, 24, np.random.default_rng(5)))
    first, again, other = (
        expected_targets(p, space, draws=30, generator=torch.Generator().manual_seed(seed))["a0"]
        for seed in (1, 1, 2)
    )
    assert_close(first, again, EXACT)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("targets", "n", "exact"),
    [
        (((0.5, 0.5),), 500, True),
        (((0.25,) * 4,), 32, True),  # the paper's run on race alone
        (((0.5, 0.5), (0.25,) * 4), 32, False),
        (((0.5, 0.5), (0.0, 1.0, 0.0, 0.0)), 20, True),  # two cells have a share
    ],
)
def test_small_problems_are_exact_and_leave_the_generator_alone(
    targets: tuple[tuple[float, ...], ...], n: int, exact: bool, generator: torch.Generator
):
    space = make_space(*targets)
    p = tensors(random_probabilities(space, n, np.random.default_rng(5)))
    before = generator.get_state()
    q = expected_targets(p, space, draws=10, generator=generator)
    assert torch.equal(before, generator.get_state()) == exact
    if exact:
        for attribute in space.attributes:
            assert_close(q[attribute.name].sum(0), np.array(attribute.target) * n, FLOAT64)


def test_ties_give_the_earlier_row_the_earlier_class(generator: torch.Generator):
    q = binary_targets(binary([0.7] * 24), (0.5, 0.5))
    assert (q[:10, 0] >= 0.8).all()
    assert (q[14:, 1] >= 0.8).all()
    space = make_space((0.25,) * 4)
    same = {"a0": torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(16, 4)}
    labels = expected_targets(same, space, generator=generator)["a0"].argmax(1)
    assert (labels.diff() >= 0).all()
    assert labels.unique().tolist() == [0, 1, 2, 3]


def test_two_classes_tie_alike_in_both_solvers():
    p = binary([0.2, 0.9, 0.9, 0.9, 0.2, 0.5])
    space = make_space((0.4, 0.6))
    assert_close(binary_targets(p, (0.4, 0.6)), enumerated_targets({"a0": p}, space)["a0"], FLOAT64)


def test_saturated_float32_rows_keep_their_order():
    """p(class 1) rounds to 1 for all three; p(class 0) still says which is surest."""
    p = torch.tensor([[1e-12, 1.0], [1e-9, 1.0], [1e-15, 1.0]])
    q = binary_targets(p, (0.5, 0.5))
    assert q[:, 1].argsort().tolist() == [1, 0, 2]


def test_no_image_and_one_image(generator: torch.Generator):
    for targets in [((0.3, 0.7),), ((0.3, 0.7), (0.25,) * 4)]:
        space = make_space(*targets)
        p = random_probabilities(space, 1, np.random.default_rng(0))
        one = expected_targets(tensors(p), space, generator=generator)
        none = expected_targets(
            {k: v[:0] for k, v in tensors(p).items()}, space, generator=generator
        )
        for attribute in space.attributes:
            assert_close(one[attribute.name], [attribute.target], FLOAT64)
            assert none[attribute.name].shape == (0, attribute.size)
        assert sampled_targets(
            {k: v[:0] for k, v in tensors(p).items()}, space, draws=3, generator=generator
        )["a0"].shape == (0, 2)


def test_half_precision_and_gradients_stay_outside(generator: torch.Generator):
    p = binary([0.1, 0.8, 0.4]).to(torch.bfloat16).requires_grad_()
    q = expected_targets({"a0": p, "unused": p}, make_space((0.5, 0.5)), generator=generator)
    assert list(q) == ["a0"]
    assert q["a0"].dtype == torch.float32
    assert not q["a0"].requires_grad
    assert_close(q["a0"], binary_targets(p.double(), (0.5, 0.5)), FLOAT32)


def test_bad_input_is_refused(generator: torch.Generator):
    space = make_space((0.5, 0.5), (0.25,) * 4)
    p = tensors(random_probabilities(space, 3, np.random.default_rng(0)))
    with pytest.raises(ConfigError, match="at least one draw"):
        expected_targets(p, space, draws=0, generator=generator)
    with pytest.raises(ConfigError, match="no probabilities of a1"):
        expected_targets({"a0": p["a0"]}, space, generator=generator)
    with pytest.raises(TargetError, match="a1 are not finite"):
        expected_targets({**p, "a1": p["a1"] * float("nan")}, space, generator=generator)
    with pytest.raises(TargetError, match="one row per image and 4 columns"):
        expected_targets({**p, "a1": p["a0"]}, space, generator=generator)
    with pytest.raises(TargetError, match="different numbers of rows"):
        expected_targets({**p, "a1": p["a1"][:2]}, space, generator=generator)


def test_number_of_compositions():
    assert count_compositions(32, 4) == 6545
    assert count_compositions(0, 3) == 1
