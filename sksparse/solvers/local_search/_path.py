"""The best subsets of several cardinalities, from one search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sksparse._fit_tasks import FitTasks, fit_tasks
from sksparse._interrupts import check, worth_keeping
from sksparse._progress import Progress
from sksparse._typing import Indices
from sksparse.penalties import L0
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate, Solution, Status, cut_short, describe_loss
from sksparse.solvers.local_search._swap_descent import SubsetDescent
from sksparse.solvers.local_search._tuning import TUNING
from sksparse.solvers.subset._correlations import Correlations

_UNCHECKED = Certificate("largest relative gain of a single add, drop or swap (unchecked)", np.nan)


def subset_path(
    problem: Problem,
    max_features: Sequence[int],
    *,
    effort: int = 1,
    tol: float,
    max_iter: int,
    verbose: int = 0,
) -> list[Solution]:
    """Minimise a squared loss for each of several numbers of features.

    The answer for a number depends on that number only, not on the others asked for: supports are
    searched in fixed blocks of cardinalities, each up to its end, among columns that correlate with
    the residual. Up to 100 features answers are not checked against all columns; longer ones are
    single fits.

    Parameters
    ----------
    problem : Problem
        Features, targets and weights; its own ``alpha`` and ``max_features`` are not
        used.
    max_features : sequence of int
        Numbers of features, those that are always kept not counted.
    effort : int, default=1
        How much is searched.
    tol, max_iter, verbose
        As in :class:`Solver`.

    Returns
    -------
    solutions : list of Solution
        In the order of ``max_features``; interrupted from the keyboard, those found so far.
    """
    penalty = problem.penalty_as(L0)
    data = Correlations(problem, penalty.l2)
    solver = SubsetDescent(effort=effort, data=data, tol=tol, max_iter=max_iter, verbose=verbose)
    solver.check(problem)

    def limited(k: int) -> Problem:
        return replace(problem, penalty=replace(penalty, max_features=k))

    found: dict[int, Solution] = {}
    wanted = sorted(set(map(int, max_features)))
    within = [k for k in wanted if k <= TUNING.longest]
    try:
        with fit_tasks("numbers of features", len(wanted)) as fits:
            for k in wanted[len(within) :]:
                fits.begin()
                found[k] = solver.solve(limited(k))
                fits.end()
            with Progress("subset_path", "number", len(within), verbose=verbose) as progress:
                _from_blocks(limited(max(within, default=0)), solver, within, found, progress, fits)
    except KeyboardInterrupt:
        if not found or not worth_keeping():
            raise
    solutions = [found[int(k)] for k in max_features if int(k) in found]
    complete = len(solutions) == len(list(max_features))
    return solutions if complete else cut_short(solutions, len(list(max_features)))


def _from_blocks(
    problem: Problem,
    solver: SubsetDescent,
    within: list[int],
    found: dict[int, Solution],
    progress: Progress,
    fits: FitTasks,
) -> None:
    """Put the solutions for the numbers that the blocks reach into ``found``."""
    if not within:
        return
    state = solver.start(problem, None)
    search, n_kept = solver.cardinality_search(state), len(state.kept)
    for k in within:
        check()
        fits.begin()
        search.reach(n_kept + k)
        known = min(n_kept + k, int(search.cardinalities[-1]))
        features = state.working.features[search.support(known)]
        found[k] = _solution(problem, state.data, features)
        progress.step(describe_loss, k, 1.0 - search.explained(known))
        fits.end()


def _solution(problem: Problem, data: Correlations, features: Indices) -> Solution:
    coef = np.zeros(problem.design.n_features)
    coef[features] = data.refit(features)
    return Solution(
        coef=coef,
        intercept=data.intercept(coef),
        status=Status.CONVERGED,
        certificate=_UNCHECKED,
        gap=np.nan,
        n_iter=1,
        message="",
    )
