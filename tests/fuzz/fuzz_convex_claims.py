"""What GroupLassoSelector and OSCAR promise, checked on a random problem."""

from __future__ import annotations

import warnings

import numpy as np
from fuzz_convex import BlockNorm, Data, SortedNorm, lower_bound, objective
from fuzz_descent import polish
from fuzz_harness import Report, describe, fit, same_after_pickle_and_refit
from fuzz_problems import Problem, draw, draw_labels

from sksparse.feature_selection import GroupLassoSelector
from sksparse.linear_model import OSCAR


def check_group_lasso(report: Report, rng: np.random.Generator) -> None:
    loss = str(rng.choice(["squared", "logistic"]))
    _check_groups(report, rng, loss, "regression" if loss == "squared" else "binary")


def check_group_lasso_counts(report: Report, rng: np.random.Generator) -> None:
    _check_groups(report, rng, "poisson", "counts")


def _check_groups(report: Report, rng: np.random.Generator, loss: str, task: str) -> None:
    problem = draw(rng, task)
    p = problem.X.shape[1]
    labels = np.arange(p) if rng.random() < 0.25 else draw_labels(rng, p)
    sizes = np.bincount(labels)
    factors, chosen = np.sqrt(sizes), None
    if rng.random() < 0.3:
        chosen = factors = rng.choice([0.5, 1.0, 2.0, 0.0], len(sizes), p=[0.3, 0.3, 0.3, 0.1])
    ratio = float(rng.choice([0.0, 0.0, 0.0, 0.3, 0.9, 1.0]))
    norm = BlockNorm.documented(labels, factors, ratio)
    intercept = bool(rng.random() < 0.8)
    data = _data(problem, loss, intercept)
    alpha = _strength(rng, data, norm)
    model = GroupLassoSelector(
        alpha, labels, l1_ratio=ratio, penalty_weights=chosen, loss=loss, fit_intercept=intercept
    )
    _check(report, rng, problem, data, norm, model)
    used = model.coef_ != 0
    kept = np.isin(model.groups_, model.selected_groups_)
    report.claim(
        np.array_equal(kept, (np.bincount(labels, used, len(sizes)) > 0) | (factors == 0)),
        "selected_groups_ are not the groups with a coefficient or of weight zero",
    )


def check_oscar(report: Report, rng: np.random.Generator) -> None:
    problem = draw(rng, "regression")
    pairwise = float(rng.choice([0.0, 0.1, 0.5, 0.5, 0.9, 1.0]))
    norm = SortedNorm.documented(problem.X.shape[1], pairwise)
    intercept = bool(rng.random() < 0.8)
    data = _data(problem, "squared", intercept)
    model = OSCAR(
        _strength(rng, data, norm), pairwise=pairwise, ranks="all", fit_intercept=intercept
    )
    _check(report, rng, problem, data, norm, model)
    magnitudes = np.abs(model.coef_)
    clusters = [
        np.flatnonzero(magnitudes == m) for m in np.unique(magnitudes[magnitudes > 0])[::-1]
    ]
    found = [np.sort(c) for c in model.clusters_]
    report.claim(
        len(found) == len(clusters)
        and all(np.array_equal(a, b) for a, b in zip(found, clusters, strict=True)),
        "clusters_ are not the ties of coef_",
    )


def _data(problem: Problem, loss: str, intercept: bool) -> Data:
    y = problem.y
    if loss == "logistic":
        used = y if problem.weights is None else y[problem.weights > 0]
        y = (y == np.unique(used)[1]).astype(float)
    return Data(problem.dense, y, problem.weights, loss, intercept, problem.eps)


def _strength(rng: np.random.Generator, data: Data, norm: BlockNorm | SortedNorm) -> float:
    """A strength from zero to above the smallest that selects nothing."""
    kind = rng.random()
    if kind < 0.05:
        return 0.0
    if kind < 0.15:
        return float(rng.choice([1e-3, 1e-2, 0.1, 1.0]))
    largest = norm.dual_norm(data.Z.T @ data.slopes(data.predictor(np.zeros(data.Z.shape[1])))[0])
    if not 0.0 < largest < 1e100:
        return 0.1
    return float(largest * 10.0 ** rng.uniform(-5.0, 0.2))


def _check(report, rng, problem: Problem, data: Data, norm, model) -> None:
    report.problem = str(problem)
    X, y, weights = problem.X, problem.y, problem.weights
    if rng.random() < 0.25:
        report.stage, report.model = "fit before", describe(model)
        report.data = (model, X, y, weights)
        _fit_before(rng, model, X, y, weights)
    report.stage = "fit"
    before = problem.dense.copy()
    fit(report, model, X, y, weights)
    report.stage = "claims"
    report.claim(np.array_equal(before, problem.dense), "X was modified")
    if not report.claim(
        np.all(np.isfinite(model.coef_)) and np.isfinite(model.intercept_),
        "coefficients not finite",
    ):
        return
    judge(report, problem, data, norm, model)
    if rng.random() < 0.1:
        same_after_pickle_and_refit(report, model, X, y, weights)
    if rng.random() < 0.15:
        _check_equivalent(report, rng, problem, data, norm, model)


def _fit_before(rng, model, X, y, weights) -> None:
    """A fit of other strength, on the same or on other data, to start from."""
    alpha = model.alpha
    model.set_params(warm_start=True, alpha=alpha * float(rng.choice([0.01, 0.3, 1.0, 3.0, 1e3])))
    shuffled = y[::-1] if rng.random() < 0.3 else y
    other = weights if shuffled is y else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, shuffled, **({} if other is None else {"sample_weight": other}))
    model.set_params(alpha=alpha)


def judge(report: Report, problem: Problem, data: Data, norm, model) -> None:
    """Objective, gap, optimality, zeros and intercept of a fitted model."""
    alpha, coef = model.alpha, model.coef_.astype(np.float64)
    value = data.value(coef, model.intercept_) + alpha * norm.value(coef)
    slack = rounding(data, coef, float(model.intercept_), np.finfo(model.coef_.dtype).eps)
    floor = slack + scale_of_loss(data)
    stored, data = data, data.without(data.blurred & (coef == 0.0))
    bound = lower_bound(data, norm, alpha, coef)
    honest = value - bound
    gap = model.dual_gap_
    report.claim(np.isnan(gap) or gap >= 0.0, f"negative dual_gap_ {gap:.3g}")
    # Gaps near what rounding leaves of differences of the objective prove nothing either way.
    trusted = np.isnan(gap) or honest <= gap * (1 + 1e-6) + floor
    good = honest <= 1e-3 * abs(bound) + floor
    if not (trusted and good):
        starts = (coef, np.zeros_like(coef))
        reached = min(polish(data, norm, alpha, start)[1] for start in starts)
        lost = value - reached
        report.claim(
            report.warned or lost <= 1e-3 * abs(reached) + floor,
            f"silent: objective {value:.6g}, but {reached:.6g} is reached (relative "
            f"{lost / abs(reached) if reached else np.inf:.2g}); optimality_ "
            f"{model.optimality_:.2g}, dual_gap_ {gap:.3g}, n_iter_ {model.n_iter_}",
        )
        report.claim(
            np.isnan(gap) or lost <= gap * (1 + 1e-6) + floor,
            f"false dual_gap_ {gap:.3g}: the objective {value:.6g} is {lost:.3g} above another",
        )
    report.claim(model.optimality_ >= 0.0, f"optimality_ is {model.optimality_}")
    tol = max(model.tol, 1.2e-5 if model.coef_.dtype == np.float32 else 0.0)
    proved = gap <= (1.0 + 1e-6) * tol * abs(value) + floor
    report.claim(
        report.warned or proved or model.optimality_ <= tol,
        f"silent at optimality_ {model.optimality_:.2g}",
    )
    report.claim(
        report.warned or not np.isinf(gap), f"dual_gap_ inf at optimality_ {model.optimality_:.2g}"
    )
    if data.intercept:
        chosen = np.flatnonzero(problem.constant & (coef != 0))
        report.claim(
            not chosen.size, f"constant columns {chosen[:5]} have coefficients {coef[chosen[:5]]}"
        )
        loss = stored.value(coef, model.intercept_)
        best_loss = data.loss_at(coef)
        report.claim(
            report.warned or loss - best_loss <= 1e-6 * best_loss + floor,
            f"intercept_ {model.intercept_:.6g} is not the best, {data.best_intercept(coef):.6g}: "
            f"loss {loss:.6g}, not {best_loss:.6g}",
        )
    null = data.slopes(data.predictor(np.zeros_like(coef)))[0]
    if not norm.free.any() and alpha > 0:
        largest = norm.dual_norm(data.Z.T @ null)
        report.claim(
            alpha <= largest * (1 + 1e-4) + 1e-300 or not coef.any(),
            f"{np.count_nonzero(coef)} features at alpha {alpha:.6g}, none due above {largest:.6g}",
        )


def rounding(data: Data, coef, intercept: float, eps: float) -> float:
    """How much the loss may change when coefficients and intercept are rounded to their type."""
    largest = np.abs(data.y).max()
    largest = np.log1p(largest) if data.loss == "poisson" else largest
    moved = 2.0 * eps * (np.abs(data.Z) @ np.abs(coef) + abs(intercept) + largest)
    slopes, curvature = data.slopes(data.predictor(coef))
    return float(np.abs(slopes) @ moved + 0.5 * np.maximum(data.s, curvature) @ moved**2)


def scale_of_loss(data: Data) -> float:
    """Negligible differences of the objective, relative to what features can explain."""
    null = data.loss_at(np.zeros(data.Z.shape[1]))
    if data.loss != "squared":
        return 1e-9 * null
    mean = float(data.s @ data.y)
    return 1e-9 * 0.5 * float(data.s @ (data.y - mean) ** 2) + 1e-13 * null


def _check_equivalent(report, rng, problem: Problem, data: Data, norm, model) -> None:
    """Features times a power of two, or repetitions for weights: as good an answer."""
    other = type(model)(**model.get_params())
    alpha, coef = model.alpha, model.coef_.astype(np.float64)
    X, y, weights = problem.X, problem.y, problem.weights
    whole = weights is not None and np.all(weights == np.round(weights))
    factor = 1.0
    if whole:
        report.stage = "repeated rows"
        times = weights.astype(int)
        X, y, weights = problem.dense.repeat(times, axis=0), y.repeat(times), None
        X = X.astype(problem.X.dtype)
    else:
        report.stage = "scaled by a power of two"
        factor = float(2.0 ** int(rng.choice([-40, -9, 12, 33])))
        X = (X * factor).astype(problem.X.dtype)
        other.set_params(alpha=alpha * factor)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "No group is selected")
        other.fit(X, y, **({} if weights is None else {"sample_weight": weights}))
    if caught or report.warned:
        if not whole and not model.warm_start:
            texts = [str(w.message)[:200] for w in caught]
            report.claim(bool(caught) == bool(report.warned), f"{report.stage}: warns {texts}")
        return
    there = other.coef_.astype(np.float64) * factor
    values = [objective(data, norm, alpha, w) for w in (coef, there)]
    slack = rounding(data, coef, float(model.intercept_), np.finfo(model.coef_.dtype).eps)
    report.claim(
        abs(values[0] - values[1]) <= 2e-3 * min(values) + 2 * slack + scale_of_loss(data),
        f"{report.stage}: objective {values[1]:.6g} instead of {values[0]:.6g}",
    )
