"""Minimise a quadratic plus a block penalty over a working set."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .._typing import Array, Indices
from ..penalties import BlockPenalty, Blocks
from ._quadratic import Quadratic

# Epochs between extrapolations, each of which combines this many iterates.
_MEMORY = 6
_MAX_ROUNDS = 2000


class Working:
    """The part of a block penalty that a working set sees.

    Parameters
    ----------
    penalty : BlockPenalty
        The whole penalty.
    groups : ndarray
        Groups of the working set.

    Attributes
    ----------
    features : ndarray
        Columns of the working set, the members of one group side by side.
    penalty : BlockPenalty
        The penalty over these columns.
    """

    def __init__(self, penalty: BlockPenalty, groups: Indices) -> None:
        self.features = penalty.blocks.members(groups)
        labels = np.repeat(np.arange(len(groups), dtype=np.intp), penalty.blocks.sizes[groups])
        blocks = Blocks.from_labels(labels)
        self.penalty = BlockPenalty(blocks, penalty.l1[self.features], penalty.l2[groups])

    def kernel_form(self, quadratic: Quadratic) -> Any:
        """Groups as the compiled loop takes them."""
        from .._kernels.block_descent import Groups

        bounds = list(pairwise(self.penalty.blocks.pointers))
        blocks = [quadratic.block(start, stop) for start, stop in bounds]
        top = [b[0, 0] if b.size == 1 else np.linalg.eigvalsh(b)[-1] for b in blocks]
        lipschitz = np.array(top)
        # A column that is constant up to rounding has nothing to say; the loop passes it by.
        lipschitz[lipschitz <= 1e-14 * lipschitz.max(initial=0.0)] = 0.0
        return Groups(
            pointers=self.penalty.blocks.pointers,
            offsets=np.concatenate(([0], np.cumsum([b.size for b in blocks]))).astype(np.intp),
            blocks=np.concatenate([b.ravel() for b in blocks]),
            lipschitz=lipschitz,
            l1=self.penalty.l1,
            l2=self.penalty.l2,
        )


def minimise(
    quadratic: Quadratic, working: Working, alpha: float, coef: Array, tol: float
) -> Array:
    """Coordinates of the working set that minimise ``quadratic + alpha * penalty``.

    Cyclic block descent with Anderson extrapolation every few epochs; stops when the gradient
    mapping of a whole epoch is at most ``tol``.
    """
    from .._kernels.block_descent import block_descent

    form, groups = quadratic.kernel_form(), working.kernel_form(quadratic)
    coef = coef.copy()
    state = quadratic.state(coef)
    history = np.empty((_MEMORY, len(coef)))
    for _ in range(_MAX_ROUNDS):
        if block_descent(form, groups, alpha, state, coef, history) <= tol:
            break
        trial = _extrapolate(history)
        if trial is None:
            continue
        trial_state = quadratic.state(trial)
        gain = quadratic.value(coef, state) - quadratic.value(trial, trial_state)
        if gain + alpha * (working.penalty.value(coef) - working.penalty.value(trial)) > 0:
            coef, state = trial, trial_state
    return coef


def _extrapolate(history: Array) -> Array | None:
    """Affine combination of the iterates whose differences cancel best (Anderson, 1965)."""
    steps = np.diff(history, axis=0)
    system = steps @ steps.T
    size = np.trace(system)
    if size == 0:
        return None
    system[np.diag_indices_from(system)] += 1e-12 * size
    weights = np.linalg.solve(system, np.ones(len(system)))
    return (weights / weights.sum()) @ history[1:]
