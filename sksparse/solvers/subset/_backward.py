"""Backward elimination: start from all features and repeatedly drop the least salient one.

Dropping feature j of a least-squares fit b raises the loss by ``b_j^2 / (2 [G^-1]_jj)``, with G the
Gram matrix of the features in use, and moves the others by ``-b_j / [G^-1]_jj G^-1 e_j``: the
saliencies and updates of the optimal brain surgeon, here exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import lapack

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._base import IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.subset._checks import independent, require_least_squares, require_rank
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import relative_gain
from sksparse.solvers.subset._scaled_penalty import ScaledPenalty
from sksparse.solvers.subset._support_iterate import SupportIterate, least_gain
from sksparse.solvers.subset._tuning import TUNING


@dataclass
class BackwardIterate(SupportIterate):
    """A support with the inverse of its correlations.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
        Correlations of the features that the elimination started from.
    inverse : ndarray of shape (k, k)
        Inverse of the correlations of the support.
    among : ndarray of shape (k,)
        Positions of the features of the support in ``gram``.
    features : ndarray of shape (m,)
        The features of ``gram``.
    values : ndarray of shape (k,)
        Coefficients of the support, for columns and a target of unit length.
    """

    gram: Array = field(kw_only=True)
    features: Indices = field(kw_only=True)
    among: Indices = field(kw_only=True)
    inverse: Array = field(default_factory=lambda: np.empty((0, 0)))
    values: Array = field(default_factory=lambda: np.empty(0))

    def factorise(self) -> None:
        """Invert the correlations of the support afresh, and refit."""
        self.support = self.features[self.among]
        if not len(self.support):
            self.inverse, self.values = np.empty((0, 0)), np.empty(0)
            return self.move(self.support, self.values)
        factor, _ = lapack.dpotrf(self.gram[np.ix_(self.among, self.among)], lower=1)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        lower = np.tril(inverse)
        self.inverse = lower + np.tril(lower, -1).T
        self.values = self.inverse @ self.data.target[self.support]
        self.move(self.support, self.values * self.units(self.support))

    @property
    def objective(self) -> float:
        """Loss and penalties of the support, relative to the loss of the null model."""
        explained = float(self.values @ self.data.target[self.support])
        return 1.0 - explained + float(self.penalty.per_feature[self.support].sum())

    @property
    def surplus(self) -> float:
        """Relative fall of the objective when the least salient feature is dropped.

        Infinite while there are too many.
        """
        counted = ~self.penalty.free[self.support]
        if counted.sum() > self.penalty.limit:
            return np.inf
        rises = self.values**2 / np.diag(self.inverse)
        gains = self.penalty.per_feature[self.support] - rises
        return relative_gain(float(gains[counted].max(initial=0.0)), self.objective)


class BackwardElimination(IterativeSolver[BackwardIterate]):
    """Backward stepwise elimination for a squared loss.

    It starts from all features but the constant ones and those that are linear combinations of
    others (up to 1e-8 of their squared length; the others are found by pivoting, features without a
    penalty first), and each time drops the feature without which the refitted loss rises least
    beyond its penalty. It ends at ``max_features``, or where no loss rises less than that. The
    answer is a function of the data alone; a start is not used.

    It costs one Gram matrix of all features, two arrays of shape (n_features, n_features), and
    time in proportion to ``n_features ** 3``.

    Parameters
    ----------
    tol, max_iter, verbose
        As in :class:`Solver`; a step drops up to half of the features, and stopped or interrupted
        early, more than ``max_features`` are left.

    Raises
    ------
    ValueError
        For fewer samples than features (and an intercept) where ``l2`` is zero.

    Notes
    -----
    The certificate is the largest relative gain of dropping one more feature: zero says that the
    rule was followed to its end, and nothing about other subsets.

    References
    ----------
    A. Miller (2002). "Subset selection in regression", 2nd ed., chapter 3. Chapman and Hall/CRC.

    B. Hassibi and D. G. Stork (1993). "Second order derivatives for network pruning: optimal brain
    surgeon". Advances in Neural Information Processing Systems 5.
    """

    def check(self, problem: Problem) -> None:
        require_least_squares(problem, "backward")
        require_rank(problem)

    def start(self, problem: Problem, coef: Array | None) -> BackwardIterate:
        data = Correlations(problem, problem.penalty_as(L0).l2)
        penalty = ScaledPenalty.of(problem, data)
        gram = data.among_uncached(data.usable)
        state = BackwardIterate(
            coef=np.zeros(problem.design.n_features),
            intercept=0.0,
            data=data,
            penalty=penalty,
            gram=gram,
            features=data.usable,
            among=independent(gram, penalty.free[data.usable]),
        )
        state.factorise()
        return state

    def certify(self, problem: Problem, state: BackwardIterate) -> Certificate:
        return Certificate("largest relative gain of dropping one more feature", state.surplus)

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: BackwardIterate) -> None:
        from sksparse._kernels.elimination import eliminate

        threshold = max(self.tol, problem.precision)
        penalty, support, among = state.penalty, state.support, state.among.copy()
        costs = (penalty.per_feature[support], penalty.free[support])
        limits = (penalty.limit, least_gain(state.objective, threshold))
        left, last = len(support), len(support) // 2
        while left > last:
            check()
            most = min(left - last, 1 + int(TUNING.between_checks / left**2))
            before = left
            left = eliminate(state.inverse, state.values, among, *costs, left, *limits, most)
            if left > before - most:
                break
        state.among = np.sort(among[:left])
        state.factorise()
        if state.surplus <= threshold:
            state.move(state.support, state.data.refit(state.support))
