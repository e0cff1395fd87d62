"""Losses of the group lasso family from their definitions, in plain NumPy.

Predictors Z and slopes have shape (n_samples, n_outputs); weights sum to one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, logsumexp, softmax, xlogy


class Term(ABC):
    """``sum_i s_i loss(y_i, z_i)``."""

    shift_invariant = False
    n_outputs = 1

    def __init__(self, y, s) -> None:
        self.y, self.s = np.asarray(y, dtype=np.float64), np.asarray(s, dtype=np.float64)

    @abstractmethod
    def constant(self) -> np.ndarray:
        """The predictors, (n_outputs,), that are best without features."""

    @abstractmethod
    def value(self, Z) -> float: ...

    @abstractmethod
    def slopes(self, Z) -> np.ndarray:
        """Derivatives by Z."""

    @abstractmethod
    def metric(self, Z) -> np.ndarray:
        """Positive numbers, as small as what U may change by before it leaves the domain."""

    @abstractmethod
    def conjugate(self, U, Z, shrink: float) -> float:
        """Conjugate, or a bound above it, at ``U / shrink``, where U is near the slopes at Z."""


class Squared(Term):
    """``||y - z||^2 / 2`` for y of shape (n_samples,) or (n_samples, n_outputs)."""

    def __init__(self, y, s) -> None:
        super().__init__(y, s)
        self.Y = self.y.reshape(len(self.y), -1)
        self.n_outputs = self.Y.shape[1]

    def constant(self):
        return self.s @ self.Y

    def value(self, Z) -> float:
        return 0.5 * float(np.sum(self.s[:, None] * (self.Y - Z) ** 2))

    def slopes(self, Z):
        return self.s[:, None] * (Z - self.Y)

    def metric(self, Z):
        return self.s

    def conjugate(self, U, Z, shrink):
        U, s = U / shrink, self.s[:, None]
        return float(np.sum(U * self.Y) + np.sum(np.divide(U * U, 2 * s, where=s > 0, out=0 * U)))


class Separable(Term):
    """One output; ``f`` is the loss of a sample, ``d`` its derivative, ``star`` its conjugate."""

    def value(self, Z) -> float:
        used = self.s > 0
        return float(self.s[used] @ self.f(Z[:, 0])[used])

    def slopes(self, Z):
        return np.where(self.s > 0, self.s * self.d(Z[:, 0]), 0.0)[:, None]

    def conjugate(self, U, Z, shrink):
        used = self.s > 0
        v = U[used, 0] / shrink / self.s[used]
        return float(np.sum(self.s[used] * self.star(v, self.y[used])))


class Logistic(Separable):
    """``log(1 + exp(z)) - y z`` for y in {0, 1}."""

    def constant(self):
        return np.array([logit(self.s @ self.y)])

    def f(self, z):
        return np.logaddexp(0.0, z) - self.y * z

    def d(self, z):
        return expit(z) - self.y

    def metric(self, Z):
        return self.s * expit(Z[:, 0]) * expit(-Z[:, 0])

    def star(self, v, y):
        p = v + y
        return xlogy(p, p) + xlogy(1 - p, 1 - p) if np.all((p >= 0) & (p <= 1)) else np.inf


class Poisson(Separable):
    """``exp(z) - y z + y log y - y``."""

    def constant(self):
        return np.log([self.s @ self.y])

    def f(self, z):
        # y (exp(r) - 1 - r) for the difference r from log(y), where nothing cancels
        r = z - np.log(np.where(self.y > 0, self.y, 1.0))
        return np.where(self.y > 0, self.y * (np.expm1(r) - r), np.exp(z))

    def d(self, z):
        return np.exp(z) - self.y

    def metric(self, Z):
        return self.s * np.exp(Z[:, 0])

    def star(self, v, y):
        m = v + y
        return xlogy(m, m) - m - xlogy(y, y) + y if np.all(m >= 0) else np.inf


class Huber(Separable):
    """``r^2 / 2`` for ``|r| <= epsilon``, else ``epsilon |r| - epsilon^2 / 2``; r = y - z."""

    def __init__(self, y, s, epsilon: float = 1.35) -> None:
        super().__init__(y, s)
        self.epsilon = epsilon

    def constant(self):
        y = self.y[self.s > 0]
        if y.min() == y.max():
            return y[:1]

        def slope(z: float) -> float:
            return float(self.s @ self.d(np.full(len(self.y), z)))

        return np.array([brentq(slope, y.min(), y.max(), xtol=1e-300, rtol=1e-15)])

    def f(self, z):
        r, e = np.abs(self.y - z), self.epsilon
        return np.where(r <= e, r * r / 2, e * r - e * e / 2)

    def d(self, z):
        return np.clip(z - self.y, -self.epsilon, self.epsilon)

    def metric(self, Z):
        # nothing may move beyond the threshold
        return self.s * np.where(np.abs(self.y - Z[:, 0]) < self.epsilon, 1.0, 0.0)

    def star(self, v, y):
        inside = np.all(np.abs(v) <= self.epsilon * (1 + 1e-14))
        return v * v / 2 + v * y if inside else np.inf


class Multinomial(Term):
    """``log sum_c exp(z_c) - z_y`` for codes y from 0."""

    def __init__(self, y, s) -> None:
        super().__init__(y, s)
        self.hits = np.eye(int(self.y.max()) + 1)[self.y.astype(int)]
        self.n_outputs = self.hits.shape[1]

    def constant(self):
        shares = np.log(self.s @ self.hits)
        return shares - shares.mean()

    def value(self, Z) -> float:
        return float(self.s @ (logsumexp(Z, axis=1) - np.sum(self.hits * Z, axis=1)))

    def slopes(self, Z):
        return self.s[:, None] * (softmax(Z, axis=1) - self.hits)

    def metric(self, Z):
        # one number a sample keeps the sum over the classes at zero
        return self.s * softmax(Z, axis=1).min(axis=1)

    def conjugate(self, U, Z, shrink):
        used = self.s > 0
        v = U[used] / shrink / self.s[used, None] + self.hits[used]
        v = np.where(np.abs(v) < 1e-15, 0.0, v)
        return float(self.s[used] @ xlogy(v, v).sum(axis=1)) if np.all(v >= 0) else np.inf


class Cox(Term):
    """Negative log partial likelihood of ``y = (time, event)``, divided by the sum of weights.

    Written as one term for each event k, in which the event competes with those at risk::

        s_k [log sum_{j at risk at t_k} s_j a_kj exp(z_j) - mean of z over the events at t_k
             - log sum_{j tied with k} s_j a_kj]

    The last part is a constant: what is left where the events come first without doubt. Breslow's
    ties have a_kj = 1. In Efron's, of d events at a time the l-th of them (l = 0, ..., d - 1) has
    a_kj = 1 - l / d for these events, and all have their mean weight (as in R's coxph).
    """

    shift_invariant = True

    def __init__(self, y, s, ties: str = "breslow") -> None:
        super().__init__(y, s)
        time, event = self.y[:, 0], (self.y[:, 1] > 0) & (self.s > 0)
        shares, own, weights, least = [], [], [], []
        for t in np.unique(time[event]):
            dead = np.flatnonzero(event & (time == t))
            for number, k in enumerate(dead):
                a = self.s * (time >= t)
                if ties == "efron":
                    a[dead] *= 1.0 - number / len(dead)
                shares.append(a)
                own.append(self.s * np.isin(np.arange(len(time)), dead) / self.s[dead].sum())
                least.append(np.log(a[dead].sum()))
                weights.append(self.s[dead].mean() if ties == "efron" else self.s[k])
        self.a, self.e, self.k = np.array(shares), np.array(own), np.array(weights)
        self.least = float(self.k @ least)

    def constant(self):
        return np.zeros(1)

    def _shares(self, Z):
        with np.errstate(divide="ignore"):
            return np.log(self.a) + Z[:, 0]

    def value(self, Z) -> float:
        return float(self.k @ (logsumexp(self._shares(Z), axis=1) - self.e @ Z[:, 0])) - self.least

    def slopes(self, Z):
        return (self.k @ (softmax(self._shares(Z), axis=1) - self.e))[:, None]

    def metric(self, Z):
        raise NotImplementedError

    def conjugate(self, U, Z, shrink):
        """Of the mixtures whose slopes are ``U / shrink``, U being the slopes at Z."""
        v = softmax(self._shares(Z), axis=1) / shrink + (1.0 - 1.0 / shrink) * self.e
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(v > 0, v * (np.log(v) - np.log(self.a)), 0.0)
        return float(self.k @ terms.sum(axis=1)) + self.least


TERMS: dict[str, type[Term]] = {
    "squared": Squared,
    "logistic": Logistic,
    "multinomial": Multinomial,
    "poisson": Poisson,
    "huber": Huber,
    "cox": Cox,
}
