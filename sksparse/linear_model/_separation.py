"""Whether features separate the classes, so that a log loss without a norm has no minimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.losses import Loss
from sksparse.penalties import L0
from sksparse.solvers import Design

# A mean log loss at most this share of that without features is as good as zero.
_ZERO = 1e-6
# Log odds that data rarely justify; where a Newton step still moves them by as much as the second
# number, it does not come to an end: each step then moves them by about one.
_SATURATED, _MOVING = 15.0, 0.1
# Log odds per standard deviation of a feature that make no sense.
_ABSURD = 100.0


def separates(
    design: Design, loss: Loss, fit_intercept: bool, coef: Array, intercept: Array
) -> bool:
    """Whether the loss goes on falling in some direction of the coefficients in use.

    ``coef`` and ``intercept`` have shape (n_outputs, n_features) and (n_outputs,).
    """
    used = np.flatnonzero(coef.any(axis=0))
    weighted = np.flatnonzero(loss.weights > 0.0)
    columns = design.columns(used)[weighted]
    columns = columns if isinstance(columns, np.ndarray) else columns.toarray()
    z = columns @ coef[:, used].T + intercept
    small = type(loss)(loss.y[weighted], loss.weights[weighted])
    flat = np.ascontiguousarray(z[:, 0] if len(coef) == 1 else z)
    if small.value(flat) <= _ZERO * _null_value(small, fit_intercept, len(coef)):
        return True
    spread = float(np.ptp(z, axis=1).max()) if len(coef) > 1 else float(np.abs(z).max())
    if spread <= _SATURATED:
        return False
    shifts = small.weights @ columns if fit_intercept else 0.0
    rows = np.column_stack((columns - shifts, np.ones((len(z), int(fit_intercept)))))
    rows /= np.maximum(np.sqrt(small.weights @ rows**2), np.finfo(float).tiny)
    return float(np.abs(_newton_step(small, rows, flat)).max(initial=0.0)) > _MOVING


def is_separated(
    design: Design, loss: Loss, penalty: L0, fit_intercept: bool, coef: Any, intercept: Any
) -> bool:
    """Whether the features of a fit separate the classes, and no norm in their units says no."""
    coef, intercept = np.atleast_2d(coef), np.atleast_1d(intercept)
    if loss.quadratic or penalty.l2 > 0.0 or penalty.l1 > 0.0 or not coef.any():
        return False
    return separates(design, loss, fit_intercept, coef, intercept)


def _null_value(loss: Loss, fit_intercept: bool, n_outputs: int) -> float:
    constant = np.broadcast_to(loss.best_constant() if fit_intercept else 0.0, n_outputs)
    z = np.tile(constant, (len(loss.y), 1))
    return loss.value(np.ascontiguousarray(z[:, 0] if n_outputs == 1 else z))


def _newton_step(loss: Loss, rows: Array, z: Array) -> Array:
    """What a Newton step changes of the predictor."""
    gradient, metric = loss.gradient(z).reshape(len(rows), -1), loss.metric(z)
    m = gradient.shape[1]
    hessian = np.einsum("ij,iab,ik->ajbk", rows, metric, rows, optimize=True)
    size = m * rows.shape[1]
    right = -(rows.T @ gradient).T.ravel()
    step = np.linalg.lstsq(hessian.reshape(size, size), right, rcond=None)[0]
    return np.asarray(rows @ step.reshape(m, -1).T)


def separation_message(
    design: Design, loss: Loss, penalty: L0, fit_intercept: bool, fits: list[tuple[Any, Any]]
) -> str:
    """Why a warning is due, if any of the fits (coefficients, intercepts) separates the classes."""
    if loss.quadratic or penalty.l2 > 0.0 or penalty.l1 > 0.0:
        return ""
    found = []
    for coef, intercept in fits:
        coef, intercept = np.atleast_2d(coef), np.atleast_1d(intercept)
        largest = float(_in_deviations(design, loss, coef).max(initial=0.0))
        # a ridge in units of the features bounds what is absurd, unless it is very small
        open_ended = largest > 0.0 and (penalty.scaled_l2 == 0.0 or largest > _ABSURD)
        if open_ended and separates(design, loss, fit_intercept, coef, intercept):
            found.append(largest)
    if not found:
        return ""
    where = "" if len(fits) == 1 else f" at {len(found)} of {len(fits)} points"
    ridge = f" but for the ridge l2_={penalty.scaled_l2:.3g}" if penalty.scaled_l2 > 0.0 else ""
    return (
        f"The features selected separate the classes{where}, at least in part: the log loss has "
        f"no minimum{ridge}, so coefficients (up to {max(found):.3g} per standard deviation of a "
        "feature) and probabilities mean little. Remedy: a positive l2, such as 0.01 for features "
        "of unit variance."
    )


def _in_deviations(design: Design, loss: Loss, coef: Array) -> Array:
    """Size of the coefficients for features of unit variance."""
    used = np.flatnonzero(coef.any(axis=0))
    part = Design(design.X[:, used])
    variances = part.variances(loss.weights, part.means(loss.weights))
    return np.asarray(np.abs(coef[:, used]) * np.sqrt(variances))
