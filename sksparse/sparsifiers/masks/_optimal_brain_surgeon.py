r"""The optimal brain surgeon: the weights that are kept compensate for those that are removed.

With the loss a quadratic of Hessian H around the weights w, zeroing :math:`w_q` at the least
cost changes all weights by :math:`-\frac{w_q}{[H^{-1}]_{qq}} H^{-1} e_q` and adds
:math:`L_q = \frac{w_q^2}{2 [H^{-1}]_{qq}}`. H is the Gauss-Newton matrix of the mean loss plus a
multiple of the identity: inverted outright for few weights, for many in the low rank
that a sample of rows gives it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.masks._saliency import gauss_newton_rows
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.parameters._probe import Probe


@dataclass(frozen=True)
class Tuning:
    """Where the exact inverse gives way to an approximation, and how much data is used.

    Parameters
    ----------
    few_weights : int
        Up to this many weights in use the inverse is exact, and they are removed one by one.
    rows_for_few, rows_for_many : int
        Rows of the training data whose curvature is used, for few weights and for many.
    largest_sample : int
        Rows times weights whose gradients are held at once.
    damping : float
        The multiple of the identity that is added, as a share of the mean curvature.
    n_steps : int
        Rounds in which many weights are removed: the saliencies are computed again in each.
    block : int
        Gradients that enter the inverse together.
    """

    few_weights: int = 512
    rows_for_few: int = 256
    rows_for_many: int = 32
    largest_sample: int = 2**23
    damping: float = 1e-2
    n_steps: int = 3
    block: int = 64


TUNING = Tuning()


def inverse_hessian(rows: Tensor, n_rows: int, damping: float) -> Tensor:
    """The inverse of ``damping * I + rows^T rows / n_rows``, by rank-b updates.

    Parameters
    ----------
    rows : torch.Tensor of shape (n, n_weights)
        Vectors whose outer products make up the Hessian.
    n_rows : int
        By how many their sum is divided.
    damping : float
        Positive.

    Returns
    -------
    inverse : torch.Tensor of shape (n_weights, n_weights)
        Symmetric.
    """
    inverse = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device) / damping
    for block in rows.split(TUNING.block):
        image = block @ inverse
        inner = image @ block.T
        inner.diagonal().add_(n_rows)
        inverse -= image.T @ torch.linalg.solve(inner, image)
    return inverse


def saliencies(weights: Tensor, inverse_diagonal: Tensor) -> Tensor:
    """``L_q``, what zeroing each weight adds to the loss when the others are adapted."""
    return 0.5 * weights.square() / inverse_diagonal


def surgery(weights: Tensor, inverse: Tensor, n_pruned: int) -> Tensor:
    """Zero weights one by one, each time the one of least saliency, and adapt the others.

    Parameters
    ----------
    weights : torch.Tensor of shape (n_weights,)
        The weights now.
    inverse : torch.Tensor of shape (n_weights, n_weights)
        The inverse Hessian; overwritten.
    n_pruned : int
        How many to zero.

    Returns
    -------
    weights : torch.Tensor of shape (n_weights,)
        The new weights, exactly zero where pruned.
    """
    weights = weights.clone()
    alive = torch.ones_like(weights, dtype=torch.bool)
    for _ in range(n_pruned):
        diagonal = inverse.diagonal()
        cost = torch.where(alive, saliencies(weights, diagonal), torch.inf)
        q = int(cost.argmin())
        column = inverse[:, q] / inverse[q, q]
        weights -= weights[q] * column
        inverse -= torch.outer(column, inverse[q].clone())
        # rounding must not change removed weights
        alive[q] = False
        weights[q] = 0.0
        inverse[q], inverse[:, q], inverse[q, q] = 0.0, 0.0, 1.0
    return weights.mul_(alive)


def low_rank_inverse_diagonal(rows: Tensor, n_rows: int, damping: float) -> Tensor:
    """The diagonal of the inverse of ``damping * I + rows^T rows / n_rows``."""
    inner = rows @ rows.T
    inner.diagonal().add_(n_rows * damping)
    factor = torch.linalg.cholesky(inner)
    whitened = torch.linalg.solve_triangular(factor, rows, upper=False)
    return (1.0 - whitened.square().sum(0)).div_(damping)


def low_rank_update(
    weights: Tensor, pruned: Tensor, rows: Tensor, n_rows: int, damping: float
) -> Tensor:
    """Zero all the given weights at once and adapt the others in the best way.

    Parameters
    ----------
    weights : torch.Tensor of shape (n_weights,)
        The weights now.
    pruned : torch.Tensor of shape (n_weights,)
        Boolean: which to zero.
    rows : torch.Tensor of shape (n, n_weights)
        Vectors whose outer products make up the Hessian.
    n_rows : int
        By how many their sum is divided.
    damping : float
        Multiple of the identity that is added.

    Returns
    -------
    weights : torch.Tensor of shape (n_weights,)
        The minimum of the quadratic among weights that are zero where `pruned` is true.
    """
    kept = rows * ~pruned
    inner = kept @ kept.T
    inner.diagonal().add_(n_rows * damping)
    lost = rows @ (weights * pruned)
    return (weights + kept.T @ torch.linalg.solve(inner, lost)).mul_(~pruned)


def optimal_brain_surgeon(
    probe: Probe, parameters: FlatParameters, count: int, weight_decay: float
) -> Tensor:
    """Zero the least salient weights of a module until so many are left, adapting those.

    Parameters
    ----------
    probe : Probe
        The training data and the loss.
    parameters : FlatParameters
        Those of the module; its weights are changed in place.
    count : int
        Weights to keep among those that are not zero.
    weight_decay : float
        Curvature that the objective has beyond that of the loss.

    Returns
    -------
    keep : torch.Tensor of shape (n_weights,)
        Boolean, true in exactly `count` places unless fewer were not zero before.
    """
    used = parameters.weights.nonzero().flatten()
    if len(used) <= count:
        return parameters.weights != 0
    few = len(used) <= TUNING.few_weights
    limit = (
        TUNING.rows_for_few
        if few
        else min(TUNING.rows_for_many, 1 + TUNING.largest_sample // len(used))
    )
    n_rows = min(limit, sum(len(X) for X, _, _ in probe.batches()))
    rows = torch.stack([g[used] for g in gauss_newton_rows(probe, parameters, limit)])
    curvature = float(rows.square().sum() / n_rows / len(used))
    damping = TUNING.damping * curvature + weight_decay + torch.finfo(rows.dtype).tiny
    weights = parameters.weights[used]
    if few:
        # rounding errors of the downdates of the inverse add up
        inverse = inverse_hessian(rows.double(), n_rows, damping)
        weights = surgery(weights.double(), inverse, len(used) - count).to(rows.dtype)
    else:
        weights = _in_steps(weights, rows, n_rows, damping, count)
    parameters.weights[used] = weights
    return parameters.weights != 0


def _in_steps(weights: Tensor, rows: Tensor, n_rows: int, damping: float, count: int) -> Tensor:
    """Prune many weights in steps that each remove the same share of what is left."""
    start = len(weights)
    alive = torch.ones_like(weights, dtype=torch.bool)
    for step in range(1, TUNING.n_steps + 1):
        left = round(start * (count / start) ** (step / TUNING.n_steps))
        cost = saliencies(weights, low_rank_inverse_diagonal(rows * alive, n_rows, damping))
        keep = keep_largest(torch.where(alive, cost, -1.0), left)
        weights = low_rank_update(weights, ~keep, rows * alive, n_rows, damping)
        alive = keep
    return weights
