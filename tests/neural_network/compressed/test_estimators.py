"""Perceptrons with few parameters: the contract of scikit-learn, counts, refusals."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sksparse.layers import HashedLinear, LowRankLinear
from sksparse.neural_network import (
    HashedMLPClassifier,
    HashedMLPRegressor,
    LowRankMLPClassifier,
    LowRankMLPRegressor,
)
from sksparse.neural_network.compressed._low_rank import covariance
from sksparse.neural_network.training._data import DenseTable, Rows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL: dict[str, Any] = {
    "max_iter": 15,
    "batch_size": 50,
    "learning_rate_init": 0.05,
    "device": "cpu",
}
KINDS = (HashedMLPClassifier, HashedMLPRegressor, LowRankMLPClassifier, LowRankMLPRegressor)


@parametrize_with_checks([kind((30,), share=0.5, **SMALL) for kind in KINDS])
def test_contract(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        HashedMLPClassifier((20, 10), solver="sgd", batch_norm=True, dropout=0.2, **SMALL),
        LowRankMLPRegressor(
            (20, 10), basis="identity", hidden_basis="covariance", share=0.8, **SMALL
        ),
        LowRankMLPClassifier((20,), basis="random", n_columns=4, share=0.8, **SMALL),
    ]
)
def test_contract_of_options(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


def quick(kind: type, *args: Any, **options: Any) -> Any:
    return kind(*args, **{**SMALL, "learning_rate_init": 5e-3, "random_state": 0, **options})


def test_hashed_layers_store_their_share_and_nothing_else(digits: Any) -> None:
    model = quick(HashedMLPClassifier, (50, 20), share=0.1).fit(*digits)
    dense = [50 * 65, 20 * 51, 10 * 21]
    assert model.n_dense_parameters_ == sum(dense)
    assert model.n_parameters_ == model.n_stored_ == sum(round(0.1 * n) for n in dense)
    assert model.n_parameters_ == sum(p.numel() for p in model.module_.parameters())
    assert [type(layer) for layer in model.module_][::2] == [HashedLinear] * 3
    seeds = {layer.seed for layer in model.module_ if isinstance(layer, HashedLinear)}
    assert len(seeds) == 3
    assert [w.shape for w in model.coefs_] == [(64, 50), (50, 20), (20, 10)]
    for weight, bias, layer in zip(
        model.coefs_, model.intercepts_, model.module_[::2], strict=True
    ):
        values = set(layer.values.detach().abs().numpy().ravel())
        assert set(np.abs(weight).ravel()) | set(np.abs(bias)) <= values


def test_low_rank_layers_learn_their_share_of_the_weights(digits: Any) -> None:
    options: dict[str, Any] = {"share": 0.25, "n_columns": 4, "basis": "identity"}
    model = quick(LowRankMLPClassifier, (50, 20), **options).fit(*digits)
    n_values = 16 * 50 + 12 * 20
    others = 50 + 20 + 21 * 10
    assert model.n_parameters_ == n_values + others
    assert model.n_dense_parameters_ == 50 * 65 + 20 * 51 + 10 * 21
    # the columns of the identity are stored as their places, random vectors as they are
    assert model.n_stored_ == model.n_parameters_ + 4 * 16 + 4 * 50 * 12
    assert [type(layer) for layer in model.module_][::2] == [LowRankLinear] * 2 + [nn.Linear]
    # each column has features of its own
    uses = [(w != 0).any(axis=1) for w in np.array_split(model.coefs_[0], 4, axis=1)]
    assert [int(use.sum()) for use in uses] == [16] * 4
    assert not np.array_equal(uses[0], uses[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_predictions_are_those_of_the_module(kind: type, batch_norm: bool, digits: Any) -> None:
    X = digits[0].astype(np.float32)
    model = quick(kind, (30,), max_iter=3, batch_norm=batch_norm).fit(X, digits[1])
    # not handed out yet: computed by NumPy
    found = model._forward(X)
    with torch.no_grad():
        expected = model.module_(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(model._forward(X.astype(np.float64)), expected, atol=1e-5)
    rebuilt = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    if not batch_norm:
        rebuilt = rebuilt @ model.coefs_[1] + model.intercepts_[1]
        np.testing.assert_allclose(rebuilt, expected, atol=1e-4)


@pytest.mark.parametrize("kind", [HashedMLPClassifier, LowRankMLPClassifier])
def test_they_learn_and_are_stored_small(kind: type, digits: Any) -> None:
    X, y = digits
    model = quick(kind, (100,), share=0.3, max_iter=60).fit(X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > 0.75
    assert pickle.loads(pickle.dumps(model)).score(X, y) == model.score(X, y)
    if kind is HashedMLPClassifier:
        assert len(pickle.dumps(model.set_params(verbose=0))) < 4 * model.n_dense_parameters_


def test_targets_of_other_units_and_scales(rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 6))
    y = np.column_stack([1e4 + 100 * X[:, 0], 1e-3 * X[:, 1] * X[:, 0]])
    for kind in (HashedMLPRegressor, LowRankMLPRegressor):
        model = quick(kind, (60,), share=0.7, max_iter=80).fit(X, y)
        assert model.score(X, y) > 0.8
        with torch.no_grad():
            outputs = model.module_(torch.from_numpy(X.astype(np.float32))).numpy()
        restored = model.target_shift_ + model.target_scale_ * outputs
        np.testing.assert_allclose(model.predict(X), restored, rtol=1e-5, atol=1e-6)


def test_equal_samples_are_weights(digits: Any) -> None:
    X, y = digits[0][:100], digits[1][:100]
    weight = np.where(np.arange(100) < 50, 2.0, 1.0)
    for kind in (HashedMLPClassifier, LowRankMLPClassifier):
        model = quick(kind, (20,), max_iter=3)
        twice = clone(model).fit(np.vstack([X, X[:50]]), np.append(y, y[:50]))
        weighted = clone(model).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(weighted.predict_proba(X), twice.predict_proba(X))


@pytest.mark.parametrize("kind", [HashedMLPClassifier, LowRankMLPClassifier])
def test_fits_go_on_with_the_same_layers(kind: type, digits: Any) -> None:
    model = quick(kind, (20,), max_iter=2, warm_start=True).fit(*digits)
    first = [layer.dense() for layer in model.module_ if not isinstance(layer, nn.ReLU | nn.Linear)]
    seeds = [layer.seed for layer in model.module_ if isinstance(layer, HashedLinear)]
    score = model.score(*digits)
    model.set_params(max_iter=20).fit(*digits)
    assert [layer.seed for layer in model.module_ if isinstance(layer, HashedLinear)] == seeds
    assert model.score(*digits) > score
    assert model.n_parameters_ < model.n_dense_parameters_
    n_epochs = model.n_iter_
    model.partial_fit(*digits)
    assert model.n_iter_ == n_epochs + 1
    assert len(first) in (1, 2)
    with pytest.raises(ValueError, match="warm_start=True cannot continue"):
        model.set_params(share=0.5).fit(*digits)


def test_sparse_features_teachers_and_searches(digits: Any) -> None:
    X, y = digits
    teacher = quick(HashedMLPClassifier, (40,), share=0.5).fit(X, y)
    student = quick(HashedMLPClassifier, (20,), teacher=FrozenEstimator(teacher))
    search = GridSearchCV(student, {"share": [0.05, 0.3]}, cv=2)
    search.fit(sparse.csr_array(X), y)
    assert search.best_params_ == {"share": 0.3}
    labels = np.eye(10, dtype=int)[y]
    several = quick(LowRankMLPClassifier, (30,), early_stopping=True).fit(X, labels)
    assert several.predict(X).shape == labels.shape


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_shape": (8, 8)}, "image_shape=.* with basis='covariance'"),
        ({"basis": "squared_exponential"}, "image_shape=None with basis='squared_exponential'"),
        ({"basis": "squared_exponential", "image_shape": (8, 7)}, "product is the number"),
        ({"basis": "squared_exponential", "image_shape": (8.0, 8.0)}, "positive integers"),
        ({"n_columns": 31}, "n_columns=31 is more than the 30 units"),
        ({"basis": "fourier"}, "'basis' parameter"),
        ({"share": 0.0}, "'share' parameter"),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: dict[str, Any], message: str, digits: Any
) -> None:
    model = quick(LowRankMLPClassifier, (30,), **options)
    with pytest.raises(ValueError, match=message):
        model.fit(*digits)
    assert not hasattr(model, "module_")


def test_options_of_sparsifiers_are_no_parameters() -> None:
    for kind in KINDS:
        names = kind().get_params()
        assert not {"sparsifier", "alpha", "target_sparsity", "compact"} & set(names)
        assert not hasattr(kind, "compacted")


@pytest.mark.parametrize("basis", ["identity", "random", "covariance", "squared_exponential"])
def test_every_basis_learns(basis: str, digits: Any) -> None:
    image_shape = (8, 8) if basis == "squared_exponential" else None
    model = quick(
        LowRankMLPClassifier,
        (60, 30),
        basis=basis,
        hidden_basis="covariance",
        image_shape=image_shape,
        share=0.3,
        n_columns=2,
    ).fit(*digits)
    assert model.score(*digits) > 0.85


def test_a_kernel_of_pixels_makes_smooth_weights(digits: Any) -> None:
    options = {"image_shape": (8, 8), "basis": "squared_exponential", "length_scale": 2.0}
    smooth = quick(LowRankMLPClassifier, (40,), max_iter=1, **options).fit(*digits)
    rough = quick(LowRankMLPClassifier, (40,), max_iter=1, basis="random").fit(*digits)

    def roughness(model: Any) -> float:
        images = model.coefs_[0].T.reshape(-1, 8, 8)
        return float(np.square(np.diff(images, axis=2)).mean() / np.square(images).mean())

    assert roughness(smooth) < 0.5 * roughness(rough)


def test_covariances_are_weighted(rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 4)).astype(np.float32)
    weight = rng.integers(1, 4, size=50)
    rows = Rows(
        DenseTable(X, torch.device("cpu")),
        torch.zeros(50),
        torch.from_numpy(weight.astype(np.float32)),
        torch.arange(50),
    )
    expected = np.cov(X.T, fweights=weight, ddof=0)
    np.testing.assert_allclose(covariance(nn.Identity(), rows), expected, atol=1e-5)


def test_features_that_do_not_vary(digits: Any) -> None:
    X = np.hstack([digits[0], np.ones((len(digits[0]), 20))])
    model = quick(LowRankMLPClassifier, (40,), share=0.1).fit(X, digits[1])
    # constant features are no part of the covariance
    assert not model.coefs_[0][64:].any()
    constant = quick(LowRankMLPRegressor, (5,), max_iter=1).fit(np.ones((9, 3)), np.arange(9.0))
    np.testing.assert_allclose(constant.predict(np.ones((1, 3))), 4.0, atol=3.0)
