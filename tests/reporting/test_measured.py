from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairness_core.errors import ArtifactError
from fairness_core.metrics import wilson
from fairness_core.reporting.measured import calibrations, curves
from fairness_core.reporting.summary import Estimate
from tests.reporting.world import SPACE


def test_a_group_of_known_size_gets_an_interval_and_another_does_not() -> None:
    entry = {"accuracy": 0.9, "n": 100, "groups": {"female": 0.8, "male": {"accuracy": 1, "n": 5}}}
    found = calibrations({"audit": {"gender": entry}}, SPACE)
    assert [item.role for item in found] == ["audit"]
    low, high = wilson(90, 100)
    assert found[0].overall.accuracy == Estimate(0.9, float(low), float(high))
    assert found[0].groups[0].accuracy == Estimate(0.8)
    assert found[0].groups[1].accuracy.value == 1.0
    assert found[0].ece == (None, None)
    assert found[0].reliability == ()


def test_calibration_of_another_shape_is_refused() -> None:
    assert calibrations(None, SPACE) == []
    with pytest.raises(ArtifactError, match="neither an audit nor a training classifier"):
        calibrations({"gender": {}}, SPACE)
    with pytest.raises(ArtifactError, match="bin of 'gender' lacks accuracy, count"):
        calibrations({"audit": {"gender": {"reliability": [{"confidence": 1.0}]}}}, SPACE)


def test_the_bias_of_a_batch_comes_from_its_shares() -> None:
    log = pd.DataFrame(
        {
            "iteration": [1, 2],
            "share_skin_tone_0": [1.0, 0.5],
            "share_skin_tone_1": [0.0, 0.25],
            "share_skin_tone_2": [0.0, 0.25],
            "network_forwards": [1, 1],
        }
    )
    (found,) = curves(log)
    assert found.label == "Bias of the batch: skin tone"
    assert found.y == pytest.approx([2 / 3, 1 / 6])


def test_a_resumed_log_keeps_the_last_row_of_an_iteration() -> None:
    log = pd.DataFrame({"iteration": [1, 2, 2, 0], "loss_total": [1.0, 9.0, 2.0, 0.0]})
    (found,) = curves(log)
    assert found.x.tolist() == [0, 1, 2]
    assert found.y.tolist() == [0.0, 1.0, 2.0]
    assert curves(None) == curves(log.head(0)) == []
    with pytest.raises(ArtifactError, match="lacks the column 'iteration'"):
        curves(pd.DataFrame({"loss": np.ones(2)}))
