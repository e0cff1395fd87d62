"""What the estimators of the sorted L1 family promise, checked on a random problem."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import sorted_reference
from fuzz_harness import Report, describe, fit, same_after_pickle_and_refit, watched
from fuzz_linear_claims import TASKS, answer, centred, check_predictions, draw_targets, judge
from fuzz_problems import Problem, draw
from scipy.stats import norm
from sorted_reference import SortedProblem, alpha_max

from sksparse.linear_model import (
    OSCAR,
    SLOPE,
    GrOWL,
    OSCARClassifier,
    SLOPEClassifier,
    slope_path,
)

LOSSES = ("squared", "poisson", "logistic", "multinomial")
CLASSES = ("logistic", "multinomial")


def check_sorted_regressor(report: Report, rng: np.random.Generator) -> None:
    _check(report, rng, str(rng.choice(["squared", "squared", "tasks", "poisson"])))


def check_sorted_classifier(report: Report, rng: np.random.Generator) -> None:
    _check(report, rng, str(rng.choice(CLASSES)))


def check_sorted_path(report: Report, rng: np.random.Generator) -> None:
    """Every point of a path, whatever was skipped on the way, is as good as a fit of its own."""
    loss = str(rng.choice(LOSSES))
    drawn, y, problem, options = _draw(report, rng, loss)
    model = _model(rng, problem, loss, options, named=True)
    eps = 10.0 ** rng.uniform(-3, -1)
    given = {name: value for name, value in options.items() if name != "alpha"}
    report.model = f"path of {describe(model)}, eps={eps:.3g}"
    report.data = (model, drawn.X, y, drawn.weights)
    with watched(report):
        path = slope_path(
            drawn.X, y, loss=loss, alphas=8, eps=eps, sample_weight=drawn.weights, **given
        )
    report.stage = "claims"
    top = path.alpha_max
    report.claim(top in {0.0, path.alphas[0]}, f"the first of {path.alphas} is not alpha_max")
    report.claim(np.allclose(path.weights, problem.lambdas, rtol=1e-12), "weights are others")
    largest = np.abs(path.coefs).max()
    report.claim(
        np.all(np.abs(path.coefs[..., 0]) <= 1e-4 * largest), "something is selected at alpha_max"
    )
    for k, alpha in enumerate(path.alphas):
        point = SimpleNamespace(
            coef_=path.coefs[..., k], intercept_=path.intercepts[..., k], tol=model.tol,
            dual_gap_=path.dual_gaps[k], optimality_=path.optimality[k], n_iter_=0,
        )  # fmt: skip
        _judge(report, replace(problem, alpha=float(alpha)), drawn, point)
        used = top == 0.0 or k == 0 or point.coef_.any()
        report.claim(used, f"nothing is selected at {alpha}, below alpha_max={top}")
        report.claim(
            path.n_clusters[k] == len(_clusters(point.coef_)),
            f"{path.n_clusters[k]} clusters at {alpha}, not {len(_clusters(point.coef_))}",
        )


def _check(report: Report, rng: np.random.Generator, loss: str) -> None:
    drawn, y, problem, options = _draw(report, rng, loss)
    model = _model(rng, problem, loss, options, named=loss != "tasks")
    if rng.random() < 0.2:
        report.stage, report.model = "fit before", describe(model)
        _fit_before(rng, model, drawn, y)
        report.stage = "fit"
    before = drawn.dense.copy()
    fit(report, model, drawn.X, y, drawn.weights)
    report.stage = "claims"
    report.claim(np.array_equal(before, drawn.dense), "X was modified")
    finite = np.all(np.isfinite(model.coef_)) and np.all(np.isfinite(model.intercept_))
    if not report.claim(finite, "coefficients not finite"):
        return
    _judge(report, problem, drawn, model)
    _check_clusters(report, model)
    _check_copies(report, drawn, problem, model)
    check_predictions(report, drawn, y, model, loss)
    if rng.random() < 0.1:
        same_after_pickle_and_refit(report, model, drawn.X, y, drawn.weights)


def _draw(report: Report, rng: np.random.Generator, loss: str):
    """What is drawn, its targets, the problem for the reference, and options that describe it."""
    drawn = draw(rng, TASKS[loss])
    y, _ = draw_targets(rng, loss, drawn)
    Z, targets, weights = centred(drawn, loss, y)
    lambdas, options = _lambdas(rng, Z.shape[1])
    name = "squared" if loss == "tasks" else loss
    problem = SortedProblem(Z, targets, name, 1.0, lambdas, weights)
    options["alpha"] = _strength(rng, problem)
    report.problem = f"{drawn}; {loss}"
    return drawn, y, replace(problem, alpha=options["alpha"]), options


def _lambdas(rng: np.random.Generator, p: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Weights as the literature defines them, and options that stand for them."""
    kind = str(rng.choice(["bh", "lasso", "oscar", "listed"], p=[0.25, 0.1, 0.3, 0.35]))
    ranks = np.arange(1, p + 1)
    if kind == "lasso":
        return np.ones(p), {"lambdas": kind}
    if kind == "bh":
        q = float(rng.choice([0.01, 0.1, 0.5]))
        return norm.isf(q * ranks / (2 * p)), {"lambdas": kind, "q": q}
    if kind == "oscar":
        share = float(rng.choice([0.0, 0.1, 0.5, 0.9, 1.0]))
        fall: Any = "all" if p < 3 or rng.random() < 0.5 else int(rng.integers(2, p + 1))
        last = (p if fall == "all" else fall) - 1
        below = np.maximum(last + 1 - ranks, 0) / max(last, 1)
        options = {"lambdas": kind, "pairwise": share, "ranks": fall}
        return 1.0 - share + share * below, options
    lambdas = {
        "steps": np.sort(rng.choice([1.0, 2.0, 5.0], p))[::-1],
        "zero tail": np.maximum(1.0 - ranks / (0.5 + p * rng.random()), 0.0),
        "first": (ranks == 1).astype(float),
        "steep": 10.0 ** -np.linspace(0.0, 8.0, p),
        "random": np.sort(rng.random(p))[::-1],
    }[str(rng.choice(["steps", "zero tail", "first", "steep", "random"]))]
    lambdas = lambdas / lambdas.max() if lambdas.any() else np.ones(p)
    lambdas = lambdas * float(rng.choice([1.0, 1.0, 1e-6, 1e5]))
    return lambdas, {"lambdas": lambdas}


def _strength(rng: np.random.Generator, problem: SortedProblem) -> float:
    """From a ten-thousandth of the smallest strength that selects nothing to above it."""
    largest = alpha_max(problem)
    return float(largest * 10.0 ** rng.uniform(-4.0, 0.2)) if 0.0 < largest < 1e100 else 0.1


def _model(
    rng: np.random.Generator,
    problem: SortedProblem,
    loss: str,
    options: dict[str, Any],
    *,
    named: bool,
):
    """An estimator that stands for the problem."""
    options = dict(options)
    if named and "pairwise" in options and rng.random() < 0.5:
        del options["lambdas"]
        kind: Any = OSCARClassifier if loss in CLASSES else OSCAR
    else:
        kind = SLOPEClassifier if loss in CLASSES else GrOWL if loss == "tasks" else SLOPE
    return kind(**options, **({"loss": loss} if loss == "poisson" else {}))


def _fit_before(rng: np.random.Generator, model: Any, drawn: Problem, y: Any) -> None:
    """A fit of another strength to start from."""
    alpha = model.alpha
    model.set_params(warm_start=True, alpha=alpha * float(rng.choice([0.01, 0.3, 3.0, 1e3])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(drawn.X, y, sample_weight=drawn.weights)
    model.set_params(alpha=alpha)


def _judge(report: Report, problem: SortedProblem, drawn: Problem, model: Any) -> None:
    judge(report, sorted_reference, problem, drawn, model, *answer(drawn, model))


def _clusters(coef: np.ndarray) -> list[np.ndarray]:
    """Features of equal magnitude, the largest first; of several outputs up to rounding."""
    W = np.atleast_2d(coef).astype(np.float64)
    sizes = np.abs(W[0]) if len(W) == 1 else sorted_reference.lengths(W)
    slack = 0.0 if len(W) == 1 else 32.0 * float(np.finfo(coef.dtype).eps)
    order = [j for j in np.argsort(-sizes, kind="stable") if sizes[j] > 0.0]
    clusters: list[list[int]] = []
    for j in order:
        if clusters and sizes[clusters[-1][-1]] - sizes[j] <= slack * sizes[clusters[-1][-1]]:
            clusters[-1].append(j)
        else:
            clusters.append([j])
    return [np.sort(cluster) for cluster in clusters]


def _check_clusters(report: Report, model: Any) -> None:
    """Clusters, their magnitudes and counts are those of the coefficients."""
    expected = _clusters(model.coef_)
    found = [np.sort(cluster) for cluster in model.clusters_]
    same = len(found) == len(expected) and all(map(np.array_equal, found, expected))
    report.claim(same, f"clusters_ {found} are not the ties of coef_, {expected}")
    report.claim(model.n_clusters_ == len(expected), f"n_clusters_ is {model.n_clusters_}")
    sizes = sorted_reference.lengths(model.coef_.astype(np.float64))
    close = len(model.cluster_coef_) == len(expected) and np.allclose(
        model.cluster_coef_, [sizes[cluster[0]] for cluster in expected], rtol=1e-5
    )
    report.claim(close, f"cluster_coef_ is {model.cluster_coef_}")
    used = np.atleast_2d(model.coef_).any(axis=0)
    report.claim(np.array_equal(model.support_, used), "support_ is not that of coef_")
    report.claim(np.array_equal(model.get_support(), used), "get_support() is not support_")
    report.claim(model.n_features_ == used.sum(), "n_features_ is not that of support_")


def _check_copies(report: Report, drawn: Problem, problem: SortedProblem, model: Any) -> None:
    """Columns that are equal or opposite have coefficients that are, where weights fall strictly.

    Elsewhere others may be as good.
    """
    if report.warned or len(np.atleast_2d(model.coef_)) > 1:
        return
    used = slice(None) if drawn.weights is None else drawn.weights > 0
    coef, X = np.ravel(model.coef_), drawn.dense[used]
    falling = np.all(np.diff(problem.lambdas) < -1e-6 * problem.lambdas[0])
    for j in np.flatnonzero(coef) if falling else ():
        for sign in (1.0, -1.0):
            copies = np.flatnonzero(np.all(sign * X == X[:, [j]], axis=0))
            off = np.abs(sign * coef[copies] - coef[j]).max(initial=0.0)
            report.claim(off == 0.0, f"columns {j} and {copies}, equal times {sign}, off by {off}")
