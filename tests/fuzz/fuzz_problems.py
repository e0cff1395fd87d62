"""Random problems, each a function of its seed alone.

Columns are of all kinds that real tables hold and solvers stumble over: constants, copies, one-hot
blocks, counts, very small and very large scales, means far above the standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

Column = Callable[[np.random.Generator, int], np.ndarray]

COLUMNS: dict[str, Column] = {
    "gaussian": lambda g, n: g.standard_normal(n),
    "binary": lambda g, n: (g.random(n) < g.choice([0.5, 0.2, 0.03])).astype(float),
    "signs": lambda g, n: np.where(np.arange(n) < n // 2, 1.0, -1.0)[g.permutation(n)],
    "counts": lambda g, n: g.poisson(g.choice([0.3, 3.0, 200.0]), n).astype(float),
    "heavy tails": lambda g, n: g.standard_t(1.5, n),
    "log-normal": lambda g, n: np.exp(2.0 * g.standard_normal(n)),
    "trend": lambda g, n: np.arange(n) * float(g.choice([1e-3, 1.0, 1e3])),
    "uniform": lambda g, n: g.random(n),
}
CONSTANTS = [1.0, -1.0, 0.0, 0.1, 1.7e18, -3e7, 1e6, 12345.678, 1e-9]


@dataclass
class Problem:
    """Features, targets, weights, and the words that describe them.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        What is given to the estimator.
    y : ndarray of shape (n_samples,)
        Targets.
    weights : ndarray of shape (n_samples,) or None
        Sample weights.
    kinds : list of str
        Kind of each column.
    words : dict
        What else was drawn.
    """

    X: Any
    y: np.ndarray
    weights: np.ndarray | None
    kinds: list[str]
    words: dict[str, Any] = field(default_factory=dict)

    @property
    def dense(self) -> np.ndarray:
        """The features that the estimator sees, exactly, as a float64 array."""
        X = self.X.toarray() if sp.issparse(self.X) else self.X
        return np.ascontiguousarray(X, dtype=np.float64)

    @property
    def eps(self) -> float:
        """Rounding of the features."""
        return float(np.finfo(self.X.dtype).eps)

    @property
    def constant(self) -> np.ndarray:
        """Which columns hold a single value among the samples that count."""
        used = self.dense if self.weights is None else self.dense[self.weights > 0]
        return np.asarray((used == used[0]).all(axis=0))

    def __str__(self) -> str:
        n, p = self.X.shape
        names, counts = np.unique(self.kinds, return_counts=True)
        columns = ", ".join(f"{c} {name}" for name, c in zip(names, counts, strict=True))
        words = ", ".join(f"{key}={value}" for key, value in self.words.items())
        return f"{n} x {p} ({columns}); {words}"


def draw(rng: np.random.Generator, task: str, *, most_features: int = 60) -> Problem:
    """A problem for ``task``: regression, binary, multiclass or counts."""
    n = int(rng.choice([1, 2, 3, 5])) if rng.random() < 0.04 else int(rng.integers(6, 201))
    if task != "regression":
        n = max(n, 8)
    p = int(np.ceil(most_features ** rng.uniform(0.0, 1.0)))
    if most_features >= 60 and rng.random() < 0.04:
        n, p = min(n, 60), int(rng.integers(80, 300))
    X, kinds = _features(rng, n, p)
    words: dict[str, Any] = {}
    X, words["float"] = _round(rng, X)
    y = _targets(rng, X, task, words)
    weights = _weights(rng, n, y, task, words)
    return Problem(_container(rng, X, words), y, weights, kinds, words)


def _features(rng: np.random.Generator, n: int, p: int) -> tuple[np.ndarray, list[str]]:
    columns: list[np.ndarray] = []
    kinds: list[str] = []
    plain = rng.random() < 0.25
    common = rng.standard_normal(n)
    names = list(COLUMNS)
    while len(columns) < p:
        draw = rng.random()
        kind = "gaussian" if plain else str(rng.choice(names))
        if plain or draw < 0.55:
            column = COLUMNS[kind](rng, n)
        elif draw < 0.65:
            kind, column = "correlated", common + 0.3 * rng.standard_normal(n)
        elif draw < 0.75 and columns:
            copied = int(rng.integers(len(columns)))
            sign = float(rng.choice([1.0, -1.0, 2.0]))
            kind, column = f"{sign:g} x another", sign * columns[copied]
        elif draw < 0.82:
            kind, column = "constant", np.full(n, rng.choice(CONSTANTS))
        elif draw < 0.90 and p - len(columns) >= 2:
            block = _one_hot(rng, n, min(p - len(columns), int(rng.choice([2, 3, 4, 5, 8, 16]))))
            columns.extend(block.T)
            kinds.extend(["one-hot"] * block.shape[1])
            continue
        else:
            column = COLUMNS[kind](rng, n)
        columns.append(column)
        kinds.append(kind)
    X = np.stack(columns, axis=1)
    if not plain:
        _rescale(rng, X, kinds)
    order = rng.permutation(p) if rng.random() < 0.5 else np.arange(p)
    return X[:, order], [kinds[j] for j in order]


def _one_hot(rng: np.random.Generator, n: int, levels: int) -> np.ndarray:
    if rng.random() < 0.5:
        codes = rng.permutation(np.arange(n) % levels)
    else:
        codes = rng.choice(levels, n, p=rng.dirichlet(np.ones(levels)))
    return np.eye(levels)[codes]


def _rescale(rng: np.random.Generator, X: np.ndarray, kinds: list[str]) -> None:
    """Give some columns, or all, another scale or a large mean; in place."""
    p = X.shape[1]
    if rng.random() < 0.3:
        X *= 10.0 ** rng.uniform(-4.0, 4.0, p)
    for j in np.flatnonzero(rng.random(p) < rng.choice([0.0, 0.0, 0.15])):
        scale = float(rng.choice([1e-9, 1e-6, 1e4, 1e8]))
        X[:, j] *= scale
        kinds[j] += f" * {scale:g}"
    for j in np.flatnonzero(rng.random(p) < rng.choice([0.0, 0.0, 0.2])):
        spread = X[:, j].std()
        if kinds[j] == "constant" or spread == 0.0:
            continue
        mean = float(rng.choice([1.0, -30.0, 1e3, 1e6]))
        X[:, j] += mean * spread
        kinds[j] += f" + {mean:g} sd"


def _round(rng: np.random.Generator, X: np.ndarray) -> tuple[np.ndarray, str]:
    if rng.random() < 0.2:
        return X.astype(np.float32), "float32"
    return X, "float64"


def _signal(rng: np.random.Generator, X: np.ndarray) -> np.ndarray:
    """A sum of a few standardised columns."""
    Z = X.astype(np.float64)
    Z = Z - Z.mean(axis=0)
    spread = Z.std(axis=0)
    usable = np.flatnonzero(spread > 1e-6 * np.abs(X).max(axis=0))
    if not usable.size:
        return np.zeros(len(X))
    chosen = rng.choice(usable, min(usable.size, int(rng.integers(1, 7))), replace=False)
    signal = (Z[:, chosen] / spread[chosen]) @ rng.uniform(-2.0, 2.0, len(chosen))
    return np.asarray(signal)


def _targets(
    rng: np.random.Generator, X: np.ndarray, task: str, words: dict[str, Any]
) -> np.ndarray:
    n = len(X)
    signal = _signal(rng, X)
    noise = rng.standard_normal(n)
    if task == "regression":
        kind = str(rng.choice(["noisy", "offset", "scaled", "noise", "linear", "constant"],
                              p=[0.45, 0.15, 0.15, 0.1, 0.1, 0.05]))  # fmt: skip
        words["y"] = kind
        y = signal + float(rng.choice([0.1, 1.0, 3.0])) * noise
        if kind == "offset":
            y += float(rng.choice([10.0, -1e3, 1e5]))
        elif kind == "scaled":
            y *= float(rng.choice([1e-6, 1e-3, 1e3, 1e6]))
        elif kind == "noise":
            y = noise
        elif kind == "linear":
            y = signal + 1.0
        elif kind == "constant":
            y = np.full(n, float(rng.choice([0.0, 3.7, -1e4])))
        return y
    if task == "counts":
        return _counts(rng, signal, words)
    words["y"] = kind = str(rng.choice(["noisy", "rare", "separable"], p=[0.6, 0.25, 0.15]))
    score = signal + (0.0 if kind == "separable" else 1.5) * rng.logistic(size=n)
    if task == "multiclass":
        m = int(rng.integers(3, 6))
        cuts = np.quantile(score, np.sort(rng.random(m - 1)))
        codes = np.searchsorted(cuts, score)
        codes[:m] = np.arange(m)
    else:
        m = 2
        share = 0.08 if kind == "rare" else rng.uniform(0.3, 0.7)
        codes = (score > np.quantile(score, 1.0 - share)).astype(int)
        if len(np.unique(codes)) < 2:
            codes[:2] = [0, 1]
    names = [np.arange(m), np.arange(m) * 3 - 1, np.array(["a", "b", "c", "d", "e"])[:m]]
    return np.asarray(names[int(rng.integers(3))][codes])


def _counts(rng: np.random.Generator, signal: np.ndarray, words: dict[str, Any]) -> np.ndarray:
    levels = {"few": 1.0, "rare": -1.5, "many": 5.0, "large": 13.0, "rates": 1.0, "constant": 1.0}
    words["y"] = kind = str(rng.choice(list(levels), p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05]))
    means = np.exp(levels[kind] + np.clip(float(rng.choice([0.2, 0.5])) * signal, -4.0, 4.0))
    y = rng.poisson(means).astype(float)
    if kind == "rates":
        y *= rng.uniform(1e-3, 2.0, len(y))
    if kind == "constant":
        y[:] = float(rng.choice([1.0, 3.7, 1e6]))
    if not y.any():
        y[int(rng.integers(len(y)))] = 1.0
    return y


def _weights(
    rng: np.random.Generator, n: int, y: np.ndarray, task: str, words: dict[str, Any]
) -> np.ndarray | None:
    kind = str(rng.choice(["none", "integer", "random", "some zero", "sum to one"],
                          p=[0.6, 0.12, 0.12, 0.1, 0.06]))  # fmt: skip
    words["weights"] = kind
    if kind == "none":
        return None
    if kind == "integer":
        return rng.integers(1, 5, n).astype(float)
    weights = rng.uniform(0.1, 3.0, n)
    if kind == "some zero":
        weights[rng.random(n) < 0.3] = 0.0
        # every class, and every count that the estimators need, is left with a weight
        first = np.unique(y, return_index=True)[1]
        if task in {"regression", "counts"}:
            first = [0] if task == "regression" else [int(np.argmax(y))]
        weights[first] = 1.0
    if kind == "sum to one":
        weights /= weights.sum()
    return weights


def _container(rng: np.random.Generator, X: np.ndarray, words: dict[str, Any]) -> Any:
    kinds = ["C", "F", "read-only", "csr", "csc", "csc int64", "strided"]
    kind = str(rng.choice(kinds, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05]))
    words["X"] = kind
    if kind == "F":
        return np.asfortranarray(X)
    if kind == "read-only":
        X.setflags(write=False)
        return X
    if kind == "csr":
        return sp.csr_matrix(X)
    if kind.startswith("csc"):
        S = sp.csc_matrix(X)
        if kind == "csc int64":
            S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
        return S
    if kind == "strided":
        wide = np.repeat(X, 2, axis=1)
        return wide[:, ::2]
    return X


def draw_labels(rng: np.random.Generator, p: int) -> np.ndarray:
    """A group number for each of ``p`` features: sizes at random, side by side or interleaved."""
    labels = np.sort(rng.integers(0, max(1, int(rng.integers(1, p + 1))), p))
    labels = np.unique(labels, return_inverse=True)[1]
    return np.asarray(rng.permutation(labels) if rng.random() < 0.4 else labels)
