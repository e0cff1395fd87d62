"""Columns of a best-subset problem, centred: a working set in memory, all of them in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers._design import shifted
from sksparse.solvers._moments import Moments
from sksparse.solvers._problem import Problem


class Beside(NamedTuple):
    """What all columns of a block are beside chosen ones, in the metric of some weights.

    Parameters
    ----------
    squares : ndarray of shape (n_columns,)
        Squared lengths.
    cross : ndarray of shape (n_chosen, n_columns)
        Inner products with the chosen columns.
    descent : ndarray of shape (n_columns, n_outputs)
        Minus the gradient of the loss.
    """

    squares: Array
    cross: Array
    descent: Array


class SubsetColumns:
    """The features of a problem, with a working set of them at hand.

    Parameters
    ----------
    problem : Problem
        Features, loss and weights.

    Attributes
    ----------
    shift, means : ndarrays of shape (n_features,)
        What is subtracted from each feature, at first from sparse ones far from zero and then from
        all; zero without an intercept.
    variances : ndarray of shape (n_features,)
        Mean squares of what is left.
    usable : ndarray of shape (n_features,)
        Mask of the features that are not constant.
    features : ndarray of shape (n_working,)
        The working set.
    rows : ndarray of shape (n_working, n_samples)
        Its centred columns, one a row.
    """

    def __init__(self, problem: Problem) -> None:
        self.design, self.centre = problem.design, problem.fit_intercept
        measured = self._moments(problem.loss.weights)
        self.means, self.usable = measured.means, measured.varying
        self.variances = measured.variances
        self.shift = np.zeros(len(self.means))
        if self.design.is_sparse and measured.far_from_zero:
            far = np.flatnonzero(measured.far)
            self.shift[far] = measured.means[far]
            self.design = shifted(self.design, far, measured.means[far])
            self.means = self.means - self.shift
        self._copies = measured.far_from_zero or self.design.dtype != np.float64
        self.features = np.empty(0, dtype=np.intp)
        self._store = np.empty((0, self.design.n_samples))
        self._position = np.full(self.design.n_features, -1, dtype=np.intp)

    @property
    def rows(self) -> Array:
        return self._store[: len(self.features)]

    def at(self, features: Indices) -> Indices:
        """Positions of features in the working set, which takes in those that it lacks."""
        new = features[self._position[features] < 0]
        if new.size:
            self._extend(new)
        return self._position[features]

    @property
    def known(self) -> Mask:
        """Mask of the features in the working set."""
        return self._position >= 0

    def _extend(self, new: Indices) -> None:
        known, total = len(self.features), len(self.features) + len(new)
        if total > len(self._store):
            store = np.empty((max(total, known + known // 2), self.design.n_samples))
            store[:known] = self.rows
            self._store = store
        columns = self.design.X[:, new]
        if self.design.is_sparse:
            columns = columns.toarray()
        np.subtract(columns.T, self.means[new, None], out=self._store[known:total])
        self._position[new] = np.arange(known, total)
        self.features = np.concatenate((self.features, new))

    def _moments(self, weights: Array) -> Moments:
        """Moments for weights with sum one; covariances are not of interest."""
        return Moments.of(self.design, weights, np.zeros(len(weights)), self.centre)

    def all_beside(
        self, weights: Array, chosen: Array, gradient: Array
    ) -> Iterator[tuple[slice, Beside]]:
        """All columns beside chosen rows that are centred by ``weights``, in blocks.

        ``gradient``, the loss's per sample and output, has sum zero where an intercept is fitted.
        """
        total = float(weights.sum())
        squares = np.where(self.usable, total * self._moments(weights / total).variances, 0.0)
        left = np.vstack((chosen * weights, -gradient.T))
        for block in self.design.blocks(self.design.n_samples if self._copies else len(left)):
            columns = self.design.X[:, block]
            if self.design.is_sparse:
                product = np.asarray((columns.T @ left.T).T)
            else:
                product = left @ (columns - self.means[block] if self._copies else columns)
            yield block, Beside(squares[block], product[: len(chosen)], product[len(chosen) :].T)
