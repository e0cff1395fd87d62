"""Infinite feature selection: the value of a feature over all paths in a graph of features.

G. Roffo, S. Melzi, U. Castellani, A. Vinciarelli and M. Cristani, "Infinite feature selection: a
graph-based feature filtering approach", 2020. A subset of features is a path in a complete graph
with edges A; the sum of the values of all paths of all lengths from a feature is a row sum of
:math:`(I - rA)^{-1} - I`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg, stats

from sksparse._typing import Array, Indices

#: The paper's guard of the normalisation, for each feature.
_EPSILON = 5e-6

#: Classes that quantities are cut into, and bins of a feature, for supervised scores.
N_BINS = 5


def weighted_ranks(X: Array, weights: Array | None = None) -> Array:
    """Ranks of each column; equal values share the mean of theirs.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Values.
    weights : ndarray of shape (n_samples,), default=None
        How often each sample counts; None for once.

    Returns
    -------
    ranks : ndarray of shape (n_samples, n_features)
        A sample of weight w takes w ranks, of which this is the mean.
    """
    if weights is None:
        return np.asarray(stats.rankdata(X, axis=0))
    ranks = np.empty(X.shape)
    for j in range(X.shape[1]):
        _, place = np.unique(X[:, j], return_inverse=True)
        mass = np.bincount(place, weights)
        ranks[:, j] = (np.cumsum(mass) - (mass - 1) / 2)[place]
    return ranks


def spread(X: Array, weights: Array | None = None) -> Array:
    """The standard deviation of each column; exactly 0 where it is constant."""
    # squares of what is measured in small or large units may leave the range of float64
    unit = np.abs(X).max(initial=0.0) or 1.0
    scaled = X / unit
    scaled -= np.average(scaled, axis=0, weights=weights)
    deviation = unit * np.sqrt(np.average(scaled**2, axis=0, weights=weights))
    deviation[(X[0] == X).all(axis=0)] = 0.0
    return np.asarray(deviation)


def rank_correlations(X: Array, weights: Array | None = None) -> Array:
    """Spearman's correlation of each pair of columns; 0 where one is constant."""
    ranks = weighted_ranks(X, weights)
    ranks -= np.average(ranks, axis=0, weights=weights)
    if weights is not None:
        ranks *= np.sqrt(weights)[:, None]
    lengths = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(lengths > 0, lengths, 1.0)
    return np.asarray(ranks.T @ ranks)


def unsupervised_graph(X: Array, mixing: float, weights: Array | None = None) -> Array:
    """Edges from the spread of two features and from how little they are correlated.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples of positive weight.
    mixing : float
        Share of the spread, from 0 to 1; the rest is that of 1 - \\|Spearman's correlation\\|.
    weights : ndarray of shape (n_samples,), default=None
        How often each sample counts.

    Returns
    -------
    edges : ndarray of shape (n_features, n_features)
        Symmetric, at least 0, and 0 for constant features.
    """
    deviation = spread(X, weights)
    varies = deviation > 0
    edges = rank_correlations(X, weights)
    np.abs(edges, out=edges)
    np.subtract(1.0, edges, out=edges)
    np.clip(edges, 0.0, 1.0, out=edges)
    edges *= 1.0 - mixing
    if mixing and varies.any():
        # what is constant changes nothing for the others
        low = deviation[varies].min()
        width = deviation[varies].max() - low
        larger = np.maximum.outer(deviation, deviation)
        larger -= low
        larger *= mixing / width if width > 0 else 0.0
        edges += larger
    edges *= varies[:, None] & varies[None, :]
    return edges


def supervised_graph(
    X: Array, labels: Indices, mixing: Sequence[float], weights: Array | None = None
) -> Array:
    """Edges from how much two features say about the classes, and from their spread.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples of positive weight.
    labels : ndarray of shape (n_samples,)
        The class of each, counted from 0.
    mixing : sequence of three floats
        Factors of the means of mutual information and Fisher score, mutual information and spread,
        spread and Fisher score.
    weights : ndarray of shape (n_samples,), default=None
        How often each sample counts.

    Returns
    -------
    edges : ndarray of shape (n_features, n_features)
        At least 0; 0 for constant features.
    """
    if weights is None:
        weights = np.ones(len(X))
    deviation = spread(X, weights)
    varies = deviation > 0
    fisher = _to_unit(fisher_scores(X, labels, weights))
    information = _to_unit(mutual_information(X, labels, weights))
    deviation = _to_unit(deviation)
    first, second, third = mixing
    # the entry (i, j) is the sum of what i and what j contribute
    rows = first * information + second * information + third * deviation
    columns = first * fisher + second * deviation + third * fisher
    edges = 0.5 * np.add.outer(rows, columns)
    edges *= varies[:, None] & varies[None, :]
    return np.asarray(edges)


def _to_unit(values: Array) -> Array:
    """Values between 0 and 1."""
    most = values.max(initial=0.0)
    return values / most if most > 0 else values


def fisher_scores(X: Array, labels: Indices, weights: Array) -> Array:
    """Between the classes, the variance of each feature over that within them.

    A feature that is constant within classes but not between has twice the largest other score.
    """
    n_classes = int(labels.max()) + 1
    mass = np.bincount(labels, weights, n_classes)
    members = np.zeros((n_classes, len(X)))
    members[labels, np.arange(len(X))] = weights
    means = members @ X / np.maximum(mass, np.finfo(float).tiny)[:, None]
    grand = np.average(X, axis=0, weights=weights)
    between = mass @ (means - grand) ** 2
    within = weights @ (X - means[labels]) ** 2
    scale = np.finfo(float).eps * (between + within)
    scores = np.divide(between, within, out=np.zeros(X.shape[1]), where=within > scale)
    pure = (within <= scale) & (between > scale)
    scores[pure] = 2.0 * max(1.0, scores.max(initial=0.0))
    return np.asarray(scores)


def mutual_information(X: Array, labels: Indices, weights: Array) -> Array:
    """Of each feature, cut into bins of equal mass, and the classes; in nats."""
    n_classes = int(labels.max()) + 1
    found = np.empty(X.shape[1])
    for j in range(X.shape[1]):
        bins = equal_bins(X[:, j], weights)
        joint = np.bincount(bins * n_classes + labels, weights, N_BINS * n_classes)
        joint = joint.reshape(N_BINS, n_classes) / joint.sum()
        alone = np.outer(joint.sum(axis=1), joint.sum(axis=0))
        used = joint > 0
        found[j] = (joint[used] * np.log(joint[used] / alone[used])).sum()
    return np.maximum(found, 0.0)


def equal_bins(values: Array, weights: Array) -> Indices:
    """Bins of about equal mass; equal values are in one bin."""
    _, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weights)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bins = np.minimum((middle * N_BINS).astype(np.intp), N_BINS - 1)
    return np.asarray(bins[place])


def infinite_scores(edges: Array) -> Array:
    """The value of each feature over all paths in a graph.

    Parameters
    ----------
    edges : ndarray of shape (n_features, n_features)
        At least 0; overwritten by the normalised ones.

    Returns
    -------
    scores : ndarray of shape (n_features,)
        Row sums of :math:`(I - rA)^{-1} - I`, in a time of p^3 and memory of two such matrices.
    """
    rate = normalise_edges(edges)
    symmetric = bool((edges == edges.T).all())
    matrix = np.multiply(edges, -rate)
    matrix.flat[:: len(matrix) + 1] += 1.0
    sums = edges.sum(axis=1)
    # (I - rA)^{-1} 1 - 1 = (I - rA)^{-1} r A 1, without the loss of digits of a difference
    solved = linalg.solve(
        matrix, rate * sums, assume_a="pos" if symmetric else "gen", overwrite_a=True
    )
    return np.asarray(solved)


def normalise_edges(edges: Array) -> float:
    """Divide edges by their largest row sum, in place, and return the factor r of a step.

    The paper's factor is :math:`(1 - \\epsilon) / \\rho` with the row sum :math:`\\rho` before
    the division; a sum below 1, of few features, counts as 1, so that the series converges.
    """
    sums = edges.sum(axis=1)
    epsilon = min(_EPSILON * max(1, int(np.count_nonzero(sums))), 0.5)
    largest = float(sums.max(initial=0.0))
    edges /= largest + epsilon
    return float((1.0 - epsilon) / max(1.0, largest))


def histogram_cutoff(scores: Array) -> int:
    """How many features the paper keeps: the bins of a histogram with more than the mean count."""
    counts, _ = np.histogram(scores, bins=max(1, len(scores) // 2))
    return max(1, int((counts > counts.mean()).sum()))
