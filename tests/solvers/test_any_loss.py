"""Every solver of smooth losses fits losses of all kinds, also such as are not in the package.

Poisson and Huber are there for comparison with independent implementations.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.linear_model import GammaRegressor, HuberRegressor, PoissonRegressor

from sksparse.losses import ConjugateLoss, Cox, Huber, Loss, Poisson
from sksparse.penalties import L0, L1, BlockPenalty, Blocks, GroupL2, SparseGroup
from sksparse.solvers import (
    BlockDescent,
    Design,
    Problem,
    Solution,
    Status,
    StepwiseNewton,
    SubsetNewton,
)


class Gamma(Loss):
    """Half the gamma deviance with a log link: ``y exp(-z) + z - log(y) - 1``."""

    title = "gamma deviance"
    lower_bound = 0.0

    def check_targets(self, y: np.ndarray) -> None:
        if not y.min() > 0.0:
            raise ValueError(f"The gamma loss needs y > 0; got a smallest y of {y.min():.6g}.")

    def value(self, z: np.ndarray) -> float:
        r = np.log(self.y) - z
        with np.errstate(over="ignore"):
            return float(self.weights @ (np.expm1(r) - r))

    def gradient(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.weights * (1.0 - self.y * np.exp(-z))

    def curvature(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.weights * self.y * np.exp(-z)


class PlainPoisson(Loss):
    """The Poisson log-likelihood as it is often written, ``exp(z) - y z``: negative as a rule."""

    title = "Poisson loss"
    unbounded_if = "single out samples with y = 0"

    @property
    def lower_bound(self) -> float:
        y = self.y[self.y > 0]
        return float(self.weights[self.y > 0] @ (y - y * np.log(y)))

    def value(self, z: np.ndarray) -> float:
        with np.errstate(over="ignore"):
            return float(self.weights @ (np.exp(z) - self.y * z))

    def gradient(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.weights * (np.exp(z) - self.y)

    def curvature(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.weights * np.exp(z)


class Overstated(PlainPoisson):
    """The same, with a bound that values fall below."""

    lower_bound = 0.0  # type: ignore[assignment]


LOSSES: dict[str, Any] = {
    "poisson": Poisson,
    "plain": PlainPoisson,
    "gamma": Gamma,
    "huber": Huber,
    "sharp": lambda y, weights: Huber(y, weights, epsilon=0.5),
    "cox": Cox,
    "tied cox": lambda y, weights: Cox(y, weights, ties="efron"),
}
LABELS = np.arange(8) // 2


def make_data(rng: np.random.Generator, name: str, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((n, 8)) + 0.5 * rng.standard_normal((n, 1))
    z = 0.5 + X[:, [0, 2, 3]] @ [0.6, -0.5, 0.3]
    if name in {"poisson", "plain"}:
        return X, rng.poisson(np.exp(z)).astype(float)
    if name == "gamma":
        return X, rng.gamma(2.0, np.exp(z) / 2.0) + 1e-3
    if name in {"cox", "tied cox"}:
        times = rng.exponential(np.exp(-z))
        times = times if name == "cox" else np.ceil(5.0 * times)
        return X, np.column_stack((times, rng.random(n) < 0.7))
    return X, z + rng.standard_t(2, n)


def make_problem(
    name: str, X: Any, y: np.ndarray, penalty: Any, alpha: float, weights: Any = None
) -> Problem:
    weights = np.ones(len(y)) if weights is None else weights
    return Problem(Design(X), LOSSES[name](y, weights / weights.sum()), penalty, alpha, True)


def loss_at(problem: Problem, solution: Solution) -> float:
    return problem.loss.value(problem.design.matvec(solution.coef) + solution.intercept)


def least(loss: Loss, X: np.ndarray) -> float:
    """Minimum over coefficients and intercept, by a general optimiser."""
    A = np.column_stack((X, np.ones(len(X))))

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.clip(A @ theta, -50.0, 50.0)
        return loss.value(z), A.T @ loss.gradient(z)

    start = np.zeros(A.shape[1])
    start[-1] = loss.best_constant()
    options = {"ftol": 1e-15, "gtol": 1e-11, "maxiter": 5000}
    return float(minimize(value, start, jac=True, method="L-BFGS-B", options=options).fun)


@pytest.mark.parametrize("name", LOSSES)
def test_best_subset_equals_exhaustive_search(name: str, rng: np.random.Generator) -> None:
    X, y = make_data(rng, name)
    for size in (1, 2, 3):
        problem = make_problem(name, X, y, L0(max_features=size), 0.0)
        solution = SubsetNewton(tol=1e-8, max_iter=100).solve(problem)
        assert solution.status is Status.CONVERGED
        best = min(least(problem.loss, X[:, s]) for s in combinations(range(8), size))
        assert loss_at(problem, solution) == pytest.approx(best, rel=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_a_strength_equals_exhaustive_search(name: str, rng: np.random.Generator) -> None:
    X, y = make_data(rng, name)
    problem = make_problem(name, X, y, L0(), 0.02)
    solution = SubsetNewton(tol=1e-8, max_iter=100).solve(problem)
    supports = (s for k in range(9) for s in combinations(range(8), k))
    best = min(least(problem.loss, X[:, s]) + 0.02 * len(s) for s in supports)
    found = loss_at(problem, solution) + 0.02 * np.count_nonzero(solution.coef)
    assert found == pytest.approx(best, rel=1e-7)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_stepwise_refits_are_minima(name: str, backward: bool, rng: np.random.Generator) -> None:
    X, y = make_data(rng, name)
    problem = make_problem(name, X, y, L0(), 0.02)
    solver = StepwiseNewton(backward=backward, tol=1e-8, max_iter=100)
    solution = solver.solve(problem)
    assert solution.status is Status.CONVERGED
    support = np.flatnonzero(solution.coef)
    assert loss_at(problem, solution) == pytest.approx(least(problem.loss, X[:, support]))


def penalties() -> dict[str, BlockPenalty]:
    blocks = Blocks.from_labels(LABELS)
    return {
        "lasso": L1(np.ones(8)),
        "group": GroupL2(blocks, np.full(4, 2**0.5)),
        "sparse group": SparseGroup(blocks, np.full(4, 2**0.5), 0.4),
    }


def smoothed(problem: Problem, penalty: BlockPenalty, softness: float) -> float:
    """Minimum with norms made smooth, by a general optimiser; never above by more than they add."""
    loss, p = problem.loss, problem.design.n_features
    X = problem.design.columns(np.arange(p))
    A, l1, l2 = np.column_stack((X, np.ones(len(X)))), penalty.l1, penalty.l2

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        w, z = theta[:p], np.clip(A @ theta, -50.0, 50.0)
        sizes = np.sqrt(w**2 + softness**2)
        norms = np.sqrt(np.bincount(penalty.blocks.labels, w**2) + softness**2)
        gradient = A.T @ loss.gradient(z)
        slopes = l1 * w / sizes + (l2 / norms)[penalty.blocks.labels] * w
        gradient[:p] += problem.alpha * slopes
        added = float(np.sum(l1 * sizes) + l2 @ norms)
        return loss.value(z) + problem.alpha * added, gradient

    start = np.zeros(p + 1)
    start[-1] = loss.best_constant()
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 20000, "maxfun": 40000}
    return float(minimize(value, start, jac=True, method="L-BFGS-B", options=options).fun)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", ["lasso", "group", "sparse group"])
@pytest.mark.parametrize("name", LOSSES)
def test_block_penalties_equal_a_general_optimiser(
    name: str, kind: str, sparse: bool, rng: np.random.Generator
) -> None:
    X, y = make_data(rng, name)
    penalty, weights = penalties()[kind], rng.random(len(y))
    null = make_problem(name, X, y, penalty, 0.0, weights)
    alpha = 0.2 * penalty.dual_norm(null.null_gradient)
    problem = make_problem(name, X, y, penalty, alpha, weights)
    given = problem
    if sparse:
        given = make_problem(name, sp.csc_array(X), y, penalty, alpha, weights)
    solution = BlockDescent(tol=1e-9, max_iter=200).solve(given)
    assert solution.status is Status.CONVERGED
    found = loss_at(problem, solution) + alpha * penalty.value(solution.coef)
    reference = smoothed(problem, penalty, 1e-7)
    assert reference - 20 * alpha * 1e-7 <= found <= reference + 1e-9
    proved = isinstance(problem.loss, ConjugateLoss)
    assert np.isnan(solution.gap) != proved
    if proved:
        assert -1e-12 <= solution.gap <= 1e-7


@pytest.mark.parametrize("kind", ["lasso", "group", "sparse group"])
@pytest.mark.parametrize("name", LOSSES)
def test_nothing_is_selected_from_the_dual_norm_of_the_null_gradient_on(
    name: str, kind: str, rng: np.random.Generator
) -> None:
    X, y = make_data(rng, name)
    penalty = penalties()[kind]
    largest = penalty.dual_norm(make_problem(name, X, y, penalty, 0.0).null_gradient)
    for share in (1.001, 0.98):
        problem = make_problem(name, X, y, penalty, share * largest)
        solution = BlockDescent(tol=1e-8, max_iter=100).solve(problem)
        assert solution.coef.any() == (share < 1.0)


def test_maximum_likelihood_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    for name, model in (
        ("poisson", PoissonRegressor(alpha=0.0, tol=1e-10, max_iter=1000)),
        ("gamma", GammaRegressor(alpha=0.0, tol=1e-10, max_iter=1000)),
        ("huber", HuberRegressor(alpha=0.0, tol=1e-10, max_iter=1000)),
    ):
        X, y = make_data(rng, name)
        model.fit(X, y)
        weights = np.full(len(y), 1.0 / len(y))
        # scikit-learn estimates the scale of the Huber loss as well
        loss = (
            Huber(y, weights, epsilon=1.35 * model.scale_)
            if name == "huber"
            else LOSSES[name](y, weights)
        )
        problem = Problem(Design(X), loss, L0(max_features=8), 0.0, True)
        solution = SubsetNewton(tol=1e-8, max_iter=100).solve(problem)
        np.testing.assert_allclose(solution.coef, model.coef_, atol=1e-4)
        assert solution.intercept == pytest.approx(model.intercept_, abs=1e-4)


def test_a_wrong_lower_bound_is_refused(rng: np.random.Generator) -> None:
    X, y = make_data(rng, "plain")
    weights = np.full(len(y), 1.0 / len(y))
    loss = Overstated(y + 3.0, weights)
    solvers: list[tuple[Any, Any]] = [
        (L0(), SubsetNewton(tol=1e-8, max_iter=100)),
        (L0(), StepwiseNewton(backward=False, tol=1e-8, max_iter=100)),
        (L1(np.ones(8)), BlockDescent(tol=1e-8, max_iter=100)),
    ]
    for penalty, solver in solvers:
        problem = Problem(Design(X), loss, penalty, 0.01, True)
        with pytest.raises(ValueError, match=r"Overstated.lower_bound=0 is not"):
            solver.solve(problem)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_poisson_at_any_level_of_the_counts(scale: float, rng: np.random.Generator) -> None:
    X, _ = make_data(rng, "poisson")
    y = scale * rng.poisson(np.exp(0.5 + X[:, 0] - 0.5 * X[:, 2])).astype(float)
    problem = make_problem("poisson", X, y, L0(max_features=2), 0.0)
    solution = SubsetNewton(tol=1e-8, max_iter=100).solve(problem)
    assert np.flatnonzero(solution.coef).tolist() == [0, 2]
    model = PoissonRegressor(alpha=0.0, tol=1e-12, max_iter=5000).fit(X[:, [0, 2]], y / scale)
    np.testing.assert_allclose(solution.coef[[0, 2]], model.coef_, atol=1e-5)


def test_large_counts_whose_noise_is_small(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 30))
    y = rng.poisson(np.exp(14.0 + X[:, 3] + 1e-2 * X[:, 5])).astype(float)
    problem = make_problem("poisson", X, y, L0(max_features=2), 0.0)
    solution = SubsetNewton(tol=1e-8, max_iter=100).solve(problem)
    assert np.flatnonzero(solution.coef).tolist() == [3, 5]
    z = X @ solution.coef + solution.intercept
    assert np.abs(X[:, [3, 5]].T @ problem.loss.gradient(z)).max() <= 1e-9 * y.mean()
    assert solution.coef[5] == pytest.approx(1e-2, rel=0.1)


def test_zero_counts_in_a_category_end_far_down_without_overflow(rng: np.random.Generator) -> None:
    X = np.eye(4)[np.arange(80) % 4][:, :3]
    y = rng.poisson(3.0, 80) * (X[:, 1] == 0)
    problem = make_problem("poisson", X, y.astype(float), L0(), 0.01)
    solution = SubsetNewton(tol=1e-8, max_iter=100).solve(problem)
    z = X @ solution.coef + solution.intercept
    assert problem.loss.is_saturated(z)
    assert 10.0 < -solution.coef[1] < 100.0


def test_a_constant_in_the_loss_changes_no_answer(rng: np.random.Generator) -> None:
    X, y = make_data(rng, "poisson")
    answers = []
    for name in ("poisson", "plain"):
        for alpha, penalty in ((0.02, L0()), (0.05, penalties()["group"])):
            problem = make_problem(name, X, y, penalty, alpha)
            if isinstance(penalty, L0):
                solver: Any = SubsetNewton(tol=1e-8, max_iter=100)
            else:
                solver = BlockDescent(tol=1e-10, max_iter=100)
            answers.append(solver.solve(problem).coef)
    np.testing.assert_allclose(answers[0], answers[2], atol=1e-8)
    np.testing.assert_allclose(answers[1], answers[3], atol=1e-6)
    assert answers[0].any()
    assert answers[1].any()


@pytest.mark.parametrize("threshold", [0.02, 0.05])
def test_a_loss_too_flat_for_newton_steps_proves_nothing(seed: int, threshold: float) -> None:
    """With few curved samples a fit is refused, or not claimed unless single additions agree."""
    for case in range(8):
        rng = np.random.default_rng([seed, case])
        X = rng.standard_normal((60, 6))
        y = X[:, :3] @ [2.0, -1.5, 1.0] + 0.3 * rng.standard_normal(60)
        loss = Huber(y, np.full(60, 1 / 60), threshold)
        problem = Problem(Design(X), loss, L0(max_features=2), 0.0, True)
        try:
            solution = SubsetNewton(tol=1e-8, max_iter=50).solve(problem)
        except ValueError as error:
            if "no curvature" not in str(error):
                raise
            continue
        if solution.status is Status.CONVERGED:
            assert np.count_nonzero(solution.coef) == 2
