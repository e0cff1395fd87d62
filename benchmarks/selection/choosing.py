"""What a selector is: a function of training rows that returns columns for each number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Columns for each number of features, the best first where they have an order.
Chosen = dict[int, np.ndarray]


@dataclass(frozen=True)
class Task:
    """What is asked of a selector.

    Parameters
    ----------
    numbers : tuple of int
        Numbers of features.
    is_regression : bool
        Whether the target is a number, of unit variance.
    seed : int
        Seed for what it draws.
    """

    numbers: tuple[int, ...]
    is_regression: bool
    seed: int


Choose = Callable[[np.ndarray, np.ndarray, Task], Chosen]


def best(scores: np.ndarray, task: Task) -> Chosen:
    """The columns of largest score, for all numbers by one ranking."""
    order = np.argsort(-scores, kind="stable")
    return {number: order[:number] for number in task.numbers}
