"""What the L0 family promises for a squared loss, checked on a random problem."""

from __future__ import annotations

import warnings

import numpy as np
from fuzz_convex import Data
from fuzz_convex_claims import rounding
from fuzz_harness import Report, fit, same_after_pickle_and_refit
from fuzz_problems import Problem, draw
from fuzz_subsets import LeastSquares, Rules, all_subsets

from sksparse.linear_model import L0Regressor, L0RegressorCV, l0_path

SOLVERS = ["auto", "auto", "auto", "swap", "splicing", "cd", "forward", "backward", "iht", "exact"]


def draw_rules(
    rng: np.random.Generator, problem: Problem, loss: LeastSquares | None = None
) -> Rules:
    """A penalty or a number of features, at times with norms, signs and factors."""
    p = problem.X.shape[1]
    factors = np.ones(p)
    if rng.random() < 0.2:
        factors = rng.choice([0.0, 0.5, 1.0, 2.0], p, p=[0.1, 0.3, 0.3, 0.3])
    size = int(rng.integers(1, min(p, 12) + 1)) if rng.random() < 0.5 else None
    return Rules(1.0, size, factors)


def parameters(rules: Rules) -> dict[str, object]:
    return {
        "max_features": rules.size,
        "penalty_weights": None if np.all(rules.factors == 1.0) else rules.factors,
        "l1": rules.l1,
        "l2": rules.l2,
        "positive": rules.positive,
    }


def check_l0(report: Report, rng: np.random.Generator) -> None:
    solver = str(rng.choice(SOLVERS))
    few = solver == "exact" or rng.random() < 0.4
    problem = draw(rng, "regression", most_features=10 if few else 60)
    report.problem = str(problem)
    intercept = bool(rng.random() < 0.8)
    data = Data(problem.dense, problem.y, problem.weights, "squared", intercept, problem.eps)
    rules = draw_rules(rng, problem)
    null = 0.5 * float(data.s @ (data.y - data.shift(np.zeros(len(data.y)))) ** 2)
    rules.alpha = float(null * 10.0 ** rng.uniform(-5.0, 0.0)) if rng.random() < 0.9 else 0.0
    if rng.random() < 0.25:
        rules.l2 = float(10.0 ** rng.uniform(-4.0, 1.0) * np.median(data.spread) ** 2)
    if solver in {"auto", "cd", "iht"} and rng.random() < 0.3:
        rules.positive = bool(rng.random() < 0.5)
        rules.l1 = float(null**0.5 * np.median(data.spread) * 10.0 ** rng.uniform(-4.0, 0.0))
        rules.l1 *= rng.random() < 0.6
    model = L0Regressor(
        rules.alpha, solver=solver, fit_intercept=intercept, **parameters(rules),
        warm_start=bool(rng.random() < 0.1),
    )  # fmt: skip
    if solver == "exact":
        model.set_params(time_limit=5.0)
    X, y, weights = problem.X, problem.y, problem.weights
    before = problem.dense.copy()
    try:
        if model.warm_start:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X, y[::-1])
        fit(report, model, X, y, weights)
    except ValueError as error:
        if solver == "backward" and "backward" in str(error):
            report.problem += " (refused)"
            return
        raise
    report.stage = "claims"
    report.claim(np.array_equal(before, problem.dense), "X was modified")
    if not report.claim(
        np.all(np.isfinite(model.coef_)) and np.isfinite(model.intercept_),
        "coefficients not finite",
    ):
        return
    rules.alpha *= rules.size is None
    judge_l0(report, problem, data, rules, model)
    if rng.random() < 0.1:
        same_after_pickle_and_refit(report, model, X, y, weights)
    if rng.random() < 0.2:
        _check_repetitions(report, problem, data, rules, model)
    elif rng.random() < 0.1 and rules.l1 == 0.0 and rules.l2 == 0.0:
        _check_scaled(report, rng, problem, data, rules, model)


def tolerance(data: Data, model, refits: LeastSquares) -> float:
    """Gains that may be left: ``tol`` of the loss without features, and rounding."""
    single = model.coef_.dtype == np.float32
    tol = max(model.tol, 1.2e-5 if single else 0.0)
    eps = np.finfo(model.coef_.dtype).eps
    slack = rounding(data, np.ravel(model.coef_).astype(float), float(model.intercept_), eps)
    mean = float(data.s @ data.y)
    explainable = 0.5 * float(data.s @ (data.y - mean) ** 2)
    if not data.intercept:
        # columns far from zero are, without an intercept, almost multiples of each other
        slack += 1e-3 * explainable * bool(data.far.any())
    return 2.0 * tol * explainable + slack + 1e-13 * refits.null


def judge_l0(report: Report, problem: Problem, data: Data, rules: Rules, model) -> None:
    coef = model.coef_.astype(np.float64)
    support = np.flatnonzero(coef)
    refits = LeastSquares(data, rules)
    value = data.value(coef, model.intercept_) + rules.added(coef)
    silent = not report.warned
    slack = tolerance(data, model, refits)
    used = int(np.count_nonzero(rules.factors[support]))
    report.claim(rules.size is None or used <= rules.size, f"{used} features, more than asked for")
    if data.intercept:
        chosen = support[problem.constant[support]]
        report.claim(not chosen.size, f"constant columns {chosen[:5]} are selected")
    report.claim(not rules.positive or coef.min() >= 0.0, "negative coefficients")
    report.claim(model.optimality_ >= 0.0, f"optimality_ is {model.optimality_}")
    here = refits.objective(support)
    report.claim(
        not silent or value <= here + 1e-6 * abs(here) + slack,
        f"silent: not the refit of its subset: {value:.8g}, not {here:.8g}",
    )
    empty = [int(j) for j in refits.usable if rules.factors[j] == 0]
    nothing = refits.objective(empty)
    if model.solver != "backward":
        report.claim(
            not silent or value <= nothing + 1e-6 * nothing + slack,
            f"silent: {value:.8g} is worse than no features, {nothing:.8g}",
        )
    plain = rules.l1 == 0.0 and not rules.positive
    if model.solver in {"auto", "swap"} and plain and len(support) <= 25:
        best, move = refits.best_move(list(support))
        report.claim(
            not silent or value <= best + 1e-6 * abs(best) + slack,
            f"silent: {move} leads from {value:.8g} to {best:.8g} (optimality_ "
            f"{model.optimality_:.2g}, subset {support.tolist()})",
        )
    if model.solver == "auto" and not plain and len(coef) <= 10:
        _singles(report, refits, support, value, slack)
    if model.solver == "exact":
        _exact(report, refits, rules, model, value, slack)


def _singles(report, refits: LeastSquares, support, value: float, slack: float) -> None:
    """With an L1 norm or signs: single adds and drops, refitted."""
    for j in refits.clear:
        other = np.setxor1d(support, [j])
        if refits.rules.factors[j] == 0 or not np.isfinite(refits.rules.cost(other)):
            continue
        reached = refits.objective(other)
        if not report.claim(
            report.warned or value <= reached + 1e-6 * abs(reached) + slack,
            f"silent: {'drop' if j in support else 'add'} {j} leads from {value:.8g} to "
            f"{reached:.8g} (subset {support.tolist()})",
        ):
            return


def _exact(report, refits: LeastSquares, rules: Rules, model, value: float, slack: float) -> None:
    report.claim(0.0 <= model.gap_ <= 1.0, f"gap_ is {model.gap_}")
    best = min(refits.objective(s) for s in all_subsets(rules, refits.clear))
    rounding_of_bound = 1e-6 * abs(best) + slack + 1e-8 * refits.null
    report.claim(
        model.lower_bound_ <= best + rounding_of_bound,
        f"lower_bound_ {model.lower_bound_:.8g} is above the optimum {best:.8g}",
    )
    report.claim(
        report.warned or (1.0 - max(model.gap, model.gap_)) * value <= best + rounding_of_bound,
        f"silent: exact ends at {value:.8g}, the optimum is {best:.8g}",
    )


def _check_repetitions(report, problem: Problem, data: Data, rules: Rules, model) -> None:
    weights = problem.weights
    if weights is None or not np.all(weights == np.round(weights)) or report.warned:
        return
    if any("another" in k or "one-hot" in k or "signs" in k for k in problem.kinds):
        return  # ties between subsets, which the last digit decides
    report.stage = "repeated rows"
    times = weights.astype(int)
    other = type(model)(**model.get_params())
    other.set_params(warm_start=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other.fit(
            problem.dense.repeat(times, axis=0).astype(problem.X.dtype), problem.y.repeat(times)
        )
    if caught or model.warm_start:
        return
    refits = LeastSquares(data, rules)
    values = [refits.objective(np.flatnonzero(m.coef_)) for m in (model, other)]
    report.claim(
        abs(values[0] - values[1]) <= 1e-6 * abs(values[0]) + tolerance(data, model, refits),
        f"repeated rows: objective {values[1]:.8g} instead of {values[0]:.8g}",
    )


def _check_scaled(report, rng, problem: Problem, data: Data, rules: Rules, model) -> None:
    report.stage = "scaled by a power of two"
    if model.warm_start or report.warned:
        return
    factor = float(2.0 ** int(rng.choice([-40, -9, 12, 33])))
    other = type(model)(**model.get_params())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arguments = {} if problem.weights is None else {"sample_weight": problem.weights}
        other.fit((problem.X * factor).astype(problem.X.dtype), problem.y, **arguments)
    report.claim(not caught, f"{report.stage}: warns {[str(w.message)[:100] for w in caught]}")
    refits = LeastSquares(data, rules)
    values = [refits.objective(np.flatnonzero(m.coef_)) for m in (model, other)]
    report.claim(
        abs(values[0] - values[1]) <= 1e-6 * abs(values[0]) + tolerance(data, model, refits),
        f"{report.stage}: objective {values[1]:.8g} instead of {values[0]:.8g}",
    )


def check_l0_path(report: Report, rng: np.random.Generator) -> None:
    """Losses of a path are those of its coefficients, and more features never fit worse."""
    problem = draw(rng, "regression", most_features=30)
    report.problem, report.model = str(problem), "l0_path"
    intercept = bool(rng.random() < 0.8)
    data = Data(problem.dense, problem.y, problem.weights, "squared", intercept, problem.eps)
    most = int(rng.integers(0, min(problem.X.shape[1], 12) + 1))
    by_price = bool(rng.random() < 0.3)
    grid = {"alphas": 10} if by_price else {"max_features": most}
    report.model = f"l0_path({grid}, fit_intercept={intercept})"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = l0_path(
            problem.X, problem.y, sample_weight=problem.weights, fit_intercept=intercept, **grid
        )
    report.warned = "; ".join(str(w.message) for w in caught)
    rules = Rules(0.0, None, np.ones(problem.X.shape[1]))
    refits = LeastSquares(data, rules)
    single = path.coefs.dtype == np.float32
    for k, coef in enumerate(path.coefs.T.astype(np.float64)):
        eps = np.finfo(path.coefs.dtype).eps
        slack = rounding(data, coef, float(path.intercepts[k]), eps) + 1e-12 * refits.null
        slack += (2.4e-5 if single else 2e-8) * data.loss_at(np.zeros_like(coef))
        value, best = data.value(coef, path.intercepts[k]), refits.loss(np.flatnonzero(coef))
        report.claim(
            value <= best * (1 + 1e-6) + slack, f"point {k}: loss {value:.8g}, its refit {best:.8g}"
        )
        report.claim(
            abs(path.losses[k] - best) <= 1e-5 * best + slack,
            f"point {k}: losses says {path.losses[k]:.8g}, it is {best:.8g}",
        )
        if not by_price:
            report.claim(path.n_features[k] <= path.sizes[k], f"point {k} has too many features")
        if data.intercept:
            report.claim(not np.any(coef[problem.constant]), f"point {k}: a constant is selected")
    slack = (2.4e-5 if single else 2e-8) * refits.null
    report.claim(
        np.all(np.diff(path.losses) <= 1e-9 * path.losses[:-1] + slack),
        f"losses rise along the path: {path.losses}",
    )
    report.claim(report.warned == "" or "ConvergenceWarning" in str(caught[0].category), "warns")


def check_l0_cv(report: Report, rng: np.random.Generator) -> None:
    """The choice is the best of the path, and the fit is that of L0Regressor."""
    problem = draw(rng, "regression", most_features=30)
    report.problem = str(problem)
    n, p = problem.X.shape
    intercept = bool(rng.random() < 0.8)
    cv = 3 if n >= 12 and rng.random() < 0.3 else None
    criterion = str(rng.choice(["ebic", "bic", "gic", "aic"]))
    model = L0RegressorCV(cv=cv, criterion=criterion, fit_intercept=intercept)
    if rng.random() < 0.3:
        model.set_params(alphas=10)
    elif rng.random() < 0.5:
        model.set_params(max_features=int(rng.integers(0, p + 1)))
    report.model = str(model)
    fit(report, model, problem.X, problem.y, problem.weights)
    report.stage = "claims"
    table = model.mse_path_.mean(axis=1) if cv else model.criterion_path_
    chosen = int(np.nanargmin(table))
    report.claim(np.all(np.isfinite(model.coef_path_)), "coefficients of the path not finite")
    report.claim(
        model.n_features_path_[chosen] == model.n_features_
        or table[chosen] >= table[model.n_features_path_ == model.n_features_].min() - 1e-9,
        f"chose {model.n_features_} features, {model.n_features_path_[chosen]} are better",
    )
    counts = np.ones(n) if problem.weights is None else problem.weights
    samples = int(np.count_nonzero(counts))
    report.claim(
        model.n_features_ <= max(samples - 1, 0),
        f"{model.n_features_} features chosen of {samples} samples",
    )
    support = np.flatnonzero(model.coef_)
    report.claim(support.size == model.n_features_, "n_features_ is not the number of coefficients")
    report.claim(
        not intercept or not np.any(problem.constant[support]), "constant columns are selected"
    )
    data = Data(problem.dense, problem.y, problem.weights, "squared", intercept, problem.eps)
    refits = LeastSquares(data, Rules(0.0, None, np.ones(p)))
    value = data.value(model.coef_.astype(float), model.intercept_)
    best = refits.loss(support)
    report.claim(
        report.warned or value <= best * (1 + 1e-6) + tolerance(data, model, refits),
        f"silent: not the refit of its subset: {value:.8g}, not {best:.8g}",
    )
