"""Which parameter of an estimator is its strength, and at which values it is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from sksparse._typing import Array
from sksparse.feature_selection.stability._path import HalfPath, Rng
from sksparse.feature_selection.stability._votes import Messages

# Powers of ten: a strength at which as little is used as at any, and those at which more may be.
_STRONGEST, _WEAKER = 12.0, (0.0, -3.0, -6.0, -9.0, -12.0, -24.0, -48.0, -96.0, -192.0)
# The power at which the first feature enters is found so exactly: to 15 %.
_PRECISION = 0.06
# Correlations of noise are so much larger on half of the samples, and features enter earlier.
_OF_HALVES = np.sqrt(2.0)


def strength_of(estimator: Any, strength: str, alphas: Any) -> str | None:
    """The parameter of an estimator that is varied; None where none is.

    Raises
    ------
    ValueError
        Where it is asked for and there is none.
    """
    params = estimator.get_params()
    if alphas is None:
        return None
    if strength != "auto":
        if strength not in params:
            raise ValueError(
                f"strength={strength!r} is no parameter of estimator, {type(estimator).__name__}; "
                f"give one of {sorted(params)}, or alphas=None for its fit as it is."
            )
        return strength
    name = "alpha"
    if isinstance(estimator, Pipeline):
        name = f"{estimator.steps[-1][0]}__alpha"
    if name in params:
        return name
    if np.ndim(alphas):
        raise ValueError(
            f"alphas are values of the parameter {name}, which estimator, "
            f"{type(estimator).__name__}, does not have; name the parameter that they are values "
            "of as strength, or give alphas=None."
        )
    return None


def is_penalty(strength: str) -> bool:
    """Whether larger values of a parameter keep fewer features."""
    return strength.endswith("alpha")


def check_strengths(strength: str, alphas: Any) -> Array:
    """Strengths that the user gave, the strongest first.

    Raises
    ------
    ValueError
        Where they are no strengths.
    """
    values = np.asarray(alphas)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iuf":
        raise ValueError(
            f"alphas={alphas!r} must be numbers, the values of {strength!r} to fit at, or how many "
            "values to try."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"alphas={alphas!r} must be finite; leave the others out.")
    return np.sort(values)[::-1] if is_penalty(strength) else values


def automatic_strengths(path: HalfPath, n_strengths: int, eps: float, rng: Rng) -> Array | None:
    """A geometric grid from where features enter; None where the strength makes no difference.

    Parameters
    ----------
    path : HalfPath
        What fits the estimator.
    n_strengths : int
        How many strengths.
    eps : float
        The smallest strength as a share of the largest.
    rng : RandomState
        Where randomness of the fits comes from.

    Raises
    ------
    ValueError
        Where larger values of the parameter need not keep fewer features.
    """
    assert path.strength is not None
    if not is_penalty(path.strength):
        raise ValueError(
            f"alphas={n_strengths} makes a grid of strengths that keep the fewer features the "
            f"larger they are; give the values of {path.strength!r} themselves, those that keep "
            "the fewest first."
        )
    fit, silent = path.along(path.rows, rng), Messages([], [])

    def count(power: float) -> int:
        return int(fit(10.0**power, silent).mask.sum())

    fewest = count(_STRONGEST)
    if fewest == path.X.shape[1]:
        return None
    some = next((power for power in _WEAKER if count(power) > fewest), None)
    if some is None:
        return None
    none = _STRONGEST
    while none - some > _PRECISION:
        middle = 0.5 * (none + some)
        none, some = (none, middle) if count(middle) > fewest else (middle, some)
    return np.geomspace(1.0, eps, n_strengths) * _OF_HALVES * 10.0**none
