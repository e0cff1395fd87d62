"""Forward selection and backward elimination against sequences of plain refits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import subset_reference as reference
from subset_reference import make_problem, planted, refit, with_penalty

from sksparse.losses import Logistic
from sksparse.penalties import L0
from sksparse.solvers import (
    BackwardElimination,
    Design,
    ForwardSelection,
    Problem,
    Solution,
    Solver,
)

N, P = 60, 12
SOLVERS = {"forward": ForwardSelection, "backward": BackwardElimination}


def run(name: str, *args: object, **options: object) -> tuple[np.ndarray, Solution]:
    return reference.run(SOLVERS[name], *args, **options)


make_data = partial(planted, n=N, p=P)


def forward(objective: Callable[[list[int]], float], p: int, stop: Callable) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < p:
        best = min((j for j in range(p) if j not in chosen), key=lambda j: objective([*chosen, j]))
        if stop(chosen, objective([*chosen, best]) - objective(chosen)):
            break
        chosen.append(best)
    return chosen


def backward(objective: Callable[[list[int]], float], p: int, stop: Callable) -> list[int]:
    chosen = list(range(p))
    while chosen:
        without = [[i for i in chosen if i != j] for j in chosen]
        best = min(without, key=objective)
        if stop(chosen, objective(best) - objective(chosen)):
            break
        chosen = best
    return chosen


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("name, reference", [("forward", forward), ("backward", backward)])
def test_sequence_is_that_of_plain_refits(
    rng: np.random.Generator, name: str, reference: Callable, l2: float, fit_intercept: bool
) -> None:
    X, y = make_data(rng)
    weights = rng.random(N)
    weights[:4] = 0.0
    more = {"weights": weights, "fit_intercept": fit_intercept}

    def loss(support: list[int]) -> float:
        return refit(X, y, support, l2, **more)[1]

    for k in (1, 3, 6, 11):
        expected = reference(loss, P, lambda chosen, _, k=k: len(chosen) == k)
        support, solution = run(name, X, y, max_features=k, l2=l2, **more)
        np.testing.assert_array_equal(support, sorted(expected))
        np.testing.assert_allclose(
            solution.coef[support], refit(X, y, support, l2, **more)[0], rtol=1e-8
        )
        assert solution.intercept == pytest.approx(
            fit_intercept * (weights @ (y - X @ solution.coef)) / weights.sum()
        )
    null = loss([])
    for alpha in (0.001 * null, 0.02 * null, 0.1 * null, 2.0 * null):
        penalised = reference(
            lambda s, a=alpha: loss(s) + a * len(s), P, lambda _, change: change >= 0.0
        )
        support, _ = run(name, X, y, alpha, l2=l2, **more)
        np.testing.assert_array_equal(support, sorted(penalised))


@pytest.mark.parametrize("name, reference", [("forward", forward), ("backward", backward)])
def test_penalty_weights(rng: np.random.Generator, name: str, reference: Callable) -> None:
    X, y = make_data(rng)
    factors = rng.uniform(0.1, 3.0, P)
    factors[[7, 9]] = 0.0
    alpha = 0.02 * refit(X, y, [])[1]

    def objective(support: list[int]) -> float:
        # Dropping, or leaving out, a feature of factor zero is not allowed.
        kept = sorted({*support, 7, 9})
        return refit(X, y, kept)[1] + alpha * factors[kept].sum()

    support, _ = run(name, X, y, alpha, penalty_weights=factors)
    if name == "forward":
        penalised = reference(objective, P, lambda _, change: change >= 0.0)
    else:
        penalised = reference(
            lambda s: objective(s) + 1e9 * ({7, 9} - set(s) != set()),
            P,
            lambda _, change: change >= 0.0,
        )
    np.testing.assert_array_equal(support, sorted({*penalised, 7, 9}))
    for k in (0, 1, 4):
        support, _ = run(name, X, y, max_features=k, penalty_weights=factors)
        assert {7, 9} <= set(support.tolist())
        assert len(support) == k + 2


def test_forward_follows_the_counterexample_and_backward_does_not(
    rng: np.random.Generator,
) -> None:
    # The third column is closest to the target; the first two give it exactly.
    X = rng.standard_normal((100, 3))
    X[:, 2] = X[:, 0] + X[:, 1] + 0.3 * X[:, 2]
    y = X[:, 0] + X[:, 1]
    assert 2 in run("forward", X, y, max_features=2)[0]
    np.testing.assert_array_equal(run("backward", X, y, max_features=2)[0], [0, 1])


def test_a_drop_obeys_the_identities_of_the_optimal_brain_surgeon(
    rng: np.random.Generator,
) -> None:
    X, y = make_data(rng)
    centred = X - X.mean(axis=0)
    inverse = np.linalg.inv(centred.T @ centred / N)
    full, loss = refit(X, y, range(P))
    saliencies = full**2 / (2.0 * np.diag(inverse))
    gone = int(np.argmin(saliencies))
    support, solution = run("backward", X, y, max_features=P - 1)
    np.testing.assert_array_equal(support, np.delete(np.arange(P), gone))
    moved = full - full[gone] / inverse[gone, gone] * inverse[:, gone]
    np.testing.assert_allclose(solution.coef, np.where(np.arange(P) == gone, 0.0, moved))
    assert refit(X, y, support)[1] - loss == pytest.approx(saliencies[gone], rel=1e-10)


def test_many_drops_keep_their_digits(rng: np.random.Generator) -> None:
    # Nearly dependent columns make the first inverse large; the last one must not show it.
    X = rng.standard_normal((200, 60))
    X[:, 40:] = X[:, :20] + 1e-3 * X[:, 40:]
    y = X[:, :5].sum(axis=1) + rng.standard_normal(200)
    expected = backward(lambda s: refit(X, y, s)[1], 60, lambda chosen, _: len(chosen) == 50)
    np.testing.assert_array_equal(run("backward", X, y, max_features=50)[0], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SOLVERS)
def test_degenerate_columns(rng: np.random.Generator, name: str, dtype: type) -> None:
    X, y = make_data(rng)
    X[:, 3] = 5.0
    X[:, 8] = X[:, 0]
    X[:, 11] = X[:, 1] - X[:, 2]
    support, solution = run(name, X.astype(dtype), y)
    assert len(support) <= P - 3
    assert solution.coef[3] == 0.0
    # What forward selection leaves out, it leaves out for a gain below the precision of X.
    precision = 2.0 * make_problem(X.astype(dtype), y).precision * refit(X, y, [])[1]
    assert refit(X, y, support)[1] == pytest.approx(refit(X, y, range(P))[1], abs=precision)


def test_columns_far_from_zero_in_single_precision(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    X = (X + 1e4 * X.std(axis=0)).astype(np.float32)
    support, _ = run("forward", X, y, max_features=4)
    double, _ = run("forward", X.astype(np.float64), y, max_features=4)
    np.testing.assert_array_equal(support, double)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_constant_target_needs_no_features(rng: np.random.Generator, name: str) -> None:
    X, _ = make_data(rng)
    support, solution = run(name, X, np.full(N, 3.0), 0.01)
    assert not len(support)
    assert solution.intercept == pytest.approx(3.0)


def test_forward_stops_at_the_rank_of_wide_data(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 30))
    support, solution = run("forward", X, rng.standard_normal(8), max_features=20)
    assert len(support) <= 7
    assert solution.certificate.value == 0.0


def test_a_round_of_features_does_not_change_them(rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 50))
    y = X.sum(axis=1) + rng.standard_normal(80)
    expected = forward(lambda s: refit(X, y, s)[1], 50, lambda chosen, _: len(chosen) == 24)
    support, solution = run("forward", X, y, max_features=24)
    np.testing.assert_array_equal(support, sorted(expected))
    assert solution.n_iter == 4


def test_a_budget_that_ends_early_is_reported(rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 50))
    y = X.sum(axis=1)
    for solver in SOLVERS.values():
        penalty = L0(max_features=24 if solver is ForwardSelection else 2)
        solution = solver(tol=1e-8, max_iter=1).solve(with_penalty(make_problem(X, y), penalty))
        assert "max_iter=1" in solution.message


def unsupported() -> list[tuple[str, Callable[[], Solver], str]]:
    positive = np.arange(P) < 2
    cases = []
    for name in SOLVERS:
        cases += [
            (name, L0(l1=0.5), f"solver='{name}' needs l1=0, got l1=0.5"),
            (name, L0(positive=positive), f"solver='{name}' does not bound coefficients"),
        ]
    return cases


@pytest.mark.parametrize("name, penalty, message", unsupported())
def test_unsupported_rules(rng: np.random.Generator, name: str, penalty: L0, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SOLVERS[name](tol=1e-8, max_iter=10).solve(
            with_penalty(make_problem(*make_data(rng)), penalty)
        )


@pytest.mark.parametrize("name", SOLVERS)
def test_other_losses_are_refused(rng: np.random.Generator, name: str) -> None:
    X, y = make_data(rng)
    loss = Logistic((y > 0).astype(float), np.full(N, 1.0 / N))
    problem = Problem(Design(X), loss, L0(), 0.1, True)
    with pytest.raises(ValueError, match="minimises the squared loss, not Logistic"):
        SOLVERS[name](tol=1e-8, max_iter=10).solve(problem)


def test_backward_needs_more_samples_than_features(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    with pytest.raises(ValueError, match=r"n_samples=12 .* n_features=12"):
        run("backward", X[:12], y[:12])
    weights = np.ones(N)
    weights[12:] = 0.0
    with pytest.raises(ValueError, match=r"n_samples=12 .* n_features=12"):
        run("backward", X, y, weights=weights)
    # One more sample, no intercept, or a ridge penalty is enough.
    for rows, options in ((13, {}), (12, {"fit_intercept": False}), (6, {"l2": 0.1})):
        support, _ = run("backward", X[:rows], y[:rows], max_features=3, **options)
        assert len(support) == 3
