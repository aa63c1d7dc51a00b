from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import Parameter

from fairness_core.training.optim import load_optimizer_state, new_optimizer, optimizer_state
from tests.helpers.close import EXACT, assert_close


def make_parameters() -> dict[str, Parameter]:
    source = torch.Generator().manual_seed(0)
    return {name: Parameter(torch.randn(2, 3, generator=source)) for name in ("b", "a.x", "c")}


def make_optimizer(parameters: Mapping[str, Parameter]) -> torch.optim.AdamW:
    return new_optimizer(parameters, learning_rate=0.1, betas=(0.9, 0.999), weight_decay=0.01)


def take_steps(
    optimizer: torch.optim.AdamW, parameters: Mapping[str, Parameter], steps: range
) -> None:
    for step in steps:
        for number, parameter in enumerate(parameters.values()):
            source = torch.Generator().manual_seed(10 * step + number)
            parameter.grad = torch.randn(2, 3, generator=source)
        optimizer.step()


def test_round_trip_is_exact(tmp_path: Path) -> None:
    through, restored = make_parameters(), make_parameters()
    optimizer = make_optimizer(through)
    take_steps(optimizer, through, range(3))
    weights = {name: p.detach().clone() for name, p in through.items()}
    save_file(optimizer_state(optimizer, through), tmp_path / "state.safetensors")
    take_steps(optimizer, through, range(3, 6))

    again = make_optimizer(restored)
    for name, parameter in restored.items():
        parameter.data.copy_(weights[name])
    state = load_file(tmp_path / "state.safetensors")
    load_optimizer_state(again, restored, state)
    back = optimizer_state(again, restored)
    assert back.keys() == state.keys()
    assert {key.split("/")[0] for key in state} == {"step", "exp_avg", "exp_avg_sq"}
    for key, value in state.items():
        assert_close(back[key], value, EXACT)
    take_steps(again, restored, range(3, 6))
    for name, parameter in through.items():
        assert_close(restored[name], parameter, EXACT)


def test_before_the_first_step_the_state_is_empty() -> None:
    parameters = make_parameters()
    optimizer = make_optimizer(parameters)
    assert optimizer_state(optimizer, parameters) == {}
    load_optimizer_state(optimizer, parameters, {})
    take_steps(optimizer, parameters, range(1))
    assert len(optimizer_state(optimizer, parameters)) == 9


def test_it_is_adamw_as_told() -> None:
    parameters = make_parameters()
    before = {name: p.detach().clone() for name, p in parameters.items()}
    take_steps(make_optimizer(parameters), parameters, range(1))
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        # The first step is the rate times the gradient's sign, after the decoupled decay.
        expected = before[name] * (1 - 0.1 * 0.01) - 0.1 * parameter.grad.sign()
        assert torch.allclose(parameter, expected, atol=1e-5)
