"""The fits behind a sparsity path: one model for each size, on every split."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.parallel import Parallel, delayed

from sksparse._typing import Array
from sksparse.inspection._common import fitted_network

SIZE = "target_sparsity"

#: Samples and targets to fit on, samples and targets to score on.
Split = tuple[Any, Any, Any, Any]


def sized(estimator: Any, sparsities: Iterable[float]) -> list[Any]:
    """A clone of the estimator for each sparsity."""
    if isinstance(estimator, BaseSearchCV):
        raise ValueError(
            f"{type(estimator).__name__} would search the sparsity that is to be drawn; give its "
            "best_estimator_, or an estimator that it searches."
        )
    size = _parameter_of_network(estimator, SIZE)
    return [clone(estimator).set_params(**{size: s}) for s in _check_sparsities(sparsities)]


def _check_sparsities(sparsities: Iterable[float]) -> list[float]:
    values = np.array(list(sparsities), dtype=np.float64)
    if not len(values) or not np.all((values >= 0) & (values < 1)):
        raise ValueError(
            f"sparsities={sparsities!r} must be shares of zeros, at least one, each from 0 to "
            "below 1; give, for example, [0.5, 0.9, 0.99]."
        )
    return values.tolist()


def _parameter_of_network(estimator: Any, name: str) -> str:
    """The name of a parameter as `set_params` takes it, also where the network is a step."""
    full = [p for p in estimator.get_params() if p == name or p.endswith(f"__{name}")]
    if not full:
        raise ValueError(
            f"{type(estimator).__name__} has no parameter {name}; give a network of "
            "sksparse.neural_network, or a pipeline with one in it."
        )
    return min(full, key=len)


def baseline_estimator(estimator: Any, baseline: Any) -> Any:
    """The estimator to fit for comparison, or None where there is none to fit."""
    if baseline is None or isinstance(baseline, Real):
        return None
    if not isinstance(baseline, str):
        return clone(baseline)
    if baseline != "dense":
        raise ValueError(
            f"baseline={baseline!r} is unknown; give 'dense', an estimator, a score or None."
        )
    options = {_parameter_of_network(estimator, p): None for p in ("sparsifier", SIZE)}
    return clone(estimator).set_params(**options)


def splits(estimator: Any, X: Any, y: Any, cv: Any, X_test: Any, y_test: Any) -> list[Split]:
    """The folds of `cv`, or the one split that the test samples make."""
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test belong together; give both, or neither and cv.")
    if X_test is not None:
        if cv is not None:
            raise ValueError("cv is not used where X_test is given; give one of the two.")
        return [(X, y, X_test, y_test)]
    X, y = indexable(X, y)
    folds = check_cv(cv, y, classifier=is_classifier(estimator))
    return [
        (
            _safe_indexing(X, learn),
            _safe_indexing(y, learn),
            _safe_indexing(X, check),
            _safe_indexing(y, check),
        )
        for learn, check in folds.split(X, y)
    ]


def measure(
    models: list[Any], parts: list[Split], scoring: Any, n_jobs: int | None
) -> tuple[Array, Array]:
    """Score and sparsity of every model fitted on every split, of shape (models, splits)."""
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_score)(model, part, scoring) for model, part in product(models, parts)
    )
    scores, zeros = np.reshape(results, (len(models), len(parts), 2)).transpose(2, 0, 1)
    return scores, zeros


def _fit_and_score(model: Any, part: Split, scoring: Any) -> tuple[float, float]:
    X, y, X_test, y_test = part
    model = clone(model).fit(X, y)
    score = float(check_scoring(model, scoring)(model, X_test, y_test))
    # a baseline may be any estimator, and need not know the share of its zeros
    return score, float(getattr(fitted_network(model), "sparsity_", np.nan))
