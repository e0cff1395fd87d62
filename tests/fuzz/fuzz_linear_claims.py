"""What a linear model with a convex penalty promises, whatever the penalty.

Certificates are those of a reference in ``tests/helpers``, on columns around their means: a bound
below the minimum proves that an answer is good, and where there is none, or it is far, a descent
from the answer that finds a better one proves that it is not.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
from fuzz_convex import EXTENDED
from fuzz_harness import Report
from fuzz_problems import Problem

#: Tasks of :mod:`fuzz_problems` by loss; "tasks" is the squared loss of several targets.
TASKS = {
    "squared": "regression",
    "tasks": "regression",
    "huber": "regression",
    "cox": "regression",
    "poisson": "counts",
    "logistic": "binary",
    "multinomial": "multiclass",
}


def draw_targets(rng: np.random.Generator, loss: str, drawn: Problem) -> tuple[Any, dict[str, Any]]:
    y, n = drawn.y, len(drawn.y)
    if loss == "tasks":
        return np.c_[y, y[rng.permutation(n)], rng.standard_normal(n) - 3.0 * y], {}
    if loss == "huber":
        spread = float(np.subtract(*np.quantile(y, [0.75, 0.25]))) or 1.0
        return y, {"epsilon": spread * float(rng.choice([0.1, 1.35, 100.0]))}
    if loss == "cox":
        ranks = np.argsort(np.argsort(y)) / n
        levels = float(rng.choice([3.0, 20.0, 1e6]))
        time = np.ceil(levels * (ranks + 0.5 * rng.random(n)))
        event = rng.random(n) < rng.choice([0.2, 0.7, 1.0])
        event[0 if drawn.weights is None else int(np.argmax(drawn.weights))] = True
        table = np.empty(n, dtype=[("event", "?"), ("time", "f8")])
        table["event"], table["time"] = event, time
        return table, {"ties": str(rng.choice(["breslow", "efron"]))}
    return y, {}


def centred(drawn: Problem, loss: str, y: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Columns around their means, which only moves the intercept; targets and weights."""
    if loss == "cox":
        y = np.c_[y["time"], y["event"].astype(float)]
    used = np.ones(len(y), bool) if drawn.weights is None else drawn.weights > 0
    if TASKS[loss] in {"binary", "multiclass"}:
        y = np.searchsorted(np.unique(y[used]), y).astype(float)
    weights = None if drawn.weights is None else drawn.weights[used]
    X = drawn.dense[used].astype(EXTENDED)
    s = np.ones(len(X)) if weights is None else weights
    Z = (X - s.astype(EXTENDED) @ X / s.sum()).astype(np.float64)
    Z[:, np.ptp(X, axis=0) == 0.0] = 0.0
    return Z, y[used], weights


def answer(drawn: Problem, model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (n_outputs, n_features), and intercepts for columns around their means."""
    W = np.atleast_2d(model.coef_).astype(np.float64)
    means = _means(drawn)
    return W, np.atleast_1d(model.intercept_ + W.astype(EXTENDED) @ means).astype(np.float64)


def judge(
    report: Report,
    reference: ModuleType,
    problem: Any,
    drawn: Problem,
    model: Any,
    W: np.ndarray,
    b: np.ndarray,
    *,
    bounded: bool = True,
) -> None:
    """Gap, objective, constants and intercept of an answer, as :func:`answer` gives it.

    ``reference`` is the module of ``problem``, and ``bounded`` whether a gap is always known.
    """
    used = slice(None) if drawn.weights is None else drawn.weights > 0
    eps = float(np.finfo(model.coef_.dtype).eps)
    Z = problem.predictor(W, b)
    value = problem.objective(W, b)
    null = problem.objective(*reference.nothing(problem))
    size = np.abs(model.intercept_) + np.abs(drawn.dense[used]) @ np.abs(W.T)
    floor = _rounding(problem, W, Z, eps, size) + 1e-9 * null
    # as documented, a column that varies by a few roundings of its mean may count as constant
    problem = replace(problem, X=problem.X * ~(_blurred(drawn, eps) & ~np.any(W, axis=0)))
    gap = model.dual_gap_
    report.claim(gap >= 0.0 or np.isnan(gap), f"dual_gap_ is {gap}")
    report.claim(not np.isnan(gap) or report.warned or not bounded, f"dual_gap_ is {gap}")
    report.claim(model.optimality_ >= 0.0, f"optimality_ is {model.optimality_}")
    tol = max(model.tol, 1.2e-5 if model.coef_.dtype == np.float32 else 0.0)
    small = gap <= (1.0 + 1e-6) * tol * value + floor
    report.claim(
        report.warned or small or np.isnan(gap),
        f"silent at dual_gap_ {gap:.3g}, above tol={tol:.2g} of the objective {value:.6g}",
    )
    bound = reference.lower_bound(problem, W, b)
    if not value - bound <= min(gap if not np.isnan(gap) else np.inf, 1e-4 * value) + floor:
        reached = min(
            problem.objective(
                *reference.descend(problem, start, b, 1e-10, 100 + 20_000 // W.size)[:2]
            )
            for start in (W, np.zeros_like(W))
        )
        lost = value - reached
        report.claim(
            np.isnan(gap) or lost <= gap * (1.0 + 1e-6) + floor,
            f"false dual_gap_ {gap:.3g}: the objective {value:.9g} is {lost:.3g} above another",
        )
        report.claim(
            report.warned or lost <= 1e-3 * abs(reached) + floor,
            f"silent: objective {value:.6g}, but {reached:.6g} is reached; optimality_ "
            f"{model.optimality_:.2g}, dual_gap_ {gap:.3g}, n_iter_ {model.n_iter_}",
        )
    constant = drawn.constant & np.any(W, axis=0)
    report.claim(not constant.any(), f"constant columns {np.flatnonzero(constant)} are used")
    slopes = np.abs(reference.violations(problem, W, b)[-1])
    moved = value - problem.objective(W, _best_intercept(reference, problem, W, b))
    report.claim(
        report.warned or moved <= 1e-6 * value + floor,
        f"intercept_ {model.intercept_} is not the best: slopes {slopes}",
    )


def _blurred(drawn: Problem, eps: float) -> np.ndarray:
    """Columns whose standard deviation is at most eight epsilons of their mean, as in fits."""
    means = _means(drawn)
    s = np.ones(len(drawn.y)) if drawn.weights is None else drawn.weights
    spreads = np.sqrt(s @ (drawn.dense - means) ** 2 / s.sum())
    return np.asarray(spreads <= 8.0 * eps * np.abs(means))


def _means(drawn: Problem):
    s = np.ones(len(drawn.y)) if drawn.weights is None else drawn.weights
    return s.astype(EXTENDED) @ drawn.dense.astype(EXTENDED) / EXTENDED(s.sum())


def _best_intercept(reference: ModuleType, problem: Any, W, b):
    """Newton steps over the intercepts, by a finite difference of their slopes."""
    for _ in range(3):
        slopes = reference.violations(problem, W, b)[-1]
        if not np.any(slopes):
            break
        step = 1e-6 * (1.0 + np.abs(b))
        curved = np.array(
            [reference.violations(problem, W, b + h)[-1] - slopes for h in np.diag(step)]
        ) / step[:, None]  # fmt: skip
        trial = b - np.linalg.lstsq(curved, slopes, rcond=1e-8)[0]
        if not problem.objective(W, trial) < problem.objective(W, b):
            break
        b = trial
    return b


def _rounding(problem: Any, W, Z, eps: float, size) -> float:
    """How much the loss may change by rounding, ``size`` being that of what is added up to Z."""
    y = np.reshape(problem.y, (len(Z), -1)) if problem.loss in {"squared", "huber"} else 0.0
    # coefficients and intercepts are in the type of the features, products with them in float64
    moved = 2.0 * eps * (np.abs(problem.X) @ np.abs(W.T) + np.abs(y))
    moved = moved + (2.0 * eps if eps > 1e-10 else 2.3e-16) * size
    # a predictor is the logarithm of what is rounded
    moved = moved + (0.0 if problem.loss in {"squared", "huber", "cox"} else 2.3e-16)
    slopes = np.abs(problem.term.slopes(Z))
    curved = problem.term.s[:, None] * (np.exp(Z) if problem.loss == "poisson" else 1.0)
    return float(np.sum(slopes * moved) + np.sum(curved * moved**2))


def check_predictions(report: Report, drawn: Problem, y: Any, model: Any, loss: str) -> None:
    report.stage = "predictions"
    X = drawn.X[: min(len(drawn.y), 20)]
    dense = drawn.dense[: X.shape[0]]
    z = dense @ np.atleast_2d(model.coef_).T.astype(np.float64) + model.intercept_
    size = np.abs(dense) @ np.abs(np.atleast_2d(model.coef_).T.astype(np.float64))
    slack = 1e3 * float(np.finfo(model.coef_.dtype).eps) * (size + np.abs(model.intercept_))
    if loss in {"logistic", "multinomial"}:
        shares = model.predict_proba(X)
        report.claim(np.allclose(shares.sum(axis=1), 1.0, atol=1e-5), "shares do not sum to one")
        best = model.classes_[np.argmax(shares, axis=1)]
        report.claim(np.array_equal(model.predict(X), best), "predict is not the likeliest class")
        return
    predicted = np.asarray(model.predict(X), dtype=np.float64).reshape(z.shape)
    if loss == "poisson":
        with np.errstate(over="ignore", divide="ignore"):
            report.claim(
                np.all(np.abs(np.log(predicted) - z) <= slack + 1e-6 * (1.0 + np.abs(z))),
                "predictions are not exp(X @ coef_ + intercept_)",
            )
        return
    report.claim(
        np.all(np.abs(predicted - z) <= slack), "predictions are not X @ coef_ + intercept_"
    )
    if loss == "cox" or len(np.unique(drawn.y)) > 1:
        try:
            score = model.score(drawn.X, y, drawn.weights)
        except ValueError as error:
            # few samples with weight may have no two survival times to compare
            if "No two samples can be compared" not in str(error):
                raise
            return
        report.claim(np.isnan(score) or score <= 1.0, f"score {score}")
