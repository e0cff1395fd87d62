"""Problems of the group lasso with their objective and duality gap, in plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.judged import JudgedProblem, targets_of, toeplitz

N_ACTIVE, SIGNAL_TO_NOISE, CORRELATION = 10, 10.0, 0.5


@dataclass(frozen=True)
class GroupProblem(JudgedProblem):
    """Mean loss plus ``alpha`` times the sparse group lasso penalty, with an intercept.

    Parameters
    ----------
    X, y, logistic
        As in :class:`JudgedProblem`.
    sizes : ndarray of shape (n_groups,)
        Numbers of features of the groups, which are contiguous.
    l1_ratio : float
        Share of the L1 norm.
    """

    sizes: np.ndarray
    l1_ratio: float = 0.0

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
    X = toeplitz(n, p, CORRELATION, rng)
    counts = group_sizes(p, *sizes, rng)
    active = rng.choice(len(counts), N_ACTIVE, replace=False)
    coef = np.where(np.isin(np.repeat(np.arange(len(counts)), counts), active), 1.0, 0.0)
    coef *= rng.standard_normal(p)
    y = targets_of(X @ coef, SIGNAL_TO_NOISE, rng, logistic=logistic)
    return GroupProblem(X, y, counts, logistic=logistic)
