"""The alignment loss: cross entropy to the transport targets (paper, Eq. 4)."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from fairness_core.errors import TargetError
from fairness_core.types import Targets

__all__ = ["alignment_loss", "alignment_terms", "count_faces"]


def alignment_terms(logits: Float[Tensor, "n k"], targets: Targets) -> Float[Tensor, " n"]:
    """1[c_i >= C] CE(h(x_i), y_i), one term per image, not divided by N.

    Args:
        logits: Classifier outputs before the softmax; rows that are not active may hold anything.
        targets: Pseudo-labels of the same rows.

    Returns:
        Terms, >= 0, with gradient to the active rows only; 0 where inactive.

    Raises:
        TargetError: Logits and targets differ in shape.
    """
    if logits.shape != targets.expected.shape:
        raise TargetError(
            "Logits and targets differ in shape",
            given=(tuple(logits.shape), tuple(targets.expected.shape)),
        )
    active = targets.active.to(logits.device)
    labels = targets.labels.to(logits.device)[active]
    # Only active rows enter the cross entropy: 0 * nan of another row would still be nan.
    terms = F.cross_entropy(logits[active].float(), labels, reduction="none")
    return terms.new_zeros(logits.shape[0]).masked_scatter(active, terms)


def alignment_loss(
    logits: Float[Tensor, "n k"], targets: Targets, *, n_total: int | None = None
) -> Float[Tensor, ""]:
    """L_align = (1/N) sum_i 1[c_i >= C] CE(h(x_i), y_i), with y and c of the paper's Eq. 4.

    N counts the images with a face, whether their target is confident or not. A process that
    holds a part of the batch passes the count over all processes, and the processes' losses then
    add up to the loss of the whole batch. Several attributes: the sum of their losses.

    Args:
        logits: Classifier outputs before the softmax.
        targets: Pseudo-labels of the same rows.
        n_total: N; the number of faces in these rows when None.

    Returns:
        The loss, >= 0; 0, still connected to the logits, when no image has a face.

    Raises:
        TargetError: Logits and targets differ in shape.
    """
    n = count_faces(targets) if n_total is None else n_total
    return alignment_terms(logits, targets).sum() / max(n, 1)


def count_faces(targets: Targets) -> int:
    """Number of rows with a face: those with a target at all, as c_i >= 1/K there and 0 elsewhere.

    Args:
        targets: Pseudo-labels of any rows.
    """
    return int((targets.confidence > 0).sum())
