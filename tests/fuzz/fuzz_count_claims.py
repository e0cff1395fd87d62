"""What the best subsets of counts promise, checked on a random problem."""

from __future__ import annotations

import numpy as np
from fuzz_convex import Data
from fuzz_convex_claims import rounding, scale_of_loss
from fuzz_harness import Report, fit, same_after_pickle_and_refit
from fuzz_l0_claims import draw_rules, parameters
from fuzz_problems import draw
from fuzz_subsets import Rules, explained, newton_refit
from scipy.optimize import linprog

from sksparse.linear_model import L0PoissonRegressor


def check_l0_counts(report: Report, rng: np.random.Generator) -> None:
    solver = str(rng.choice(["auto", "auto", "auto", "swap", "forward", "backward"]))
    problem = draw(rng, "counts", most_features=10 if rng.random() < 0.5 else 40)
    report.problem = str(problem)
    intercept = bool(rng.random() < 0.8)
    data = Data(problem.dense, problem.y, problem.weights, "poisson", intercept, problem.eps)
    rules = draw_rules(rng, problem)
    null = data.loss_at(np.zeros(data.Z.shape[1]))
    rules.alpha = float(null * 10.0 ** rng.uniform(-4.0, -0.3))
    if rng.random() < 0.3:
        rules.l2 = float(10.0 ** rng.uniform(-4.0, 0.0) * np.median(data.spread) ** 2)
    model = L0PoissonRegressor(
        rules.alpha, solver=solver, fit_intercept=intercept, **parameters(rules)
    )
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
    finite = np.all(np.isfinite(model.coef_)) and np.isfinite(model.intercept_)
    if not report.claim(finite, "coefficients not finite"):
        return
    rules.alpha *= rules.size is None
    support = np.flatnonzero(model.coef_)
    used = int(np.count_nonzero(rules.factors[support]))
    report.claim(rules.size is None or used <= rules.size, f"{used} features, more than asked for")
    if intercept:
        chosen = support[problem.constant[support]]
        report.claim(not chosen.size, f"constant columns {chosen[:5]} are selected")
    _judge(report, data, rules, model, support)
    if rng.random() < 0.1:
        same_after_pickle_and_refit(report, model, X, y, weights)


def _judge(report: Report, data: Data, rules: Rules, model, support: np.ndarray) -> None:
    coef, ridges = model.coef_.astype(np.float64), np.full(len(model.coef_), rules.l2)

    def refit(features, start=None) -> float:
        return newton_refit(data, features, ridges, start)[0] + rules.cost(features)

    value = data.value(coef, model.intercept_) + rules.added(coef)
    slack = rounding(data, coef, float(model.intercept_), np.finfo(model.coef_.dtype).eps)
    slack += scale_of_loss(data)
    silent, here = not report.warned, refit(support, coef)
    report.claim(
        not silent or value <= here + 1e-6 * abs(here) + slack,
        f"silent: not the refit of its subset: {value:.8g}, not {here:.8g}",
    )
    report.claim(
        not silent or rules.l2 > 0.0 or not singled_out(data, support),
        "silent: zero counts that the features single out, coefficients up to "
        f"{np.abs(coef * data.spread).max():.3g} per standard deviation",
    )
    nothing = refit([j for j in np.flatnonzero(data.spread) if rules.factors[j] == 0])
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
        reached = refit(other, coef)
        if (j in other and singled_out(data, other)) or not report.claim(
            value <= reached + 1e-5 * abs(reached) + slack,
            f"silent: {'drop' if j in support else 'add'} {j} leads from {value:.8g} to "
            f"{reached:.8g} (optimality_ {model.optimality_:.2g}, subset {support.tolist()})",
        ):
            return


def singled_out(data: Data, support) -> bool:
    """Whether a combination of columns is zero where y is positive, and negative at some zeros.

    Then the deviance has no minimum.
    """
    zeros = data.y == 0
    if not zeros.any():
        return False
    Z = data.X[:, support] - (data.X[:, support].mean(axis=0) if data.intercept else 0.0)
    A = Z / np.maximum(np.abs(Z).max(axis=0), 1e-300)
    if data.intercept:
        A = np.c_[A, np.ones(len(A))]
    if not A.shape[1]:
        return False
    found = linprog(
        A[zeros].sum(axis=0),
        A_ub=A[zeros],
        b_ub=np.zeros(int(zeros.sum())),
        A_eq=A[~zeros],
        b_eq=np.zeros(int((~zeros).sum())),
        bounds=(-1.0, 1.0),
    )
    return bool(found.status == 0 and -found.fun > 1e-6)
