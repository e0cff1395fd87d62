"""Best subset by coordinate descent and exact add, drop and swap moves.

Hazimeh and Mazumder (Operations Research, 2020) pair coordinate descent with swaps; here every
move is judged by its exact refit. Moves are searched in a working set of columns; a pass over all
columns then says what the best add, drop and swap with any of them would gain, and brings in
those that gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .._typing import Array, Indices
from ._correlations import Correlations
from ._gram import GramCache
from ._loop import Iterate, Solver
from ._problem import Problem
from ._solution import Certificate
from ._subset_inner import COLLINEAR, Subproblem, Support

# The first working set has this many columns, or so many times the features that may be wanted,
# or so many more than these.
_FIRST, _FIRST_PER_FEATURE, _FIRST_BEYOND = 300, 8, 1000
# Columns that join a working set at once.
_MOST_NEW = 200


@dataclass
class SubsetIterate(Iterate):
    """A support, and what the last certificate was made of.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form, in which the null model loses 1.
    alpha : float
        Price of a feature in units of the null model's loss.
    limit : int
        Largest number of features.
    support : ndarray
        Features of the model.
    working : ndarray
        Columns in the working set; empty before the first step.
    gains : ndarray of shape (n_features,)
        Relative gain of the best add of each column, or swap for it.
    """

    data: Correlations = field(kw_only=True)
    alpha: float = field(kw_only=True)
    limit: int = field(kw_only=True)
    support: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    working: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    gains: Array = field(default_factory=lambda: np.empty(0))


class SubsetDescent(Solver[SubsetIterate]):
    """Minimise a squared loss plus ``alpha ||w||_0 + l2 / 2 ||w||_2^2``.

    Parameters
    ----------
    l2 : float, default=0.0
        Strength of the ridge penalty.
    max_features : int or None, default=None
        Largest number of non-zero coefficients; the problem's ``alpha`` is then not used.
    gram : GramCache or None, default=None
        Gram matrix over the columns met so far, to share between the problems of a path.
    tol, max_iter, verbose
        As in :class:`Solver`.
    """

    def __init__(
        self,
        *,
        l2: float = 0.0,
        max_features: int | None = None,
        gram: GramCache | None = None,
        tol: float,
        max_iter: int,
        verbose: int = 0,
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.l2 = l2
        self.max_features = max_features
        self.gram = gram

    def start(self, problem: Problem, coef: Array | None) -> SubsetIterate:
        data = Correlations(problem, self.l2, self.gram)
        p = problem.design.n_features
        limit = self.max_features or p
        if self.l2 == 0.0:
            limit = min(limit, np.count_nonzero(problem.loss.weights) - problem.fit_intercept)
        coef = np.zeros(p) if coef is None else coef
        return SubsetIterate(
            coef=coef,
            intercept=data.intercept(coef),
            data=data,
            alpha=0.0 if self.max_features else problem.alpha / data.null_loss,
            limit=limit,
            gains=data.target**2,
        )

    def certify(self, problem: Problem, state: SubsetIterate) -> Certificate:
        name = "largest relative gain of a single add, drop or swap"
        if not state.working.size and state.data.usable.size:
            # Nothing has been tried: no local property of the start would say enough.
            return Certificate(name, np.inf)
        data, features = state.data, state.support
        support = Support.of(features, data.among(features), data.target[features])
        state.gains = _column_gains(state, support)
        drops = state.alpha - support.importances
        worst = max(state.gains.max(initial=0.0), drops.max(initial=0.0))
        return Certificate(name, float(worst))

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: SubsetIterate) -> None:
        first = not state.working.size
        state.working = _first_columns(state) if first else _more_columns(state)
        inner = Subproblem(
            gram=state.data.among(state.working),
            target=state.data.target[state.working],
            alpha=state.alpha,
            limit=min(state.limit, len(state.working)),
            threshold=float(np.clip(0.1 * self.tol, 1e-12, 1e-9)),
        )
        found = self._explore(inner, state) if first else inner.search(_positions(state))
        support = np.sort(state.working[found.columns])
        state.progress = first or not np.array_equal(support, state.support)
        state.support = support
        state.coef = np.zeros_like(state.coef)
        state.coef[support] = state.data.refit(support)
        state.intercept = state.data.intercept(state.coef)

    def _explore(self, inner: Subproblem, state: SubsetIterate) -> Support:
        """Best end of several descents."""
        forward = inner.search(np.empty(0, dtype=np.intp), swaps=False)
        starts = [forward.columns, inner.overshoot(forward)]
        lengths = state.data.lengths[state.working]
        previous = state.coef[state.working] * lengths / state.data.target_length
        starts.append(np.flatnonzero(previous))
        if self.max_features is None:
            starts.append(inner.coordinate_descent(np.zeros_like(previous)))
            starts.append(inner.coordinate_descent(previous))
        unique = {tuple(np.sort(start)): start for start in starts if len(start)}
        ends = [inner.search(inner.independent(start)) for start in unique.values()]
        return min([*ends, forward], key=inner.objective)


def _column_gains(state: SubsetIterate, support: Support) -> Array:
    """Best gain that each column outside the support can bring."""
    from .._kernels.subset import swap_gains

    data, can_add = state.data, len(support.columns) < state.limit
    gains = np.full(data.design.n_features, -np.inf)
    coef, diagonal = support.coef, np.diag(support.inverse).copy()
    for block, cross in data.with_all(support.columns):
        rows, spare, descent = support.beside(cross, data.target[block])
        part = gains[block]
        if can_add:
            free = spare > COLLINEAR
            part[free] = descent[free] ** 2 / spare[free] - state.alpha
        swap_gains(rows, spare, descent, coef, diagonal, COLLINEAR, part)
    gains[support.columns] = -np.inf
    return gains


def _first_columns(state: SubsetIterate) -> Indices:
    """Columns that correlate with the target most, and those of the start."""
    usable = state.data.usable
    wanted = state.limit if state.alpha == 0 else 0
    room = max(_FIRST, min(_FIRST_PER_FEATURE * wanted, _FIRST_BEYOND + wanted))
    if len(usable) <= room:
        return usable
    best = usable[np.argsort(-state.gains[usable], kind="stable")[:room]]
    known = np.flatnonzero(state.coef)
    return np.concatenate((best, np.setdiff1d(known[np.isin(known, usable)], best)))


def _more_columns(state: SubsetIterate) -> Indices:
    """The working set, and the columns outside it that gain most."""
    gains = state.gains.copy()
    gains[state.working] = -np.inf
    new = np.argsort(-gains, kind="stable")[:_MOST_NEW]
    return np.concatenate((state.working, new[gains[new] > 0]))


def _positions(state: SubsetIterate) -> Indices:
    """Where the support stands in the working set."""
    position = np.empty(len(state.coef), dtype=np.intp)
    position[state.working] = np.arange(len(state.working))
    return position[state.support]
