"""What the estimators of the group lasso family promise, checked on a random problem."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import group_reference
import numpy as np
from fuzz_harness import Report, describe, fit, same_after_pickle_and_refit, watched
from fuzz_linear_claims import TASKS, answer, centred, check_predictions, draw_targets, judge
from fuzz_problems import Problem, draw, draw_labels
from group_reference import GroupProblem, nothing

from sksparse.linear_model import GroupLassoClassifier, GroupLassoRegressor, group_lasso_path


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
    check_predictions(report, drawn, y, model, loss)
    if rng.random() < 0.1:
        same_after_pickle_and_refit(report, model, drawn.X, y, drawn.weights)


def _draw(report: Report, rng: np.random.Generator, loss: str):
    """What is drawn, its targets, the problem for the reference, and a model that solves it."""
    drawn = draw(rng, TASKS[loss])
    y, options = draw_targets(rng, loss, drawn)
    Z, targets, weights = centred(drawn, loss, y)
    name, one = "squared" if loss == "tasks" else loss, np.zeros(Z.shape[1], int)
    problem = GroupProblem(Z, targets, name, 1.0, one, weights=weights, options=options)
    problem = _options(rng, problem)
    problem = replace(problem, alpha=_strength(rng, problem))
    report.problem = f"{drawn}; {loss} {options or ''}"
    return drawn, y, problem, _model(problem, loss, options)


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
    W, b = answer(drawn, model)
    lower, upper = problem.bounds
    eps = float(np.finfo(model.coef_.dtype).eps)
    inside = np.clip(W, lower, upper)
    if report.claim(
        np.all(np.abs(W - inside) <= eps * np.abs(W)), f"coefficients out of bounds: {W}"
    ):
        bounded = bool(np.all(problem.c > 0))
        judge(report, group_reference, problem, drawn, model, inside, b, bounded=bounded)


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
