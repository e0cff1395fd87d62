"""The contract of scikit-learn, for every estimator of the family and every path of its code."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse import (
    GroupLassoClassifier,
    GroupLassoClassifierCV,
    GroupLassoRegressor,
    GroupLassoRegressorCV,
)

# The checks compare fits to seven digits, more than a gap of 1e-6 promises.
TIGHT: dict[str, Any] = {"tol": 1e-9}
FOLDS: dict[str, Any] = {"alphas": 3, "cv": 2, "eps": 0.1, **TIGHT}
FAST = [
    GroupLassoRegressor(**TIGHT),
    GroupLassoRegressor(loss="cox", **TIGHT),
    GroupLassoClassifier(**TIGHT),
    GroupLassoRegressorCV(**FOLDS),
    GroupLassoClassifierCV(**{**FOLDS, "tol": 1e-7}),
]
SLOW = [
    GroupLassoRegressor(loss="poisson", **TIGHT),
    GroupLassoRegressor(loss="huber", l1_ratio=0.5, **TIGHT),
    GroupLassoRegressor(loss="cox", l2=0.1, relax=True, **TIGHT),
    GroupLassoRegressor(l1_ratio=0.5, positive=True, relax=True, **TIGHT),
    GroupLassoRegressor(l2=0.1, bounds=(-1.0, 1.0), adaptive="ridge", **TIGHT),
    GroupLassoClassifier(l1_ratio=0.5, bounds=(-1.0, None), **TIGHT),
    GroupLassoClassifier(l2=0.1, relax=True, adaptive="ridge", **TIGHT),
    GroupLassoRegressorCV(loss="poisson", selection="1se", **FOLDS),
    GroupLassoRegressorCV(loss="cox", l2=0.1, relax=True, **FOLDS),
    GroupLassoRegressorCV(loss="huber", scoring="r2", adaptive="ridge", **FOLDS),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:No features were selected:UserWarning"),
    pytest.mark.filterwarnings("ignore:The least populated class:UserWarning"),
]


@parametrize_with_checks(FAST)
def test_sklearn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(SLOW)
def test_sklearn_contract_of_every_option(estimator: Any, check: Any) -> None:
    check(estimator)
