"""The rows of the MNIST benchmark: one training each, named by method and goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sksparse.neural_network import SparseMLPClassifier

N_TRAIN = 60_000


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    make : callable
        Takes a seed and returns the estimator.
    goal : str
        What was published, or is asked for.
    n_seeds : int, default=3
        Seeds to run; one where a run takes more than three minutes.
    """

    make: Callable[[int], Any]
    goal: str
    n_seeds: int = 3


def lenet(seed: int, **changes: Any) -> SparseMLPClassifier:
    """LeNet-300-100 with what the rows have in common."""
    options: dict[str, Any] = {
        "hidden_layer_sizes": (300, 100),
        "batch_size": 128,
        "learning_rate": "cosine",
        "learning_rate_init": 2e-3,
        "max_iter": 60,
        "weight_decay": 0.0,
        # the schedules run to their end
        "n_iter_no_change": 1000,
    }
    return SparseMLPClassifier(**{**options, **changes}, random_state=seed)


ROWS = {
    "dense": Row(
        lambda seed: lenet(seed, sparsifier=None, dropout=[0.2, 0.5, 0.5], learning_rate_init=1e-3),
        "at most 1.4 %",
    ),
}
