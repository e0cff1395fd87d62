"""Rankings of features from the order in which they left, and how many of them to keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices, Mask


@dataclass(frozen=True)
class Order:
    """An order of groups of features, and how far each came.

    Parameters
    ----------
    groups : ndarray of shape (n_groups,)
        The groups, best first.
    survival : ndarray of shape (n_groups,)
        For each group the share of the runs that it was part of, on the logarithmic scale of the
        number of features: 0 for those that left first, 1 for those that stayed to the end.
    """

    groups: Indices
    survival: Array


def survival_of(order: Indices, sizes: Indices) -> Array:
    """How far each group came in a run that lets few features go when few are left.

    Parameters
    ----------
    order : ndarray of shape (n_groups,)
        The groups, those that left first at the beginning.
    sizes : ndarray of shape (n_groups,)
        Number of features of each; 0 for those that were no part of the run, which come first.
    """
    n_before = np.cumsum(sizes[order][::-1])[::-1]
    # the last group alone is what is left in the end
    most, least = n_before[0], n_before[-1]
    span = np.log(most / least) or 1.0
    survival = np.empty(len(order))
    survival[order] = np.where(sizes[order] > 0, 1.0 - np.log(n_before / least) / span, 0.0)
    return survival


def aggregate(orders: list[Indices], sizes: Indices) -> Order:
    """One order from those of several runs, by how far groups came on average.

    Parameters
    ----------
    orders : list of ndarray of shape (n_groups,)
        The order of each run, first to leave first.
    sizes : ndarray of shape (n_groups,)
        Number of features of each group; 0 for those that were no part of the runs.
    """
    survival = np.mean([survival_of(order, sizes) for order in orders], axis=0)
    place = np.empty(len(sizes), dtype=np.intp)
    place[orders[0]] = np.arange(len(sizes))
    # groups that came equally far stand as in the first run
    return Order(np.lexsort((place, survival))[::-1], survival)


def set_sizes(order: Order, sizes: Indices) -> Indices:
    """The numbers of features that nested sets of whole groups can have, rising."""
    return np.cumsum(sizes[order.groups])


def stability(sets: list[Mask]) -> float:
    """Agreement of selections, corrected for chance (Nogueira, Sechidis and Brown, 2018).

    Parameters
    ----------
    sets : list of ndarray of shape (n_features,)
        Masks of what was selected in each run.

    Returns
    -------
    stability : float
        1 for equal sets, about 0 for random ones; nan for one run, and where all features or none
        are always selected.
    """
    chosen = np.array(sets, dtype=np.float64)
    n_runs = len(chosen)
    if n_runs < 2:
        return float("nan")
    shares = chosen.mean(axis=0)
    share = chosen.mean()
    if share in (0.0, 1.0):
        return float("nan")
    variance = n_runs / (n_runs - 1) * shares * (1 - shares)
    return float(1.0 - variance.mean() / (share * (1 - share)))


def best_count(n_features: Indices, scores: Array, errors: Array, *, rule: str) -> int:
    """The number of features that validation asks for.

    Parameters
    ----------
    n_features : ndarray of shape (n_counts,)
        The numbers that were scored.
    scores, errors : ndarray of shape (n_counts,)
        Scores, and their standard errors.
    rule : {"auto", "1se"}
        The smallest number with the best score, or with a score that is at most its standard error
        below that.
    """
    best = int(np.argmax(scores))
    least = scores[best] - (errors[best] if rule == "1se" else 0.0)
    return int(n_features[scores >= least].min())
