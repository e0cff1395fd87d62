"""Minimise a quadratic plus a block penalty over a working set."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from .._interrupts import check
from .._typing import Array, Indices
from ..penalties import BlockPenalty, Blocks
from ._quadratic import Quadratic

# Epochs between extrapolations, each of which combines this many iterates.
_MEMORY = 6
_MAX_ROUNDS = 2000
# Rounds without a violation that is smaller by a tenth, after which no more is to be had.
_PATIENCE, _BETTER = 20, 0.9
# From this round on, Newton steps on the coefficients in use are tried, up to so many of them.
_NEWTON_FROM, _LARGEST_NEWTON = 2, 1000
_NEWTON_HALVINGS = 5


class Working:
    """The part of a block penalty that a working set sees.

    Parameters
    ----------
    penalty : BlockPenalty
        The whole penalty.
    groups : ndarray
        Groups of the working set.
    scales : ndarray of shape (n_features,)
        Length of each column; those of length zero are left out.

    Attributes
    ----------
    features : ndarray
        Columns of the working set, the members of one group side by side.
    penalty : BlockPenalty
        The penalty over these columns.
    """

    def __init__(self, penalty: BlockPenalty, groups: Indices, scales: Array) -> None:
        features = penalty.blocks.members(groups)
        labels = np.repeat(np.arange(len(groups), dtype=np.intp), penalty.blocks.sizes[groups])
        used = scales[features] > 0.0
        self.features, labels = features[used], labels[used]
        kept, labels = np.unique(labels, return_inverse=True)
        blocks = Blocks.from_labels(labels.astype(np.intp))
        self.penalty = BlockPenalty(blocks, penalty.l1[self.features], penalty.l2[groups[kept]])
        self._scales = scales[self.features]

    def violations(self, coef: Array, gradient: Array, alpha: float) -> Array:
        """Violations of the groups, for columns of length one."""
        return self.penalty.violations(coef, gradient, alpha, self._scales)

    def kernel_form(self, quadratic: Quadratic) -> Any:
        """Groups as the compiled loop takes them."""
        from .._kernels.block_descent import Groups

        bounds = list(pairwise(self.penalty.blocks.pointers))
        blocks = [quadratic.block(start, stop) for start, stop in bounds]
        pairs = [_eigen(block) for block in blocks]
        return Groups(
            pointers=self.penalty.blocks.pointers,
            offsets=np.concatenate(([0], np.cumsum([b.size for b in blocks]))).astype(np.intp),
            blocks=np.concatenate([b.ravel() for b in blocks]),
            vectors=np.concatenate([vectors.ravel() for _, vectors in pairs]),
            values=np.concatenate([values for values, _ in pairs]),
            lipschitz=np.array([values[-1] for values, _ in pairs]),
            l1=self.penalty.l1,
            l2=self.penalty.l2,
        )


def _eigen(block: Array) -> tuple[Array, Array]:
    if block.size == 1:
        return block[0], np.ones((1, 1))
    values, vectors = np.linalg.eigh(block)
    return np.maximum(values, 0.0), vectors


def minimise(
    quadratic: Quadratic, working: Working, alpha: float, coef: Array, tol: float
) -> Array:
    """Coordinates of the working set that minimise ``quadratic + alpha * penalty``.

    Cyclic block descent with Anderson extrapolation every few epochs, and Newton steps on the
    coefficients in use where that takes long. Stops when the violations over the working set are
    at most ``tol``, or become no smaller.
    """
    from .._kernels.block_descent import block_descent

    if not len(coef):
        return coef
    form, groups = quadratic.kernel_form(), working.kernel_form(quadratic)
    coef = coef.copy()
    state = quadratic.state(coef)
    history = np.empty((_MEMORY, len(coef)))
    best, stale = np.inf, 0
    for n_round in range(_MAX_ROUNDS):
        check()
        block_descent(form, groups, alpha, state, coef, history)
        worst = working.violations(coef, -quadratic.descent(state), alpha).max()
        stale = 0 if worst < _BETTER * best else stale + 1
        best = min(best, worst)
        if worst <= tol or stale > _PATIENCE:
            break
        trials = [_extrapolate(history)]
        if n_round >= _NEWTON_FROM:
            trials.append(_newton(quadratic, working.penalty, alpha, coef, state))
        for trial in trials:
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


def _newton(
    quadratic: Quadratic, penalty: BlockPenalty, alpha: float, coef: Array, state: Array
) -> Array | None:
    """Newton step while signs stay and no group becomes zero; None where it does not descend.

    There the objective is smooth, however differently the columns are scaled.
    """
    labels = penalty.blocks.labels
    norms = penalty.blocks.norms(coef)[labels]
    # in a group without an L1 norm, a zero is a value like any other
    used = np.flatnonzero((coef != 0.0) | ((penalty.l1 == 0.0) & (norms > 0.0)))
    if not 0 < used.size <= _LARGEST_NEWTON:
        return None
    gradient = -quadratic.descent(state) + alpha * penalty.l1 * np.sign(coef)
    pull = np.divide(alpha * penalty.l2[labels], norms, out=np.zeros_like(norms), where=norms > 0)
    gradient += pull * coef
    basis = sp.csc_array((np.ones(used.size), (used, np.arange(used.size))), (len(coef), used.size))
    matrix = quadratic.reduced(basis)
    unit = np.divide(coef, norms, out=np.zeros_like(norms), where=norms > 0)[used]
    same = labels[used][:, None] == labels[used]
    matrix[np.diag_indices(used.size)] += pull[used]
    matrix -= same * np.outer(pull[used] * unit, unit)
    roots = np.sqrt(np.diag(matrix))
    if not (roots > 0.0).all():
        return None
    matrix /= np.outer(roots, roots)
    matrix[np.diag_indices(used.size)] += 1e-13
    try:
        factor = scipy.linalg.cho_factor(matrix, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    step = -scipy.linalg.cho_solve(factor, gradient[used] / roots, check_finite=False) / roots
    return _follow(quadratic, penalty, alpha, coef, state, used, step)


def _follow(
    quadratic: Quadratic,
    penalty: BlockPenalty,
    alpha: float,
    coef: Array,
    state: Array,
    used: Indices,
    step: Array,
) -> Array | None:
    """The share of a step that lowers the objective; signs under an L1 norm end at zero."""

    def objective(coef: Array, state: Array) -> float:
        return quadratic.value(coef, state) + alpha * penalty.value(coef)

    bound, share = objective(coef, state), 1.0
    signed = (penalty.l1[used] > 0.0) & (coef[used] != 0.0)
    for _ in range(_NEWTON_HALVINGS):
        trial = coef.copy()
        moved = coef[used] + share * step
        trial[used] = np.where(signed & (moved * coef[used] < 0.0), 0.0, moved)
        if objective(trial, quadratic.state(trial)) < bound:
            return trial
        share *= 0.5
    return None
