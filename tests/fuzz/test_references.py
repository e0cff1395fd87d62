"""The references of the fuzzers against scikit-learn, brute force and each other."""

from __future__ import annotations

import numpy as np
import pytest
import sorted_reference
from fuzz_convex import BlockNorm, Data, SortedNorm, lower_bound, objective
from fuzz_descent import polish
from fuzz_harness import Report
from fuzz_linear_claims import answer, centred, judge
from fuzz_problems import Problem, draw, draw_labels
from fuzz_subsets import separated
from sklearn.linear_model import Lasso, LogisticRegression
from sorted_reference import SortedProblem

from sksparse.linear_model import OSCAR


def regression(rng: np.random.Generator, n: int = 60, p: int = 8) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1)) + 2.0
    return X, X[:, :3] @ [1.0, -2.0, 0.5] + rng.standard_normal(n)


def blocks(labels: np.ndarray, ratio: float) -> BlockNorm:
    return BlockNorm.documented(labels, np.sqrt(np.bincount(labels)), ratio)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_lasso_is_that_of_scikit_learn(
    rng: np.random.Generator, intercept: bool, weighted: bool
) -> None:
    X, y = regression(rng)
    weights = rng.uniform(0.2, 2.0, len(y)) if weighted else None
    theirs = Lasso(0.1, fit_intercept=intercept, tol=1e-13, max_iter=100_000)
    theirs.fit(X, y, sample_weight=weights)
    data = Data(X, y, weights, "squared", intercept)
    norm = blocks(np.arange(8), 1.0)
    ours, value = polish(data, norm, 0.1, np.zeros(8))
    np.testing.assert_allclose(ours, theirs.coef_, atol=1e-9)
    assert data.best_intercept(ours) == pytest.approx(theirs.intercept_, abs=1e-9)
    assert value - lower_bound(data, norm, 0.1, theirs.coef_) == pytest.approx(0.0, abs=1e-10)
    assert data.value(theirs.coef_, theirs.intercept_) == pytest.approx(data.loss_at(ours))


def test_the_logistic_lasso_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    X, y = regression(rng)
    y = (y > np.median(y)).astype(float)
    theirs = LogisticRegression(
        l1_ratio=1.0, C=1.0 / (0.05 * len(y)), solver="saga", fit_intercept=True, tol=1e-12,
        max_iter=100_000,
    ).fit(X, y)  # fmt: skip
    data = Data(X, y, None, "logistic", True)
    norm = blocks(np.arange(8), 1.0)
    ours, _ = polish(data, norm, 0.05, np.zeros(8))
    np.testing.assert_allclose(ours, theirs.coef_[0], atol=1e-6)
    assert data.best_intercept(ours) == pytest.approx(theirs.intercept_[0], abs=1e-5)


@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson"])
@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("free", [False, True])
def test_both_certificates_of_a_polished_point_meet(
    rng: np.random.Generator, loss: str, ratio: float, free: bool
) -> None:
    X, y = regression(rng)
    if loss == "logistic":
        y = (y > np.median(y)).astype(float)
    elif loss == "poisson":
        y = rng.poisson(np.exp(0.3 * y)).astype(float)
    data = Data(X, y, None, loss, True)
    norm = blocks(np.array([0, 1, 0, 2, 2, 2, 3, 3]), ratio)
    if free:
        norm.l1[[0, 2]] = norm.l2[0] = 0.0
    w, value = polish(data, norm, 0.05, np.zeros(8))
    assert value == objective(data, norm, 0.05, w)
    assert abs(value - lower_bound(data, norm, 0.05, w)) < 1e-6 * value


@pytest.mark.parametrize("pairwise", [0.0, 0.5, 1.0])
def test_both_certificates_of_the_sorted_norm_meet(
    rng: np.random.Generator, pairwise: float
) -> None:
    X, y = regression(rng)
    data, norm = Data(X, y, None, "squared", True), SortedNorm.documented(8, pairwise)
    w, value = polish(data, norm, 0.3, np.zeros(8))
    assert abs(value - lower_bound(data, norm, 0.3, w)) < 1e-7 * value
    pairs = sum(max(abs(w[j]), abs(w[k])) for j in range(8) for k in range(j))
    written = (1 - pairwise) * np.abs(w).sum() + pairwise / 7 * pairs
    assert norm.value(w) == pytest.approx(written)


def test_dual_norms_bound_all_products_and_tell_when_something_enters(
    rng: np.random.Generator,
) -> None:
    X, y = regression(rng, p=6)
    data = Data(X, y, None, "squared", True)
    labels = np.array([0, 0, 1, 1, 1, 2])
    for norm in (blocks(labels, 0.3), blocks(labels, 0.0), SortedNorm.documented(6, 0.7)):
        g = data.Z.T @ data.slopes(data.predictor(np.zeros(6)))[0]
        bound = norm.dual_norm(g)
        w = rng.standard_normal((2000, 6)) * (rng.random((2000, 6)) < 0.5)
        assert max(v @ g - bound * norm.value(v) for v in w) <= 0.0
        for factor, enters in ((1.001, False), (0.999, True)):
            start = -1e-3 * g
            assert polish(data, norm, factor * bound, start)[0].any() == enters


def test_an_answer_that_is_not_the_best_is_found_out(rng: np.random.Generator) -> None:
    X, y = regression(rng)
    data, norm = Data(X, y, None, "squared", True), blocks(np.arange(8), 1.0)
    best, value = polish(data, norm, 0.1, np.zeros(8))
    worse = best * 1.2
    before = objective(data, norm, 0.1, worse)
    assert before - lower_bound(data, norm, 0.1, worse) > before - value > 0.0
    assert polish(data, norm, 0.1, worse)[1] == pytest.approx(value, rel=1e-9)


def test_large_means_and_scales_cost_no_digits(rng: np.random.Generator) -> None:
    X, y = regression(rng)
    data, norm = Data(X, y, None, "squared", True), blocks(np.arange(8) // 2, 0.0)
    _, value = polish(data, norm, 0.1, np.zeros(8))
    moved = Data(X + 2.0**24, y - 1e6, None, "squared", True)
    assert polish(moved, norm, 0.1, np.zeros(8))[1] == pytest.approx(value, rel=1e-6)
    scaled = Data(X * 2.0**30, y, None, "squared", True)
    assert polish(scaled, norm, 0.1 * 2.0**30, np.zeros(8))[1] == pytest.approx(value, rel=1e-9)


def test_a_seed_makes_the_same_problem(seed: int) -> None:
    one, two = (draw(np.random.default_rng(seed), "regression") for _ in range(2))
    assert str(one) == str(two)
    np.testing.assert_array_equal(one.dense, two.dense)
    np.testing.assert_array_equal(one.y, two.y)
    labels = draw_labels(np.random.default_rng(seed), 9)
    assert set(labels) == set(range(labels.max() + 1))


def test_separation_is_that_of_a_direction(rng: np.random.Generator) -> None:
    x = rng.standard_normal((40, 3))
    x[:, 2] = (rng.random(40) < 0.2).astype(float)
    noisy = x[:, 0] + rng.logistic(size=40) > 0
    noisy[:4], x[:4, 2], x[:4, 0] = [True, False, True, False], [1, 1, 0, 0], 0.0
    for y, columns, expected in (
        (x[:, 0] > 0.3, [0], True),
        (x[:, 0] > 0.3, [1], False),
        (noisy, [0, 1, 2], False),
        # all samples of a rare level in one class: part of the way
        (noisy | (x[:, 2] > 0), [0, 1, 2], True),
    ):
        data = Data(x, y.astype(float), None, "logistic", True)
        assert separated(data, np.array(columns)) == expected


@pytest.mark.parametrize("spread, judged", [(5e-7, False), (1e-3, True)])
def test_a_column_that_varies_by_rounding_may_count_as_constant(
    spread: float, judged: bool, rng: np.random.Generator
) -> None:
    y = rng.standard_normal(40)
    X = np.c_[1e7 * (1.0 + spread * y), rng.standard_normal(40)].astype(np.float32)
    drawn = Problem(X, y, None, ["gaussian"] * 2)
    model = OSCAR(1e-3).fit(X[:, 1:], y)
    model.coef_ = np.append(np.float32(0.0), model.coef_)
    Z, targets, _ = centred(drawn, "squared", y)
    problem = SortedProblem(Z, targets, "squared", 1e-3, np.array([1.0, 0.5]))
    report = Report(0)
    judge(report, sorted_reference, problem, drawn, model, *answer(drawn, model))
    assert bool(report.broken) == judged
