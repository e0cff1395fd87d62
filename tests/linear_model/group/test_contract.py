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

FAST = [
    GroupLassoRegressor(),
    GroupLassoRegressor(loss="cox"),
    GroupLassoClassifier(),
    GroupLassoRegressorCV(alphas=3, cv=3),
    GroupLassoClassifierCV(alphas=3, cv=3, eps=0.1),
]
SLOW = [
    GroupLassoRegressor(loss="poisson"),
    GroupLassoRegressor(loss="huber", l1_ratio=0.5),
    GroupLassoRegressor(loss="cox", ties="efron", l2=0.1, relax=True),
    GroupLassoRegressor(l1_ratio=0.5, positive=True, relax=True),
    GroupLassoRegressor(l2=0.1, bounds=(-1.0, 1.0), adaptive="ridge"),
    GroupLassoClassifier(l1_ratio=0.5, bounds=(-1.0, None)),
    GroupLassoClassifier(l2=0.1, relax=True, adaptive="ridge"),
    GroupLassoRegressorCV(alphas=3, cv=2, loss="poisson", eps=0.1, selection="1se"),
    GroupLassoRegressorCV(alphas=3, cv=2, loss="cox", eps=0.1, relax=True),
    GroupLassoRegressorCV(alphas=3, cv=2, loss="huber", eps=0.1, scoring="r2", adaptive="ridge"),
]

pytestmark = pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")


@parametrize_with_checks(FAST)
def test_sklearn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(SLOW)
def test_sklearn_contract_of_every_option(estimator: Any, check: Any) -> None:
    check(estimator)
