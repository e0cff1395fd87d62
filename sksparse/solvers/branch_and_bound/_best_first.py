"""Best-first search of a tree of subproblems."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np

from sksparse._fit_tasks import fit_tasks
from sksparse._interrupts import check, worth_keeping
from sksparse._progress import Progress
from sksparse._typing import Indices
from sksparse.solvers._solution import Status
from sksparse.solvers.branch_and_bound._tuning import TUNING


@dataclass
class Incumbent:
    """The best subset so far, and the bound from which a node is pruned.

    Parameters
    ----------
    value : float
        Objective, where the null model has 1.
    support : ndarray of shape (k,)
        Features.
    gap : float
        Relative gap that is asked for.
    total : float
        Sum of the absolute coefficients of a good answer, for columns and target of unit length.
    cut : float
        Least bound of the nodes that were pruned.
    """

    value: float
    support: Indices
    gap: float
    total: float = 1.0
    cut: float = np.inf

    @property
    def rounding(self) -> float:
        """Two objectives this close are equal."""
        of_products = TUNING.rounding_of_products * (1.0 + self.total) ** 2
        finest = max(of_products, TUNING.least_rounding)
        return min(max(TUNING.rounding_of_objective * self.value, finest), TUNING.rounding)

    @property
    def cutoff(self) -> float:
        """A node with a bound at least this is pruned."""
        return self.value - max(self.gap * self.value - self.rounding, self.rounding)

    def offer(self, value: float, support: Indices) -> None:
        """Replace the best subset if another is better."""
        if value < self.value:
            self.value, self.support = value, support


@dataclass
class Node:
    """A set of subsets, none of which has an objective below ``bound``."""

    bound: float


AnyNode = TypeVar("AnyNode", bound=Node)


class Branching(ABC, Generic[AnyNode]):
    """How a node is bounded and branched on."""

    @abstractmethod
    def roots(self) -> list[AnyNode]:
        """Nodes whose union is all subsets."""

    @abstractmethod
    def expand(self, node: AnyNode, best: Incumbent) -> tuple[list[AnyNode], int]:
        """The open nodes that a node is split into, and the number of nodes visited.

        Offers the subsets found to ``best``, and lowers ``best.cut`` to the bounds of what is not
        returned, unless these have an objective at least ``best.value``.
        """


@dataclass(frozen=True)
class Budget:
    """When to stop, and whether to report.

    Parameters
    ----------
    deadline : float
        Value of the clock.
    max_nodes : float
        Number of nodes.
    progress : Progress
        What is reported.
    """

    deadline: float
    max_nodes: float
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """How a search ended; ``bound`` holds for all subsets."""

    status: Status
    bound: float
    n_nodes: int


def best_first(branching: Branching[AnyNode], best: Incumbent, budget: Budget) -> Outcome:
    """Open the node with the least bound until the gap is closed or the budget ends.

    A node is removed from the heap after its children are added, so that an interruption loses
    nothing.
    """
    order, n_nodes = count(), 0
    heap = [(node.bound, next(order), node) for node in branching.roots()]
    heapq.heapify(heap)
    status, progress = Status.CONVERGED, budget.progress
    try:
        with fit_tasks("nodes") as nodes:
            while heap and heap[0][0] < best.cutoff:
                check()
                now = perf_counter()
                if now >= budget.deadline or n_nodes >= budget.max_nodes:
                    status = Status.TIME_LIMIT if now >= budget.deadline else Status.MAX_ITER
                    break
                progress.step(_describe, heap, best, done=n_nodes)
                nodes.begin()
                children, n_looked_at = branching.expand(heap[0][2], best)
                n_nodes += n_looked_at
                for node in children:
                    heapq.heappush(heap, (node.bound, next(order), node))
                heapq.heappop(heap)
                if nodes.end():
                    status = Status.INTERRUPTED
                    break
    except KeyboardInterrupt:
        if not worth_keeping():
            raise
        status = Status.INTERRUPTED
    progress.step(_describe, heap, best, done=n_nodes)
    progress.flush()
    return Outcome(status, _bound(heap, best), n_nodes)


def _bound(heap: list[tuple[float, int, AnyNode]], best: Incumbent) -> float:
    least = heap[0][0] if heap else np.inf
    return max(min(least, best.cut, best.value) - best.rounding, 0.0)


def _describe(heap: list[tuple[float, int, AnyNode]], best: Incumbent) -> str:
    bound = _bound(heap, best)
    gap = (best.value - bound) / max(best.value, best.rounding)
    return (
        f"{len(heap)} open, {len(best.support)} features, objective {best.value:.6g}, "
        f"bound {bound:.6g} (null model: 1), gap {gap:.2%}"
    )
