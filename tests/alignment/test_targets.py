"""Pseudo-labels: presence, confidence and rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairness_core.alignment import binary_targets, held_targets, make_targets, take_rows
from fairness_core.errors import ConfigError, TargetError
from fairness_core.types import Targets
from tests.helpers.brute_force import make_space, random_probabilities
from tests.helpers.close import EXACT, FLOAT64, assert_close

SPACE = make_space((0.5, 0.5), (0.25, 0.25, 0.5))


def batch(n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    rows = random_probabilities(SPACE, n, np.random.default_rng(seed))
    return {name: torch.from_numpy(p) for name, p in rows.items()}


def test_only_rows_with_a_face_enter(generator: torch.Generator):
    space = SPACE.subset(["a0"])
    p = batch(30)
    present = torch.ones(30, dtype=torch.bool)
    present[::5] = False
    p["a0"][::5] = float("nan")
    made = make_targets(p, present, space, generator=generator)["a0"]
    assert_close(made.expected[present], binary_targets(p["a0"][present], (0.5, 0.5)), EXACT)
    assert_close(made.expected[~present], np.zeros((6, 2)), EXACT)
    assert not made.active[~present].any()
    assert not made.labels[~present].any()
    assert not made.confidence[~present].any()
    assert_close(made.expected.sum(0), [12.0, 12.0], FLOAT64)


def test_labels_confidence_and_mask_follow_from_q(generator: torch.Generator):
    p = batch(24)
    present = torch.ones(24, dtype=torch.bool)
    for made in make_targets(p, present, SPACE, confidence=0.6, generator=generator).values():
        assert torch.equal(made.labels, made.expected.argmax(1))
        assert torch.equal(made.confidence, made.expected.max(1).values)
        assert torch.equal(made.active, made.confidence >= 0.6)
        assert made.active.any()
        assert not made.active.all()


def test_the_threshold_itself_counts(generator: torch.Generator):
    space = make_space((0.25, 0.75))
    p, present = {"a0": torch.tensor([[0.9, 0.1]]).double()}, torch.tensor([True])
    made = make_targets(p, present, space, confidence=0.75, generator=generator)["a0"]
    assert made.active.tolist() == [True]
    assert made.labels.tolist() == [1]


def test_no_face_at_all(generator: torch.Generator):
    p = {name: torch.full_like(rows, float("nan")) for name, rows in batch(4).items()}
    made = make_targets(p, torch.zeros(4, dtype=torch.bool), SPACE, generator=generator)
    for target in made.values():
        assert not target.active.any()
        assert target.expected.abs().sum() == 0


def test_one_face_gets_the_target_itself(generator: torch.Generator):
    present = torch.tensor([False, True, False])
    made = make_targets(batch(3), present, SPACE, generator=generator)
    assert_close(made["a0"].expected[1], [0.5, 0.5], FLOAT64)
    assert_close(made["a1"].expected[1], [0.25, 0.25, 0.5], FLOAT64)
    assert not made["a0"].active.any()


def test_rows_of_one_process(generator: torch.Generator):
    made = make_targets(batch(10), torch.ones(10, dtype=torch.bool), SPACE, generator=generator)
    part = take_rows(made["a1"], slice(3, 7))
    assert isinstance(part, Targets)
    assert torch.equal(part.expected, made["a1"].expected[3:7])
    assert torch.equal(part.labels, made["a1"].labels[3:7])
    assert torch.equal(part.confidence, made["a1"].confidence[3:7])
    assert torch.equal(part.active, made["a1"].active[3:7])


def test_no_gradient(generator: torch.Generator):
    p = {name: rows.requires_grad_() for name, rows in batch(6).items()}
    made = make_targets(p, torch.ones(6, dtype=torch.bool), SPACE, generator=generator)
    assert not any(target.expected.requires_grad for target in made.values())


def test_bad_input_is_refused(generator: torch.Generator):
    present = torch.ones(3, dtype=torch.bool)
    for confidence in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"threshold C is outside \[0, 1\)"):
            make_targets(batch(3), present, SPACE, confidence=confidence, generator=generator)
    with pytest.raises(TargetError, match="'a1' and the face mask have different numbers of rows"):
        make_targets(
            {"a0": batch(3)["a0"], "a1": batch(4)["a1"]}, present, SPACE, generator=generator
        )
    with pytest.raises(ConfigError, match="no probabilities of a0"):
        make_targets({"a1": batch(3)["a1"]}, present, SPACE, generator=generator)
    broken = batch(3)
    broken["a0"][1] = float("nan")
    with pytest.raises(TargetError, match="not finite"):
        make_targets(broken, present, SPACE, generator=generator)


def test_held_targets_are_the_originals_classes_where_certain_and_present():
    probabilities = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.05, 0.95]])
    held = held_targets(probabilities, torch.tensor([True, True, False]), confidence=0.8)
    assert held.labels.tolist()[:2] == [0, 1]
    assert held.active.tolist() == [True, False, False]
    assert held.expected.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert held.confidence[2] == 0
