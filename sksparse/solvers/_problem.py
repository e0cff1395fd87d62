"""A linear model to fit: data, loss, penalty and strength."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from sksparse._typing import Array
from sksparse.losses import Loss
from sksparse.penalties import Penalty
from sksparse.solvers._centred import CentredDesign
from sksparse.solvers._design import Design
from sksparse.solvers._distinct import distinct_samples
from sksparse.solvers._moments import TUNING

# Sums of weights this close to one are one, up to rounding.
_UNIT_SUM = 1e-6

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
        Whether ``b`` is free; it is zero otherwise and never penalised. It is zero as well where
        the loss is the same for all b.

    Raises
    ------
    ValueError
        Where the parts do not fit together, or ``alpha`` is negative or not finite.
    """

    design: Design
    loss: Loss
    penalty: Penalty
    alpha: float
    fit_intercept: bool

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha < np.inf:
            raise ValueError(f"alpha={self.alpha!r} must be a finite number that is not negative.")
        self._check_samples()
        self.penalty.check_features(self.design.n_features)

    def _check_samples(self) -> None:
        n_samples, weights = self.design.n_samples, self.loss.weights
        if not len(self.loss.y) == len(weights) == n_samples:
            raise ValueError(
                f"X has {n_samples} samples, the loss {len(self.loss.y)} targets and "
                f"{len(weights)} weights; give as many of each."
            )
        total = float(weights.sum())
        if not (weights.min() >= 0.0 and abs(total - 1.0) <= _UNIT_SUM):
            raise ValueError(
                f"The weights of a loss must not be negative and sum to one; got a smallest of "
                f"{weights.min():.6g} and a sum of {total:.6g}. Divide them by their sum."
            )
        if self.loss.quadratic and not self.loss.is_half_squared_error():
            raise ValueError(
                f"{type(self.loss).__name__}.quadratic=True means half the squared error, and its "
                "gradient and curvature are others. Let quadratic be False, or scale the loss."
            )

    def with_alpha(self, alpha: float) -> Problem:
        """The same problem at another strength, sharing what is known of the features."""
        other = replace(self, alpha=alpha)
        vars(other).update(centred=self.centred, null_intercept=self.null_intercept)
        return other

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
        """Loss at the predictor ``z``, above its lower bound, plus the penalty of ``coef``."""
        return self.loss.excess(z) + self.penalty.cost(coef, self.alpha)

    @property
    def free_intercept(self) -> bool:
        """Whether there is an intercept to find."""
        return self.fit_intercept and not self.loss.shift_invariant

    @property
    def centres(self) -> bool:
        """Whether features that are shifted by a constant make no difference."""
        return self.fit_intercept or self.loss.shift_invariant

    @cached_property
    def centred(self) -> CentredDesign:
        """The features around their means, where these make no difference.

        Of a squared loss with one output they know the null gradient as well.
        """
        weights, centre = self.loss.weights, self.centres
        target = self.loss.y - self.null_intercept if self._measures_target else None
        return CentredDesign(self.design, weights, centre, target=target, constant=TUNING.constant)

    @property
    def _measures_target(self) -> bool:
        return self.loss.quadratic and self.loss.n_outputs == 1

    def gradient_over(self, coef: Array, derivatives: Array) -> Array:
        """Gradient over coefficients of centred columns, from the derivatives of the loss there.

        Without features a pass over X is saved where it was measured with the moments.
        """
        if self._measures_target and not coef.any():
            return np.where(self.centred.usable, -self.centred.covariances, 0.0)
        return self.centred.rmatvec(derivatives)

    @cached_property
    def null_intercept(self) -> Any:
        """Intercept of the model without features, for several outputs an array."""
        if self.free_intercept:
            return self.loss.best_constant()
        return 0.0 if self.loss.n_outputs == 1 else np.zeros(self.loss.n_outputs)

    @property
    def null_predictor(self) -> Array:
        """Predictor of the model without features, (n_samples,) or (n_samples, n_outputs)."""
        level = np.asarray(self.null_intercept)
        return np.tile(level, (self.design.n_samples, *np.ones(level.ndim, dtype=int)))

    @cached_property
    def null_excess(self) -> float:
        """Loss of the model without features, above its lower bound."""
        return float(self.loss.excess(self.null_predictor))

    @property
    def null_coef(self) -> Array:
        """Coefficients of the model without features, (n_features,) or (n_outputs, n_features)."""
        m, p = self.loss.n_outputs, self.design.n_features
        return np.zeros(p if m == 1 else (m, p))

    def predictor(self, coef: Array, intercept: Any) -> Array:
        """Predictor of an answer."""
        return self.centred.matvec(coef) + (intercept + coef @ self.centred.means)

    def sample_gradient(self, z: Array) -> Array:
        """Gradient of the loss over the predictor, orthogonal to the intercept where it is free.

        Rounding of ``z`` leaves a small sum, which a column with a large mean would amplify.
        """
        gradient = self.loss.gradient(z)
        if not self.centres:
            return gradient
        curvature = self.loss.curvature(z)
        total = float(curvature.sum())
        if total == 0.0:
            # a loss that has saturated in all digits is flat
            return gradient
        sums = gradient.sum(axis=0) / total
        return np.asarray(gradient - np.multiply.outer(curvature, sums))

    def gradient(self, z: Array) -> Array:
        """Gradient of the loss over the coefficients, the intercept minimised out."""
        derivatives = self.sample_gradient(z)
        if derivatives.ndim == 1:
            return self.design.rmatvec(derivatives)
        return np.array([self.design.rmatvec(output) for output in derivatives.T])

    def distinct(self, most: int) -> int:
        """Number of samples with a weight, repetitions counted once; at most ``most``.

        So many coefficients can be told apart. A weight of two and two equal samples must lead to
        the same answer, and so to the same limits.
        """
        used = np.flatnonzero(self.loss.weights > 0.0)
        return distinct_samples(self.design, self.loss.y, used, most)

    def gradient_at(self, coef: Array, intercept: Any) -> Array:
        """Gradient over coefficients of centred columns at an answer; zero for constant ones."""
        return self.centred.rmatvec(self.sample_gradient(self.predictor(coef, intercept)))

    @cached_property
    def null_gradient(self) -> Array:
        """Gradient of the loss over the coefficients, at the model without features."""
        return self.gradient(self.null_predictor)
