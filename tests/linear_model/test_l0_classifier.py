"""L0Classifier against exhaustive search, refits of every neighbour, and its contract."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.linear_model import L0Classifier


@parametrize_with_checks(
    [
        L0Classifier(),
        L0Classifier(max_features=2),
        L0Classifier(warm_start=True, l1=0.01, l2=0.01),
    ]
)
def test_sklearn_contract(estimator: L0Classifier, check: Any) -> None:
    check(estimator)
