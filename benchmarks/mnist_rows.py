"""The rows of the MNIST benchmark: one training each, named by method and goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import (
    BayesianGroups,
    DynamicSurgery,
    GroupShrinkage,
    HardConcrete,
    LotteryTicket,
    Magnitude,
)

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
    teacher : callable, default=None
        Takes a seed and returns a network that is trained first, once, as the teacher of
        the others.
    """

    make: Callable[[int], Any]
    goal: str
    n_seeds: int = 3
    teacher: Callable[[int], Any] | None = None


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


def magnitude(seed: int, compression: float, **changes: Any) -> SparseMLPClassifier:
    """Gradual magnitude pruning with a small L1 penalty until the mask is final."""
    options: dict[str, Any] = {
        "sparsifier": Magnitude(train_fraction=0.05, sparsify_fraction=0.7, l1=1e-4),
        "target_sparsity": 1 - 1 / compression,
        "learning_rate_init": 4e-3,
        "weight_decay": 1e-4,
        "dropout": [0.1, 0.1, 0.1],
    }
    return lenet(seed, **{**options, **changes})


def gates_of_units(
    seed: int, strengths: list[float] | None, *, sparsify_fraction: float = 0.7, **changes: Any
) -> SparseMLPClassifier:
    """Hard-concrete gates of the input units of each layer, at the strength of the paper."""
    sparsifier = HardConcrete(
        granularity="input",
        droprate_init=[0.2, 0.5, 0.5],
        sparsify_fraction=sparsify_fraction,
        min_gate_displacement=200,
        layer_strengths=strengths,
    )
    options: dict[str, Any] = {
        "sparsifier": sparsifier,
        "alpha": 0.1 / N_TRAIN,
        "batch_size": 100,
        "learning_rate": "auto",
        "learning_rate_init": 1e-3,
        "ema_decay": 0.999,
    }
    return lenet(seed, **{**options, **changes})


def ticket(
    seed: int, n_rounds: int, sparsity: float, max_iter: int, *, reinit: bool = False
) -> SparseMLPClassifier:
    """Pruning in rounds, each from the initial weights."""
    sparsifier = LotteryTicket(n_rounds=n_rounds, min_weight_displacement=0, reinit=reinit)
    return lenet(
        seed,
        sparsifier=sparsifier,
        target_sparsity=sparsity,
        learning_rate="auto",
        weight_decay=1e-4,
        max_iter=max_iter,
    )


def student(seed: int, **changes: Any) -> SparseMLPClassifier:
    """A small dense network."""
    options: dict[str, Any] = {"sparsifier": None, "learning_rate_init": 3e-3, "max_iter": 60}
    return lenet(seed, hidden_layer_sizes=(30,), **{**options, **changes})


ROWS = {
    "dense": Row(
        lambda seed: lenet(
            seed,
            sparsifier=None,
            dropout=[0.2, 0.4, 0.4],
            learning_rate_init=1e-3,
            max_iter=90,
            ema_decay=0.999,
        ),
        "at most 1.4 %",
    ),
    "magnitude, 12x": Row(
        lambda seed: magnitude(seed, 12, max_iter=40, weight_decay=0.0, dropout=[0.2, 0.3, 0.3]),
        "Han 2015: 1.59 %; asked: 1.5 %",
    ),
    "magnitude, 56x": Row(lambda seed: magnitude(seed, 56), "asked: 1.65 %"),
    "magnitude, 80x": Row(lambda seed: magnitude(seed, 80), "asked: 1.7 %"),
    "magnitude, 100x": Row(lambda seed: magnitude(seed, 100), "asked: 1.8 %"),
    "magnitude, 150x": Row(lambda seed: magnitude(seed, 150), "asked: 2.2 %"),
    "l0, one strength": Row(
        lambda seed: gates_of_units(
            seed, None, sparsify_fraction=0.75, dropout=[0.03, 0.1, 0.1], max_iter=180
        ),
        "Louizos 2018: 219-214-100, 1.4 %",
        n_seeds=1,
    ),
    "l0, strengths by layer": Row(
        lambda seed: gates_of_units(seed, [0.8, 7.0, 150.0], dropout=[0.0, 0.1, 0.0], max_iter=80),
        "Louizos 2018: 266-88-33, 1.8 %",
        n_seeds=1,
    ),
    "surgery, 56x": Row(
        lambda seed: lenet(
            seed,
            sparsifier=DynamicSurgery(train_fraction=0.1, sparsify_fraction=0.6),
            target_sparsity=1 - 1 / 56,
            learning_rate="auto",
            weight_decay=1e-4,
            max_iter=50,
        ),
        "Guo 2016: 1.99 %",
    ),
    "dense, length of a lottery round": Row(
        lambda seed: lenet(seed, sparsifier=None, weight_decay=1e-4, max_iter=6),
        "to compare",
        n_seeds=5,
    ),
    "lottery, 21 % left": Row(
        lambda seed: ticket(seed, 7, 0.79, max_iter=48), "at or below the dense row", n_seeds=5
    ),
    "lottery, 3.5 % left": Row(
        lambda seed: ticket(seed, 15, 0.965, max_iter=64), "to compare", n_seeds=1
    ),
    "lottery, 3.5 % left, drawn anew": Row(
        lambda seed: ticket(seed, 15, 0.965, max_iter=64, reinit=True),
        "clearly worse than the ticket",
        n_seeds=1,
    ),
    "gates, 20x": Row(
        lambda seed: lenet(
            seed,
            sparsifier="gates",
            target_sparsity=0.95,
            batch_size=100,
            learning_rate="auto",
            learning_rate_init=1e-3,
            weight_decay=1e-4,
            dropout=[0.1, 0.2, 0.1],
            ema_decay=0.999,
        ),
        "asked: 1.7 %",
        n_seeds=1,
    ),
    "variational, 68x": Row(
        lambda seed: lenet(
            seed,
            sparsifier="variational",
            target_sparsity=1 - 1 / 68,
            batch_size=100,
            learning_rate="auto",
            learning_rate_init=1e-3,
            weight_decay=1e-4,
        ),
        "Molchanov 2017: 1.92 %",
        n_seeds=1,
    ),
    "student 784-30-10, alone": Row(student, "to compare", n_seeds=5),
    "student 784-30-10, alone, 30 epochs": Row(
        lambda seed: student(seed, max_iter=30), "its best length", n_seeds=5
    ),
    "student 784-30-10, taught": Row(
        lambda seed: student(seed, temperature=2.5, distill_weight=1.0),
        "0.5 points better than alone",
        n_seeds=5,
        teacher=lambda seed: lenet(
            seed,
            sparsifier=None,
            dropout=[0.2, 0.4, 0.4],
            learning_rate_init=1e-3,
            max_iter=25,
        ),
    ),
    "bayesian": Row(
        lambda seed: lenet(
            seed,
            sparsifier=BayesianGroups(
                layer_strengths=[50, 1.2, 400],
                threshold=[-8.25, -7.0, -8.65],
                sparsify_fraction=0.31,
            ),
            alpha=0.5 / N_TRAIN,
            batch_size=100,
            learning_rate="auto",
            learning_rate_init=1e-3,
            weight_decay=1e-4,
            dropout=[0.0, 0.1, 0.0],
            ema_decay=0.999,
            max_iter=120,
        ),
        "Louizos 2017: 278-98-13, 1.8 %",
        n_seeds=1,
    ),
    "group, rows and columns": Row(
        lambda seed: lenet(
            seed,
            hidden_layer_sizes=(500, 300),
            sparsifier=GroupShrinkage(layer_strengths=[1.0, 0.45, 4.0]),
            alpha=4e-5,
            dropout=[0.1, 0.2, 0.1],
            max_iter=50,
        ),
        "Wen 2016: 434-174-78, 1.53 %",
        n_seeds=1,
    ),
}
