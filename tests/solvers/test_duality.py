"""Duality gaps against the answers of a plain accelerated proximal gradient method."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sksparse.losses import Logistic
from sksparse.penalties import SortedL1
from sksparse.solvers import BlockDescent, Design, Problem, SortedDescent, Status
from sksparse.solvers.convex._duality import Known, duality_gap, duality_gaps
from sksparse.solvers.convex._probe import Probe

sys.path.insert(0, str(Path(__file__).parent))
from convex_problems import FORMS, KINDS, PENALTIES, make_problem, proximal_gradient


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("kind", KINDS)
def test_gap_is_tight_at_the_optimum_and_a_bound_elsewhere(
    kind: str, name: str, form: str, rng: np.random.Generator
) -> None:
    penalty = PENALTIES[name](**FORMS[form])
    intercept = name != "group"
    problem, X = make_problem(kind, penalty, 0.2, rng, intercept)
    least, coef, level = proximal_gradient(problem, X)
    assert 0.0 <= duality_gap(problem, coef, level) <= 1e-8 * least
    solution = BlockDescent(tol=1e-9, max_iter=100).solve(problem)
    assert solution.status is Status.CONVERGED
    found = problem.predictor(solution.coef, solution.intercept)
    assert problem.objective(solution.coef, found) <= least * (1.0 + 1e-9)
    answers = [(coef, level)]
    for scale in (1e-4, 1e-2, 1.0):
        moved = coef + scale * rng.standard_normal(coef.shape) * (rng.random(coef.shape) < 0.7)
        answers.append((penalty.feasible(moved), level + scale * intercept))
    alphas = [problem.alpha, problem.alpha, 0.5 * problem.alpha, problem.alpha]
    gaps = duality_gaps(problem, alphas, [w for w, _ in answers], [b for _, b in answers])
    for (w, b), alpha, gap in zip(answers, alphas, gaps, strict=True):
        other = replace(problem, alpha=alpha)
        assert gap == pytest.approx(duality_gap(other, w, b), rel=1e-9, abs=1e-14)
        if alpha == problem.alpha:
            value = other.loss.value(other.predictor(w, b)) + penalty.cost(w, alpha)
            assert gap >= value - least - 1e-12


def test_products_that_are_wrong_are_not_believed(rng: np.random.Generator) -> None:
    penalty = next(iter(PENALTIES.values()))(**next(iter(FORMS.values())))
    problem, _ = make_problem("squared", penalty, 0.2, rng, True)
    solution = BlockDescent(tol=1e-9, max_iter=100).solve(problem)
    coef, intercept = solution.coef, solution.intercept
    u = problem.sample_gradient(problem.predictor(coef, intercept))
    right, probe = problem.centred.rmatvec(u), Probe(problem)
    wrong = right.copy()
    wrong[..., 3] += 1e-8
    assert probe.confirms(u, right)
    assert not probe.confirms(u, wrong)
    expected = duality_gap(problem, coef, intercept)
    for products in (right, 2.0 * right, wrong):
        known = Known([products], probe)
        found = duality_gaps(problem, [problem.alpha], [coef], [intercept], known)
        assert found[0] == pytest.approx(expected, rel=1e-6, abs=1e-13)


def test_gap_of_nearly_weightless_classes_is_no_rounding_of_large_predictors(
    rng: np.random.Generator,
) -> None:
    # the objective is next to zero, as is what an error of a predictor does to the derivatives
    X, y = rng.standard_normal((60, 2)), np.repeat([0.0, 1.0], 30)
    loss = Logistic(y, np.where(y == 0.0, 1.0, 1e-7) / 30.0)
    problem = Problem(Design(X), loss, SortedL1(np.ones(2)), 1e-9, True)
    solution = SortedDescent(tol=1e-9, max_iter=100).solve(problem)
    z = problem.predictor(solution.coef, solution.intercept)
    assert solution.status is Status.CONVERGED
    assert solution.coef.any()
    assert solution.gap <= 1e-9 * problem.objective(solution.coef, z)
