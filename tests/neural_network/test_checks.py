"""The estimator contract of scikit-learn, for every sparsifier that changes the code path."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import HardConcrete, Magnitude

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {
    "hidden_layer_sizes": (10,),
    "max_iter": 15,
    "batch_size": 50,
    "learning_rate_init": 0.05,
    "device": "cpu",
}


@parametrize_with_checks(
    [SparseMLPClassifier(sparsifier=name, **SMALL) for name in ("l0", "magnitude", None)]
)
def test_estimator_contract(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        SparseMLPClassifier(sparsifier="l0", target_sparsity=0.5, **SMALL),
        SparseMLPClassifier(sparsifier=HardConcrete(granularity="input"), **SMALL),
        SparseMLPClassifier(sparsifier=Magnitude(scope="layer"), target_sparsity=0.5, **SMALL),
    ]
)
def test_estimator_contract_of_options(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)
