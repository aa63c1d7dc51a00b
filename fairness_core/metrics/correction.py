"""Shares and bias corrected for the classifier's errors, measured on labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtrit

from fairness_core.errors import ArtifactError
from fairness_core.metrics.intervals import Interval, check_resampling, percentiles, prompt_blocks
from fairness_core.metrics.parity import parity_gaps

__all__ = ["Confusion", "Corrected", "corrected_bias", "corrected_shares"]

ITERATIONS, TOLERANCE = 2000, 1e-7
EDGE = 1e-3  # where the iteration starts a share that plain inversion puts outside [0, 1]
NOISE_DRAWS = 200
# Below it a classifier's answers say next to nothing about one of the classes.
SMALLEST_SINGULAR = 0.05


@dataclass(frozen=True)
class Confusion:
    """What the classifier said of labelled faces.

    Attributes:
        counts: Faces by label (row) and by predicted class (column).
        classes: Names of the classes or cells.
    """

    counts: Int[np.ndarray, "k k"]
    classes: tuple[str, ...]

    @property
    def prior(self) -> Float[np.ndarray, "k k"]:
        """Counts and a prior of 1/k each, one face a row: no error is held to be impossible."""
        return self.counts + 1.0 / len(self.classes)

    @property
    def matrix(self) -> Float[np.ndarray, "k k"]:
        """A[y, c], probability that a face of class y is taken for c: the posterior mean."""
        return np.asarray(self.prior / self.prior.sum(1, keepdims=True))

    def draw(self, rng: np.random.Generator, size: int) -> Float[np.ndarray, "b k k"]:
        """Matrices from the posterior, one Dirichlet a row, whose mean is ``matrix``."""
        gamma = rng.standard_gamma(np.broadcast_to(self.prior, (size, *self.prior.shape)))
        return np.asarray(gamma / gamma.sum(2, keepdims=True))

    def problem(self, at_least: int) -> str | None:
        """Why no correction can be made of this, or None.

        Args:
            at_least: Labelled faces needed of each class.
        """
        few = [
            f"{name}: {int(n)}"
            for name, n in zip(self.classes, self.counts.sum(1), strict=True)
            if n < at_least
        ]
        if few:
            return f"fewer than {at_least} labelled faces of {', '.join(few)}"
        if np.linalg.svd(self.matrix, compute_uv=False)[-1] < SMALLEST_SINGULAR:
            return "the classifier cannot tell the classes apart on the labelled faces"
        return None


@dataclass(frozen=True)
class Corrected:
    """Corrected figures.

    Attributes:
        bias: Mean over prompts of the bias that a faultless classifier would have measured on as
            many faces, so that ``fair_floor`` is its floor too.
        shares: Mean share of each class over prompts.
    """

    bias: Interval
    shares: tuple[Interval, ...]


def corrected_shares(
    observed: Float[np.ndarray, "*batch k"], matrix: Float[np.ndarray, "*batch2 k k"]
) -> Float[np.ndarray, "*batch k"]:
    """True shares by maximum likelihood: argmax over the simplex of sum_c f_c log (pi A)_c.

    Predicted classes of n faces are multinomial with probabilities pi A. Where f A^-1 lies on the
    simplex it is the maximum; elsewhere, where plain inversion would give negative shares, the
    maximum is found by expectation maximisation: pi_y <- pi_y sum_c A[y, c] f_c / (pi A)_c, which
    never leaves it (Dempster, Laird & Rubin 1977; Saerens et al. 2002 for class shares).

    Args:
        observed: Shares of the predicted classes, summing to 1.
        matrix: A[y, c] with rows summing to 1, invertible; its leading axes broadcast.

    Returns:
        Shares of the true classes, in [0, 1] and summing to 1.

    Raises:
        ArtifactError: The matrix cannot be inverted.
    """
    f, a = np.broadcast_arrays(observed[..., None, :], matrix)
    k = matrix.shape[-1]
    f, a = f[..., 0, :].reshape(-1, k), a.reshape(-1, k, k)
    try:
        shares = np.linalg.solve(a.swapaxes(1, 2), f[..., None])[..., 0]
    except np.linalg.LinAlgError as error:
        raise ArtifactError(
            "The classifier's errors cannot be corrected: its confusion matrix has no inverse",
            given=matrix.tolist(),
            do="label more faces, or use a classifier that tells the classes apart",
        ) from error
    outside = np.flatnonzero(shares.min(1) < 0)
    shares[outside] = _maximise(f[outside], a[outside], shares[outside])
    return shares.reshape(*np.broadcast_shapes(observed.shape[:-1], matrix.shape[:-2]), k)


def _maximise(
    f: Float[np.ndarray, "m k"], a: Float[np.ndarray, "m k k"], start: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, "m k"]:
    if f.shape[1] == 2:  # concave in one number: the nearer end
        return start.clip(0.0, 1.0)
    shares = start.clip(min=EDGE)
    shares /= shares.sum(1, keepdims=True)
    moving = np.arange(len(f))
    for _ in range(ITERATIONS):
        now, errors = shares[moving], a[moving]
        expected = np.einsum("my,myc->mc", now, errors)
        ratio = np.divide(f[moving], expected, out=np.zeros_like(expected), where=expected > 0)
        new = now * np.einsum("myc,mc->my", errors, ratio)
        shares[moving] = new / new.sum(1, keepdims=True)
        moving = moving[np.abs(shares[moving] - now).max(1) > TOLERANCE]
        if not moving.size:
            break
    return shares


def corrected_bias(
    counts: Int[np.ndarray, "p k"],
    confusion: Confusion,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Corrected:
    """Mean bias and shares over prompts, corrected, with the errors' own uncertainty inside.

    Correcting adds noise to every prompt's shares, and noise adds to a gap: what it adds is
    simulated and taken off. Each resample draws prompts, their faces and another confusion matrix
    from its posterior. Prompts drawn whole already differ by their faces' noise, so of the faces
    drawn anew only 1/sqrt(p) of the deviation counts, which makes the variance that of p prompts
    down to a single one. The resamples are moved to the estimate as in ``bias_interval``.

    Args:
        counts: Faces per prompt and predicted class; prompts without a face are left out.
        confusion: Of the same classes, from labelled faces of such images; errors are taken to
            depend on the class and not on the prompt.
        rng: Generator of the draws.
        resamples: At least 1.
        level: Coverage, in (0, 1).

    Raises:
        FaceError: No prompt has a face.
        ConfigError: Level or resamples out of range.
        ArtifactError: Other classes than the counts', or a matrix without an inverse.
    """
    if confusion.counts.shape != (counts.shape[1],) * 2:
        raise ArtifactError(
            "The confusion matrix is not of the measured classes",
            given=f"{len(confusion.classes)} classes, counts have {counts.shape[1]}",
        )
    measured = counts[counts.sum(1) > 0]
    check_resampling(measured, resamples, level)
    n = measured.sum(1)
    observed = measured / n[:, None]
    shares = corrected_shares(observed, confusion.matrix)
    wider, moved = _added_by_noise(shares, n, confusion, rng)
    bias = float(parity_gaps(shares).mean()) - wider
    gaps, means = [], []
    for chosen in prompt_blocks(measured, resamples, rng):
        size = n[chosen]
        whole = observed[chosen]
        redrawn = rng.multinomial(size, whole) / size[..., None]
        drawn = whole + (redrawn - whole) / np.sqrt(len(n))
        pi = corrected_shares(drawn, confusion.draw(rng, len(chosen))[:, None])
        gaps.append(parity_gaps(pi).mean(1))
        means.append(pi.mean(1))
    return Corrected(
        bias=_moved(min(max(bias, 0.0), 1.0), np.concatenate(gaps), level, len(n)),
        shares=tuple(
            _moved(min(max(float(value), 0.0), 1.0), column, level, len(n))
            for value, column in zip(shares.mean(0) - moved, np.concatenate(means).T, strict=True)
        ),
    )


def _added_by_noise(
    shares: Float[np.ndarray, "p k"],
    n: Int[np.ndarray, " p"],
    confusion: Confusion,
    rng: np.random.Generator,
) -> tuple[float, Float[np.ndarray, " k"]]:
    """Mean gap of corrected samples less that of samples that needed no correction.

    And mean shares less the true ones: where a class is all but absent, noise can only add to it.

    Simulated first at the corrected shares, whose own noise makes them differ more between prompts
    than the true ones; then at shares drawn together until their spread is what noise leaves.
    """
    noise = (_again(shares, n, confusion, rng)[0] - shares).var(0).sum(1).mean()
    spread = shares.var(0).sum()
    kept = np.sqrt(max(0.0, 1.0 - noise / spread)) if spread > 0 else 0.0
    shrunk = shares.mean(0) + kept * (shares - shares.mean(0))
    true = rng.multinomial(n, shrunk / shrunk.sum(1, keepdims=True), size=(NOISE_DRAWS, len(n)))
    again, inverted = _again(shrunk, n, confusion, rng)
    wider = parity_gaps(again).mean() - parity_gaps(true / n[:, None]).mean()
    # Plain inversion is right on average; what the simplex changes is the rest.
    return float(wider), np.asarray((again - inverted).mean((0, 1)))


def _again(
    shares: Float[np.ndarray, "p k"],
    n: Int[np.ndarray, " p"],
    confusion: Confusion,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "b p k"], Float[np.ndarray, "b p k"]]:
    """Corrected and plainly inverted shares of faces drawn from these and misread."""
    mixed = shares @ confusion.matrix
    mixed /= mixed.sum(1, keepdims=True)
    seen = rng.multinomial(n, mixed, size=(NOISE_DRAWS, len(n))) / n[:, None]
    return corrected_shares(seen, confusion.matrix), seen @ np.linalg.inv(confusion.matrix)


def _moved(estimate: float, drawn: Float[np.ndarray, " b"], level: float, prompts: int) -> Interval:
    """Interval of the resamples around the estimate, as wide as few prompts ask for.

    Resampled prompts vary by (p - 1) / p of what p prompts do, and quantiles take their spread for
    known: Student's t with p - 1 degrees of freedom does not.
    """
    wider = 1.0
    if prompts > 1:
        upper = (1 + level) / 2
        student = float(stdtrit(prompts - 1, upper)) / NormalDist().inv_cdf(upper)
        wider = student * np.sqrt(prompts / (prompts - 1))
    moved = estimate + wider * (drawn - drawn.mean())
    return percentiles(estimate, np.clip(moved, 0.0, 1.0), level)
