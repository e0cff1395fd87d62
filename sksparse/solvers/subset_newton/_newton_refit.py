"""Minimise a loss over few columns: Newton steps to high precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

from sksparse._interrupts import check
from sksparse._typing import Array, Indices, Mask
from sksparse.losses import Loss
from sksparse.solvers.subset_newton._tuning import TUNING


class Outputs:
    """A loss over predictors of shape (n_samples, n_outputs), also where that is one."""

    def __init__(self, loss: Loss) -> None:
        self.loss, self.n_outputs = loss, loss.n_outputs
        self._weighted: Any = True if loss.weights.all() else (loss.weights > 0.0)[:, None]

    def _flat(self, z: Array) -> Array:
        return z[:, 0] if self.n_outputs == 1 else z

    def value(self, z: Array) -> float:
        """The loss above its lower bound."""
        return self.loss.excess(self._flat(z))

    def is_saturated(self, z: Array) -> bool:
        """Whether the loss hardly changes at a predictor, although it still decreases."""
        return self.loss.is_saturated(self._flat(z))

    def gradient(self, z: Array) -> Array:
        return self.loss.gradient(self._flat(z)).reshape(z.shape)

    def curvature(self, z: Array) -> Array:
        return self.loss.curvature(self._flat(z))

    def metric(self, z: Array) -> Array:
        return self.loss.metric(self._flat(z))

    def reach(self, z: Array) -> float:
        """Largest magnitude of a predictor of the samples that have a weight."""
        return float(np.max(np.abs(z), where=self._weighted, initial=0.0))


class RefitOptions(NamedTuple):
    """What is added to the loss, and when a refit ends.

    Parameters
    ----------
    l1 : float
        Strength of the L1 norm.
    l2 : ndarray of shape (k,)
        Strength of the ridge penalty on each column.
    positive : ndarray of shape (k,)
        Columns whose coefficients must not be negative.
    floor : float
        A value at most this counts as zero and ends the refit: on separable data the loss has no
        minimum.
    accuracy : float
        Square root of a gain that does not matter.
    follow_saturated : bool
        Whether to continue where the loss is saturated and still decreases, which takes many steps.
    """

    l1: float
    l2: Array
    positive: Mask
    floor: float
    accuracy: float
    follow_saturated: bool


@dataclass(frozen=True)
class Fit:
    """A model on some columns.

    Parameters
    ----------
    support : ndarray of shape (k,)
        Positions in the working set.
    coef : ndarray of shape (k, n_outputs)
        Coefficients of the centred columns.
    intercept : ndarray of shape (n_outputs,)
        Intercept, for centred columns.
    z : ndarray of shape (n_samples, n_outputs)
        Predictor.
    value : float
        Loss plus norms, without the penalty on the number of features.
    """

    support: Indices
    coef: Array
    intercept: Array
    z: Array
    value: float


def refit(
    outputs: Outputs,
    options: RefitOptions,
    rows: Array,
    fit_intercept: bool,
    theta: Array,
    tol: float,
    target: float = -np.inf,
) -> tuple[Array, Array, float]:
    """Coefficients (the intercept in front), predictor and value of the minimum.

    Parameters
    ----------
    outputs, options : Outputs, RefitOptions
        What is minimised.
    rows : ndarray of shape (k, n_samples)
        Columns of the model.
    fit_intercept : bool
        Whether ``rows`` has a row of ones in front that is not penalised.
    theta : ndarray of shape (k, n_outputs)
        Where to start.
    tol : float
        Steps end with the first that a quadratic model expects to gain no more than this.
    target : float, default=-inf
        Steps also end once a value below this is out of reach.
    """
    smooth = _Smooth(outputs, options, rows, fit_intercept)
    z: Array = rows.T @ theta
    value = smooth.value(theta, z)
    if not np.isfinite(value):
        theta = np.zeros(theta.shape)
        z = rows.T @ theta
        value = smooth.value(theta, z)
    for n_step in range(TUNING.refit_steps if len(rows) else 0):
        check()
        if value <= options.floor:
            break
        step, expected = smooth.newton_step(theta, z)
        out_of_reach = n_step and value - TUNING.refit_more * expected > target > -np.inf
        if out_of_reach and not (options.follow_saturated and outputs.is_saturated(z)):
            break
        moved = smooth.search(theta, z, value, step, expected)
        if moved is None:
            break
        theta, z, value = moved
        if expected <= tol:
            break
    return theta, z, value


class _Smooth:
    """Values and Newton steps of one refit."""

    def __init__(
        self, outputs: Outputs, options: RefitOptions, rows: Array, fit_intercept: bool
    ) -> None:
        self.outputs, self.options, self.rows = outputs, options, rows
        m = outputs.n_outputs
        penalised = np.ones((m, len(rows)))
        lower = np.full((m, len(rows)), -np.inf)
        first = int(fit_intercept)
        penalised[:, :first] = 0.0
        lower[:, first:][:, options.positive] = 0.0
        self.l1, self.l2 = options.l1 * penalised, np.zeros((m, len(rows)))
        self.l2[:, first:] = options.l2
        self._flat_l1, self._flat_l2 = self.l1.ravel(), self.l2.ravel()
        self._has_norms = options.l1 > 0.0 or bool(options.l2.any())
        self.lower = lower
        # Early steps on a bounded problem need not be exact.
        self._accuracy = 1e6 * options.accuracy
        # what rounding of a value is relative to, besides the value above it
        self._offset = abs(outputs.loss.lower_bound)
        self.bounded = options.l1 > 0 or bool(options.positive.any())

    def value(self, theta: Array, z: Array) -> float:
        value = self.outputs.value(z)
        if self._has_norms:
            value += float((self.l1 * np.abs(theta.T) + 0.5 * self.l2 * theta.T**2).sum())
        return value

    def newton_step(self, theta: Array, z: Array) -> tuple[Array, float]:
        """Step to the minimum of the second-order model, and what that expects to gain."""
        flat = theta.T.ravel()
        gradient = (self.rows @ self.outputs.gradient(z)).T.ravel() + self._flat_l2 * flat
        matrix = self._matrix(z)
        diagonal = np.einsum("ii->i", matrix)
        diagonal *= 1.0 + TUNING.refit_jitter
        diagonal += self._flat_l2
        if self.bounded:
            step = self._bounded_step(matrix, gradient, flat)
        else:
            step = _solve(matrix, -gradient)
        change = gradient @ step
        if self.options.l1 > 0.0:
            change += self._flat_l1 @ (np.abs(flat + step) - np.abs(flat))
        expected = -float(change + 0.5 * step @ matrix @ step)
        self._accuracy = max(self.options.accuracy, 1e-3 * float(np.sqrt(max(expected, 0.0))))
        return step.reshape(theta.T.shape).T, expected

    def _matrix(self, z: Array) -> Array:
        metric, size = self.outputs.metric(z), len(self.rows)
        m = metric.shape[1]
        if m == 1:
            return np.asarray((self.rows * metric[:, 0, 0]) @ self.rows.T)
        matrix = np.empty((m * size, m * size))
        for a in range(m):
            for b in range(a, m):
                block = (self.rows * metric[:, a, b]) @ self.rows.T
                matrix[a * size : (a + 1) * size, b * size : (b + 1) * size] = block
                matrix[b * size : (b + 1) * size, a * size : (a + 1) * size] = block.T
        return matrix

    def _bounded_step(self, matrix: Array, gradient: Array, flat: Array) -> Array:
        """Coordinate sweeps find which coefficients are zero; solving for the others is exact."""
        from sksparse._kernels.bounded_quadratic import minimise_bounded

        x = flat.copy()
        linear = matrix @ x - gradient
        terms = (self._flat_l1, self.lower.ravel())
        for _ in range(TUNING.refit_patterns):
            minimise_bounded(matrix, linear, *terms, x, self._accuracy, TUNING.refit_sweeps)
            if not _solve_pattern(matrix, linear, *terms, x):
                continue
            slope = np.abs(linear - matrix @ x) * (x == 0.0)
            down = (linear - matrix @ x < 0.0) & (terms[1] == 0.0)
            worst = np.where(down, 0.0, slope - terms[0]) / np.sqrt(np.diag(matrix))
            if worst.max(initial=0.0) <= self._accuracy:
                break
        return x - flat

    def search(
        self, theta: Array, z: Array, value: float, step: Array, expected: float
    ) -> tuple[Array, Array, float] | None:
        """Halve the step until the value falls; None where rounding hides any fall.

        None as well where the loss is saturated and a long step gains nothing: it has no minimum in
        that direction.
        """
        along = self.rows.T @ step
        length, small = 1.0, expected <= TUNING.refit_rounding * (abs(value) + self._offset)
        if not self.outputs.loss.quadratic:
            longest = self.outputs.reach(along)
            if (
                longest > 1.0
                and expected <= TUNING.refit_flat * abs(value)
                and self.outputs.is_saturated(z)
            ):
                return None
            length = min(1.0, TUNING.refit_longest / max(longest, TUNING.refit_longest))
        for _ in range(TUNING.refit_halvings):
            trial, trial_z = theta + length * step, z + length * along
            trial_value = self.value(trial, trial_z)
            if trial_value <= value - 1e-2 * length * expected or small:
                return trial, trial_z, trial_value
            length *= 0.5
        return None


def _solve(matrix: Array, right: Array) -> Array:
    _, solution, failed = lapack.dposv(matrix, right, lower=1)
    return np.asarray(scipy.linalg.pinvh(matrix) @ right if failed else solution)


def _solve_pattern(matrix: Array, linear: Array, l1: Array, lower: Array, x: Array) -> bool:
    """Go to the minimum with the signs of ``x``, or as far as the first that would change.

    Returns whether the minimum was reached; either way the objective does not rise.
    """
    signed = (l1 > 0.0) | (lower == 0.0)
    at = np.flatnonzero((x != 0.0) | ~signed)
    if not at.size:
        return True
    right = linear[at] - l1[at] * np.sign(x[at])
    step = _solve(matrix[np.ix_(at, at)], right) - x[at]
    turning = signed[at] & ((x[at] + step) * x[at] < 0.0)
    if not turning.any():
        x[at] += step
        return True
    lengths = np.full(len(at), np.inf)
    lengths[turning] = -x[at][turning] / step[turning]
    first = np.argmin(lengths)
    x[at] += lengths[first] * step
    x[at[first]] = 0.0
    return False
