"""Whether features separate the classes, or zero counts, so that the loss has no minimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.losses import Loss
from sksparse.penalties import L0
from sksparse.solvers import Design

# Log odds that data rarely justify, and logarithms of means below that of the least count.
_LOG_ODDS, _LOG_MEANS = 15.0, 5.0
# Where a Newton step at the answer still moves predictors by more than this, the steps do not
# converge: on separated data each moves them by about one.
_MOVING = 0.1
# Log odds, or logarithms of means, per standard deviation of a feature that make no sense.
_ABSURD = 100.0


def separates(
    design: Design, loss: Loss, fit_intercept: bool, coef: Array, intercept: Array
) -> bool:
    """Whether the loss has no minimum: it keeps falling along a direction of the coefficients.

    ``coef`` and ``intercept`` have shape (n_outputs, n_features) and (n_outputs,).
    """
    used = np.flatnonzero(coef.any(axis=0))
    weighted = np.flatnonzero(loss.weights > 0.0)
    columns = design.columns(used)[weighted]
    columns = columns if isinstance(columns, np.ndarray) else columns.toarray()
    z = columns @ coef[:, used].T + intercept
    small = loss.of_samples(weighted)
    flat = np.ascontiguousarray(z[:, 0] if len(coef) == 1 else z)
    if loss.for_classes:
        null = _null_value(small, fit_intercept, len(coef))
        if small.value(flat) <= loss.negligible * null:
            return True
    # only differences between outputs matter
    spread = small.saturation(flat if len(coef) == 1 else z - z.min(axis=1, keepdims=True))
    if spread <= (_LOG_ODDS if loss.for_classes else _LOG_MEANS):
        return False
    shifts = small.weights @ columns if fit_intercept else 0.0
    rows = np.column_stack((columns - shifts, np.ones((len(z), int(fit_intercept)))))
    rows /= np.maximum(np.sqrt(small.weights @ rows**2), np.finfo(float).tiny)
    step = _newton_step if loss.for_classes else _newton_step_of_means
    return float(np.abs(step(small, rows, flat)).max(initial=0.0)) > _MOVING


def is_separated(
    design: Design, loss: Loss, penalty: L0, fit_intercept: bool, coef: Any, intercept: Any
) -> bool:
    """Whether the loss has no minimum, and no norm in the features' units bounds it."""
    coef, intercept = np.atleast_2d(coef), np.atleast_1d(intercept)
    if not loss.unbounded_if or penalty.l2 > 0.0 or penalty.l1 > 0.0 or not coef.any():
        return False
    return separates(design, loss, fit_intercept, coef, intercept)


def _null_value(loss: Loss, fit_intercept: bool, n_outputs: int) -> float:
    constant = np.broadcast_to(loss.best_constant() if fit_intercept else 0.0, n_outputs)
    z = np.tile(constant, (len(loss.y), 1))
    return loss.value(np.ascontiguousarray(z[:, 0] if n_outputs == 1 else z))


def _newton_step(loss: Loss, rows: Array, z: Array) -> Array:
    """How far a Newton step moves the predictor."""
    gradient, metric = loss.gradient(z).reshape(len(rows), -1), loss.metric(z)
    m = gradient.shape[1]
    hessian = np.einsum("ij,iab,ik->ajbk", rows, metric, rows, optimize=True)
    size = m * rows.shape[1]
    right = -(rows.T @ gradient).T.ravel()
    step = np.linalg.lstsq(hessian.reshape(size, size), right, rcond=None)[0]
    return np.asarray(rows @ step.reshape(m, -1).T)


def _newton_step_of_means(loss: Loss, rows: Array, z: Array) -> Array:
    """The same for one output whose curvatures may be of very different magnitude."""
    roots = np.sqrt(loss.curvature(z))
    right = -np.divide(loss.gradient(z), roots, out=np.zeros(len(z)), where=roots > 0.0)
    return np.asarray(rows @ np.linalg.lstsq(roots[:, None] * rows, right, rcond=None)[0])


def separation_message(
    design: Design, loss: Loss, penalty: L0, fit_intercept: bool, fits: list[tuple[Any, Any]]
) -> str:
    """Text of a warning where the loss has no minimum at any (coefficients, intercepts)."""
    if not loss.unbounded_if or penalty.l2 > 0.0 or penalty.l1 > 0.0:
        return ""
    found = []
    for coef, intercept in fits:
        coef, intercept = np.atleast_2d(coef), np.atleast_1d(intercept)
        largest = float(_in_deviations(design, loss, coef).max(initial=0.0))
        # a ridge in units of the features keeps coefficients moderate, unless it is very small
        open_ended = largest > 0.0 and (penalty.scaled_l2 == 0.0 or largest > _ABSURD)
        if open_ended and separates(design, loss, fit_intercept, coef, intercept):
            found.append(largest)
    if not found:
        return ""
    where = "" if len(fits) == 1 else f" at {len(found)} of {len(fits)} points"
    ridge = f" but for the ridge l2_={penalty.scaled_l2:.3g}" if penalty.scaled_l2 > 0.0 else ""
    return (
        f"The features selected {loss.unbounded_if}{where}, at least in part: the {loss.title} has "
        f"no minimum{ridge}, so coefficients (up to {max(found):.3g} per standard deviation of a "
        "feature) and extreme predictions mean little. Remedy: a positive l2, such as 0.01 for "
        "features of unit variance."
    )


def _in_deviations(design: Design, loss: Loss, coef: Array) -> Array:
    """Size of the coefficients for features of unit variance."""
    used = np.flatnonzero(coef.any(axis=0))
    part = design.select(used)
    variances = part.variances(loss.weights, part.rmatvec(loss.weights))
    return np.asarray(np.abs(coef[:, used]) * np.sqrt(variances))
