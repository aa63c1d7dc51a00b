"""Do the intervals of an audit hold what they should? Synthetic audits whose truth is known.

Prompts' true shares are drawn from a population, faces from the shares, the classifier's answers
from a known confusion matrix; the matrix is then measured on labelled faces, as a user would. Raw:
the interval of the measured bias against the expectation of that very figure, errors included.
Corrected: against what a faultless classifier would measure.

    python benchmarks/audit_coverage.py            # 200 audits of each setting
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from fairness_core.metrics import Confusion, bias_interval, corrected_bias, parity_gaps

POPULATION = 200_000
NEGLIGIBLE = 0.02


@dataclass(frozen=True)
class Setting:
    """One kind of audit.

    Attributes:
        name: Printed.
        concentration: Dirichlet parameters of the prompts' true shares.
        accuracy: Probability of the right class; the errors fall on the others evenly, more of
            them on the next class, so that the matrix is not symmetric.
    """

    name: str
    concentration: tuple[float, ...]
    accuracy: tuple[float, ...]

    @property
    def matrix(self) -> np.ndarray:
        """The classifier's true confusion matrix."""
        k = len(self.accuracy)
        matrix = np.empty((k, k))
        for y, right in enumerate(self.accuracy):
            weights = np.ones(k)
            weights[y] = 0.0
            weights[(y + 1) % k] = 2.0
            matrix[y] = (1 - right) * weights / weights.sum()
            matrix[y, y] = right
        return matrix


SETTINGS = (
    Setting("gender, as biased as a base model", (0.7, 1.2), (0.88, 0.93)),
    Setting("gender, aligned", (12.0, 15.0), (0.88, 0.93)),
    Setting("four groups, as biased as a base model", (3.0, 1.0, 0.6, 0.8), (0.9, 0.85, 0.8, 0.85)),
)


@dataclass(frozen=True)
class Result:
    """Shares of intervals that hold the truth, and mean absolute errors against the true bias."""

    raw_coverage: float
    corrected_coverage: float
    raw_error: float
    corrected_error: float
    share_coverage: float


def simulate(
    setting: Setting,
    *,
    audits: int,
    prompts: int = 50,
    images: int = 160,
    labels: int = 1500,
    resamples: int = 1000,
    seed: int = 1,
) -> Result:
    """Run synthetic audits of one setting."""
    rng = np.random.default_rng(seed)
    k, matrix = len(setting.accuracy), setting.matrix
    population = rng.dirichlet(setting.concentration, POPULATION)
    mixed = population @ matrix
    truth = parity_gaps(rng.multinomial(images, population) / images).mean()
    raw_truth = parity_gaps(rng.multinomial(images, mixed / mixed.sum(1, keepdims=True)) / images)
    expected = raw_truth.mean()
    mean_shares = population.mean(0)
    rows = []
    for _ in range(audits):
        chosen = rng.integers(POPULATION, size=prompts)
        seen = mixed[chosen] / mixed[chosen].sum(1, keepdims=True)
        counts = rng.multinomial(images, seen)
        labelled = rng.multinomial(rng.multinomial(labels, mean_shares), matrix)
        confusion = Confusion(labelled, tuple(str(i) for i in range(k)))
        raw = bias_interval(counts, rng=rng, resamples=resamples)
        found = corrected_bias(counts, confusion, rng=rng, resamples=resamples)
        own = parity_gaps(rng.multinomial(images, population[chosen], (20, prompts)) / images)
        rows.append(
            (
                raw.low <= expected <= raw.high,
                found.bias.low <= truth <= found.bias.high,
                abs(raw.estimate - own.mean()),
                abs(found.bias.estimate - own.mean()),
                found.shares[0].low <= mean_shares[0] <= found.shares[0].high,
            )
        )
    return Result(*np.mean(np.asarray(rows, dtype=float), axis=0).tolist())


def main() -> int:
    """Print the figures; 1 if a coverage or a ratio is outside what is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=200, help="of each setting")
    audits = parser.parse_args().audits
    good = True
    for setting in SETTINGS:
        found = simulate(setting, audits=audits)
        ratio = found.corrected_error / found.raw_error
        covered = (found.raw_coverage, found.corrected_coverage)
        good &= all(0.92 <= share <= 0.98 for share in covered)
        # Nearly even shares stay nearly even when misread: there is no error to take a quarter of.
        good &= ratio <= 0.25 or found.raw_error < NEGLIGIBLE
        sys.stdout.write(
            f"{setting.name}: coverage raw {found.raw_coverage:.3f}, corrected "
            f"{found.corrected_coverage:.3f} (share of the first class "
            f"{found.share_coverage:.3f}); mean error raw {found.raw_error:.4f}, corrected "
            f"{found.corrected_error:.4f} ({ratio:.2f} of it)\n"
        )
        sys.stdout.flush()
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
