"""What every data term offers to a solver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np

from sksparse._typing import Array, Indices


class Tuning(NamedTuple):
    """Limits of the search for the best shift, and of checks of a loss.

    Parameters
    ----------
    steps, quadratic_steps : int
        Newton steps at most; of a quadratic, the second one only removes rounding.
    longest : float
        Length of a step, in units of one plus the shift so far: where a loss is flat, steps would
        be far too long.
    slope : float
        A slope of this share of the derivatives' magnitudes is rounding.
    negative : float
        A value so far below the bound, as a share of both magnitudes, is not rounding.
    saturated : float
        Saturation at which the loss hardly changes: 3e-7 of the derivative is left.
    """

    steps: int = 100
    quadratic_steps: int = 2
    longest: float = 100.0
    slope: float = 1e-15
    negative: float = 1e-6
    saturated: float = 15.0


TUNING = Tuning()


class Loss(ABC):
    """A smooth convex data term.

    A subclass says its value, gradient and curvature, and the number that no value is below. Where
    it has parameters of its own, its constructor takes them after ``y`` and ``weights``, and keeps
    them as attributes: copies for other weights or fewer samples then have them as well.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_columns)
        Targets in the coding that the loss documents, a row for each sample.
    weights : ndarray of shape (n_samples,)
        Non-negative sample weights with sum one.

    Raises
    ------
    ValueError
        Where targets are outside the domain of the loss.
    """

    #: Whether the loss is half the squared error, whose curvature is the weights: solvers then
    #: cache Gram matrices and skip line searches.
    quadratic: ClassVar[bool] = False
    #: Whether `curvature` is all of the second derivatives. Elsewhere it is positive wherever the
    #: loss depends on the predictor, so that short Newton steps lower it.
    exact_curvature: ClassVar[bool] = True
    #: Whether curvatures change by jumps, so that those of a nearby predictor are of no use.
    curvature_jumps: ClassVar[bool] = False
    #: Whether the predictor is in units of the targets; elsewhere it is a number without a unit.
    predicts_targets: ClassVar[bool] = False
    #: Whether the same number added to the predictor of all samples changes nothing: there is no
    #: intercept to find then, and gradients have sum zero.
    shift_invariant: ClassVar[bool] = False
    #: Whether targets are codes of classes, and not quantities.
    for_classes: ClassVar[bool] = False
    #: What the loss is called in messages.
    title: ClassVar[str] = "loss"
    #: What features do where the loss has no minimum, a verb phrase; empty if it always has one.
    unbounded_if: ClassVar[str] = ""
    #: Share of the null model's value that counts as zero where the loss need not have a minimum.
    negligible: ClassVar[float] = 1e-12

    def __init__(self, y: Array, weights: Array) -> None:
        self.y: Array = np.asarray(y, dtype=np.float64)
        self.weights: Array = np.asarray(weights, dtype=np.float64)
        self.check_targets(self.y)

    def check_targets(self, y: Array) -> None:  # noqa: B027
        """Raise a ValueError where targets are outside the domain of the loss."""

    def with_weights(self, weights: Array) -> Self:
        """The same loss for other sample weights with sum one."""
        return self._of(self.y, np.asarray(weights, dtype=np.float64))

    def of_samples(self, samples: Indices) -> Self:
        """The same loss for some of the samples, with the weights that they have."""
        return self._of(self.y[samples], self.weights[samples])

    def _of(self, y: Array, weights: Array) -> Self:
        """A copy for other samples; what a loss derives from them is made anew here."""
        other = copy(self)
        other.y, other.weights = y, weights
        return other

    @final
    def is_half_squared_error(self) -> bool:
        """Whether gradient and curvature of some samples are those of half the squared error."""
        few = self.of_samples(np.arange(min(len(self.y), 8)))
        zeros = np.zeros_like(few.y)
        expected = -(few.weights * few.y.T).T
        return _close(few.curvature(zeros), few.weights) and _close(few.gradient(zeros), expected)

    @property
    def n_outputs(self) -> int:
        """Predictors per sample; ``z`` is a vector where this is one."""
        return 1

    @property
    @abstractmethod
    def lower_bound(self) -> float:
        """A finite number that no value is below, best the value of a perfect fit.

        What is left of a loss is its value above this: tolerances are relative to that.
        """

    @abstractmethod
    def value(self, z: Array) -> float:
        """Weighted mean loss at the predictor ``z`` of shape (n_samples,); infinite on overflow."""

    @abstractmethod
    def gradient(self, z: Array) -> Array:
        """Derivative of the value with respect to each ``z_i``."""

    @abstractmethod
    def curvature(self, z: Array) -> Array:
        """Second derivative of the value with respect to each ``z_i``, (n_samples,).

        Where `exact_curvature` is False, what Newton steps use in its place. For several outputs
        the mean over those directions that change the loss.
        """

    def constant_curvature(self, z: Array) -> float:
        """Second derivative of the value along a constant that is added to the predictor."""
        return float(self.curvature(z).sum())

    def metric(self, z: Array) -> Array:
        """Second derivatives of each sample over its outputs, (n_samples, n_outputs, n_outputs).

        In directions that do not change the loss, its mean curvature, so that all are definite.
        """
        return self.curvature(z)[:, None, None]

    @final
    def excess(self, z: Array) -> float:
        """The value above the lower bound.

        Raises
        ------
        ValueError
            Where the bound is not one: what a solver claims would be wrong.
        """
        value, bound = self.value(z), self.lower_bound
        if -np.inf < bound <= value:
            return value - bound
        slack = TUNING.negative * (abs(value) + abs(bound))
        if value < bound - slack or not np.isfinite(bound):
            raise ValueError(
                f"{type(self).__name__}.lower_bound={bound:.6g} is not a finite number that no "
                f"value is below: the loss has the value {value:.6g}. Let lower_bound return one, "
                "such as the value of a perfect fit."
            )
        return value - bound

    def saturation(self, z: Array) -> float:
        """How far the predictor is in the direction in which the loss flattens out.

        The largest over the samples with a weight, in such a unit that about ``exp(-saturation)``
        is left of the derivative; zero where the loss always has a minimum.
        """
        return 0.0

    @final
    def is_saturated(self, z: Array) -> bool:
        """Whether the loss hardly changes at the predictor, although it still decreases."""
        return self.saturation(z) > TUNING.saturated

    def best_shift(self, z: Array) -> Any:
        """What to add to the predictor so that no other constant lowers the loss.

        For several outputs an array, or zero. Newton's method between two bounds on the root, which
        is moved to the middle of them where a step leaves them or hardly changes the slope.
        """
        shift, lower, upper = 0.0, -np.inf, np.inf
        for _ in range(TUNING.quadratic_steps if self.quadratic else TUNING.steps):
            derivatives = self.gradient(z + shift)
            slope = float(derivatives.sum())
            if abs(slope) <= TUNING.slope * float(np.abs(derivatives).sum()):
                break
            lower, upper = (lower, shift) if slope > 0.0 else (shift, upper)
            curvature = self.constant_curvature(z + shift)
            longest = np.inf if self.quadratic else TUNING.longest * (1.0 + abs(shift))
            known = curvature > 0.0 and np.isfinite([slope, curvature]).all()
            step = -slope / curvature if known else -np.sign(slope) * np.inf
            following = shift + float(np.clip(step, -longest, longest))
            if following == shift:
                break
            if not lower < following < upper:
                following = 0.5 * (lower + upper)
            shift = following
        return shift

    def best_constant(self) -> Any:
        """The intercept that minimises the value when every coefficient is zero.

        For several outputs an array, with sum zero where only differences matter.

        Raises
        ------
        ValueError
            Where there is none.
        """
        return self.best_shift(np.zeros(len(self.y)))


class ConjugateLoss(Loss):
    """A loss whose Fenchel conjugate is known, which bounds the duality gap of an answer."""

    @abstractmethod
    def conjugate(self, u: Array) -> float:
        """Fenchel conjugate ``sup_z <u, z> - f(z)``; infinite outside its domain."""

    def fenchel_gap(self, z: Array, u: Array) -> float:
        """``value(z) + conjugate(u) - <z, u>``: zero where u is the gradient at z, else positive.

        A loss that bounds a duality gap writes it without cancellation. For several outputs the
        inner product is over samples and outputs.
        """
        return self.value(z) + self.conjugate(u) - float(np.sum(z * u))


def _close(values: Array, expected: Array) -> bool:
    """Whether all agree up to rounding."""
    return bool((np.abs(values - expected) <= 1e-9 * np.abs(expected)).all())
