"""What the literature says of false discoveries and of prediction errors, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import enet_path, lasso_path

from sksparse.linear_model import SLOPE, oscar_path
from sksparse.penalties import prox_sorted_l1, slope_weights

pytestmark = pytest.mark.slow

Q = 0.1


def false_share(coef: np.ndarray, n_true: int) -> float:
    """Share of false ones among the discoveries, where the first features are the true ones."""
    found = np.flatnonzero(coef)
    return float(np.sum(found >= n_true) / max(len(found), 1))


@pytest.mark.parametrize("n_true", [0, 10, 50, 200])
def test_false_discoveries_of_orthogonal_features(n_true: int, rng: np.random.Generator) -> None:
    n = p = 1000
    sigma, n_runs = 1.5, 200
    X = sparse.csc_matrix(np.sqrt(n) * sparse.eye(n))
    alpha = sigma / np.sqrt(n)
    coef = np.zeros(p)
    coef[:n_true] = alpha * np.linspace(3.0, 6.0, n_true)
    weights = alpha * slope_weights(p, q=Q)
    shares = np.empty(n_runs)
    for run in range(n_runs):
        y = X @ coef + sigma * rng.standard_normal(n)
        model = SLOPE(alpha=alpha, lambdas="bh", q=Q, fit_intercept=False).fit(X, y)
        shares[run] = false_share(model.coef_, n_true)
    # orthogonal features: the fit is one proximal step
    np.testing.assert_allclose(model.coef_, prox_sorted_l1(X.T @ y / n, weights), atol=1e-4)
    error = max(shares.std(), np.sqrt(Q / n_runs) / 2) / np.sqrt(n_runs)
    assert shares.mean() <= Q * (p - n_true) / p + 3.0 * error
    # and the procedure is not idle
    assert n_true == 0 or np.count_nonzero(model.coef_[:n_true]) > 0.3 * n_true


def test_false_discoveries_of_orthonormal_mixtures(rng: np.random.Generator) -> None:
    n, p, n_true, n_runs = 400, 300, 30, 200
    X = np.sqrt(n) * np.linalg.qr(rng.standard_normal((n, p)))[0]
    coef = np.where(np.arange(p) < n_true, 0.25, 0.0)
    shares = []
    for _ in range(n_runs):
        y = X @ coef + rng.standard_normal(n)
        model = SLOPE(alpha=n**-0.5, q=Q, fit_intercept=False).fit(X, y)
        shares.append(false_share(model.coef_, n_true))
    bound = Q * (p - n_true) / p
    assert np.mean(shares) <= bound + 3.0 * np.std(shares) / np.sqrt(n_runs)


def test_the_correction_for_gaussian_designs_keeps_false_discoveries_few(
    rng: np.random.Generator,
) -> None:
    n, p, n_true, n_runs = 1000, 1000, 30, 60
    coef = np.where(np.arange(p) < n_true, 1.5 * np.sqrt(2.0 * np.log(p) / n), 0.0)
    shares: dict[str, list[float]] = {"bh": [], "gaussian": []}
    n_found = 0
    for _ in range(n_runs):
        X = rng.standard_normal((n, p))
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        y = X @ coef + rng.standard_normal(n)
        for lambdas, found in shares.items():
            model = SLOPE(alpha=n**-0.5, lambdas=lambdas, q=Q).fit(X, y)
            found.append(false_share(model.coef_, n_true))
            n_found += np.count_nonzero(model.coef_[:n_true])
    assert n_found > 0.8 * 2 * n_runs * n_true
    assert np.mean(shares["gaussian"]) < 1.5 * Q
    assert np.mean(shares["bh"]) > 2.0 * Q


def toeplitz(p: int) -> np.ndarray:
    positions = np.arange(p)
    return 0.7 ** np.abs(positions[:, None] - positions)


def latent_groups() -> np.ndarray:
    covariance = np.eye(40)
    for start in (0, 5, 10):
        covariance[start : start + 5, start : start + 5] = 1.0 + 0.16 * np.eye(5)
    return covariance


# Coefficients, covariance of the features, noise and number of samples, of Bondell and Reich.
EXAMPLES = {
    2: ([3, 0, 0, 1.5, 0, 0, 0, 2], toeplitz(8), 3.0, 20),
    3: ([0.85] * 8, toeplitz(8), 3.0, 20),
    4: (np.repeat([0.0, 2.0, 0.0, 2.0], 10), 0.5 * np.eye(40) + 0.5, 15.0, 100),
    5: ([3.0] * 15 + [0.0] * 25, latent_groups(), 15.0, 50),
}


def ridge_path(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(X.T @ X / len(y))
    target = vectors.T @ (X.T @ y / len(y))
    return vectors @ (target[:, None] / (values[:, None] + np.geomspace(1e-3, 1e2, 40)))


def errors_of_tuned_fits(example: int, rng: np.random.Generator) -> list[float]:
    """Errors of ridge, lasso, elastic net and OSCAR, tuned on as many samples as they have."""
    coef, covariance, noise, n = EXAMPLES[example]
    X = rng.standard_normal((2 * n, len(coef))) @ np.linalg.cholesky(covariance).T
    y = X @ coef + noise * rng.standard_normal(2 * n)
    scale = X[:n].std(axis=0)
    X, y = (X - X[:n].mean(axis=0)) / scale, y - y[:n].mean()
    train, target = X[:n], y[:n]
    families = [
        [ridge_path(train, target)],
        [lasso_path(train, target, alphas=40, max_iter=100_000)[1]],
        [
            enet_path(train, target, l1_ratio=r, alphas=40, max_iter=100_000)[1]
            for r in (0.05, 0.3, 0.7)
        ],
        [
            oscar_path(train, target, pairwise=share, alphas=20, eps=2e-3, tol=1e-4).coefs
            for share in (0.2, 0.6, 1.0)
        ],
    ]
    errors = []
    for paths in families:
        fits = np.hstack(paths)
        held_out = np.sum((y[n:, None] - X[n:] @ fits) ** 2, axis=0)
        off = fits[:, np.argmin(held_out)] / scale - coef
        errors.append(float(off @ covariance @ off))
    return errors


@pytest.mark.parametrize("example", EXAMPLES)
def test_orderings_of_the_simulation_of_oscar(example: int, rng: np.random.Generator) -> None:
    errors = [errors_of_tuned_fits(example, rng) for _ in range(100)]
    ridge, lasso, net, oscar = np.median(errors, axis=0)
    if example in (3, 4):
        # many correlated features of one size: the lasso is far behind
        assert lasso > 1.4 * max(ridge, net, oscar)
        assert oscar < 1.3 * min(ridge, net)
    else:
        assert oscar < 1.15 * min(ridge, lasso, net)
    if example == 5:
        assert oscar < min(ridge, lasso)
