"""Best-first search of a tree of subproblems."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np

from .._typing import Indices
from ._solution import Status

# Two objectives this close, in units of the null model's loss, are equal: it covers rounding.
ROUNDING = 1e-9
_SECONDS_BETWEEN_LINES = 1.0


@dataclass
class Incumbent:
    """The best subset so far, and when a node is not worth opening.

    Parameters
    ----------
    value : float
        Objective, where the null model has 1.
    support : ndarray of shape (k,)
        Features.
    gap : float
        Relative gap that is asked for.
    cut : float
        Least bound of the nodes that were not opened.
    """

    value: float
    support: Indices
    gap: float
    cut: float = np.inf

    @property
    def cutoff(self) -> float:
        """A node with a bound at least this is not opened."""
        return self.value - max(self.gap * self.value, ROUNDING)

    def offer(self, value: float, support: Indices) -> None:
        """Take a subset if it is better."""
        if value < self.value:
            self.value, self.support = value, support


@dataclass
class Node:
    """A part of the subsets: no member has an objective below ``bound``."""

    bound: float


AnyNode = TypeVar("AnyNode", bound=Node)


class Branching(ABC, Generic[AnyNode]):
    """How to bound a node and take it apart."""

    @abstractmethod
    def roots(self) -> list[AnyNode]:
        """Nodes that together hold all subsets."""

    @abstractmethod
    def expand(self, node: AnyNode, best: Incumbent) -> tuple[list[AnyNode], int]:
        """The open nodes that a node falls into, and how many were looked at.

        Offers the subsets met to ``best``, and lowers ``best.cut`` to the bounds of what is not
        returned, unless these have an objective at least ``best.value``.
        """


@dataclass
class Budget:
    """When to stop, and whether to report.

    Parameters
    ----------
    deadline : float
        Value of the clock.
    max_nodes : float
        Number of nodes.
    verbose : int
        A positive value prints a line now and then.
    """

    deadline: float
    max_nodes: float
    verbose: int
    started: float = field(default_factory=perf_counter)


@dataclass(frozen=True)
class Outcome:
    """How a search ended; ``bound`` holds for all subsets."""

    status: Status
    bound: float
    n_nodes: int


def best_first(branching: Branching[AnyNode], best: Incumbent, budget: Budget) -> Outcome:
    """Open the node with the least bound until the gap is closed or the budget ends.

    A node leaves the heap once what follows it is there, so an interruption loses nothing.
    """
    order, count, n_nodes = 0, 0, 0
    heap: list[tuple[float, int, AnyNode]] = []
    for order, node in enumerate(branching.roots()):
        heapq.heappush(heap, (node.bound, order, node))
    status, printed = Status.CONVERGED, budget.started
    try:
        while heap and heap[0][0] < best.cutoff:
            now = perf_counter()
            if now >= budget.deadline or n_nodes >= budget.max_nodes:
                status = Status.TIME_LIMIT if now >= budget.deadline else Status.MAX_ITER
                break
            if budget.verbose and now - printed >= _SECONDS_BETWEEN_LINES:
                printed = now
                print(_progress_line(n_nodes, len(heap), heap[0][0], best, now - budget.started))
            children, count = branching.expand(heap[0][2], best)
            n_nodes += count
            heapq.heappop(heap)
            for node in children:
                order += 1
                heapq.heappush(heap, (node.bound, order, node))
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    if budget.verbose:
        seconds = perf_counter() - budget.started
        print(_progress_line(n_nodes, len(heap), _bound(heap, best), best, seconds))
    return Outcome(status, _bound(heap, best), n_nodes)


def _bound(heap: list[tuple[float, int, AnyNode]], best: Incumbent) -> float:
    least = heap[0][0] if heap else np.inf
    return max(min(least, best.cut, best.value) - ROUNDING, 0.0)


def _progress_line(n_nodes: int, n_open: int, bound: float, best: Incumbent, time: float) -> str:
    gap = (best.value - bound) / max(best.value, ROUNDING)
    return (
        f"[BranchAndBound] {n_nodes} nodes, {n_open} open: {len(best.support)} features, "
        f"objective {best.value:.6g}, bound {bound:.6g} of the null model's, "
        f"gap {gap:.2%}, {time:.1f} s"
    )
