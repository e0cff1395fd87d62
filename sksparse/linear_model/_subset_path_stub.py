"""Stands in for ``sksparse.solvers.subset_path`` and the ``SubsetDescent`` that takes rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .._typing import Array
from ..solvers import GramCache, Problem, Solution, SubsetNewton, SubsetRules
from ..solvers import SubsetDescent as _SubsetDescent


class SubsetDescent:
    """The coming signature, on the descent that is here or else on Newton steps."""

    def __init__(
        self, *, rules: SubsetRules, gram: GramCache | None = None, effort: int = 1, **budget: Any
    ) -> None:
        self._solver: Any = SubsetNewton(rules=rules, effort=effort, **budget)
        if rules.prices is None:
            self._solver = _SubsetDescent(
                max_features=rules.max_features, l2=rules.l2, gram=gram, **budget
            )

    def solve(self, problem: Problem, coef: Array | None = None) -> Solution:
        """The fit that L0Regressor makes."""
        return self._solver.solve(problem, coef)


def subset_path(
    problem: Problem, rules: SubsetRules, sizes: Sequence[int], *, effort: int = 1, **budget: Any
) -> list[Solution]:
    """One fit for each size."""
    gram = GramCache(problem.design, problem.loss.weights, problem.fit_intercept)
    return [
        SubsetDescent(
            rules=replace(rules, max_features=int(size)), gram=gram, effort=effort, **budget
        ).solve(problem)
        for size in sizes
    ]
