"""Clusters along a path: coefficients that share a magnitude are drawn as one line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from textwrap import wrap
from typing import NamedTuple

import numpy as np

from sksparse._typing import Array, Indices, Mask

# Norms over outputs are results of rounding: equal up to so many machine epsilons of their type.
_ROUNDING = 32
# Characters of a line of a cluster's name, and a space within the name of a feature.
_LINE_WIDTH, _TIED = 34, "\N{NO-BREAK SPACE}"


class Strokes(NamedTuple):
    """Stretches of a path along which a set of coefficients is tied.

    Parameters
    ----------
    heights : ndarray of shape (n_strokes, n_points)
        The magnitude that the members share, nan outside of the stretch.
    owners : ndarray of shape (n_strokes,)
        Position of the cluster whose colour it has; that of the last, which has no name, where
        no member is used at the point of reference.
    members : ndarray of shape (n_strokes,)
        How many coefficients are tied.
    clusters : list of ndarray
        The features of each cluster at the point of reference, largest magnitude first.
    """

    heights: Array
    owners: Indices
    members: Indices
    clusters: list[Indices]


def magnitudes(coefs: Array) -> Array:
    """Magnitudes of features at each point, in which ties are exact.

    Parameters
    ----------
    coefs : ndarray of shape (n_features, n_points) or (n_outputs, n_features, n_points)
        Coefficients; of several outputs, the magnitude of a feature is the norm over them.
    """
    if coefs.ndim == 2:
        return np.abs(coefs)
    norms = np.linalg.norm(coefs.astype(np.float64), axis=0)
    rank = np.argsort(norms, axis=0, kind="stable")
    ordered = np.take_along_axis(norms, rank, axis=0)
    near = np.diff(ordered, axis=0) <= _ROUNDING * np.finfo(coefs.dtype).eps * ordered[:-1]
    for below, above, same in zip(ordered, ordered[1:], near, strict=False):
        above[same] = below[same]
    np.put_along_axis(norms, rank, ordered, axis=0)
    return norms


def any_tied(values: Array) -> bool:
    """Whether two features share a magnitude other than zero at any point."""
    ordered = np.sort(values, axis=0)
    return bool(((np.diff(ordered, axis=0) == 0.0) & (ordered[1:] > 0.0)).any())


def strokes(values: Array, at: int) -> Strokes:
    """What is drawn of the clusters of a path.

    Between two points, features that are tied at both are one line. It belongs to the cluster at
    the point of reference that most of them are in, and of several to the largest.

    Parameters
    ----------
    values : ndarray of shape (n_features, n_points)
        Magnitudes, exact in ties.
    at : int
        The point whose clusters give colours and names.
    """
    numbers = np.stack([_numbered(column) for column in values.T], axis=1)
    n_clusters = int(numbers[:, at].max(initial=0))
    clusters = [np.flatnonzero(numbers[:, at] == k + 1) for k in range(n_clusters)]
    # unused at the point of reference: the last owner, beyond all clusters
    owner_of = np.where(numbers[:, at] > 0, numbers[:, at] - 1, n_clusters)
    ends = list(pairwise(range(values.shape[1]))) or [(0, 0)]
    drawn: list[Array] = []
    owners: list[int] = []
    members: list[int] = []
    running: dict[tuple[int, int, int], int] = {}
    for left, right in ends:
        before, running = running, {}
        for tied in _tied(numbers[:, left], numbers[:, right]):
            owner = _most_frequent(owner_of[tied], n_clusters)
            key = (int(tied[0]), len(tied), owner)
            if key not in before:
                drawn.append(np.full(values.shape[1], np.nan))
                owners.append(owner)
                members.append(len(tied))
            stroke = running[key] = before.get(key, len(drawn) - 1)
            drawn[stroke][[left, right]] = values[tied[0], [left, right]]
    heights = np.reshape(drawn, (len(drawn), values.shape[1]))
    # those through the point of reference first, and of these the whole cluster
    order = np.lexsort((-np.array(members), np.isnan(heights[:, at])))
    return Strokes(
        heights[order],
        np.array(owners, dtype=np.intp)[order],
        np.array(members, dtype=np.intp)[order],
        clusters,
    )


def _numbered(column: Array) -> Indices:
    """Rank of each magnitude among the distinct ones, the largest first; zero has none."""
    distinct, position = np.unique(column, return_inverse=True)
    ranks = len(distinct) - position
    return np.where(column > 0.0, ranks, 0).astype(np.intp)


def _tied(left: Indices, right: Indices) -> list[Indices]:
    """The features in use at either of two points, split into those tied at both."""
    used: Mask = (left > 0) | (right > 0)
    features = np.flatnonzero(used)
    order = features[np.lexsort((features, right[features], left[features]))]
    cuts = np.flatnonzero((np.diff(left[order]) != 0) | (np.diff(right[order]) != 0)) + 1
    return np.split(order, cuts) if order.size else []


def _most_frequent(owners: Indices, nobody: int) -> int:
    """The owner of most members; those without one count only where all are."""
    known = owners[owners < nobody]
    return int(np.bincount(known).argmax()) if known.size else nobody


def named(cluster: Indices, names: Sequence[str], n_lines: int) -> str:
    """A cluster by its size and its first members, on some lines; a feature alone by its name."""
    if len(cluster) == 1:
        return names[cluster[0]]
    # no more names than the lines can take
    members = ", ".join(names[feature].replace(" ", _TIED) for feature in cluster[:_LINE_WIDTH])
    text = f"{len(cluster)}{_TIED}tied: {members}"
    lines = wrap(text, _LINE_WIDTH, max_lines=n_lines, placeholder=" …", break_on_hyphens=False)
    return "\n".join(lines).replace(_TIED, " ")
