"""Problems of the group lasso with their objective and duality gap, in plain NumPy.

Nothing here uses the package: answers of all solvers are judged by the same lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: A single fit is at the largest strength over this, a path ends at the largest strength over that.
SINGLE, LOWEST, N_POINTS = 20.0, 100.0, 100
N_ACTIVE, SIGNAL_TO_NOISE, CORRELATION = 10, 10.0, 0.5


@dataclass(frozen=True)
class GroupProblem:
    """Mean loss plus ``alpha`` times the sparse group lasso penalty, with an intercept.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Features, in Fortran order.
    y : ndarray of shape (n_samples,)
        Targets; -1 and 1 for the log loss.
    sizes : ndarray of shape (n_groups,)
        Numbers of features of the groups, which are contiguous.
    l1_ratio : float
        Share of the L1 norm.
    logistic : bool
        The log loss instead of half the squared error.
    """

    X: np.ndarray
    y: np.ndarray
    sizes: np.ndarray
    l1_ratio: float = 0.0
    logistic: bool = False

    @property
    def starts(self) -> np.ndarray:
        """First feature of each group."""
        return np.concatenate(([0], np.cumsum(self.sizes)[:-1]))

    @property
    def labels(self) -> np.ndarray:
        """Group of each feature."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def weights(self) -> np.ndarray:
        """Factors of the groups' norms."""
        return np.sqrt(self.sizes)

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

    def norms(self, coefs: np.ndarray) -> np.ndarray:
        """Norms of the groups of each column of coefficients."""
        return np.sqrt(np.add.reduceat(coefs**2, self.starts, axis=0))

    def penalties(self, coefs: np.ndarray) -> np.ndarray:
        """The penalty at unit strength of each column of coefficients."""
        groups = self.weights @ self.norms(coefs)
        return (1 - self.l1_ratio) * groups + self.l1_ratio * np.abs(coefs).sum(axis=0)

    def dual_norms(self, gradients: np.ndarray) -> np.ndarray:
        """The least strength at which each column of gradients allows coefficients of zero.

        Per group the root of ``||soft(g, v * l1_ratio)|| = v * (1 - l1_ratio) * weight``, by
        bisection; the upper end is taken.
        """
        lengths = self.norms(gradients)
        if self.l1_ratio == 0:
            return (lengths / self.weights[:, None]).max(axis=0)
        factors = (1 - self.l1_ratio) * self.weights
        found = np.empty(gradients.shape[1])
        for point, gradient in enumerate(gradients.T):
            largest = np.maximum.reduceat(np.abs(gradient), self.starts)
            low = np.zeros(len(self.sizes))
            high = largest / self.l1_ratio
            # what no group above can exceed need not be refined
            for _ in range(60):
                middle = (low + high) / 2
                left = np.maximum(np.abs(gradient) - self.l1_ratio * middle[self.labels], 0.0)
                above = np.sqrt(np.add.reduceat(left**2, self.starts)) > factors * middle
                low, high = np.where(above, middle, low), np.where(above, high, middle)
            found[point] = high.max()
        return found

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


def toeplitz(n: int, p: int, rng: np.random.Generator) -> np.ndarray:
    """Normal features whose correlation is .5 to the power of their distance, Fortran order."""
    X = np.empty((n, p), order="F")
    X[:, 0] = rng.standard_normal(n)
    for j in range(1, p):
        X[:, j] = CORRELATION * X[:, j - 1]
        X[:, j] += np.sqrt(1 - CORRELATION**2) * rng.standard_normal(n)
    return X


def group_sizes(p: int, smallest: int, largest: int, rng: np.random.Generator) -> np.ndarray:
    """Random sizes of groups that add up to p."""
    sizes = rng.integers(smallest, largest, p // smallest + 1, endpoint=True)
    ends = np.cumsum(sizes)
    sizes = sizes[: np.searchsorted(ends, p) + 1]
    sizes[-1] -= sizes.sum() - p
    return sizes


def draw(
    shape: tuple[int, int], sizes: tuple[int, int], seed: int, *, logistic: bool = False
) -> GroupProblem:
    """A planted problem: some groups with normal coefficients, and noise."""
    n, p = shape
    rng = np.random.default_rng(seed)
    X = toeplitz(n, p, rng)
    counts = group_sizes(p, *sizes, rng)
    active = rng.choice(len(counts), N_ACTIVE, replace=False)
    coef = np.where(np.isin(np.repeat(np.arange(len(counts)), counts), active), 1.0, 0.0)
    coef *= rng.standard_normal(p)
    signal = X @ coef
    signal /= signal.std()
    noise = rng.standard_normal(n) / np.sqrt(SIGNAL_TO_NOISE)
    if logistic:
        return GroupProblem(X, np.where(signal + noise > 0, 1.0, -1.0), counts, logistic=True)
    return GroupProblem(X, signal + noise, counts)
