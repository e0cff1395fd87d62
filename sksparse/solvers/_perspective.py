"""Branch and bound on the perspective relaxation.

Hazimeh, Mazumder and Saab (Mathematical Programming, 2022), without their bound on the
coefficients: the perspective of the ridge term is a valid relaxation on its own. Nodes are solved
by coordinate descent over a working set of columns; a look at all columns brings in those that
would lower the bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._typing import Array, Indices
from ._correlations import Correlations
from ._search import Branching, Incumbent, Node
from ._subset_inner import Support

_SWEEPS, _ROUNDS = 400, 12
# The relaxation is solved to this share of the gap that is asked for, and to this at least.
_SHARE_OF_GAP, _FINEST = 0.05, 1e-10
# Columns outside the working set may cost this share of what a node leaves open.
_TOLERATED = 0.02
_MOST_NEW = 50
# Bytes that the rows of the working set may take.
_ROOM = 2**27


@dataclass
class RelaxedNode(Node):
    """Columns that are in or out, and the parent's solution to start from."""

    inside: tuple[int, ...]
    outside: tuple[int, ...]
    active: Indices
    coef: Array
    multiplier: float


class WorkingRows:
    """Correlations of a growing set of features with all features.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.
    features : ndarray
        The first features.
    """

    def __init__(self, data: Correlations, features: Indices) -> None:
        self._data = data
        self.features = np.empty(0, dtype=np.intp)
        self.position = np.full(data.design.n_features, -1, dtype=np.intp)
        self._store = np.empty((0, data.design.n_features))
        self.gram = np.empty((0, 0))
        self.extend(features)

    @property
    def rows(self) -> Array:
        """Correlations of the working set with all features."""
        return self._store[: len(self.features)]

    def extend(self, new: Indices) -> None:
        """Bring features in."""
        known, total = len(self.features), len(self.features) + len(new)
        if total > len(self._store):
            store = np.empty((max(total, 2 * known), self._store.shape[1]))
            store[:known] = self.rows
            self._store = store
        for block, product in self._data.with_all(new):
            self._store[known:total, block] = product
        # A correlation of a feature with itself carries the ridge too.
        self._store[np.arange(known, total), new] = 1.0
        self.features = np.concatenate((self.features, new))
        self.position[new] = np.arange(known, total)
        self.gram = np.ascontiguousarray(self.rows[:, self.features])


class Perspective(Branching[RelaxedNode]):
    """Search by relaxations.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form.
    shares : ndarray of shape (n_features,)
        Positive; the correlations less their diagonal matrix must be positive semidefinite.
    prices : ndarray of shape (n_features,)
        What a feature costs, in units of the null model's loss.
    kept : ndarray
        Features always kept.
    limit : int or None
        How many others there may be.
    working : ndarray
        Features to start the working set from.
    """

    def __init__(
        self,
        data: Correlations,
        shares: Array,
        prices: Array,
        kept: Indices,
        limit: int | None,
        working: Indices,
    ) -> None:
        self._data, self._shares, self._prices = data, shares, prices
        self._kept, self._limit = kept, limit
        self._rows = WorkingRows(data, np.union1d(working, kept))
        self._descent = np.empty_like(data.target)
        self._seen: set[tuple[int, ...]] = set()
        self._room = max(_ROOM // (8 * data.design.n_features), len(self._rows.features) + 300)

    def roots(self) -> list[RelaxedNode]:
        none = np.empty(0, dtype=np.intp)
        multiplier = 0.0
        if self._limit is not None:
            multiplier = 0.5 / self._limit
        return [RelaxedNode(0.0, tuple(self._kept.tolist()), (), none, np.empty(0), multiplier)]

    def expand(self, node: RelaxedNode, best: Incumbent) -> tuple[list[RelaxedNode], int]:
        coef = np.zeros(len(self._rows.features))
        coef[self._rows.position[node.active]] = node.coef
        while True:
            bound, coef, multiplier = self._relax(node, coef, best)
            bound, new = self._outside(node, coef, bound, multiplier, best)
            if not new.size:
                break
            self._rows.extend(new)
            coef = np.append(coef, np.zeros(len(new)))
        raised = bound > node.bound + _FINEST
        node.bound = max(node.bound, bound)
        z = self._fractions(node, coef, multiplier)
        self._round(node, z, best)
        if node.bound >= best.cutoff:
            best.cut = min(best.cut, node.bound)
            return [], 1
        free = np.flatnonzero(coef)
        free = free[~np.isin(self._rows.features[free], node.inside)]
        if free.size:
            return self._branch(node, coef, free[np.argmax(z[free])], multiplier, best), 1
        if raised:
            # Integral, but not solved finely enough to be closed.
            return [self._start(node.bound, node.inside, node.outside, coef, multiplier)], 1
        best.cut = min(best.cut, node.bound)
        return [], 1

    def _places(self, inside: tuple[int, ...]) -> int:
        return 0 if self._limit is None else self._limit + len(self._kept) - len(inside)

    def _relax(self, node: RelaxedNode, coef: Array, best: Incumbent) -> tuple[float, Array, float]:
        from .._kernels.perspective import IN, OUT, Relaxation, Stopping, descend, descend_to_size

        rows = self._rows
        state = np.zeros(len(rows.features), dtype=np.int8)
        state[rows.position[list(node.inside)]] = IN
        state[rows.position[list(node.outside)]] = OUT
        coef[state == OUT] = 0.0
        at = rows.features
        target = self._data.target[at]
        problem = Relaxation(rows.gram, target, self._shares[at], self._prices[at], state)
        tol = max(_SHARE_OF_GAP * (best.value - best.cutoff), _FINEST)
        stopping = Stopping(best.cutoff, tol, _SWEEPS)
        descent = target - coef @ rows.gram
        if self._limit is None:
            _, bound, _ = descend(problem, coef, descent, 0.0, 0, stopping)
            return bound, coef, 0.0
        places = self._places(node.inside)
        _, bound, multiplier = descend_to_size(
            problem, coef, descent, node.multiplier, places, stopping, _ROUNDS
        )
        return bound, coef, multiplier

    def _outside(
        self, node: RelaxedNode, coef: Array, bound: float, multiplier: float, best: Incumbent
    ) -> tuple[float, Indices]:
        """Bound over all features, and those that must join the working set to raise it."""
        from .._kernels.perspective import gradient_everywhere

        rows = self._rows
        gradient_everywhere(rows.rows, self._data.target, coef, self._descent)
        excess = self._descent**2 / self._shares - (self._prices + multiplier)
        excess[rows.features] = 0.0
        violating = np.flatnonzero(excess > 0.0)
        total = float(excess[violating].sum())
        wanted = _TOLERATED * (best.value - bound)
        full = len(rows.features) + _MOST_NEW > self._room
        if full or bound - total >= best.cutoff or total <= max(wanted, 0.0):
            return bound - total, violating[:0]
        order = np.argsort(-excess[violating], kind="stable")[:_MOST_NEW]
        return bound - total, violating[order]

    def _fractions(self, node: RelaxedNode, coef: Array, multiplier: float) -> Array:
        """The relaxed indicators of the working set."""
        at = self._rows.features
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.abs(coef) * np.sqrt(self._shares[at] / (self._prices[at] + multiplier))
        z = np.where(coef == 0.0, 0.0, np.minimum(z, 1.0))
        z[self._rows.position[list(node.inside)]] = 1.0
        return z

    def _round(self, node: RelaxedNode, z: Array, best: Incumbent) -> None:
        """Offer the subset nearest to the relaxation."""
        if self._limit is None:
            chosen = np.flatnonzero(z > 0.5)
        else:
            room = min(self._limit + len(self._kept), np.count_nonzero(z))
            chosen = np.sort(np.argsort(-z, kind="stable")[:room])
        self._offer(self._rows.features[chosen], best)

    def _offer(self, features: Indices, best: Incumbent) -> None:
        key = tuple(np.sort(features).tolist())
        if key in self._seen:
            return
        self._seen.add(key)
        at = self._rows.position[features]
        support = Support.of(at, self._rows.gram[np.ix_(at, at)], self._data.target[features])
        chosen = self._rows.features[support.columns]
        best.offer(1.0 - support.explained + float(self._prices[chosen].sum()), chosen)

    def _start(
        self,
        bound: float,
        inside: tuple[int, ...],
        outside: tuple[int, ...],
        coef: Array,
        multiplier: float,
    ) -> RelaxedNode:
        active = np.flatnonzero(coef)
        features = self._rows.features[active]
        return RelaxedNode(bound, inside, outside, features, coef[active], multiplier)

    def _branch(
        self, node: RelaxedNode, coef: Array, column: int, multiplier: float, best: Incumbent
    ) -> list[RelaxedNode]:
        """Two children: a column of the working set out, or in."""
        feature = int(self._rows.features[column])
        inside, outside = (*node.inside, feature), (*node.outside, feature)
        children = [self._start(node.bound, node.inside, outside, coef, multiplier)]
        if self._limit is not None and self._places(inside) == 0:
            self._offer(np.array(inside), best)
        else:
            children.append(self._start(node.bound, inside, node.outside, coef, multiplier))
        return children
