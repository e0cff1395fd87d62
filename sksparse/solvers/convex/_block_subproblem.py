"""Minimise a quadratic plus a block penalty over a working set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import BlockPenalty, Blocks
from sksparse.solvers.convex._quadratic_model import Quadratic
from sksparse.solvers.convex._scaled_solve import scaled_solve
from sksparse.solvers.convex._working_set import WorkingModel, WorkingSet


@dataclass(frozen=True)
class Tuning:
    """When the steps of block descent are used, and when it ends.

    Parameters
    ----------
    first_groups : int
        Groups that the first working set may hold; it grows from there.
    memory : int
        Iterates that an extrapolation combines, and least epochs between two.
    round, most_epochs : int
        Multiplications between extrapolations, which take as long as so many, and most epochs.
    max_rounds : int
        Extrapolations over one working set.
    coordinate_rounds : int
        Times ``most_epochs`` over groups of one column, before Newton steps are tried on them.
    patience, better : int, float
        Rounds without violations ``better`` times smaller, after which they are rounding.
    newton_from, largest_newton : int
        Round from which Newton steps on the coefficients in use are tried, and how many these may
        be, since each step solves a dense system.
    shares : tuple of float
        Shares of a Newton step that are tried.
    rounding : float
        Values of the objective this close, as a share, are equal.
    growth : int
        By how many times its groups a working set may grow.
    inner, deeper : float
        A problem over a working set is solved to this share of the largest violation, the second
        where epochs cost little, or the working set has settled.
    little : float
        Multiplications of an epoch, as a share of those of a pass over X, that are little.
    settled : float
        Groups over those of the step before, up to which a working set has settled.
    goal, sharper : float
        Share of the violations that the duality gap allows which is aimed at, and share of that
        where the gap is still too large.
    """

    first_groups: int = 10
    growth: int = 3
    inner: float = 0.03
    deeper: float = 1e-5
    little: float = 0.05
    settled: float = 1.1
    goal: float = 0.3
    sharper: float = 0.1
    memory: int = 5
    round: int = 500_000
    most_epochs: int = 40
    max_rounds: int = 2000
    coordinate_rounds: int = 25
    patience: int = 20
    better: float = 0.9
    newton_from: int = 4
    largest_newton: int = 1000
    shares: tuple[float, ...] = (1.0, 0.5, 0.25, 0.0625)
    rounding: float = 1e-14


TUNING = Tuning()

# The block of H of each group with its eigenvectors, row after row, and its eigenvalues.
EigenBlocks = dict[int, tuple[Array, Array, Array]]


class Working(WorkingSet):
    """The part of a block penalty that a working set sees.

    Parameters
    ----------
    penalty : BlockPenalty
        The whole penalty.
    groups : ndarray
        Groups of the working set.
    scales : ndarray of shape (n_features,)
        Length of each column; those of length zero are left out.
    known : dict or None, default=None
        Blocks of H that are known, to share between working sets of one H.

    Attributes
    ----------
    units : ndarray
        Groups that are not left out.
    features : ndarray
        Columns of the working set, the members of one group side by side.
    penalty : BlockPenalty
        The penalty over these columns.
    """

    penalty: BlockPenalty

    def __init__(
        self,
        penalty: BlockPenalty,
        groups: Indices,
        scales: Array,
        known: EigenBlocks | None = None,
    ) -> None:
        features = penalty.blocks.members(groups)
        labels = np.repeat(np.arange(len(groups)), penalty.blocks.sizes[groups])
        used = scales[features] > 0.0
        features, labels = features[used], labels[used]
        kept, labels = np.unique(labels, return_inverse=True)
        groups = groups[kept]
        blocks = Blocks.from_labels(labels.astype(np.intp))
        inner = BlockPenalty(
            blocks,
            penalty.l1[features],
            penalty.l2[groups],
            ridge=penalty.ridge,
            lower=None if penalty.lower is None else penalty.lower[features],
            upper=None if penalty.upper is None else penalty.upper[features],
        )
        super().__init__(groups, features, inner, scales[features])
        self._known = known

    def model(self, quadratic: Quadratic, curvature: float) -> Subproblem:
        return Subproblem(quadratic, self, curvature)

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds of each column, infinite where there are none."""
        infinite = np.full(len(self.features), np.inf)
        lower, upper = self.penalty.lower, self.penalty.upper
        return -infinite if lower is None else lower, infinite if upper is None else upper

    def violation_unit(self) -> float:
        """Least violation where a dual norm exceeds the strength, per unit of the excess."""
        penalty, blocks = self.penalty, self.penalty.blocks
        if not len(self.features):
            return 1.0
        factors = penalty.l2 + penalty.l1[blocks.pointers[:-1]]
        units = factors * np.sqrt(blocks.sizes) / blocks.norms(self.scales)
        return float(units[factors > 0.0].min()) if factors.any() else 1.0

    def kernel_form(self, quadratic: Quadratic) -> Any:
        """Groups as the compiled loop takes them, their blocks of H among those known."""
        from sksparse._kernels.block_descent import GroupBlocks

        known: EigenBlocks = {} if self._known is None else self._known
        self._complete(quadratic, known)
        pointers = self.penalty.blocks.pointers
        found = [known[g] for g in self.units.tolist()]
        blocks, vectors, values = (np.concatenate(part) for part in zip(*found, strict=True))
        lower, upper = self.bounds
        bounded = np.isfinite(lower) | np.isfinite(upper)
        return GroupBlocks(
            widest=int(np.diff(pointers).max()),
            pointers=pointers,
            offsets=np.concatenate(([0], np.cumsum(np.diff(pointers) ** 2))).astype(np.intp),
            blocks=blocks,
            vectors=vectors,
            values=values,
            lipschitz=values[pointers[1:] - 1],
            l1=self.penalty.l1[pointers[:-1]],
            l2=self.penalty.l2,
            ridge=float(self.penalty.ridge),
            bounded=np.logical_or.reduceat(bounded, pointers[:-1]),
            lower=lower,
            upper=upper,
        )

    def _complete(self, quadratic: Quadratic, known: EigenBlocks) -> None:
        """Add the blocks of H, with the ridge, that are not known; those of one size together."""
        pointers, sizes = self.penalty.blocks.pointers, self.penalty.blocks.sizes
        new = np.array([group not in known for group in self.units.tolist()])
        for size in np.unique(sizes[new]):
            equal = np.flatnonzero(new & (sizes == size))
            blocks = quadratic.blocks(pointers[equal], int(size))
            blocks[:, np.arange(size), np.arange(size)] += self.penalty.ridge
            values, vectors = _eigen(blocks)
            for k, group in enumerate(self.units[equal].tolist()):
                known[group] = blocks[k].ravel(), vectors[k].ravel(), values[k]


def _eigen(blocks: Array) -> tuple[Array, Array]:
    """Eigenvalues, not decreasing and not negative, and eigenvectors of blocks of one size."""
    if blocks.shape[1] == 1:
        return blocks[:, :, 0], np.ones_like(blocks)
    values, vectors = np.linalg.eigh(blocks)
    return np.maximum(values, 0.0), vectors


class Subproblem(WorkingModel):
    """A quadratic and a block penalty over a working set, to minimise at several strengths.

    Parameters
    ----------
    quadratic : Quadratic
        Model of the loss, without the ridge.
    working : Working
        The penalty, with its ridge and bounds.
    curvature : float, default=1.0
        Sum of the curvatures of the samples, which are in the length of the columns of H.
    """

    def __init__(self, quadratic: Quadratic, working: Working, curvature: float = 1.0) -> None:
        self.quadratic, self.working, self._root = quadratic, working, curvature**0.5
        if len(working.features):
            self._form = quadratic.kernel_form()
            self._groups = working.kernel_form(quadratic)

    def state(self, coef: Array) -> Array:
        """State of the quadratic at coefficients."""
        from sksparse._kernels.block_descent import subtract_product

        state = self.quadratic.origin.copy()
        subtract_product(self._form, np.atleast_2d(coef), np.atleast_2d(state))
        return state

    def minimise(
        self, alpha: float, coef: Array, tol: float, visited: Indices | None = None
    ) -> Array:
        """Minimise at a strength, as :class:`WorkingModel` says, over the groups at ``visited``.

        Cyclic block descent with Anderson extrapolation every few epochs, and Newton steps on the
        coefficients in use where that takes long. Stops when no group moves by more than ``tol``,
        in the unit of violations, or moves no longer become smaller.
        """
        from sksparse._kernels.block_descent import block_descent

        if not coef.size:
            return coef
        point, tol = _Point(self, alpha, coef.copy()), tol / self._root
        epochs = TUNING.round // max(self.quadratic.size, 1)
        epochs = min(max(epochs, TUNING.memory), TUNING.most_epochs)
        history = np.empty((epochs, *np.atleast_2d(coef).shape))
        visited = np.arange(len(self.working.units)) if visited is None else visited
        if self.quadratic.gram is not None and self._groups.widest == coef.ndim == 1:
            self._move_coordinates(point, tol, visited)
        best, stale, newton_at, wait = np.inf, 0, TUNING.newton_from, 1
        for n_round in range(TUNING.max_rounds):
            check()
            # in place, of one output as of several
            rows = np.atleast_2d(point.state), np.atleast_2d(point.coef)
            moved = block_descent(self._form, self._groups, visited, alpha, tol, *rows, history)
            point = _Point(self, alpha, point.coef, point.state)
            stale = 0 if moved < TUNING.better * best else stale + 1
            best = min(best, moved)
            if moved <= tol or stale > TUNING.patience:
                break
            trials = self._extrapolate(history[-TUNING.memory :].reshape(-1, *coef.shape))
            if n_round >= newton_at:
                # each costs a dense system, so those that are in vain become rare
                trials += _newton(point)
                newton_at, wait = n_round + wait, 2 * wait
            for trial in trials:
                other = _Point(self, alpha, trial)
                if other.is_better(point):
                    point = other
                    break
        return point.coef

    def _move_coordinates(self, point: _Point, tol: float, visited: Indices) -> None:
        """Move single coefficients in place, which most often is all that groups of one need."""
        from sksparse._kernels.coordinate_descent import coordinate_descent

        groups, origin = self._groups, self.quadratic.origin
        about = groups.ridge, point.alpha * (groups.l1 + groups.l2), groups.lower, groups.upper
        rows = origin, point.state, point.coef, TUNING.most_epochs
        for _ in range(TUNING.coordinate_rounds):
            check()
            if coordinate_descent(self.quadratic.gram, *rows, *about, visited, tol) <= tol:
                break

    def _extrapolate(self, history: Array) -> list[Array]:
        """Affine combination of iterates whose differences cancel best (Anderson, 1965)."""
        iterates = history.reshape(len(history), -1)
        steps = iterates[1:] - iterates[:-1]
        system = steps @ steps.T
        if not system.any():
            return []
        system.flat[:: len(system) + 1] += 1e-12 * system.trace()
        weights = np.linalg.solve(system, np.ones(len(system)))
        found = (weights / weights.sum()) @ iterates[1:]
        # coefficients at a bound stay exactly there
        found = np.where((steps == 0.0).all(axis=0), iterates[-1], found)
        return [self.working.penalty.feasible(found.reshape(history.shape[1:]))]


class _Point:
    """Coefficients with what is known of them."""

    def __init__(
        self, problem: Subproblem, alpha: float, coef: Array, state: Array | None = None
    ) -> None:
        self.quadratic, self.working = problem.quadratic, problem.working
        self.alpha, self.coef = alpha, coef
        self.state = problem.state(coef) if state is None else state

    @cached_property
    def value(self) -> float:
        """Quadratic plus penalty, up to a constant."""
        smooth = self.quadratic.value(self.coef, self.state)
        return smooth + self.working.cost(self.coef, self.alpha)

    @cached_property
    def gradient(self) -> Array:
        """Gradient of what is smooth."""
        return self.working.penalty.ridge * self.coef - self.quadratic.descent(self.state)

    @cached_property
    def worst(self) -> float:
        """Largest violation."""
        return float(self.working.violations(self.coef, self.gradient, self.alpha).max())

    def is_better(self, other: _Point) -> bool:
        """Whether the value is lower or, where rounding hides that, the violations are smaller."""
        if self.value < other.value:
            return True
        level = self.value <= other.value + TUNING.rounding * abs(other.value)
        return level and self.worst < TUNING.better * other.worst


def _newton(point: _Point) -> list[Array]:
    """Ends of a Newton step while signs stay and no group becomes zero.

    There the objective is smooth, however differently the columns are scaled.
    """
    working, alpha, coef = point.working, point.alpha, point.coef
    penalty, (lower, upper) = working.penalty, working.bounds
    labels = penalty.blocks.labels
    norms = penalty.blocks.norms(coef)[labels]
    # in a group that the L1 norm leaves alone, a zero is a value like any other
    l1, l2 = alpha * penalty.l1, alpha * penalty.l2[labels]
    free = (coef != 0.0) | ((l1 == 0.0) & ((norms > 0.0) | (l2 == 0.0)))
    used = np.flatnonzero(free & (lower < coef) & (coef < upper))
    if not 0 < used.size <= TUNING.largest_newton:
        return []
    shrinkage = np.divide(l2, norms, out=np.zeros_like(norms), where=norms > 0)
    unit = np.divide(coef, norms, out=np.zeros_like(coef), where=norms > 0).ravel()[used]
    gradient = l1 * np.sign(coef) + shrinkage * coef + point.gradient
    outputs, columns = np.divmod(used, len(labels))
    needed, place = np.unique(columns, return_inverse=True)
    picks = np.ones(needed.size), (needed, np.arange(needed.size))
    basis = sp.csc_array(picks, (len(labels), needed.size))
    matrix = point.quadratic.reduced(basis)[np.ix_(place, place)]
    if coef.ndim > 1:
        matrix[outputs[:, None] != outputs] = 0.0
    same = labels[columns][:, None] == labels[columns]
    matrix[np.diag_indices(used.size)] += shrinkage[columns] + penalty.ridge
    matrix -= same * np.outer(shrinkage[columns] * unit, unit)
    step = scaled_solve(matrix, gradient.ravel()[used])
    if step is None:
        return []
    signed = (l1[columns] > 0.0) & (coef.ravel()[used] != 0.0)
    return [np.clip(end, lower, upper) for end in _ends(coef, used, -step, signed)]


def _ends(coef: Array, used: Indices, step: Array, signed: Mask) -> list[Array]:
    """A step and shares of it, signs under an L1 norm ending at zero; last up to the first zero."""
    before = coef.ravel()[used]
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
    trials = [coef.copy() for _ in ends]
    for trial, end in zip(trials, ends, strict=True):
        trial.flat[used] = end
    return trials
