from __future__ import annotations

import numpy as np
import pytest
import torch

from fairness_core.classifiers import expected_calibration_error, fit_temperature, reliability
from fairness_core.errors import ConfigError


def drawn(count, classes, scale, generator):
    """Logits whose softmax is the true distribution of the labels, then scaled."""
    logits = torch.randn(count, classes, generator=generator) * 2
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator).flatten()
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_temperature_undoes_a_scale(scale, classes, generator):
    logits, labels = drawn(8000, classes, scale, generator)
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.06)


def test_the_temperature_is_a_minimum(generator):
    logits, labels = drawn(300, 3, 2.0, generator)
    found = fit_temperature(logits, labels)

    def loss(temperature):
        return torch.nn.functional.cross_entropy(logits.double() / temperature, labels).item()

    assert all(loss(found) <= loss(found * f) for f in (0.99, 1.01))


def test_calibration_lowers_the_error_and_keeps_the_answer(generator):
    logits, labels = drawn(6000, 4, 3.0, generator)
    temperature = fit_temperature(logits[:3000], labels[:3000])
    before, after = logits[3000:].softmax(-1), (logits[3000:] / temperature).softmax(-1)
    assert torch.equal(before.argmax(-1), after.argmax(-1))
    assert expected_calibration_error(before, labels[3000:]) > 0.1
    assert expected_calibration_error(after, labels[3000:]) < 0.03


def test_error_and_diagram_of_a_hand_made_case():
    probs = torch.tensor([[0.95, 0.05], [0.05, 0.95], [0.7, 0.3], [0.35, 0.65]])
    labels = torch.tensor([0, 1, 1, 1])
    # (0.6, 0.8]: 0.7 wrong and 0.65 right; (0.8, 1]: twice 0.95, both right.
    table = reliability(probs, labels, bins=5)
    np.testing.assert_allclose(table["low"], [0, 0.2, 0.4, 0.6, 0.8])
    assert table["count"].tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_allclose(table["confidence"][3:], [0.675, 0.95], rtol=1e-6)
    np.testing.assert_allclose(table["accuracy"][3:], [0.5, 1.0])
    assert table["accuracy"][:3].isna().all()
    error = expected_calibration_error(probs, labels, bins=5)
    assert error == pytest.approx(0.5 * 0.175 + 0.5 * 0.05, abs=1e-6)


def test_a_certain_classifier_is_in_the_last_bin():
    table = reliability(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    assert len(table) == 15
    assert table["count"].iloc[-1] == 2
    assert expected_calibration_error(torch.eye(2), torch.tensor([0, 1])) == 0


def test_empty_or_impossible_labels_are_refused():
    with pytest.raises(ConfigError, match="labelled images"):
        fit_temperature(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ConfigError, match="labels are classes"):
        expected_calibration_error(torch.eye(2), torch.tensor([0, 2]))
    with pytest.raises(ConfigError, match="at least one bin"):
        reliability(torch.eye(2), torch.tensor([0, 1]), bins=0)
