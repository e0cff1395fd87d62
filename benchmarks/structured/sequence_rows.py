"""The rows of the recurrent networks."""

from __future__ import annotations

from typing import Any

from sksparse.neural_network import SparseNetClassifier

from .rows import Limit, Row
from .sequences import CharacterModel, RowReader


def model(seed: int, module: Any, **changes: Any) -> SparseNetClassifier:
    """The estimator with what the rows have in common."""
    options: dict[str, Any] = {
        "sparsifier": None,
        "batch_size": 100,
        "learning_rate": "cosine",
        "learning_rate_init": 2e-3,
        "max_iter": 8,
        "max_grad_norm": 1.0,
        "n_iter_no_change": 1000,
    }
    return SparseNetClassifier(module, **{**options, **changes}, random_state=seed)


SEQUENCES = {
    "LSTM, rows of MNIST, dense": Row(
        lambda seed: model(seed, RowReader), data="mnist rows", n_seeds=1, compacts=True
    ),
    "LSTM, rows of MNIST, half of the units": Row(
        lambda seed: model(
            seed, RowReader, sparsifier="iss", target_units=0.5, max_iter=8
        ),
        (Limit("units", 0.5), Limit("loss", 0.2), Limit("speedup_100", 1.0, True)),
        data="mnist rows",
        n_seeds=1,
        compacts=True,
        against="LSTM, rows of MNIST, dense",
    ),
    "LSTM, characters, dense": Row(
        lambda seed: model(seed, CharacterModel), data="characters", n_seeds=1, compacts=True
    ),
    "LSTM, characters, 40 % of the units": Row(
        lambda seed: model(seed, CharacterModel, sparsifier="iss", target_units=0.4),
        (Limit("units", 0.4), Limit("ratio", 1.01), Limit("speedup_100", 3.0, True)),
        data="characters",
        note="Wen 2018: 10.6x",
        n_seeds=1,
        compacts=True,
        against="LSTM, characters, dense",
    ),
}
