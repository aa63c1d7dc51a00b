from __future__ import annotations

import dataclasses

import torch

from fairness_core.training.state import TrainingState
from tests.helpers.close import EXACT, FLOAT32, assert_close
from tests.helpers.tiny_world import TinyWorld, tiny_models
from tests.training.test_loop import SCHEDULE


def make_state(world: TinyWorld, limit: float, *, first: float) -> TrainingState:
    """A state whose gradient has ``first`` as its only entry."""
    schedule = dataclasses.replace(SCHEDULE, max_gradient_norm=limit)
    state = TrainingState(tiny_models(world).stack, schedule)
    for parameter in state.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    one = next(iter(state.parameters.values())).grad
    assert one is not None
    one[0, 0] = first
    return state


def test_norm_is_over_all_adapters(tiny_world: TinyWorld) -> None:
    state = make_state(tiny_world, 1.0, first=3.0)
    other = list(state.parameters.values())[-1].grad
    assert other is not None
    other[0, 0] = -4.0
    assert_close(state.gradient_norm(), 5.0, FLOAT32)


def test_a_long_gradient_is_shortened_before_adamw_sees_it(tiny_world: TinyWorld) -> None:
    for first, used in ((100.0, 2.0), (-100.0, -2.0), (1.5, 1.5)):
        state = make_state(tiny_world, 2.0, first=first)
        state.step()
        moments = state.optimizer.state[next(iter(state.parameters.values()))]
        assert_close(moments["exp_avg"][0, 0], (1 - SCHEDULE.betas[0]) * used, FLOAT32)


def test_a_state_goes_on_from_its_copy(tiny_world: TinyWorld) -> None:
    state = make_state(tiny_world, 2.0, first=1.0)
    state.step()
    state.rows = [{"iteration": 0, "loss_total": 1.5}]
    kept = state.checkpoint()
    again = make_state(tiny_world, 2.0, first=-1.0)
    again.restore(kept)
    assert again.done == 1
    assert again.rows == state.rows
    for one in (state, again):
        for parameter in one.parameters.values():
            parameter.grad = torch.ones_like(parameter)
        one.step()
    for name, parameter in state.parameters.items():
        assert_close(again.parameters[name], parameter, EXACT)
        assert_close(again.average.weights[name], state.average.weights[name], EXACT)
    # What was copied does not follow the run.
    assert any(not torch.equal(kept.weights[name], state.parameters[name]) for name in kept.weights)
    assert kept.updates == 1
