"""Planted best-subset problems: correlated Gaussian columns, equal coefficients, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Planted:
    """How a problem is drawn.

    Parameters
    ----------
    shape : tuple of int
        Samples and features.
    rho : float
        Correlation of neighbours, or of all columns.
    k : int
        Features with coefficient 1, evenly spaced.
    snr : float, default=5.0
        Variance of the signal over that of the noise; not used for classes.
    constant : bool, default=False
        Whether any two columns have the same correlation, not only neighbours.
    pairs : bool, default=False
        Whether the features come in pairs of neighbours.
    classes : bool, default=False
        Whether the target is a class, drawn from the logistic model.
    """

    shape: tuple[int, int]
    rho: float
    k: int
    snr: float = 5.0
    constant: bool = False
    pairs: bool = False
    classes: bool = False

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Standardised X, y (of unit variance, or classes) and the planted features."""
        rng = np.random.default_rng(seed)
        X = self._columns(rng)
        X = np.ascontiguousarray((X - X.mean(axis=0)) / X.std(axis=0))
        planted = self._planted()
        signal = X[:, planted].sum(axis=1)
        if self.classes:
            y = (rng.random(len(X)) < 1 / (1 + np.exp(-signal))).astype(np.float64)
            return X, y, planted
        y = signal + rng.standard_normal(len(X)) * np.sqrt(signal.var() / self.snr)
        return X, (y - y.mean()) / y.std(), planted

    def _columns(self, rng: np.random.Generator) -> np.ndarray:
        n, p = self.shape
        noise = rng.standard_normal((n, p))
        if self.constant:
            common = rng.standard_normal((n, 1))
            return np.asarray(np.sqrt(1 - self.rho) * noise + np.sqrt(self.rho) * common)
        X = np.empty((n, p), order="F")
        X[:, 0] = noise[:, 0]
        for j in range(1, p):
            X[:, j] = self.rho * X[:, j - 1] + np.sqrt(1 - self.rho**2) * noise[:, j]
        return X

    def _planted(self) -> np.ndarray:
        p = self.shape[1]
        if not self.pairs:
            return np.linspace(0, p - 1, self.k + 2).round().astype(int)[1:-1]
        first = np.linspace(0, p - 2, self.k // 2 + 2).round().astype(int)[1:-1]
        return np.sort(np.concatenate((first, first + 1)))


REGRESSION = {
    "toep 500x1000 rho.5 k10": Planted((500, 1000), 0.5, 10),
    "toep 500x1000 rho.9 k10": Planted((500, 1000), 0.9, 10),
    "const 500x5000 rho.5 k20": Planted((500, 5000), 0.5, 20, constant=True),
    "toep 1000x10000 rho.5 k50": Planted((1000, 10000), 0.5, 50),
    "toep 1000x10000 rho.9 k25": Planted((1000, 10000), 0.9, 25),
    "const 1000x10000 rho.9 k25": Planted((1000, 10000), 0.9, 25, constant=True),
    "tall 50000x500 rho.5 k25": Planted((50000, 500), 0.5, 25, snr=0.5),
}
HARDER = {
    "pairs 500x1000 rho.9 k10": Planted((500, 1000), 0.9, 10, pairs=True),
    "pairs 1000x10000 rho.9 k24": Planted((1000, 10000), 0.9, 24, pairs=True),
    "toep 300x2000 rho.9 k15": Planted((300, 2000), 0.9, 15),
    "toep 500x5000 rho.95 k20": Planted((500, 5000), 0.95, 20),
}
LOGISTIC = {
    "logistic 1000x2000 rho.5 k15": Planted((1000, 2000), 0.5, 15, classes=True),
    "logistic 1000x10000 rho.9 k15": Planted((1000, 10000), 0.9, 15, classes=True),
}
