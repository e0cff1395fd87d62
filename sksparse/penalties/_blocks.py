"""Penalties that separate over groups of features."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._scaling import strength
from sksparse._typing import Array, Indices, Mask
from sksparse.penalties._base import ConvexPenalty, check_factors
from sksparse.penalties._operators import block_factors, divide, soft_threshold

# Halvings and Newton steps at most; both end long before, where a step is rounding.
BISECTIONS = 120
NEWTON_STEPS = 100
# A coefficient of this share of a bound is at it, but for rounding to float32.
NEAR = 1.0 - 1e-6
ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A partition of the features into groups, as one permutation and its cut points.

    Parameters
    ----------
    labels : ndarray of shape (n_features,)
        Group number of each feature, from 0 to n_groups - 1, every number in use.
    order : ndarray of shape (n_features,)
        Features sorted by group.
    pointers : ndarray of shape (n_groups + 1,)
        Where each group starts in ``order``, and the end.
    """

    labels: Indices
    order: Indices
    pointers: Indices

    @classmethod
    def from_labels(cls, labels: Indices) -> Blocks:
        """Sort the features by group; inside a group they keep their order."""
        counts = np.bincount(labels)
        return cls(
            labels=labels,
            order=np.argsort(labels, kind="stable").astype(np.intp),
            pointers=np.concatenate(([0], np.cumsum(counts))).astype(np.intp),
        )

    @property
    def sizes(self) -> Indices:
        """Number of features in each group."""
        return np.diff(self.pointers)

    def sums(self, values: Array) -> Array:
        """Sum in each group of per-feature values, shape (n_features,) or (n_outputs, n_features).

        Over all outputs together.
        """
        total = values if values.ndim == 1 else values.sum(axis=0)
        sorted_total = total[self.order]
        # of groups of one feature, reduceat would be a slow copy
        return sorted_total if self._single else np.add.reduceat(sorted_total, self.pointers[:-1])

    @property
    def _single(self) -> bool:
        """Whether every group is a single feature."""
        return len(self.order) + 1 == len(self.pointers)

    def norms(self, values: Array) -> Array:
        """Euclidean norm in each group of per-feature values, over all outputs together."""
        if self._single and values.ndim == 1:
            return np.abs(values[self.order])
        return np.sqrt(self.sums(values * values))

    def largest(self, values: Array) -> Array:
        """Largest of the per-feature values in each group, over all outputs together."""
        most = values if values.ndim == 1 else values.max(axis=0)
        sorted_most = most[self.order]
        return sorted_most if self._single else np.maximum.reduceat(sorted_most, self.pointers[:-1])

    def members(self, groups: Indices) -> Indices:
        """Features of the given groups, group after group."""
        return np.concatenate(
            [self.order[self.pointers[g] : self.pointers[g + 1]] for g in groups]
            or [np.empty(0, dtype=np.intp)]
        )


class BlockPenalty(ConvexPenalty):
    """``sum_j l1_j |w_j| + sum_g l2_g ||w_g||_2`` over a partition into groups.

    For several outputs the coefficients have shape (n_outputs, n_features), and a group holds those
    of its features for all outputs.

    Parameters
    ----------
    blocks : Blocks
        The groups.
    l1 : ndarray of shape (n_features,)
        Factor of each feature's absolute value, the same for all features of a group.
    l2 : ndarray of shape (n_groups,)
        Factor of each group's Euclidean norm.
    ridge : float, default=0.0
        Adds ``ridge / 2 ||w||^2`` to the objective, whatever the strength.
    lower, upper : ndarray of shape (n_features,) or None, default=None
        Bounds of the coefficients, at most and at least zero, possibly infinite, the same for all
        outputs; None is none.

    Raises
    ------
    ValueError
        For factors or a ridge that are negative or not finite, and for bounds on the wrong side of
        zero.
    """

    def __init__(
        self,
        blocks: Blocks,
        l1: Array,
        l2: Array,
        *,
        ridge: float = 0.0,
        lower: Array | None = None,
        upper: Array | None = None,
    ) -> None:
        self.blocks = blocks
        self.l1 = np.asarray(l1, dtype=np.float64)
        self.l2 = np.asarray(l2, dtype=np.float64)
        self.ridge = float(ridge)
        self.lower = None if lower is None else np.asarray(lower, dtype=np.float64)
        self.upper = None if upper is None else np.asarray(upper, dtype=np.float64)
        check_factors("l1", self.l1)
        check_factors("l2", self.l2)
        check_factors("ridge", np.asarray(self.ridge))
        if self.lower is not None:
            _check_bound("lower", self.lower, self.lower <= 0.0, "<= 0")
        if self.upper is not None:
            _check_bound("upper", self.upper, self.upper >= 0.0, ">= 0")

    def check_features(self, n_features: int) -> None:
        check_factors("l1", self.l1, n_features)
        for name, bound in (("lower", self.lower), ("upper", self.upper)):
            if bound is not None and bound.shape != (n_features,):
                raise ValueError(
                    f"{name} must have shape ({n_features},) for this X; got shape {bound.shape}."
                )

    @property
    def bounded(self) -> bool:
        """Whether there are bounds."""
        return self.lower is not None or self.upper is not None

    @property
    def bounds(self) -> tuple[Any, Any]:
        return (
            -np.inf if self.lower is None else self.lower,
            np.inf if self.upper is None else self.upper,
        )

    def feasible(self, coef: Array) -> Array:
        return np.clip(coef, *self.bounds) if self.bounded else coef

    def held(self, coef: Array, pull: Array, alpha: float) -> Array:
        if not self.bounded:
            return np.zeros_like(pull)
        lower, upper = self.bounds
        share = divide(alpha * self.l2, self.blocks.norms(coef))[self.blocks.labels]
        rest = pull - (alpha * self.l1 * np.sign(coef) + share * coef)
        beyond = ((coef >= upper * NEAR) & (rest > 0.0)) | ((coef <= lower * NEAR) & (rest < 0.0))
        # what a bound at zero does not admit is held altogether
        return np.where(self._admitted(pull) == pull, np.where(beyond, rest, 0.0), pull)

    def rescaled(self, exponent: int) -> BlockPenalty:
        other = copy(self)
        other.ridge = strength(self.ridge, -2 * exponent)
        other.lower = None if self.lower is None else np.ldexp(self.lower, exponent)
        other.upper = None if self.upper is None else np.ldexp(self.upper, exponent)
        return other

    def value(self, coef: Array) -> float:
        features = np.abs(coef) @ self.l1
        return float(features.sum() + self.l2 @ self.blocks.norms(coef))

    def prox(self, v: Array, step: float) -> Array:
        # Soft thresholding first, the group shrinkage second: the other order is not the prox.
        shrunk = self._admitted(soft_threshold(v, step * self.l1))
        if self.bounded:
            return self._bounded_shrinkage(shrunk, step * self.l2)
        factors = block_factors(self.blocks.norms(shrunk), step * self.l2)
        return np.asarray(shrunk * factors[self.blocks.labels])

    def _bounded_shrinkage(self, v: Array, thresholds: Array) -> Array:
        """``argmin ||w - v||^2 / 2 + sum_g thresholds_g ||w_g||`` within the bounds.

        For a norm t of a group its minimiser is ``clip(v t / (t + threshold))``, whose own norm,
        divided by t, falls in t: the root is bisected.
        """
        labels, known = self.blocks.labels, self.blocks.norms(v) > thresholds
        high = np.where(known, self.blocks.norms(self.feasible(v)), 0.0)
        low = np.zeros_like(high)
        for _ in range(BISECTIONS):
            if (high - low <= ROUNDING * high).all():
                break
            middle = 0.5 * (low + high)
            factors = divide(middle, middle + thresholds)[labels]
            longer = self.blocks.norms(self.feasible(v * factors)) > middle
            low, high = np.where(longer, middle, low), np.where(longer, high, middle)
        return self.feasible(v * divide(high, high + thresholds)[labels])

    def _admitted(self, direction: Array) -> Array:
        """A direction from zero, without the entries that a bound at zero forbids."""
        if not self.bounded:
            return direction
        lower, upper = self.bounds
        forbidden = ((direction < 0.0) & (lower == 0.0)) | ((direction > 0.0) & (upper == 0.0))
        return np.where(forbidden, 0.0, direction)

    def group_dual_norms(self, gradient: Array) -> Array:
        """The dual norm of each group, at which strength it leaves; zero if it never does.

        It is the t with ``||(|gradient| - t l1)_+||_2 = t l2``, where entries count only if bounds
        allow to follow them from zero.
        """
        magnitudes = np.abs(self._admitted(-gradient))
        if not self.l1.any():
            return divide(self.blocks.norms(magnitudes), self.l2)
        l1 = self.l1[self.blocks.order[self.blocks.pointers[:-1]]]
        # The difference is convex and falls: Newton steps from below stay below, and where the
        # largest entry of a group stands alone the first t is the root.
        t = divide(self.blocks.largest(magnitudes), l1 + self.l2)
        for _ in range(NEWTON_STEPS):
            rest = np.maximum(magnitudes - (t * l1)[self.blocks.labels], 0.0)
            norms = self.blocks.norms(rest)
            slopes = divide(l1 * self.blocks.sums(rest), norms) + self.l2
            steps = np.maximum(divide(norms - t * self.l2, slopes), 0.0)
            t = np.where(l1 + self.l2 > 0.0, t + steps, 0.0)
            if (steps <= ROUNDING * t).all():
                break
        return np.asarray(t)

    def dual_norm(self, gradient: Array) -> float:
        return float(self.group_dual_norms(gradient).max(initial=0.0))

    def violations(
        self, coef: Array, gradient: Array, alpha: float, scales: Array | None = None
    ) -> Array:
        scales = np.ones(coef.shape[-1]) if scales is None else scales
        norms = self.blocks.norms(coef)
        # v - [-l1, l1] for zero coefficients, the exact stationarity equation for the others.
        slack = np.where(
            coef == 0,
            soft_threshold(gradient, alpha * self.l1),
            gradient + alpha * self.l1 * np.sign(coef),
        )
        active = norms > 0
        pull = np.divide(alpha * self.l2, norms, out=np.zeros_like(norms), where=active)
        stationary = self._inward(coef, slack + pull[self.blocks.labels] * coef)
        usable = scales > 0.0
        lengths = np.where(usable, scales, 1.0)
        distance = self.blocks.norms(np.where(usable, stationary / lengths, 0.0))
        # A group at zero moves along its gradient, and gains by the length of that column.
        slack = np.where(usable, self._inward(coef, slack), 0.0)
        length, column = self.blocks.norms(slack), self.blocks.norms(slack * scales)
        excess = divide(np.maximum(length - alpha * self.l2, 0.0) * length, column)
        return np.asarray(np.where(active, distance, excess))

    def _inward(self, coef: Array, slope: Array) -> Array:
        """A slope, without the entries along which descent would leave the bounds."""
        if not self.bounded:
            return slope
        lower, upper = self.bounds
        stopped = ((slope < 0.0) & (coef >= upper)) | ((slope > 0.0) & (coef <= lower))
        return np.where(stopped, 0.0, slope)

    def unpenalised(self) -> Indices:
        return np.flatnonzero((self.l1 == 0) & (self.l2[self.blocks.labels] == 0))


def _check_bound(name: str, bound: Array, right: Mask, side: str) -> None:
    if not right.all():
        wrong = int(np.argmin(right))
        raise ValueError(
            f"{name} must be {side} for every feature, so that zero is allowed; got "
            f"{bound.flat[wrong]} for feature {wrong}. Shift y, or leave that feature unbounded."
        )
