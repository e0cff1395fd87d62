"""The estimator contract of scikit-learn, for every sparsifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
    SparseNetRegressor,
)
from sksparse.sparsifiers import SPARSIFIERS, HardConcrete, Magnitude

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL: dict[str, Any] = {
    "max_iter": 15,
    "batch_size": 50,
    "learning_rate_init": 0.05,
    "device": "cpu",
}
# wide enough for the methods that keep a tenth of the weights when nothing is asked for
MLP: dict[str, Any] = {"hidden_layer_sizes": (50,), **SMALL}


class Network(nn.Sequential):
    """A class is a function that makes modules, and one whose name has no address in it."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__(nn.Linear(n_features, 10), nn.Tanh(), nn.Linear(10, n_outputs))


def options_of(name: str | None) -> dict[str, Any]:
    """A sparsifier, with the layers that it needs."""
    return {"sparsifier": name, "batch_norm": name == "slimming"}


@parametrize_with_checks([SparseMLPClassifier(**options_of(name), **MLP) for name in SPARSIFIERS])
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_classifier_contract(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)


#: Methods of whole units share what a fit does with the rest of a network.
OF_UNITS = ("iss", "nisp", "product_gates", "random", "ssl", "taylor")


def regressors(*, of_units: bool) -> list[SparseMLPRegressor]:
    # scikit-learn sets alpha=0.01 here, whose penalty grows with the number of weights
    return [
        SparseMLPRegressor(**options_of(name), **{**MLP, "hidden_layer_sizes": (10,)})
        for name in SPARSIFIERS
        if (name in OF_UNITS) == of_units
    ]


@pytest.mark.slow
@parametrize_with_checks(regressors(of_units=True))
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_regressor_contract_of_methods_of_units(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)


@parametrize_with_checks(regressors(of_units=False))
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_regressor_contract(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)


@parametrize_with_checks(
    [SparseNetClassifier(Network, **SMALL), SparseNetRegressor(Network, **SMALL)]
)
def test_contract_with_a_module(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        SparseMLPClassifier(sparsifier="l0", target_sparsity=0.5, **MLP),
        SparseMLPClassifier(sparsifier=HardConcrete(granularity="input"), **MLP),
        SparseMLPClassifier(sparsifier=Magnitude(scope="layer"), target_sparsity=0.5, **MLP),
        SparseMLPClassifier(solver="sgd", batch_norm=True, dropout=0.2, ema_decay=0.9, **MLP),
        SparseMLPClassifier(sparsifier="l0", granularity="unit", compact=True, **MLP),
        SparseMLPRegressor(sparsifier="filters", target_units=0.5, compact_during=True, **MLP),
        SparseNetClassifier(
            Network, sparsifier="group", granularity="unit", compact_during=True, **SMALL
        ),
        SparseNetRegressor(Network, sparsifier="random", target_flops=0.4, compact=True, **SMALL),
    ]
)
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_contract_of_options(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)
