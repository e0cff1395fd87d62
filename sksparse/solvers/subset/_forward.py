"""Forward selection: repeatedly add the feature that lowers the loss most.

The gains of all columns given a support are read from two vectors: ``schur``, the residual squared
norm of a column of unit length, and ``descent``, its product with the residual. A feature that
enters brings one orthonormal direction, and one pass over X updates both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg

from sksparse._interrupts import check
from sksparse._typing import Array
from sksparse.penalties import L0
from sksparse.solvers._base import IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.subset._checks import require_least_squares
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import COLLINEAR, relative_gain
from sksparse.solvers.subset._scaled_penalty import ScaledPenalty
from sksparse.solvers.subset._support_iterate import SupportIterate, least_gain
from sksparse.solvers.subset._tuning import TUNING


@dataclass(frozen=True)
class _Direction:
    """The residual of a column given the basis, and its products with the basis."""

    vector: Array
    products: Array
    schur: float
    descent: float


class _Basis:
    """QR factorisation of columns of unit length, grown column by column.

    With l2 each column has one row more, where it alone is not zero.
    """

    def __init__(self, data: Correlations) -> None:
        self._data, self._roots = data, np.sqrt(data.weights)
        self._target = self._roots * data.residual(np.zeros(data.design.n_features))
        self._target /= data.target_length
        self._q = np.empty((len(self._target), 0), order="F")
        self._r = np.empty((0, 0))
        self._products = np.empty(0)
        self.rank = 0

    def _grow(self) -> None:
        rank, capacity = self.rank, max(TUNING.first_capacity, 2 * self.rank)
        height = len(self._target) + (capacity if self._data.l2 else 0)
        q, r, products = self._q, self._r, self._products
        self._q = np.zeros((height, capacity), order="F")
        self._q[: len(q), :rank] = q
        self._r = np.zeros((capacity, capacity))
        self._r[:rank, :rank] = r
        self._products = np.zeros(capacity)
        self._products[:rank] = products

    def orthogonalise(self, feature: int) -> _Direction:
        """Orthogonalise a column, twice: once leaves rounding where little is left."""
        if self.rank == self._q.shape[1]:
            self._grow()
        n, data, one = len(self._target), self._data, np.array([feature])
        vector, basis = np.zeros(len(self._q)), self._q[:, : self.rank]
        vector[:n] = self._roots * data.columns(one).matvec(1.0 / data.lengths[one])
        if data.l2:
            vector[n + self.rank] = np.sqrt(data.l2) / data.lengths[feature]
        products = basis.T @ vector
        vector -= basis @ products
        again = basis.T @ vector
        vector -= basis @ again
        return _Direction(
            vector, products + again, float(vector @ vector), float(vector[:n] @ self._target)
        )

    def append(self, direction: _Direction) -> None:
        """Add an orthogonalised column."""
        rank, length = self.rank, np.sqrt(direction.schur)
        self._q[:, rank] = direction.vector / length
        self._r[:rank, rank] = direction.products
        self._r[rank, rank] = length
        self._products[rank] = direction.descent / length
        self.rank += 1

    def last(self) -> tuple[Array, float]:
        """Products of the last direction with all columns, and with the target."""
        q = self._q[: len(self._target), self.rank - 1]
        return self._data.products(self._roots * q), float(self._products[self.rank - 1])

    @property
    def explained(self) -> float:
        """Share of the null model's loss that the columns take away."""
        products = self._products[: self.rank]
        return float(products @ products)

    def coef(self) -> Array:
        """Least-squares coefficients of the columns of unit length."""
        r, products = self._r[: self.rank, : self.rank], self._products[: self.rank]
        return np.asarray(scipy.linalg.solve_triangular(r, products))


@dataclass
class ForwardIterate(SupportIterate):
    """A support, and what the gain of every other column is computed from.

    Parameters
    ----------
    basis : _Basis
        Factorisation of the support.
    schur, descent : ndarray of shape (n_features,)
        Residual squared norm of a column given the support; its product with the residual.
    """

    basis: _Basis = field(kw_only=True)
    schur: Array = field(kw_only=True)
    descent: Array = field(kw_only=True)

    @property
    def objective(self) -> float:
        """Loss and penalties of the support, relative to the loss of the null model."""
        return 1.0 - self.basis.explained + float(self.penalty.per_feature[self.support].sum())

    @property
    def full(self) -> bool:
        """Whether no further feature is allowed; the free ones came first."""
        limit = self.penalty.limit
        return self.basis.rank >= self.penalty.capacity or 0 < limit <= len(self.counted)

    def gains(self) -> Array:
        """The gain of each column; infinite for features that must be in the model."""
        gains = np.full(len(self.coef), -np.inf)
        if self.full:
            return gains
        free = self.penalty.free
        eligible = self.schur > COLLINEAR
        if self.penalty.limit == 0:
            eligible &= free
        gains[eligible] = self.descent[eligible] ** 2 / self.schur[eligible]
        gains[eligible] -= self.penalty.per_feature[eligible]
        gains[eligible & free] = np.inf
        return gains

    def best(self, threshold: float) -> tuple[int, _Direction] | None:
        """The entering feature: the best when judged by its own, exact, orthogonalisation.

        The updated vectors carry rounding, with float32 columns much of it.
        """
        gains = self.gains()
        while gains.max() > threshold:
            feature = int(np.argmax(gains))
            direction = self.basis.orthogonalise(feature)
            self.schur[feature], self.descent[feature] = direction.schur, direction.descent
            gains[feature] = self._gain(feature)
            if gains[feature] == gains.max() > threshold:
                return feature, direction
        return None

    def _gain(self, feature: int) -> float:
        if self.schur[feature] <= COLLINEAR:
            return -np.inf
        if self.penalty.free[feature]:
            return np.inf
        gain = self.descent[feature] ** 2 / self.schur[feature]
        return float(gain - self.penalty.per_feature[feature])

    def enter(self, feature: int, direction: _Direction) -> None:
        """Add a feature to the support."""
        self.basis.append(direction)
        self.support = np.append(self.support, feature)
        if self.full:
            return
        products, along = self.basis.last()
        self.schur -= products**2
        self.descent -= along * products
        self.schur[feature] = 0.0


class ForwardSelection(IterativeSolver[ForwardIterate]):
    """Forward stepwise selection for a squared loss.

    Each time the feature enters whose addition, all coefficients refitted, lowers the objective
    most; features without a penalty enter first. It ends at ``max_features``, or where no feature
    lowers the loss by more than its penalty. The answer is a function of the data alone; a start is
    not used. Adding k features costs k passes over X, and memory for k columns.

    Parameters
    ----------
    tol, max_iter, verbose
        As in :class:`Solver`; a step adds up to 10 features, and gains of at most ``tol`` times
        the objective do not count.

    Notes
    -----
    The certificate is the largest relative gain of a further feature: zero says that the rule was
    followed to its end, and nothing about other subsets.

    References
    ----------
    A. Miller (2002). "Subset selection in regression", 2nd ed., chapter 3. Chapman and Hall/CRC.
    """

    def check(self, problem: Problem) -> None:
        require_least_squares(problem, "forward")

    def start(self, problem: Problem, coef: Array | None) -> ForwardIterate:
        data = Correlations(problem, problem.penalty_as(L0).l2)
        p = problem.design.n_features
        schur = np.zeros(p)
        schur[data.usable] = 1.0
        return ForwardIterate(
            coef=np.zeros(p),
            intercept=data.intercept(np.zeros(p)),
            data=data,
            penalty=ScaledPenalty.of(problem, data),
            basis=_Basis(data),
            schur=schur,
            descent=data.target.copy(),
        )

    def certify(self, problem: Problem, state: ForwardIterate) -> Certificate:
        name = "largest relative gain of a further feature"
        return Certificate(name, relative_gain(float(state.gains().max()), state.objective))

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: ForwardIterate) -> None:
        threshold = max(self.tol, problem.precision)
        for _ in range(TUNING.per_step):
            check()
            found = state.best(least_gain(state.objective, threshold))
            if found is None:
                break
            state.enter(*found)
        state.move(state.support, state.basis.coef() * state.units(state.support))
