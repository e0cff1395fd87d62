"""Penalties that separate over groups of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties._base import ConvexPenalty, check_factors
from sksparse.penalties._operators import block_factors, divide, soft_threshold


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
        """Sum of per-feature values in each group."""
        return np.add.reduceat(values[self.order], self.pointers[:-1])

    def norms(self, values: Array) -> Array:
        """Euclidean norm of per-feature values in each group."""
        return np.sqrt(self.sums(values * values))

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
        Bounds of the coefficients, at most and at least zero, possibly infinite; None is none.
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
        self.ridge, self.lower, self.upper = ridge, lower, upper
        check_factors("l1", self.l1)
        check_factors("l2", self.l2)
        check_factors("ridge", np.asarray(ridge, dtype=np.float64))

    def check_features(self, n_features: int) -> None:
        check_factors("l1", self.l1, n_features)

    def value(self, coef: Array) -> float:
        return float(self.l1 @ np.abs(coef) + self.l2 @ self.blocks.norms(coef))

    def prox(self, v: Array, step: float) -> Array:
        # Soft thresholding first, the group shrinkage second: the other order is not the prox.
        shrunk = soft_threshold(v, step * self.l1)
        factors = block_factors(self.blocks.norms(shrunk), step * self.l2)
        return np.asarray(shrunk * factors[self.blocks.labels])

    def group_dual_norms(self, gradient: Array) -> Array:
        """The dual norm of each group, at which strength it leaves; zero if it never does."""
        magnitudes = np.abs(gradient)
        members = np.split(self.blocks.order, self.blocks.pointers[1:-1])
        return np.array(
            [
                _group_dual_norm(magnitudes[features], self.l1[features[0]], l2)
                if self.l1[features[0]] > 0 or l2 > 0
                else 0.0
                for features, l2 in zip(members, self.l2, strict=True)
            ]
        )

    def dual_norm(self, gradient: Array) -> float:
        return float(self.group_dual_norms(gradient).max(initial=0.0))

    def violations(
        self, coef: Array, gradient: Array, alpha: float, scales: Array | None = None
    ) -> Array:
        scales = np.ones(len(coef)) if scales is None else scales
        norms = self.blocks.norms(coef)
        # v - [-l1, l1] for zero coefficients, the exact stationarity equation for the others.
        slack = np.where(
            coef == 0,
            soft_threshold(gradient, alpha * self.l1),
            gradient + alpha * self.l1 * np.sign(coef),
        )
        active = norms > 0
        pull = np.divide(alpha * self.l2, norms, out=np.zeros_like(norms), where=active)
        stationary = slack + pull[self.blocks.labels] * coef
        distance = self.blocks.norms(divide(stationary, scales))
        # A group at zero moves along its gradient, and gains by the length of that column.
        slack[scales == 0.0] = 0.0
        length, column = self.blocks.norms(slack), self.blocks.norms(slack * scales)
        excess = divide(np.maximum(length - alpha * self.l2, 0.0) * length, column)
        return np.asarray(np.where(active, distance, excess))

    def unpenalised(self) -> Indices:
        return np.flatnonzero((self.l1 == 0) & (self.l2[self.blocks.labels] == 0))


def _group_dual_norm(magnitudes: Array, l1: float, l2: float) -> float:
    """The ``t`` with ``||(magnitudes - t l1)_+||_2 = t l2``.

    With the k largest magnitudes active the equation is a quadratic in t; the right k is the one
    whose root lies between the magnitudes that bound it.
    """
    m = np.sort(magnitudes)[::-1]
    if m[0] == 0.0:
        return 0.0
    k = np.arange(1, len(m) + 1)
    total, squares = np.cumsum(m), np.cumsum(m * m)
    a, b = k * l1**2 - l2**2, l1 * total
    # a t^2 - 2 b t + squares = 0, written so that a = 0 needs no case of its own.
    roots = squares / (b + np.sqrt(np.maximum(b * b - a * squares, 0.0)))
    below = np.append(m[1:], 0.0)
    valid = (roots * l1 <= m * (1 + 1e-12)) & (roots * l1 >= below * (1 - 1e-12))
    return float(roots[np.argmax(valid)])
