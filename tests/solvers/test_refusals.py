"""A solver refuses what it cannot solve, before it computes anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sksparse.solvers as solvers
from sksparse.losses import Logistic, Loss, Multinomial, Squared
from sksparse.penalties import L0, L1, Blocks, GroupL2, Penalty, SortedL1
from sksparse.solvers import Design, Problem, Solver, StepwiseNewton, subset_path

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
    "BlockDescent": ({"squared", "logistic"}, {"l1", "group"}),
    "BranchAndBound": LEAST_SQUARES,
    "CoordinateDescentL0": COORDINATES,
    "ForwardSelection": LEAST_SQUARES,
    "IterativeHardThresholding": COORDINATES,
    "SortedDescent": ({"squared"}, {"sorted"}),
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
    if loss == "squared":
        y = scores
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
    signs_for_classes = loss == "multinomial" and penalty == "l0 with signs"
    if loss in losses and penalty in penalties and not signs_for_classes:
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
