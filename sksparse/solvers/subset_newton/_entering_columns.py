"""Columns that enter the working set, by the gain of adding each alone."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.solvers.subset_newton._local_search import SubsetSearch


def outside(search: SubsetSearch, gains: Array, number: int) -> Indices:
    """Columns outside the working set that gain most."""
    new = best(np.where(search.fits.columns.known, -np.inf, gains), number)
    return new[gains[new] > 0]


def best(gains: Array, number: int) -> Indices:
    """Positions of the largest finite gains."""
    order = np.argsort(-gains, kind="stable")[:number]
    return order[np.isfinite(gains[order])]
