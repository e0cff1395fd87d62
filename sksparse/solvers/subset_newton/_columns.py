"""Columns of a best-subset problem, centred: a working set in memory, all of them in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers._centred import CentredDesign
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers._problem import Problem


class ColumnProducts(NamedTuple):
    """Products of the columns of a block, in the metric of some weights.

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
    """The features of a problem, with a working set of them in memory.

    Parameters
    ----------
    problem : Problem
        Features, loss and weights.

    Attributes
    ----------
    centred : CentredDesign
        All features around their means.
    """

    def __init__(self, problem: Problem) -> None:
        self.centred = CentredDesign(problem.design, problem.loss.weights, problem.fit_intercept)
        self._store = ColumnStore(problem.design.n_features, problem.design.n_samples)

    @property
    def means(self) -> Array:
        """What is subtracted from each feature; zero without an intercept."""
        return self.centred.means

    @property
    def variances(self) -> Array:
        """Mean squares of what is left."""
        return self.centred.variances

    @property
    def usable(self) -> Mask:
        """Mask of the features that are not constant."""
        return self.centred.usable

    @property
    def features(self) -> Indices:
        """The working set."""
        return self._store.features

    @property
    def rows(self) -> Array:
        """Its centred columns, one a row."""
        return self._store.rows

    @property
    def known(self) -> Mask:
        """Mask of the features in the working set."""
        return self._store.known

    def at(self, features: Indices) -> Indices:
        """Positions of features in the working set, which takes in those that it lacks."""
        new = self._store.missing(features)
        if new.size:
            rows = self._store.append(new)
            self.centred.write_rows(new, self._store.matrix[rows])
        return self._store.position[features]

    def all_products(
        self, weights: Array, chosen: Array, gradient: Array
    ) -> Iterator[tuple[slice, ColumnProducts]]:
        """All columns with chosen rows that are centred by ``weights``, in blocks.

        ``gradient``, the loss's per sample and output, has sum zero where an intercept is fitted.
        """
        squares = self.centred.squares(weights)
        left = np.vstack((chosen * weights, -gradient.T))
        for block, product in self.centred.products(left):
            cross, descent = product[: len(chosen)], product[len(chosen) :].T
            yield block, ColumnProducts(squares[block], cross, descent)
