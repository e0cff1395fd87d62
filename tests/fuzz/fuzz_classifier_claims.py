"""What the L0 classifiers promise, checked on a random problem."""

from __future__ import annotations

import warnings

import numpy as np
from fuzz_convex import Data
from fuzz_convex_claims import rounding
from fuzz_harness import Report, fit, same_after_pickle_and_refit
from fuzz_l0_claims import draw_rules, parameters
from fuzz_problems import Problem, draw
from fuzz_subsets import (
    Rules,
    explained,
    multinomial_loss,
    multinomial_slopes,
    newton_refit,
    separated,
)

from sksparse.linear_model import L0Classifier, L0ClassifierCV, l0_path


def _problem(rng: np.random.Generator, most_features: int) -> tuple[Problem, str]:
    task = "binary" if rng.random() < 0.75 else "multiclass"
    return draw(rng, task, most_features=most_features), task


def _codes(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes with a weight, codes and weights of the samples that count."""
    weights = np.ones(len(problem.y)) if problem.weights is None else problem.weights
    used = weights > 0
    classes, codes = np.unique(problem.y[used], return_inverse=True)
    return classes, codes, weights[used] / weights[used].sum()


def _data(problem: Problem, intercept: bool) -> Data:
    classes, _, _ = _codes(problem)
    y = (problem.y == classes[-1]).astype(float)
    return Data(problem.dense, y, problem.weights, "logistic", intercept, problem.eps)


def check_l0_classifier(report: Report, rng: np.random.Generator) -> None:
    solver = str(rng.choice(["auto", "auto", "auto", "swap", "forward", "backward"]))
    problem, task = _problem(rng, 10 if rng.random() < 0.5 else 40)
    report.problem = str(problem)
    classes, codes, s = _codes(problem)
    intercept = bool(rng.random() < 0.8)
    data = _data(problem, intercept)
    rules = draw_rules(rng, problem)
    null = -float(np.sum(np.bincount(codes, s) * np.log(np.bincount(codes, s))))
    rules.alpha = float(null * 10.0 ** rng.uniform(-4.0, -0.3))
    options = parameters(rules)
    kind = rng.random()
    if kind < 0.35:
        del options["l2"]
    elif kind < 0.7:
        options["l2"] = rules.l2 = float(
            10.0 ** rng.uniform(-4.0, 0.0) * np.median(data.spread) ** 2
        )
    if solver in {"auto", "swap"} and rng.random() < 0.15:
        options["positive"] = rules.positive = task == "binary" and bool(rng.random() < 0.5)
        options["l1"] = rules.l1 = float(np.median(data.spread) * 10.0 ** rng.uniform(-4.0, -0.5))
    model = L0Classifier(rules.alpha, solver=solver, fit_intercept=intercept, **options)
    X, y, weights = problem.X, problem.y, problem.weights
    before = problem.dense.copy()
    try:
        fit(report, model, X, y, weights)
    except ValueError as error:
        if solver == "backward" and "backward" in str(error):
            report.problem += " (refused)"
            return
        raise
    report.stage = "claims"
    report.claim(np.array_equal(before, problem.dense), "X was modified")
    if not report.claim(
        np.all(np.isfinite(model.coef_)) and np.all(np.isfinite(model.intercept_)),
        "coefficients not finite",
    ):
        return
    report.claim(np.array_equal(model.classes_, classes), f"classes_ are {model.classes_}")
    proba = model.predict_proba(X)
    report.claim(
        np.all(np.isfinite(proba)) and np.allclose(proba.sum(axis=1), 1.0, atol=1e-5),
        "probabilities are not finite, or do not sum to one",
    )
    rules.alpha *= rules.size is None
    ridges = ridges_of(model, data)
    _judge_support(report, problem, data, rules, model)
    if task == "binary" and rules.l1 == 0.0 and not rules.positive:
        _judge_binary(report, data, rules, model, ridges)
    elif rules.l1 == 0.0 and not rules.positive:
        _judge_multinomial(report, problem, data, model, ridges)
    if rng.random() < 0.1:
        same_after_pickle_and_refit(report, model, X, y, weights)


def ridges_of(model, data: Data) -> np.ndarray:
    """Factor of half the square of each coefficient."""
    strength = getattr(model, "l2_", model.l2)
    if isinstance(model.l2, str):
        return np.asarray(strength * data.spread**2)
    return np.full(len(data.spread), float(strength))


def _judge_support(report, problem: Problem, data: Data, rules: Rules, model) -> None:
    support = np.flatnonzero((model.coef_ != 0).any(axis=0))
    used = int(np.count_nonzero(rules.factors[support]))
    report.claim(rules.size is None or used <= rules.size, f"{used} features, more than asked for")
    if data.intercept:
        chosen = support[problem.constant[support]]
        report.claim(not chosen.size, f"constant columns {chosen[:5]} are selected")
    report.claim(not rules.positive or model.coef_.min() >= 0.0, "negative coefficients")
    report.claim(model.optimality_ >= 0.0, f"optimality_ is {model.optimality_}")


def _judge_binary(report, data: Data, rules: Rules, model, ridges) -> None:
    coef = model.coef_[0].astype(np.float64)
    support = np.flatnonzero(coef)
    intercept = float(model.intercept_[0])

    def value_of(w, loss):
        return loss + 0.5 * float(ridges @ (w * w)) + rules.cost(np.flatnonzero(w))

    value = value_of(coef, data.value(coef, intercept))
    null = data.loss_at(np.zeros_like(coef))
    single = model.coef_.dtype == np.float32
    slack = rounding(data, coef, intercept, np.finfo(model.coef_.dtype).eps)
    slack += (1e-5 if single else 2e-6) * null
    silent = not report.warned
    best, bounded = newton_refit(data, support, ridges, coef)
    here = best + rules.cost(support)
    report.claim(
        not silent or value <= here + 1e-6 * abs(here) + slack,
        f"silent: not the refit of its subset: {value:.8g}, not {here:.8g}",
    )
    report.claim(
        bounded or not silent or ridges.any() or not separated(data, support),
        f"silent: separated classes, loss {value:.3g}, coefficients up to "
        f"{np.abs(coef * data.spread).max():.3g} standard deviations",
    )
    free = [j for j in np.flatnonzero(data.spread) if rules.factors[j] == 0]
    nothing = newton_refit(data, free, ridges)[0] + rules.cost(free)
    report.claim(
        not silent or model.solver == "backward" or value <= nothing * (1 + 1e-6) + slack,
        f"silent: {value:.8g} is worse than no features, {nothing:.8g}",
    )
    if model.solver != "auto" or len(coef) > 10 or not silent:
        return
    for j in np.flatnonzero((data.spread > 0) & ~data.blurred):
        other = np.setxor1d(support, [j])
        if rules.factors[j] == 0 or not np.isfinite(rules.cost(other)):
            continue
        if j in other and explained(data, support, j):
            continue
        reached = newton_refit(data, other, ridges, coef)[0] + rules.cost(other)
        if not report.claim(
            value <= reached + 1e-5 * abs(reached) + slack,
            f"silent: {'drop' if j in support else 'add'} {j} leads from {value:.8g} to "
            f"{reached:.8g} (optimality_ {model.optimality_:.2g}, subset {support.tolist()})",
        ):
            return


def _judge_multinomial(report, problem: Problem, data: Data, model, ridges) -> None:
    classes, codes, s = _codes(problem)
    coef, intercepts = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    loss = multinomial_loss(data.X, codes, s, coef, intercepts)
    shares = np.bincount(codes, s)
    null = -float(shares @ np.log(shares)) if data.intercept else np.log(len(classes))
    value = loss + 0.5 * float(np.sum(ridges * coef * coef))
    report.claim(
        report.warned or model.solver == "backward" or np.any(problem.X.shape[1] == 0)
        or value <= null * (1 + 1e-5) + 1.0 * (model.max_features is None),
        f"silent: {value:.8g} is worse than no features, {null:.8g}",
    )  # fmt: skip
    if loss < 1e-4 * null or report.warned:
        return
    slopes, levels = multinomial_slopes(data, data.X, codes, coef, intercepts)
    support = np.flatnonzero((coef != 0).any(axis=0) & (data.spread > 0))
    slopes = (slopes + ridges * coef)[:, support] / data.spread[support]
    limit = 1e-3 if model.coef_.dtype == np.float32 else 1e-4
    limit += 10.0 * float(np.finfo(model.coef_.dtype).eps * np.abs(intercepts).max())
    report.claim(
        np.abs(slopes).max(initial=0.0) <= limit,
        f"silent: slope {np.abs(slopes).max(initial=0.0):.2g} per standard deviation is left",
    )
    if data.intercept:
        report.claim(
            np.abs(levels).max() <= limit, f"silent: slope {np.abs(levels).max():.2g} by intercepts"
        )


def check_l0_classifier_cv(report: Report, rng: np.random.Generator) -> None:
    problem, _task = _problem(rng, 15)
    report.problem = str(problem)
    intercept = bool(rng.random() < 0.8)
    _, codes, _ = _codes(problem)
    cv = 3 if np.bincount(codes).min() >= 3 and rng.random() < 0.4 else None
    model = L0ClassifierCV(
        cv=cv, criterion=str(rng.choice(["ebic", "bic", "gic", "aic"])), fit_intercept=intercept
    )
    if rng.random() < 0.3:
        model.set_params(alphas=6)
    fit(report, model, problem.X, problem.y, problem.weights)
    report.stage = "claims"
    report.claim(np.all(np.isfinite(model.coef_path_)), "coefficients of the path not finite")
    proba = model.predict_proba(problem.X)
    report.claim(np.all(np.isfinite(proba)), "probabilities not finite")
    support = np.flatnonzero((model.coef_ != 0).any(axis=0))
    report.claim(support.size == model.n_features_, "n_features_ is not the number of coefficients")
    report.claim(
        not intercept or not np.any(problem.constant[support]), "constant columns are selected"
    )
    if cv:
        report.claim(np.all(np.isfinite(model.score_path_)), "scores not finite")


def check_l0_log_path(report: Report, rng: np.random.Generator) -> None:
    """Losses of a path are those of its coefficients, and more features never fit worse."""
    problem, task = _problem(rng, 15)
    intercept = bool(rng.random() < 0.8)
    most = int(rng.integers(0, min(problem.X.shape[1], 8) + 1))
    report.problem = str(problem)
    norm = {"l2": 0.0} if rng.random() < 0.5 else {}
    report.model = f"l0_path(loss='log', max_features={most}, fit_intercept={intercept}, {norm})"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = l0_path(
            problem.X, problem.y, loss="log", max_features=most, fit_intercept=intercept,
            sample_weight=problem.weights, **norm,
        )  # fmt: skip
    report.warned = "; ".join(str(w.message) for w in caught)
    report.claim(
        all(w.category.__name__ == "ConvergenceWarning" for w in caught), f"warns {report.warned}"
    )
    data = _data(problem, intercept)
    _, codes, s = _codes(problem)
    for k in range(len(path.losses)):
        if task == "binary":
            loss = data.value(path.coefs[:, k].astype(float), float(path.intercepts[k]))
        else:
            coef, levels = path.coefs[:, :, k], path.intercepts[:, k]
            loss = multinomial_loss(data.X, codes, s, coef.astype(float), levels.astype(float))
        # predictors change when coefficients and intercepts are rounded
        moved = float(np.finfo(path.coefs.dtype).eps * np.abs(path.intercepts[..., k]).max())
        report.claim(
            abs(loss - path.losses[k]) <= 1e-4 * loss + 1e-4 + 4.0 * moved,
            f"point {k}: losses says {path.losses[k]:.8g}, it is {loss:.8g}",
        )
    # with a ridge it is the sum of loss and norm that falls
    report.claim(
        report.warned or not norm or np.all(np.diff(path.losses) <= 1e-4 * path.losses[0]),
        f"losses rise along the path: {path.losses}",
    )
