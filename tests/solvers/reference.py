"""A slow, independent solver for convex problems: FISTA on the plain objective."""

from __future__ import annotations

import numpy as np

from sksparse.penalties import Penalty


def fista(
    X: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    loss: str,
    penalty: Penalty,
    alpha: float,
    fit_intercept: bool = True,
    n_steps: int = 50_000,
) -> tuple[np.ndarray, float]:
    """Coefficients and intercept; the intercept is one more, unpenalised, column of ones."""
    n, p = X.shape
    A = np.c_[X, np.ones(n)] if fit_intercept else X
    weights = weights / weights.sum()
    bound = 1.0 if loss == "squared" else 0.25
    lipschitz = bound * np.linalg.eigvalsh(A.T @ (weights[:, None] * A))[-1]

    def gradient(w: np.ndarray) -> np.ndarray:
        z = A @ w
        fitted = z if loss == "squared" else 1.0 / (1.0 + np.exp(-z))
        return A.T @ (weights * (fitted - y))

    w = point = np.zeros(A.shape[1])
    t = 1.0
    for _ in range(n_steps):
        v = point - gradient(point) / lipschitz
        new = v.copy()
        new[:p] = penalty.prox(v[:p], alpha / lipschitz)
        if (point - new) @ (new - w) > 0:
            t, point = 1.0, w
            v = point - gradient(point) / lipschitz
            new = v.copy()
            new[:p] = penalty.prox(v[:p], alpha / lipschitz)
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        point = new + (t - 1.0) / following * (new - w)
        done = np.abs(new - w).max() < 1e-14
        w, t = new, following
        if done:
            break
    return w[:p], float(w[p]) if fit_intercept else 0.0
