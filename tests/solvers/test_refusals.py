"""A solver refuses what it cannot solve, before it computes anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import sksparse.solvers as solvers
from sksparse.losses import Cox, Huber, Logistic, Loss, Multinomial, Squared
from sksparse.penalties import L0, L1, Blocks, GroupL2, Penalty, SortedL1
from sksparse.solvers import (
    BranchAndBound,
    Correlations,
    Design,
    Problem,
    Solver,
    Status,
    StepwiseNewton,
    SubsetDescent,
    subset_path,
)

SOLVERS = sorted(
    (
        member
        for member in map(vars(solvers).get, solvers.__all__)
        if isinstance(member, type) and issubclass(member, Solver)
        if not member.__abstractmethods__
    ),
    key=lambda solver: solver.__name__,
)
LOSSES: dict[str, type[Loss]] = {
    "squared": Squared,
    "logistic": Logistic,
    "multinomial": Multinomial,
    "squared of several outputs": Squared,
    "huber": Huber,
    "cox": Cox,
}
PENALTIES: dict[str, Penalty] = {
    "l0": L0(max_features=2),
    "l0 with l1": L0(max_features=2, l1=0.1),
    "l0 with signs": L0(max_features=2, positive=np.array([True, False, False, True])),
    "l0 with a ridge for unit variance": L0(max_features=2, scaled_l2=0.1),
    "l1": L1(np.ones(4)),
    "group": GroupL2(Blocks.from_labels(np.array([0, 0, 1, 1])), np.ones(2)),
    "sorted": SortedL1(np.array([4.0, 3.0, 2.0, 1.0])),
}
# What each solver is for: losses, and penalties.
LEAST_SQUARES = ({"squared"}, {"l0"})
COORDINATES = ({"squared"}, {"l0", "l0 with l1", "l0 with signs"})
ANY_LOSS = (set(LOSSES), {name for name in PENALTIES if name.startswith("l0")})
SOLVED = {
    "BackwardElimination": LEAST_SQUARES,
    "BlockDescent": (set(LOSSES), {"l1", "group"}),
    "BranchAndBound": LEAST_SQUARES,
    "CoordinateDescentL0": COORDINATES,
    "ForwardSelection": LEAST_SQUARES,
    "IterativeHardThresholding": COORDINATES,
    "SortedDescent": (set(LOSSES), {"sorted"}),
    "Splicing": LEAST_SQUARES,
    "StepwiseNewton": ANY_LOSS,
    "SubsetDescent": LEAST_SQUARES,
    "SubsetNewton": ANY_LOSS,
}


def make(solver: type[Solver]) -> Solver:
    options: dict[str, Any] = {"backward": False} if solver is StepwiseNewton else {}
    return solver(tol=1e-6, max_iter=50, **options)


def make_problem(rng: np.random.Generator, loss: str, penalty: str) -> Problem:
    X = rng.standard_normal((40, 4))
    scores = X[:, 0] + rng.standard_normal(40)
    if loss in {"squared", "huber"}:
        y = scores
    elif loss == "squared of several outputs":
        y = np.column_stack((scores, X[:, 1] - scores))
    elif loss == "cox":
        y = np.column_stack((scores, scores > -1.0))
    else:
        n_classes = 3 if loss == "multinomial" else 2
        y = np.digitize(scores, np.quantile(scores, np.arange(1, n_classes) / n_classes))
    weights = np.full(40, 1 / 40)
    return Problem(Design(X), LOSSES[loss](y, weights), PENALTIES[penalty], 0.01, True)


def test_every_solver_is_on_the_list() -> None:
    assert {solver.__name__ for solver in SOLVERS} == SOLVED.keys()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_not_solved_is_refused(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    solver: type[Solver],
    loss: str,
    penalty: str,
) -> None:
    problem = make_problem(rng, loss, penalty)
    losses, penalties = SOLVED[solver.__name__]
    several_signs = problem.loss.n_outputs > 1 and penalty == "l0 with signs"
    if loss in losses and penalty in penalties and not several_signs:
        make(solver).check(problem)
        return
    if hasattr(solver, "start"):
        monkeypatch.setattr(solver, "start", lambda *_: pytest.fail("it has begun"))
    with pytest.raises(ValueError, match=r"needs|needed|minimises|bound|output"):
        make(solver).solve(problem)


@pytest.mark.parametrize("penalty", ["l0 with l1", "l1"])
def test_a_path_of_subsets_is_refused_too(rng: np.random.Generator, penalty: str) -> None:
    with pytest.raises(ValueError, match="need"):
        subset_path(make_problem(rng, "squared", penalty), [1, 2], tol=1e-6, max_iter=50)
    with pytest.raises(ValueError, match="minimises the squared loss, not Logistic"):
        subset_path(make_problem(rng, "logistic", "l0"), [1, 2], tol=1e-6, max_iter=50)


class SquaredError(Squared):
    """The squared error, not half of it."""

    def value(self, z: np.ndarray) -> float:
        return 2.0 * super().value(z)

    def gradient(self, z: np.ndarray) -> np.ndarray:
        return 2.0 * super().gradient(z)

    def curvature(self, z: np.ndarray) -> np.ndarray:
        return 2.0 * super().curvature(z)


Y, WEIGHTS = np.arange(6.0), np.full(6, 1 / 6)
SQUARED = Squared(Y, WEIGHTS)


@pytest.mark.parametrize(
    "loss, penalty, alpha, named",
    [
        (SQUARED, L0, np.nan, "alpha=nan"),
        (SQUARED, L0, np.inf, "alpha=inf"),
        (SQUARED, L0, -0.1, "alpha=-0.1"),
        (SquaredError(Y, WEIGHTS), L0, 0.1, "quadratic=True means half"),
        (Squared(Y, np.ones(6)), L0, 0.1, "sum to one"),
        (Squared(Y, WEIGHTS - np.eye(6)[0]), L0, 0.1, "must not be negative"),
        (Squared(Y[:5], np.full(5, 0.2)), L0, 0.1, "6 samples, the loss 5 targets"),
        (SQUARED, partial(L0, penalty_weights=np.ones(4)), 0.1, r"penalty_weights .*\(3,\)"),
        (SQUARED, partial(L0, positive=np.ones(4, dtype=bool)), 0.1, r"positive .*\(3,\)"),
        (SQUARED, partial(L1, np.ones(4)), 0.1, r"l1 .*\(3,\)"),
        (SQUARED, partial(SortedL1, np.ones(4)), 0.1, r"weights .*\(3,\)"),
    ],
)
def test_a_problem_whose_parts_do_not_fit_is_refused(
    loss: Loss, penalty: Callable[[], Penalty], alpha: float, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Problem(Design(np.eye(6)[:, :3]), loss, penalty(), alpha, True)


@pytest.mark.parametrize(
    "options",
    [
        {"l1": -0.1},
        {"l2": np.nan},
        {"scaled_l2": -1.0},
        {"max_features": -1},
        {"max_features": 1.5},
        {"penalty_weights": np.array([1.0, -1.0])},
        {"penalty_weights": np.array([1.0, np.nan])},
    ],
)
def test_values_that_no_penalty_has_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        L0(**options)
    if "penalty_weights" in options:
        with pytest.raises(ValueError, match="l1 must be finite and not negative"):
            L1(options["penalty_weights"])
        with pytest.raises(ValueError, match="weights must be finite and not negative"):
            SortedL1(options["penalty_weights"])


def test_no_feature_at_all_is_proved(rng: np.random.Generator) -> None:
    problem = make_problem(rng, "squared", "l0")
    none = replace(problem, penalty=L0(max_features=0))
    solution = BranchAndBound(tol=1e-8, max_iter=50).solve(none)
    assert solution.status is Status.CONVERGED
    assert not solution.coef.any()


@pytest.mark.parametrize("change", ["targets", "ridge"])
def test_correlations_of_another_problem_are_not_used(
    rng: np.random.Generator, change: str
) -> None:
    problem = make_problem(rng, "squared", "l0")
    loss = Squared(-problem.loss.y, problem.loss.weights)
    other = replace(problem, loss=loss) if change == "targets" else problem
    known = Correlations(other, 0.0)
    asked = replace(problem, penalty=L0(max_features=2, l2=5.0 if change == "ridge" else 0.0))
    budget = {"tol": 1e-8, "max_iter": 50}
    expected = SubsetDescent(**budget).solve(asked)
    np.testing.assert_array_equal(
        SubsetDescent(data=known, **budget).solve(asked).coef, expected.coef
    )
