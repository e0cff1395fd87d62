"""A linear model to fit: data, loss, penalty and strength."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.losses import Loss
from sksparse.penalties import Penalty
from sksparse.solvers._centred import CentredColumns
from sksparse.solvers._design import Design

# Projections of two samples that differ by so many machine epsilons are of equal ones.
_SAME_PLACE = 64.0
# Columns that are looked at first.
_FEW = 32
# Columns further from zero than this, in units of their range, are shifted before.
_FAR = 1e3


AnyPenalty = TypeVar("AnyPenalty", bound=Penalty)


@dataclass(frozen=True)
class Problem:
    """``min_{w, b} loss(X w + b) + alpha * penalty(w)``.

    Parameters
    ----------
    design : Design
        Features.
    loss : Loss
        Data term with targets and weights.
    penalty : Penalty
        Penalty at unit strength.
    alpha : float
        Strength.
    fit_intercept : bool
        Whether ``b`` is free; it is zero otherwise and never penalised.
    """

    design: Design
    loss: Loss
    penalty: Penalty
    alpha: float
    fit_intercept: bool

    def penalty_as(self, kind: type[AnyPenalty]) -> AnyPenalty:
        """The penalty, which must be of a kind.

        Raises
        ------
        ValueError
            Where it is of another.
        """
        if not isinstance(self.penalty, kind):
            raise ValueError(
                f"A problem with a penalty of class {kind.__name__} is needed, got "
                f"{type(self.penalty).__name__}; use a solver for that penalty."
            )
        return self.penalty

    @property
    def precision(self) -> float:
        """Smallest relative tolerance that the features' float type can support."""
        return 100.0 * float(np.finfo(self.design.dtype).eps)

    def objective(self, coef: Array, z: Array) -> float:
        """Loss at the predictor ``z`` plus the penalty of ``coef``."""
        return self.loss.value(z) + self.penalty.cost(coef, self.alpha)

    @cached_property
    def centred(self) -> CentredColumns:
        """The features around their means."""
        return CentredColumns(self.design, self.loss.weights, self.fit_intercept)

    @cached_property
    def null_intercept(self) -> float:
        """Intercept of the model without features."""
        return self.loss.best_constant() if self.fit_intercept else 0.0

    def sample_gradient(self, z: Array) -> Array:
        """Gradient of the loss over the predictor, orthogonal to the intercept where it is free.

        Rounding of ``z`` leaves a small sum, which a column with a large mean would blow up.
        """
        gradient = self.loss.gradient(z)
        if not self.fit_intercept:
            return gradient
        curvature = self.loss.curvature(z)
        return gradient - curvature * (gradient.sum() / curvature.sum())

    def gradient(self, z: Array) -> Array:
        """Gradient of the loss over the coefficients, the intercept minimised out."""
        return self.design.rmatvec(self.sample_gradient(z))

    def distinct(self, most: int) -> int:
        """Number of samples with a weight, repetitions counted once; at most ``most``.

        So many coefficients can be told apart. A weight of two and two equal samples must lead to
        the same answer, and so to the same limits.
        """
        used = np.flatnonzero(self.loss.weights > 0.0)
        if len(used) <= 1:
            return min(len(used), most)
        for rows in (used[: 4 * most], used):
            targets = len(np.unique(self.loss.y[rows]))
            if targets >= most:
                return most
            if targets == len(used):
                return targets
            # as a rule a few columns tell enough samples apart
            found = self._distinct_pairs(rows, min(_FEW, self.design.n_features))
            if found < most and self.design.n_features > _FEW:
                found = self._distinct_pairs(rows, self.design.n_features)
            if found >= most or len(rows) == len(used):
                break
        return min(found, most)

    def _distinct_pairs(self, rows: Indices, n_features: int) -> int:
        """Number of different samples among some, told apart by a projection of some columns."""
        X = self.design.X[:, :n_features]
        part = X if len(rows) == self.design.n_samples else X[rows]
        low, high = part.min(axis=0), part.max(axis=0)
        if self.design.is_sparse:
            low, high = low.toarray().ravel(), high.toarray().ravel()
        # every column in its own scale, constants left out: a huge one would drown the others
        ranges = np.asarray(high, dtype=np.float64) - low
        direction = np.random.default_rng(0).standard_normal(n_features)
        direction = np.where(ranges > 0.0, direction / np.clip(ranges, 1e-30, 1e30), 0.0)
        if not self.design.is_sparse and np.any(np.abs(part[0] * direction) > _FAR):
            part = part - part[0]
        # equal rows may be added up in another order
        places = np.asarray(part @ direction.astype(X.dtype), dtype=np.float64)
        steps = _SAME_PLACE * float(np.finfo(X.dtype).eps) * max(np.abs(places).max(), 1e-300)
        order = np.lexsort((places, self.loss.y[rows]))
        apart = np.diff(places[order]) > steps
        apart |= np.diff(self.loss.y[rows][order]) != 0.0
        return 1 + int(np.count_nonzero(apart))

    def gradient_at(self, coef: Array, intercept: float) -> Array:
        """The same, of columns around their means, at an answer; zero for constant columns."""
        z = self.centred.matvec(coef) + (intercept + float(self.centred.means @ coef))
        return self.centred.rmatvec(self.sample_gradient(z))

    @cached_property
    def null_gradient(self) -> Array:
        """Gradient of the loss over the coefficients, at the model without features."""
        return self.gradient(np.full(self.design.n_samples, self.null_intercept))
