"""Linear models with a penalty: their objective and duality gap, in plain NumPy.

Nothing here uses the package: answers of all solvers are judged by the same lines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

#: A single fit is at the largest strength over this, a path ends at the largest strength over that.
SINGLE, LOWEST, N_POINTS = 20.0, 100.0, 100


@dataclass(frozen=True)
class JudgedProblem(ABC):
    """Mean loss plus ``alpha`` times a norm of the coefficients, with an intercept.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Features, in Fortran order.
    y : ndarray of shape (n_samples,)
        Targets; -1 and 1 for the log loss.
    logistic : bool
        The log loss instead of half the squared error.
    """

    X: np.ndarray
    y: np.ndarray
    logistic: bool = field(default=False, kw_only=True)

    @abstractmethod
    def penalties(self, coefs: np.ndarray) -> np.ndarray:
        """The penalty at unit strength of each column of coefficients."""

    @abstractmethod
    def dual_norms(self, gradients: np.ndarray) -> np.ndarray:
        """The least strength at which each column of gradients allows coefficients of zero."""

    @cached_property
    def alpha_max(self) -> float:
        """The smallest strength that selects nothing."""
        residual = self.y - self.y.mean()
        if self.logistic:
            residual /= 2  # the classes are -1 and 1, their probability the share of ones
        gradient = self.X.T @ residual / len(self.y)
        return float(self.dual_norms(gradient[:, None])[0])

    @property
    def single(self) -> np.ndarray:
        """The strength of a single fit, as a path of one."""
        return np.array([self.alpha_max / SINGLE])

    @property
    def path(self) -> np.ndarray:
        """The strengths of a path."""
        return self.alpha_max * np.geomspace(1.0, 1 / LOWEST, N_POINTS)

    @cached_property
    def centred(self) -> tuple[np.ndarray, np.ndarray]:
        """Centred features, in Fortran order, and their means."""
        means = self.X.mean(axis=0)
        return np.asfortranarray(self.X - means), means

    def judge(
        self, alphas: np.ndarray, coefs: np.ndarray, intercepts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Objectives and duality gaps.

        The dual point is the gradient of the loss with the intercept refitted, scaled into the
        dual ball; of the scales that are allowed the best for the squared loss.

        Parameters
        ----------
        alphas : ndarray of shape (n_points,)
            Strengths.
        coefs : ndarray of shape (n_features, n_points)
            Coefficients.
        intercepts : ndarray of shape (n_points,)
            Intercepts.
        """
        coefs = np.asarray(coefs, dtype=np.float64)
        fitted = self._products(coefs)
        values = self._judge_logistic if self.logistic else self._judge_squared
        return values(alphas, fitted, np.asarray(intercepts, dtype=np.float64), coefs)

    def _products(self, coefs: np.ndarray) -> np.ndarray:
        used = np.flatnonzero(np.any(coefs, axis=1))
        return self.X[:, used] @ coefs[used]

    def _judge_squared(
        self, alphas: np.ndarray, fitted: np.ndarray, intercepts: np.ndarray, coefs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        n = len(self.y)
        residuals = self.y[:, None] - fitted - intercepts
        penalties = alphas * self.penalties(coefs)
        objectives = np.sum(residuals**2, axis=0) / (2 * n) + penalties
        duals = residuals - residuals.mean(axis=0)
        squares = np.sum(duals**2, axis=0)
        norms = self.dual_norms(self.X.T @ duals / n)
        best = self.y @ duals / np.maximum(squares, np.finfo(float).tiny)
        limits = alphas / np.maximum(norms, np.finfo(float).tiny)
        scales = np.clip(best, -limits, limits)
        bounds = scales * (self.y @ duals) / n - scales**2 * squares / (2 * n)
        return objectives, objectives - bounds

    def _judge_logistic(
        self, alphas: np.ndarray, fitted: np.ndarray, intercepts: np.ndarray, coefs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        n = len(self.y)
        signs = self.y[:, None]
        penalties = alphas * self.penalties(coefs)
        objectives = np.logaddexp(0.0, -signs * (fitted + intercepts)).mean(axis=0) + penalties
        shares = refitted_shares(fitted, intercepts, self.y)
        norms = self.dual_norms(self.X.T @ (signs * shares) / n)
        scales = np.minimum(1.0, alphas / np.maximum(norms, np.finfo(float).tiny))
        shares = shares * scales
        entropies = entropy(shares) + entropy(1 - shares)
        return objectives, objectives - entropies.mean(axis=0)


def refitted_shares(fitted: np.ndarray, intercepts: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probabilities of the wrong class, at the intercepts that make the gradient sum to zero."""
    levels = intercepts.copy()
    signs = y[:, None]
    for _ in range(50):
        probabilities = 1 / (1 + np.exp(-(fitted + levels)))
        slopes = (probabilities - (signs > 0)).sum(axis=0)
        curvatures = (probabilities * (1 - probabilities)).sum(axis=0)
        steps = np.clip(slopes / np.maximum(curvatures, 1e-300), -1.0, 1.0)
        levels = levels - steps
        if np.abs(steps).max() < 1e-14:
            break
    return 1 / (1 + np.exp(signs * (fitted + levels)))


def entropy(shares: np.ndarray) -> np.ndarray:
    """-p log p, zero at zero."""
    return -shares * np.log(np.maximum(shares, np.finfo(float).tiny))


def toeplitz(n: int, p: int, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Normal features, in Fortran order.

    Their correlation is a number to the power of their distance.
    """
    X = np.empty((n, p), order="F")
    X[:, 0] = rng.standard_normal(n)
    for j in range(1, p):
        X[:, j] = correlation * X[:, j - 1]
        X[:, j] += np.sqrt(1 - correlation**2) * rng.standard_normal(n)
    return X


def targets_of(
    signal: np.ndarray, signal_to_noise: float, rng: np.random.Generator, *, logistic: bool
) -> np.ndarray:
    """A signal of unit variance and normal noise, or the signs of that."""
    noise = rng.standard_normal(len(signal)) / np.sqrt(signal_to_noise)
    y = np.asarray(signal / signal.std() + noise)
    return np.where(y > 0, 1.0, -1.0) if logistic else y


def standardised(data: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Features that vary, standardised, in Fortran order; and classes for numbers."""
    X = np.asarray(data["X"], dtype=np.float64)
    y = np.unique(data["y"], return_inverse=True)[1].astype(np.float64)
    X = X[:, X.std(axis=0) > 0]
    return np.asfortranarray((X - X.mean(axis=0)) / X.std(axis=0)), y
