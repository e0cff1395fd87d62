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

ESTIMATORS = [
    GroupLassoRegressor(),
    GroupLassoRegressor(loss="poisson"),
    GroupLassoRegressor(l1_ratio=0.5, positive=True, relax=True),
    GroupLassoRegressor(l2=0.1, bounds=(-1.0, 1.0), adaptive="ridge"),
    GroupLassoClassifier(),
    GroupLassoClassifier(l1_ratio=0.5, bounds=(-1.0, None)),
    GroupLassoClassifier(l2=0.1, relax=True, adaptive="ridge"),
    GroupLassoRegressorCV(alphas=4, cv=3),
    GroupLassoRegressorCV(alphas=3, cv=2, loss="poisson", eps=0.1, selection="1se"),
    GroupLassoClassifierCV(alphas=3, cv=3, eps=0.1),
]


@parametrize_with_checks(ESTIMATORS)
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_sklearn_contract(estimator: Any, check: Any) -> None:
    check(estimator)
