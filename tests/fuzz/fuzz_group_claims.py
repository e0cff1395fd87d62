"""What the estimators of the group lasso family promise, checked on a random problem.

Certificates are those of the tests' reference, on columns around their means: a bound below the
minimum proves that an answer is good, and where there is none, or it is far, a descent from the
answer that finds a better one proves that it is not.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from fuzz_convex import EXTENDED
from fuzz_harness import Report, describe, fit, same_after_pickle_and_refit, watched
from fuzz_problems import Problem, draw, draw_labels
from group_reference import GroupProblem, descend, lower_bound, nothing, violations

from sksparse.linear_model import GroupLassoClassifier, GroupLassoRegressor, group_lasso_path

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


def check_group_regressor(report: Report, rng: np.random.Generator) -> None:
    _check(report, rng, str(rng.choice(["squared", "tasks", "huber", "cox", "poisson"])))


def check_group_classifier(report: Report, rng: np.random.Generator) -> None:
    _check(report, rng, str(rng.choice(["logistic", "multinomial"])))


def check_group_path(report: Report, rng: np.random.Generator) -> None:
    """Every point of a path, whatever was skipped on the way, is as good as a fit of its own."""
    drawn, y, problem, model = _draw(report, rng, str(rng.choice(list(TASKS))))
    options = model.get_params()
    options |= {"sample_weight": drawn.weights, "alphas": 8, "eps": 10.0 ** rng.uniform(-3, -1)}
    kind = {"logistic": "logistic", "multinomial": "multinomial"}.get(problem.loss)
    names = inspect.signature(group_lasso_path).parameters
    options = {name: value for name, value in options.items() if name in names}
    options |= {} if kind is None else {"loss": kind}
    report.model = f"path of {describe(model)}"
    report.data = (model, drawn.X, y, drawn.weights)
    with watched(report):
        path = group_lasso_path(drawn.X, y, **options)
    report.stage = "claims"
    top, penalised = path.alpha_max, (problem.c > 0)[problem.labels]
    report.claim(top in {0.0, path.alphas[0]}, f"the first of {path.alphas} is not alpha_max")
    first = path.coefs[..., 0][..., penalised]
    largest = np.abs(path.coefs).max()
    report.claim(np.all(np.abs(first) <= 1e-4 * largest), "something is selected at alpha_max")
    for k, alpha in enumerate(path.alphas):
        point = SimpleNamespace(
            coef_=path.coefs[..., k], intercept_=path.intercepts[..., k], tol=model.tol,
            dual_gap_=path.dual_gaps[k], optimality_=path.optimality[k], n_iter_=0,
        )  # fmt: skip
        _judge(report, replace(problem, alpha=float(alpha)), drawn, point)
        used = top == 0.0 or k == 0 or point.coef_.any()
        report.claim(used, f"nothing is selected at {alpha}, below alpha_max={top}")


def _check(report: Report, rng: np.random.Generator, loss: str) -> None:
    drawn, y, problem, model = _draw(report, rng, loss)
    before = drawn.dense.copy()
    fit(report, model, drawn.X, y, drawn.weights)
    report.stage = "claims"
    report.claim(np.array_equal(before, drawn.dense), "X was modified")
    finite = np.all(np.isfinite(model.coef_)) and np.all(np.isfinite(model.intercept_))
    if not report.claim(finite, "coefficients not finite"):
        return
    _judge(report, problem, drawn, model)
    _check_selection(report, problem, model)
    _check_predictions(report, drawn, y, model, loss)
    if rng.random() < 0.1:
        same_after_pickle_and_refit(report, model, drawn.X, y, drawn.weights)


def _draw(report: Report, rng: np.random.Generator, loss: str):
    """What is drawn, its targets, the problem for the reference, and a model that solves it."""
    drawn = draw(rng, TASKS[loss])
    y, options = _targets(rng, loss, drawn)
    problem = _options(rng, _centred(drawn, loss, y, options))
    problem = replace(problem, alpha=_strength(rng, problem))
    report.problem = f"{drawn}; {loss} {options or ''}"
    return drawn, y, problem, _model(problem, loss, options)


def _targets(rng: np.random.Generator, loss: str, drawn: Problem) -> tuple[Any, dict[str, Any]]:
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


def _centred(drawn: Problem, loss: str, y: Any, options: dict[str, Any]) -> GroupProblem:
    """The problem for columns around their means, which only moves the intercept."""
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
    name = "squared" if loss == "tasks" else loss
    return GroupProblem(Z, y[used], name, 1.0, np.zeros(X.shape[1], int), weights=weights,
                        options=options)  # fmt: skip


def _options(rng: np.random.Generator, problem: GroupProblem) -> GroupProblem:
    p = problem.X.shape[1]
    labels = np.arange(p) if rng.random() < 0.25 else draw_labels(rng, p)
    n_groups, factors = labels.max() + 1, None
    if rng.random() < 0.3:
        factors = rng.choice([0.5, 1.0, 2.0, 0.0], n_groups, p=[0.3, 0.3, 0.3, 0.1])
    spreads = np.sqrt(problem.term.s @ problem.X**2)
    unit = 1.0 / np.median(spreads[spreads > 0]) if np.any(spreads > 0) else 1.0
    lower, upper = {
        "none": (-np.inf, np.inf),
        "positive": (0.0, np.inf),
        "box": (-0.1 * unit, 0.2 * unit),
        "some": (np.where(rng.random(p) < 0.5, 0.0, -np.inf), np.inf),
    }[str(rng.choice(["none", "positive", "box", "some"], p=[0.6, 0.15, 0.15, 0.1]))]
    return replace(
        problem,
        labels=labels,
        factors=factors,
        l1_ratio=float(rng.choice([0.0, 0.0, 0.0, 0.3, 0.9, 1.0])),
        l2=float(rng.choice([0.0, 0.0, 1e-4, 0.1])) / unit**2,
        lower=lower,
        upper=upper,
    )


def _strength(rng: np.random.Generator, problem: GroupProblem) -> float:
    """From a hundred-thousandth of the smallest strength that selects nothing to above it."""
    W, b = nothing(problem)
    gradient = problem.term.slopes(problem.predictor(W, b)).T @ problem.X
    norms = [np.linalg.norm(gradient[:, g]) for g in problem.blocks]
    largest = np.max(np.divide(norms, problem.c, out=np.zeros_like(norms), where=problem.c > 0))
    return float(largest * 10.0 ** rng.uniform(-4.0, 0.2)) if 0.0 < largest < 1e100 else 0.1


def _model(problem: GroupProblem, loss: str, options: dict[str, Any]):
    kind = GroupLassoClassifier if loss in {"logistic", "multinomial"} else GroupLassoRegressor
    options = dict(options)
    if kind is GroupLassoRegressor:
        options["loss"] = problem.loss
    # each way to give them
    lower, upper = problem.lower, problem.upper
    if np.ndim(lower):
        options["positive"] = lower == 0.0
    elif lower == 0.0 and np.isinf(upper):
        options["positive"] = True
    elif np.isfinite(lower):
        options["bounds"] = (lower, upper)
    return kind(
        problem.alpha,
        problem.labels,
        l1_ratio=problem.l1_ratio,
        l2=problem.l2,
        penalty_weights=problem.factors,
        **options,
    )


def _judge(report: Report, problem: GroupProblem, drawn: Problem, model: Any) -> None:
    used = slice(None) if drawn.weights is None else drawn.weights > 0
    W = np.atleast_2d(model.coef_).astype(np.float64)
    means = _means(drawn)
    b = np.atleast_1d(model.intercept_ + W.astype(EXTENDED) @ means).astype(np.float64)
    lower, upper = problem.bounds
    eps = float(np.finfo(model.coef_.dtype).eps)
    inside = np.clip(W, lower, upper)
    if not report.claim(
        np.all(np.abs(W - inside) <= eps * np.abs(W)), f"coefficients out of bounds: {W}"
    ):
        return
    W = inside
    Z = problem.predictor(W, b)
    value = problem.objective(W, b)
    null = problem.objective(*nothing(problem))
    size = np.abs(model.intercept_) + np.abs(drawn.dense[used]) @ np.abs(W.T)
    floor = _rounding(problem, W, Z, eps, size) + 1e-9 * null
    gap = model.dual_gap_
    report.claim(gap >= 0.0 or np.isnan(gap), f"dual_gap_ is {gap}")
    report.claim(
        not np.isnan(gap) or report.warned or np.any(problem.c == 0), f"dual_gap_ is {gap}"
    )
    report.claim(model.optimality_ >= 0.0, f"optimality_ is {model.optimality_}")
    tol = max(model.tol, 1.2e-5 if model.coef_.dtype == np.float32 else 0.0)
    small = gap <= (1.0 + 1e-6) * tol * value + floor
    report.claim(
        report.warned or small or np.isnan(gap),
        f"silent at dual_gap_ {gap:.3g}, above tol={tol:.2g} of the objective {value:.6g}",
    )
    bound = lower_bound(problem, W, b)
    if not value - bound <= min(gap if not np.isnan(gap) else np.inf, 1e-4 * value) + floor:
        reached = min(
            problem.objective(*descend(problem, start, b, 1e-10, 100 + 20_000 // W.size)[:2])
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
    slopes = np.abs(violations(problem, W, b)[1])
    moved = value - problem.objective(*_best_intercept(problem, W, b))
    report.claim(
        report.warned or moved <= 1e-6 * value + floor,
        f"intercept_ {model.intercept_} is not the best: slopes {slopes}",
    )


def _means(drawn: Problem):
    s = np.ones(len(drawn.y)) if drawn.weights is None else drawn.weights
    return s.astype(EXTENDED) @ drawn.dense.astype(EXTENDED) / EXTENDED(s.sum())


def _best_intercept(problem: GroupProblem, W, b):
    """Newton steps over the intercepts, by a finite difference of their slopes."""
    for _ in range(3):
        slopes = violations(problem, W, b)[1]
        if not np.any(slopes):
            break
        step = 1e-6 * (1.0 + np.abs(b))
        curved = np.array(
            [violations(problem, W, b + h)[1] - slopes for h in np.diag(step)]
        ) / step[:, None]  # fmt: skip
        trial = b - np.linalg.lstsq(curved, slopes, rcond=1e-8)[0]
        if not problem.objective(W, trial) < problem.objective(W, b):
            break
        b = trial
    return W, b


def _rounding(problem: GroupProblem, W, Z, eps: float, size) -> float:
    """How much the loss may change by rounding, ``size`` being that of what is added up to Z."""
    y = np.reshape(problem.y, (len(Z), -1)) if problem.loss in {"squared", "huber"} else 0.0
    # coefficients and intercepts are in the type of the features, products with them in float64
    moved = 2.0 * eps * (np.abs(problem.X) @ np.abs(W.T) + np.abs(y))
    moved = moved + (2.0 * eps if eps > 1e-10 else 2.3e-16) * size
    slopes = np.abs(problem.term.slopes(Z))
    curved = problem.term.s[:, None] * (np.exp(Z) if problem.loss == "poisson" else 1.0)
    return float(np.sum(slopes * moved) + np.sum(curved * moved**2))


def _check_selection(report: Report, problem: GroupProblem, model: Any) -> None:
    """Names, norms and masks of what is kept are those of the coefficients."""
    squares = np.atleast_2d(model.coef_).astype(np.float64) ** 2
    used, always = squares.any(axis=0), (problem.c == 0)[problem.labels]
    norms = np.sqrt(np.bincount(problem.labels, squares.sum(axis=0), len(problem.c)))
    report.claim(np.allclose(model.group_norms_, norms, rtol=1e-5), "group_norms_ are others")
    kept = (np.bincount(problem.labels, used, len(problem.c)) > 0) | (problem.c == 0)
    report.claim(
        np.array_equal(np.isin(model.groups_, model.selected_groups_), kept),
        "selected_groups_ are not the groups with a coefficient or of weight zero",
    )
    support = kept[problem.labels] if problem.l1_ratio == 0.0 else used | always
    report.claim(np.array_equal(model.support_, support), "support_ is not that of coef_")
    report.claim(np.array_equal(model.get_support(), support), "get_support() is not support_")
    report.claim(model.n_features_ == support.sum(), "n_features_ is not that of support_")


def _check_predictions(report: Report, drawn: Problem, y: Any, model: Any, loss: str) -> None:
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
        score = model.score(drawn.X, y, drawn.weights)
        report.claim(np.isnan(score) or score <= 1.0, f"score {score}")
