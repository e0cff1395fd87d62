"""What the networks promise, checked on a random problem."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from fuzz_harness import Report, fit
from sklearn.preprocessing import StandardScaler

from sksparse.neural_network import SparseMLPClassifier, SparseMLPRegressor
from sksparse.sparsifiers import SPARSIFIERS

#: Methods that remove whole units, which meet no number of weights exactly.
WHOLE_UNITS = {"filters", "iss", "nisp", "product_gates", "random", "slimming", "ssl", "taylor"}


def unreached(weights: list[np.ndarray]) -> list[int]:
    """Outputs to which no path of weights leads from an input."""
    alive = np.ones(weights[0].shape[1], dtype=bool)
    for weight in weights:
        alive = (weight[:, alive] != 0).any(axis=1)
    return np.flatnonzero(~alive).tolist()


def check_network(report: Report, rng: np.random.Generator) -> None:
    n, p = int(rng.integers(20, 120)), int(rng.integers(1, 9))
    X = StandardScaler().fit_transform(rng.standard_normal((n, p)))
    signal = X @ rng.uniform(-2.0, 2.0, p) + 0.3 * rng.standard_normal(n)
    regression = bool(rng.random() < 0.5)
    outputs = 1 if rng.random() < 0.7 else 2
    noise = rng.standard_normal((n, 2))
    y: Any = signal if outputs == 1 else np.c_[signal, -signal] + 0.1 * noise
    factor = 1.0
    if regression:
        factor = float(2.0 ** int(rng.choice([0, -20, -10, 14, 30])))
    else:
        cuts = [0.5] if rng.random() < 0.6 else [0.3, 0.7]
        y = np.searchsorted(np.quantile(signal, cuts), signal)
    X = X.astype(rng.choice(["float32", "float64"]))
    hidden = [(4,), (6,), (12,), (5, 4)][int(rng.integers(4))]
    names = [name for name in SPARSIFIERS if name not in WHOLE_UNITS]
    sparsifier = names[int(rng.integers(len(names)))]
    target = float(rng.choice([0.3, 0.6, 0.8, 0.9, 0.99])) if sparsifier is not None else None
    estimator = SparseMLPRegressor if regression else SparseMLPClassifier
    model = estimator(
        hidden, sparsifier=sparsifier, target_sparsity=target, random_state=0, max_iter=30
    )
    report.problem = f"{n} x {p}, y of shape {np.shape(y)} times {factor:g}, {X.dtype}"
    fit(report, model, X, y * factor if regression else y, None)
    report.stage = "claims"
    weights = [w.detach().numpy() for w in model.module_.parameters() if w.ndim > 1]
    total = sum(w.size for w in weights)
    zeros = sum(int(np.sum(w == 0)) for w in weights)
    report.claim(abs(model.sparsity_ - zeros / total) < 1e-9, "sparsity_ does not count the zeros")
    if target is not None:
        report.claim(
            abs(zeros - target * total) <= 1.0,
            f"{zeros} zeros of {total} weights, the target is {target * total:.1f}",
        )
    cut = unreached(weights)
    enough = total - zeros >= len(weights) - 1 + len(weights[-1])
    report.claim(
        not (cut and enough), f"no path to outputs {cut} with {total - zeros} weights left"
    )
    answers = model.predict(X) if regression else model.predict_proba(X)
    if not report.claim(np.all(np.isfinite(answers)), "predictions not finite"):
        return
    varies = np.ptp(answers, axis=0) > 1e-6 * np.abs(answers).max()
    report.claim(
        "the same for all" in report.warned or np.all(varies),
        f"silent: constant predictions, {varies}",
    )
    other = estimator(**model.get_params())
    report.stage = "refit"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.fit(X, y)
    again = other.predict(X) * factor if regression else other.predict_proba(X)
    same = np.array_equal(again, answers) if factor == 1.0 else np.allclose(
        again, answers, rtol=1e-3, atol=1e-3 * np.abs(answers).max()
    )  # fmt: skip
    report.claim(same, f"fitted on y / {factor:g}: predictions differ by more than the factor")
