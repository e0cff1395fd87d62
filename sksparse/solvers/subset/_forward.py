"""Forward selection: add the feature that lowers the loss most, again and again.

The gains of all columns beside a support are read from two vectors: ``spare``, the squared length
that a column of unit length keeps beside the support, and ``descent``, its product with the
residual. A feature that enters brings one orthonormal direction, and one pass over X updates both.
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
from sksparse.solvers.subset._terms import ROUND, SupportIterate, Terms, worth

_FIRST_CAPACITY = 16


@dataclass(frozen=True)
class _Direction:
    """What a column has left beside the basis, and its products with the basis."""

    vector: Array
    products: Array
    spare: float
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
        self.size = 0

    def _grow(self) -> None:
        size, capacity = self.size, max(_FIRST_CAPACITY, 2 * self.size)
        height = len(self._target) + (capacity if self._data.l2 else 0)
        q, r, products = self._q, self._r, self._products
        self._q = np.zeros((height, capacity), order="F")
        self._q[: len(q), :size] = q
        self._r = np.zeros((capacity, capacity))
        self._r[:size, :size] = r
        self._products = np.zeros(capacity)
        self._products[:size] = products

    def beside(self, feature: int) -> _Direction:
        """Orthogonalise a column, twice: once leaves rounding where little is left."""
        if self.size == self._q.shape[1]:
            self._grow()
        n, data, one = len(self._target), self._data, np.array([feature])
        vector, basis = np.zeros(len(self._q)), self._q[:, : self.size]
        vector[:n] = self._roots * data.columns(one).matvec(1.0 / data.lengths[one])
        if data.l2:
            vector[n + self.size] = np.sqrt(data.l2) / data.lengths[feature]
        products = basis.T @ vector
        vector -= basis @ products
        again = basis.T @ vector
        vector -= basis @ again
        return _Direction(
            vector, products + again, float(vector @ vector), float(vector[:n] @ self._target)
        )

    def append(self, direction: _Direction) -> None:
        """Add an orthogonalised column."""
        size, length = self.size, np.sqrt(direction.spare)
        self._q[:, size] = direction.vector / length
        self._r[:size, size] = direction.products
        self._r[size, size] = length
        self._products[size] = direction.descent / length
        self.size += 1

    def last(self) -> tuple[Array, float]:
        """Products of the last direction with all columns, and with the target."""
        q = self._q[: len(self._target), self.size - 1]
        return self._data.products(self._roots * q), float(self._products[self.size - 1])

    @property
    def explained(self) -> float:
        """Share of the null model's loss that the columns take away."""
        products = self._products[: self.size]
        return float(products @ products)

    def coef(self) -> Array:
        """Least-squares coefficients of the columns of unit length."""
        r, products = self._r[: self.size, : self.size], self._products[: self.size]
        return np.asarray(scipy.linalg.solve_triangular(r, products))


@dataclass
class ForwardIterate(SupportIterate):
    """A support with what every other column would bring.

    Parameters
    ----------
    basis : _Basis
        Factorisation of the support.
    spare, descent : ndarray of shape (n_features,)
        Squared length that a column has left beside the support; its product with the residual.
    """

    basis: _Basis = field(kw_only=True)
    spare: Array = field(kw_only=True)
    descent: Array = field(kw_only=True)

    @property
    def objective(self) -> float:
        """Loss and prices of the support, relative to the loss of the null model."""
        return 1.0 - self.basis.explained + float(self.terms.prices[self.support].sum())

    @property
    def full(self) -> bool:
        """Whether no further feature is allowed; the free ones came first."""
        limit = self.terms.limit
        return self.basis.size >= self.terms.room or 0 < limit <= len(self.counted)

    def gains(self) -> Array:
        """What each column would bring; infinite for features that must be in the model."""
        gains = np.full(len(self.coef), -np.inf)
        if self.full:
            return gains
        free = self.terms.free
        eligible = self.spare > COLLINEAR
        if self.terms.limit == 0:
            eligible &= free
        gains[eligible] = self.descent[eligible] ** 2 / self.spare[eligible]
        gains[eligible] -= self.terms.prices[eligible]
        gains[eligible & free] = np.inf
        return gains

    def best(self, threshold: float) -> tuple[int, _Direction] | None:
        """The feature that enters: the best when judged by its own, exact, orthogonalisation.

        The updated vectors carry rounding, with float32 columns much of it.
        """
        gains = self.gains()
        while gains.max() > threshold:
            feature = int(np.argmax(gains))
            direction = self.basis.beside(feature)
            self.spare[feature], self.descent[feature] = direction.spare, direction.descent
            gains[feature] = self._gain(feature)
            if gains[feature] == gains.max() > threshold:
                return feature, direction
        return None

    def _gain(self, feature: int) -> float:
        if self.spare[feature] <= COLLINEAR:
            return -np.inf
        if self.terms.free[feature]:
            return np.inf
        gain = self.descent[feature] ** 2 / self.spare[feature]
        return float(gain - self.terms.prices[feature])

    def enter(self, feature: int, direction: _Direction) -> None:
        """Add a feature to the support."""
        self.basis.append(direction)
        self.support = np.append(self.support, feature)
        if self.full:
            return
        products, along = self.basis.last()
        self.spare -= products**2
        self.descent -= along * products
        self.spare[feature] = 0.0


class ForwardSelection(IterativeSolver[ForwardIterate]):
    """Forward stepwise selection for a squared loss.

    Each time the feature enters whose addition, all coefficients refitted, lowers the objective
    most; features of price zero enter first. It ends at ``max_features``, or where no feature
    lowers the loss by more than its price. The answer is a function of the data alone; a start is
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
        spare = np.zeros(p)
        spare[data.usable] = 1.0
        return ForwardIterate(
            coef=np.zeros(p),
            intercept=data.intercept(np.zeros(p)),
            data=data,
            terms=Terms.of(problem, data),
            basis=_Basis(data),
            spare=spare,
            descent=data.target.copy(),
        )

    def certify(self, problem: Problem, state: ForwardIterate) -> Certificate:
        name = "largest relative gain of a further feature"
        return Certificate(name, relative_gain(float(state.gains().max()), state.objective))

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: ForwardIterate) -> None:
        threshold = max(self.tol, problem.precision)
        for _ in range(ROUND):
            check()
            found = state.best(worth(state.objective, threshold))
            if found is None:
                break
            state.enter(*found)
        state.move(state.support, state.basis.coef() * state.units(state.support))
