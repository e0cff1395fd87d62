"""Newton steps for several classes while zeros, ties and their order stay.

The curvature of a multinomial loss differs between the directions of the outputs. A model with one
curvature for all is a bound, whose minima approach that of the objective at a linear rate. On a
pattern the objective is smooth, and its own second derivatives give the step.
"""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array
from sksparse.penalties._sorted_l1 import magnitudes
from sksparse.solvers._centred import CentredColumns
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._scaled_solve import scaled_solve
from sksparse.solvers.convex._working_set import Place
from sksparse.solvers.sorted_l1._row_pattern import Pattern, tied_lengths

# Parameters up to which the system is formed.
_LARGEST = 400
# Share of a weight that a feature takes at least.
_LEAST_SHARE = 1e-3


def class_newton_end(
    problem: Problem, weights: Array, columns: CentredColumns, place: Place
) -> Place | None:
    """Where a Newton step on the pattern of an iterate leads; None where it is none or too large.

    Parameters
    ----------
    problem : Problem
        Loss and strength.
    weights : ndarray of shape (n_columns,)
        Weights of the norm over the working set.
    columns : CentredColumns
        Columns of the working set.
    place : Place
        The iterate.
    """
    pattern = Pattern(tied_lengths(place.coef))
    used, m = pattern.used, len(place.coef)
    if not used.size or (used.size + 1) * m > _LARGEST:
        return None
    X = CentredColumns(columns.matrix[:, used], columns.means[used]).toarray()
    coef = place.coef[:, used]
    directions = (coef / magnitudes(coef)).T
    lengths = pattern.members(pattern.levels)
    derivatives = problem.loss.gradient(place.z)
    gradient = X.T @ derivatives
    drop = problem.alpha * pattern.sums(weights[: len(used)])
    along = -np.sum(directions * gradient, axis=1)
    shares = along + pattern.members((drop - pattern.sums(along)) / pattern.sizes)
    least = _LEAST_SHARE * pattern.members(drop / pattern.sizes)
    bend = np.maximum(shares, least) / lengths
    force = -gradient - pattern.members(drop / pattern.sizes)[:, None] * directions
    basis = _moves(pattern, directions)
    if problem.free_intercept:
        X = np.column_stack((X, np.ones(len(X))))
        force = np.vstack((force, -derivatives.sum(axis=0)))
        basis = _with_free(basis, m)
    hessian = _hessian(X, problem.loss.metric(place.z))
    for j, (d, b) in enumerate(zip(directions, bend, strict=True)):
        hessian[j * m : (j + 1) * m, j * m : (j + 1) * m] += b * (np.eye(m) - np.outer(d, d))
    step = scaled_solve(basis.T @ hessian @ basis, basis.T @ force.ravel())
    if step is None:
        return None
    move = (basis @ step).reshape(-1, m).T
    levels = pattern.sums(np.sum(directions.T * move[:, : len(used)], axis=0)) / pattern.sizes
    end, _ = pattern.placed(coef + move[:, : len(used)], pattern.in_order(pattern.levels + levels))
    shift = move[:, len(used)] if problem.free_intercept else 0.0 * place.level
    z = place.z + (columns.matvec(end - place.coef) + shift)
    return Place(end, z, place.level + shift)


def _hessian(X: Array, metric: Array) -> Array:
    """Second derivatives over coefficients, of which those of a feature are neighbours."""
    k, m = X.shape[1], metric.shape[1]
    found = np.empty((k, m, k, m))
    for a in range(m):
        for b in range(a, m):
            found[:, a, :, b] = X.T @ (metric[:, a, b, None] * X)
            found[:, b, :, a] = found[:, a, :, b]
    return found.reshape(k * m, k * m)


def _moves(pattern: Pattern, directions: Array) -> Array:
    """A basis of the moves that keep ties: a column for each cluster's length, then across."""
    k, m = directions.shape
    basis = np.zeros((k, m, len(pattern.sizes) + k * (m - 1)))
    basis[np.arange(k), :, pattern.cluster] = directions
    for j, direction in enumerate(directions):
        start = len(pattern.sizes) + j * (m - 1)
        basis[j, :, start : start + m - 1] = np.linalg.svd(direction[None, :])[2][1:].T
    return basis.reshape(k * m, -1)


def _with_free(basis: Array, m: int) -> Array:
    """The same with the intercepts of all outputs."""
    rows, columns = basis.shape
    found = np.zeros((rows + m, columns + m))
    found[:rows, :columns] = basis
    found[rows:, columns:] = np.eye(m)
    return found
