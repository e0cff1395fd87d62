"""Columns far from zero, constant ones, dependent ones, and those that must stay."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.linear_model import L0Classifier, L0Regressor, L0RegressorCV, l0_path

SOLVERS = ("auto", "swap", "splicing", "cd", "forward", "backward", "iht", "exact")


def far(seed: int, draw: int, mean: float, p: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, draw])
    Z = rng.standard_normal((60, p))
    return Z + mean, Z[:, :3].sum(axis=1) + 0.3 * rng.standard_normal(60)


def least_squares(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Exact where the mean is large: differences from the first row lose no digits."""
    Z = X - X[0]
    return np.asarray(np.linalg.lstsq(Z - Z.mean(axis=0), y - y.mean())[0])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mean", [1e4, 1e6, -1e6])
@pytest.mark.parametrize("form", [sp.csr_array, np.asarray])
def test_means_of_millions(seed: int, solver: str, mean: float, form: Any) -> None:
    for draw in range(3):
        X, y = far(seed, draw, mean)
        X[draw, 5:] = 0.0  # some columns of a sparse matrix have a zero
        model = L0Regressor(alpha=0.02, solver=solver).fit(form(X), y)
        assert model.get_support(indices=True).tolist() == [0, 1, 2]
        np.testing.assert_allclose(model.coef_[:3], least_squares(X[:, :3], y), rtol=1e-6)
        np.testing.assert_allclose(model.predict(X).mean(), y.mean(), atol=1e-6)


def test_sparse_means_of_millions_elsewhere(seed: int) -> None:
    X, y = far(seed, 0, 1e6)
    S = sp.csr_array(X)
    signed = L0Regressor(alpha=0.02, positive=True).fit(S, y)
    np.testing.assert_allclose(signed.coef_[:3], least_squares(X[:, :3], y), rtol=1e-6)
    chosen = L0RegressorCV(cv=3).fit(S, y)
    assert {0, 1, 2} <= set(chosen.get_support(indices=True).tolist())
    assert np.flatnonzero(l0_path(S, y, max_features=[3]).coefs[:, 0]).tolist() == [0, 1, 2]
    classes = (y > 0).astype(int)
    near = L0Classifier(max_features=3, l2=0.05).fit(X - 1e6, classes)
    there = L0Classifier(max_features=3, l2=0.05).fit(S, classes)
    np.testing.assert_allclose(there.coef_, near.coef_, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("constant", [1.0, 1e6, -3.3e12, 1.7e18])
@pytest.mark.parametrize("sparse", [False, True])
def test_constants_are_not_features(
    seed: int, solver: str, dtype: type, constant: float, sparse: bool
) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 6)).astype(dtype)
    y = X[:, 3] + 0.3 * rng.standard_normal(60)
    X[:, 0] = constant
    # constant but for rounding, whose sign the target has
    X[:, 1] = np.nextafter(dtype(constant), np.where(y > 0, np.inf, -np.inf).astype(dtype))
    X[:, 2] = dtype(constant) * (1.0 + (1e-9 if dtype is np.float64 else 1e-7) * np.sign(y))
    model = L0Regressor(alpha=0.0, solver=solver).fit(sp.csc_array(X) if sparse else X, y)
    assert not model.coef_[:3].any()
    assert model.coef_[3] != 0.0


@pytest.mark.parametrize("solver", SOLVERS)
def test_forced_features_stay_with_those_they_depend_on(seed: int, solver: str) -> None:
    for draw in range(20):
        rng = np.random.default_rng([seed, draw])
        n, p = int(rng.integers(15, 40)), 12
        X = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-3, 4, p)
        X[:, 3], X[:, 4] = 2.0 * X[:, 0], X[:, 0] / X[:, 0].std() - X[:, 1] / X[:, 1].std()
        y = X[:, 0] / X[:, 0].std() + X[:, 1] / X[:, 1].std() + rng.standard_normal(n)
        weights = np.ones(p)
        weights[[3, 4]] = 0.0
        for options in ({"max_features": 3}, {"alpha": 0.001}):
            model = L0Regressor(solver=solver, penalty_weights=weights, **options).fit(X, y)
            assert model.coef_[3:5].all()


def test_iht_keeps_forced_features(seed: int) -> None:
    for draw in range(60):
        rng = np.random.default_rng([seed, draw])
        n, p = int(rng.integers(15, 60)), int(rng.integers(8, 40))
        X = rng.standard_normal((n, p))
        X[:, 3], X[:, 4] = 2.0 * X[:, 0], X[:, 0] - X[:, 1]
        y = X[:, 2] + rng.standard_normal(n)
        weights = np.ones(p)
        weights[[3, 4]] = 0.0
        for options in ({"max_features": 3}, {"alpha": 0.02}, {"alpha": 0.001}):
            model = L0Regressor(solver="iht", penalty_weights=weights, **options).fit(X, y)
            assert model.coef_[3:5].all()


@pytest.mark.parametrize("options", [{"l2": 0.1, "max_features": 3}, {"alpha": 0.05}])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_exact_search_does_not_copy_a_memory_map(
    rng: np.random.Generator, tmp_path: Path, options: dict[str, Any], order: str
) -> None:
    shape = (40_000, 60)
    X = np.memmap(tmp_path / "X", dtype=np.float64, mode="w+", shape=shape, order=order)
    X[:] = rng.standard_normal(shape)
    y = X[:, :3].sum(axis=1) + rng.standard_normal(shape[0])
    L0Regressor(solver="exact", **options).fit(X[:200], y[:200])
    tracemalloc.start()
    model = L0Regressor(solver="exact", **options).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.get_support(indices=True).tolist() == [0, 1, 2]
    assert peak < 0.5 * X.nbytes


def test_squares_of_sparse_float32_are_taken_in_float64(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 5)) * (rng.random((60, 5)) < 0.5)
    y = X[:, 1] - X[:, 3] + 0.1 * rng.standard_normal(60)
    far = sp.csr_array((X * 1e25).astype(np.float32))
    model = L0Regressor(max_features=2).fit(far, y)
    assert model.get_support(indices=True).tolist() == [1, 3]
