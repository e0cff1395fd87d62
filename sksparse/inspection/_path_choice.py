"""The curve by which a fitted search chose a point of its path, its error and its name."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array

_AXES = ("auto", "n_features", "alpha")


def resolved_axis(xaxis: str, sizes: Any) -> str:
    """The horizontal axis; "auto" is the number of features where a search has tried numbers."""
    if xaxis not in _AXES:
        raise ValueError(f"xaxis={xaxis!r} is unknown; give one of {list(_AXES)}.")
    if xaxis != "auto":
        return xaxis
    return "alpha" if sizes is None else "n_features"


def choice_curve(model: Any) -> tuple[Array | None, Array | None, str]:
    """The curve of a search, half the width of its band, and its name."""
    attributes = vars(model)
    if "criterion_path_" in attributes:
        return _of_choice(model, model.criterion_path_, 1), None, model.criterion.upper()
    for attribute, name in (
        ("mse_path_", "mean squared error"),
        ("deviance_path_", "mean Poisson deviance"),
        ("score_path_", "score"),
    ):
        if attribute in attributes:
            folds = _of_choice(model, attributes[attribute], 2)
            n_folds = folds.shape[1]
            error = folds.std(axis=1, ddof=1) / np.sqrt(n_folds) if n_folds > 1 else None
            return folds.mean(axis=1), error, _score_name(model, name)
    return None, None, ""


def _of_choice(model: Any, table: Array, n_axes: int) -> Array:
    """The part of a table for the ridge that was chosen, where several were tried."""
    if table.ndim == n_axes:
        return table
    chosen = np.flatnonzero(np.asarray(model.l2) == model.l2_)[0]
    return np.asarray(table[chosen])


def _score_name(model: Any, name: str) -> str:
    if name != "score":
        return name
    scoring = model.scoring
    if scoring is None:
        return "mean log likelihood"
    return scoring.replace("_", " ") if isinstance(scoring, str) else name
