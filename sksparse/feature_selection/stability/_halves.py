"""Pairs of disjoint halves of the samples (Shah and Samworth, 2013), of each class as many."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sksparse._typing import Indices
from sksparse.feature_selection._targets import looks_like_classes


def strata_of(estimator: Any, y: Any, rows: Indices) -> Indices:
    """The class of each sample, counted from 0; one for all where targets are quantities.

    Parameters
    ----------
    estimator : estimator
        What is fitted to the halves. Of one that is neither classifier nor regressor, targets of
        names or of few distinct numbers are taken for classes.
    y : ndarray of shape (n_samples,) or None
        Targets; those of any other shape are quantities.
    rows : ndarray
        The samples to draw from.

    Returns
    -------
    strata : ndarray of the shape of ``rows``
        The classes.

    Raises
    ------
    ValueError
        Where a classifier would miss a class in one of the halves.
    """
    one = np.zeros(len(rows), dtype=np.intp)
    if y is None or is_regressor(estimator) or y.dtype.names or np.prod(y.shape) != y.shape[0]:
        return one
    y = y.reshape(-1)[rows]
    if not is_classifier(estimator):
        kind = type_of_target(y, input_name="y")
        values, codes = np.unique(y, return_inverse=True)
        return np.asarray(codes) if looks_like_classes(y, kind, len(values)) else one
    check_classification_targets(y)
    values, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(values) < 2:
        raise ValueError(
            "y needs at least two classes among the samples with positive weight, got 1 "
            f"class(es): {values.tolist()}; give samples of another, or an estimator without "
            "classes."
        )
    if counts.min() < 2:
        rare = values.tolist()[counts.argmin()]
        raise ValueError(
            f"y has 1 sample of class {rare!r} with positive weight, and each half of the samples "
            "needs one of every class: give at least two, or leave it out."
        )
    return np.asarray(codes)


def complementary_halves(strata: Indices, rng: np.random.RandomState) -> tuple[Indices, Indices]:
    """Two disjoint random halves, each of n // 2 samples.

    Both have as many samples of every class, up to one.

    Parameters
    ----------
    strata : ndarray of shape (n_samples,)
        The class of each sample.
    rng : RandomState
        Where randomness comes from.

    Returns
    -------
    first, second : ndarray of shape (n_samples // 2,)
        Positions of the samples, sorted.
    """
    places = rng.permutation(strata.max() + 1)
    odd = np.flatnonzero(np.bincount(strata) % 2)
    if len(strata) % 2:
        # the last sample is left out, which no class of an even number can spare
        places[rng.choice(odd)] = len(places)
    order = rng.permutation(len(strata))
    # classes one after another, dealt out by turns
    order = order[np.argsort(places[strata[order]], kind="stable")]
    n_half = len(order) // 2
    return np.sort(order[: 2 * n_half : 2]), np.sort(order[1 : 2 * n_half : 2])
