"""Minimise a quadratic plus a block penalty over a working set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import BlockPenalty, Blocks
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve


@dataclass(frozen=True)
class Tuning:
    """When the steps of block descent are used, and when it ends.

    Parameters
    ----------
    first_groups : int
        Groups that the first working set may hold; it doubles from there.
    memory : int
        Epochs between extrapolations, each of which combines so many iterates.
    max_rounds : int
        Extrapolations over one working set.
    patience : int
        Rounds in which the violations have not become ``better`` times smaller, after which they
        are at the level of rounding.
    better : float
        Share of the violations that counts as progress.
    newton_from : int
        Round from which Newton steps on the coefficients in use are tried.
    largest_newton : int
        Coefficients up to which they are, since each solves a dense system.
    shares : tuple of float
        Shares of a Newton step that are tried.
    rounding : float
        Values of the objective this close, as a share, are equal.
    largest_newton_gram : int
        Columns up to which a proximal Newton step forms a Gram matrix. It is used once, so fewer
        than for a squared loss.
    newton_steps, line_search_steps : int
        Proximal Newton steps on one working set, and halvings of each.
    curvature_floor : float
        Curvatures below this share of the largest are raised to it, which keeps Newton models
        bounded.
    """

    first_groups: int = 10
    memory: int = 6
    max_rounds: int = 2000
    patience: int = 20
    better: float = 0.9
    newton_from: int = 2
    largest_newton: int = 1000
    shares: tuple[float, ...] = (1.0, 0.5, 0.25, 0.0625)
    rounding: float = 1e-14
    largest_newton_gram: int = 600
    newton_steps: int = 10
    line_search_steps: int = 30
    curvature_floor: float = 1e-8


TUNING = Tuning()


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
        from sksparse._kernels.block_descent import GroupBlocks

        bounds = list(pairwise(self.penalty.blocks.pointers))
        blocks = [quadratic.block(start, stop) for start, stop in bounds]
        pairs = [_eigen(block) for block in blocks]
        return GroupBlocks(
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
    coefficients in use where that takes long. Stops when the violations over the working set are at
    most ``tol``, or no longer fall.
    """
    from sksparse._kernels.block_descent import block_descent

    if not len(coef):
        return coef
    form, groups = quadratic.kernel_form(), working.kernel_form(quadratic)
    point = _Point(quadratic, working, alpha, coef.copy())
    history = np.empty((TUNING.memory, len(coef)))
    best, stale = np.inf, 0
    for n_round in range(TUNING.max_rounds):
        check()
        block_descent(form, groups, alpha, point.state, point.coef, history)
        point = _Point(quadratic, working, alpha, point.coef, point.state)
        stale = 0 if point.worst < TUNING.better * best else stale + 1
        best = min(best, point.worst)
        if point.worst <= tol or stale > TUNING.patience:
            break
        trials = _extrapolate(history)
        if n_round >= TUNING.newton_from:
            trials += _newton(point)
        for trial in trials:
            other = _Point(quadratic, working, alpha, trial)
            if other.is_better(point):
                point = other
                break
    return point.coef


class _Point:
    """Coefficients with what is known of them."""

    def __init__(
        self,
        quadratic: Quadratic,
        working: Working,
        alpha: float,
        coef: Array,
        state: Array | None = None,
    ) -> None:
        self.quadratic, self.working, self.alpha, self.coef = quadratic, working, alpha, coef
        self.state = quadratic.state(coef) if state is None else state

    @cached_property
    def value(self) -> float:
        """Quadratic plus penalty, up to a constant."""
        penalty = self.working.penalty.value(self.coef)
        return self.quadratic.value(self.coef, self.state) + self.alpha * penalty

    @cached_property
    def worst(self) -> float:
        """Largest violation."""
        gradient = -self.quadratic.descent(self.state)
        return float(self.working.violations(self.coef, gradient, self.alpha).max())

    def is_better(self, other: _Point) -> bool:
        """Whether the value is lower or, where rounding hides that, the violations are smaller."""
        if self.value < other.value:
            return True
        level = self.value <= other.value + TUNING.rounding * abs(other.value)
        return level and self.worst < TUNING.better * other.worst


def _extrapolate(history: Array) -> list[Array]:
    """Affine combination of the iterates whose differences cancel best (Anderson, 1965)."""
    steps = np.diff(history, axis=0)
    system = steps @ steps.T
    trace = np.trace(system)
    if trace == 0:
        return []
    system[np.diag_indices_from(system)] += 1e-12 * trace
    weights = np.linalg.solve(system, np.ones(len(system)))
    return [(weights / weights.sum()) @ history[1:]]


def _newton(point: _Point) -> list[Array]:
    """Ends of a Newton step while signs stay and no group becomes zero.

    There the objective is smooth, however differently the columns are scaled.
    """
    penalty, alpha, coef = point.working.penalty, point.alpha, point.coef
    labels = penalty.blocks.labels
    norms = penalty.blocks.norms(coef)[labels]
    # in a group that the L1 norm leaves alone, a zero is a value like any other
    l1, l2 = alpha * penalty.l1, alpha * penalty.l2[labels]
    used = np.flatnonzero((coef != 0.0) | ((l1 == 0.0) & ((norms > 0.0) | (l2 == 0.0))))
    if not 0 < used.size <= TUNING.largest_newton:
        return []
    gradient = l1 * np.sign(coef) - point.quadratic.descent(point.state)
    shrinkage = np.divide(l2, norms, out=np.zeros_like(norms), where=norms > 0)
    gradient += shrinkage * coef
    basis = sp.csc_array((np.ones(used.size), (used, np.arange(used.size))), (len(coef), used.size))
    matrix = point.quadratic.reduced(basis)
    unit = np.divide(coef, norms, out=np.zeros_like(norms), where=norms > 0)[used]
    same = labels[used][:, None] == labels[used]
    matrix[np.diag_indices(used.size)] += shrinkage[used]
    matrix -= same * np.outer(shrinkage[used] * unit, unit)
    step = scaled_solve(matrix, gradient[used])
    if step is None:
        return []
    signed = (l1[used] > 0.0) & (coef[used] != 0.0)
    return _ends(coef, used, -step, signed)


def _ends(coef: Array, used: Indices, step: Array, signed: Mask) -> list[Array]:
    """A step and shares of it, signs under an L1 norm ending at zero; last up to the first zero."""
    before = coef[used]
    turning = signed & ((before + step) * before < 0.0)
    ends = []
    for share in TUNING.shares:
        moved = before + share * step
        ends.append(np.where(signed & (moved * before < 0.0), 0.0, moved))
    if turning.any():
        shares = np.full(len(used), np.inf)
        shares[turning] = -before[turning] / step[turning]
        first = np.argmin(shares)
        moved = before + shares[first] * step
        moved[first] = 0.0
        ends.append(moved)
    trials = []
    for end in ends:
        trial = coef.copy()
        trial[used] = end
        trials.append(trial)
    return trials
