"""What is not finite in X is refused, by whichever pass over X sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sksparse.linear_model import (
    GroupLassoClassifier,
    GroupLassoRegressor,
    GroupLassoRegressorCV,
    alpha_max,
    group_lasso_path,
)

MISSING, INFINITE = "Input X contains NaN", "Input X contains infinity"


def targets(rng: np.random.Generator, loss: str) -> Any:
    if loss == "cox":
        return np.column_stack((1.0 + rng.random(30), np.ones(30)))
    return rng.integers(0, 2, 30) if loss == "classes" else rng.random(30)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 29])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_one_entry(
    rng: np.random.Generator, order: Any, dtype: Any, value: float, row: int, fit_intercept: bool
) -> None:
    X = np.array(rng.standard_normal((30, 4)), dtype=dtype, order=order)
    X[row, 2] = value
    model = GroupLassoRegressor(groups=[0, 0, 1, 1], fit_intercept=fit_intercept)
    with pytest.raises(ValueError, match=MISSING if np.isnan(value) else INFINITE):
        model.fit(X, rng.random(30))
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson", "cox", "classes"])
def test_every_loss(rng: np.random.Generator, loss: str) -> None:
    X = rng.standard_normal((30, 4))
    # a column that is infinite throughout has no range
    X[:, 1] = np.inf
    model: Any = GroupLassoRegressor(loss=loss)
    if loss == "classes":
        model = GroupLassoClassifier()
    with pytest.raises(ValueError, match=INFINITE):
        model.fit(X, targets(rng, loss))


def test_rows_without_weight_count(rng: np.random.Generator) -> None:
    X, weights = rng.standard_normal((30, 4)), np.ones(30)
    X[3, 3], weights[3] = np.nan, 0.0
    with pytest.raises(ValueError, match=MISSING):
        GroupLassoRegressor().fit(X, rng.random(30), sample_weight=weights)


def test_pilots_paths_searches_and_strengths(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 4)), rng.random(30)
    X[3, 3] = np.nan
    with pytest.raises(ValueError, match=MISSING):
        GroupLassoRegressor(adaptive="ridge").fit(X, y)
    with pytest.raises(ValueError, match=MISSING):
        GroupLassoRegressorCV(alphas=3, cv=2).fit(X, y)
    with pytest.raises(ValueError, match=MISSING):
        group_lasso_path(X, y)
    with pytest.raises(ValueError, match=MISSING):
        alpha_max(GroupLassoRegressor(), X, y)


def test_huge_numbers_are_not_missing(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 4))
    y = X[:, 0] + rng.random(30)
    plain = GroupLassoRegressor(0.01).fit(X, y)
    # squares of 1e170 are beyond the range of float64
    huge = GroupLassoRegressor(0.01 * 1e170).fit(1e170 * X, y)
    np.testing.assert_allclose(1e170 * huge.coef_, plain.coef_, rtol=1e-6)
