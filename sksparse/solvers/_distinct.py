"""How many different samples there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from sksparse._typing import Array, Indices
from sksparse.solvers._design import Design


@dataclass(frozen=True)
class Tuning:
    """When samples count as equal.

    Parameters
    ----------
    same_place : float
        Projections that differ by at most so many machine epsilons, relative to the largest, are of
        equal samples.
    few : int
        Columns that are compared first: as a rule they distinguish enough samples.
    far : float
        Columns further from zero than this, in units of their range, are shifted before.
    """

    same_place: float = 64.0
    few: int = 32
    far: float = 1e3


TUNING = Tuning()


def distinct_samples(design: Design, y: Array, used: Indices, most: int) -> int:
    """Number of different samples, targets included, among those ``used``; at most ``most``.

    Targets may have several columns.
    """
    if len(used) <= 1:
        return min(len(used), most)
    if y.ndim > 1:
        # a number for each different row
        y = np.unique(y, axis=0, return_inverse=True)[1].reshape(-1).astype(np.float64)
    for rows in (used[: 4 * most], used):
        targets = len(np.unique(y[rows]))
        if targets >= most:
            return most
        if targets == len(used):
            return targets
        found = _distinct_pairs(design, y, rows, min(TUNING.few, design.n_features))
        if found < most and design.n_features > TUNING.few:
            found = _distinct_pairs(design, y, rows, design.n_features)
        if found >= most or len(rows) == len(used):
            break
    return min(found, most)


def _distinct_pairs(design: Design, y: Array, rows: Indices, n_features: int) -> int:
    """Number of different samples among some, told apart by a projection of some columns."""
    places = _projections(design, rows, n_features)
    eps = float(np.finfo(design.dtype).eps)
    steps = TUNING.same_place * eps * max(np.abs(places).max(), 1e-300)
    order = np.lexsort((places, y[rows]))
    apart = np.diff(places[order]) > steps
    apart |= np.diff(y[rows][order]) != 0.0
    return 1 + int(np.count_nonzero(apart))


def _projections(design: Design, rows: Indices, n_features: int) -> Array:
    """Projections on a random direction, equal for equal samples.

    Up to rounding: equal rows may be added up in another order.
    """
    lows, highs, parts = list[Array](), list[Array](), list[tuple[slice, Any]]()
    first: Any = None
    for at, part in design.rows(rows, n_features):
        # a single block is kept, more are read again
        parts = [(at, part)] if not lows else []
        first = part[0] if first is None else first
        lows.append(_dense(part.min(axis=0)))
        highs.append(_dense(part.max(axis=0)))
    # columns are scaled to unit range, constants left out: a huge one would hide the others
    ranges = np.max(highs, axis=0).astype(np.float64) - np.min(lows, axis=0)
    direction = np.random.default_rng(0).standard_normal(n_features)
    direction = np.where(ranges > 0.0, direction / np.clip(ranges, 1e-30, 1e30), 0.0)
    far = isinstance(first, np.ndarray) and bool(np.any(np.abs(first * direction) > TUNING.far))
    places = np.empty(len(rows))
    for at, part in parts or design.rows(rows, n_features):
        part = part - first if far else part
        places[at] = np.asarray(part @ direction.astype(design.dtype), dtype=np.float64)
    return places


def _dense(row: Any) -> Array:
    return row.toarray().ravel() if sp.issparse(row) else row
