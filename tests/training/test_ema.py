from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from fairness_core.errors import ConfigError
from fairness_core.training.ema import MovingAverage
from tests.helpers.close import EXACT, FLOAT32, assert_close


def test_warm_up_then_decay() -> None:
    weight = Parameter(torch.zeros(3))
    average, expected = MovingAverage({"w": weight}, 0.3), torch.zeros(3)
    used = []
    for n in range(6):
        weight.data = torch.tensor([1.0, -2.0, 0.5]) * (n + 1)
        decay = min((1 + n) / (10 + n), 0.3)
        used.append(decay)
        expected = decay * expected + (1 - decay) * weight.detach()
        average.update({"w": weight})
        assert_close(average.weights["w"], expected, FLOAT32)
    assert average.updates == 6
    # The warm-up's first factors, and the decay once they exceed it.
    assert used[:3] == [1 / 10, 2 / 11, 3 / 12]
    assert used[-2:] == [0.3, 0.3]


def test_it_starts_from_the_weights_and_keeps_a_copy() -> None:
    weight = Parameter(torch.ones(2, dtype=torch.float64))
    average = MovingAverage({"w": weight}, 0.9)
    weight.data.fill_(5)
    assert_close(average.weights["w"], torch.ones(2), EXACT)
    assert average.weights["w"].dtype == torch.float32
    assert not average.weights["w"].requires_grad


def test_it_goes_on_from_a_copy() -> None:
    weights = {"w": torch.ones(2)}
    average = MovingAverage({"w": torch.zeros(2)}, 0.9)
    average.restore(weights, 4)
    average.update({"w": torch.zeros(2)})
    assert_close(average.weights["w"], torch.full((2,), 5 / 14), FLOAT32)
    assert average.updates == 5
    assert_close(weights["w"], torch.ones(2), EXACT)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_outside_its_range(decay: float) -> None:
    with pytest.raises(ConfigError, match=r"outside \[0, 1\)"):
        MovingAverage({}, decay)
