"""The contract of scikit-learn, for every estimator of the family and every path of its code."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse import (
    OSCAR,
    OSCARCV,
    SLOPE,
    SLOPECV,
    GrOWL,
    OSCARClassifier,
    OSCARClassifierCV,
    SLOPEClassifier,
    SLOPEClassifierCV,
)

# The checks compare fits to seven digits, more than a gap of 1e-6 promises.
TIGHT: dict[str, Any] = {"tol": 1e-9}
FOLDS: dict[str, Any] = {"alphas": 3, "cv": 2, "eps": 0.1, "tol": 1e-8}
# Classes of weight 1e-7 leave an objective whose gap no smaller share of is above rounding.
LOOSE: dict[str, Any] = {"tol": 1e-7}
FAST = [
    SLOPE(**TIGHT),
    OSCARClassifier(0.01, **TIGHT),
    GrOWL(**TIGHT),
    SLOPECV(**FOLDS),
]
SLOW = [
    OSCAR(loss="poisson", **TIGHT),
    OSCAR(max_clusters=2, agglomerate=True, **TIGHT),
    OSCAR(ranks="all", pairwise=1.0, **TIGHT),
    SLOPE(lambdas="gaussian", warm_start=True, max_features=2, **TIGHT),
    SLOPEClassifier(0.01, lambdas="lasso", **TIGHT),
    SLOPEClassifier(max_features=2, agglomerate=True, **TIGHT),
    GrOWL(lambdas="bh", agglomerate=True, **TIGHT),
    OSCARCV(loss="poisson", **FOLDS),
    OSCARCV(scoring="r2", selection="1se", agglomerate=True, **FOLDS),
    OSCARClassifierCV(**{**FOLDS, **LOOSE}),
    SLOPEClassifierCV(**{**FOLDS, **LOOSE}),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:No features were selected:UserWarning"),
    pytest.mark.filterwarnings("ignore:No strength keeps exactly:UserWarning"),
    pytest.mark.filterwarnings("ignore:Only .* are kept at any strength:UserWarning"),
    pytest.mark.filterwarnings("ignore:max_.* is more than X has:UserWarning"),
    pytest.mark.filterwarnings("ignore:The least populated class:UserWarning"),
]


@parametrize_with_checks(FAST)
def test_sklearn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(SLOW)
def test_sklearn_contract_of_every_option(estimator: Any, check: Any) -> None:
    check(estimator)
