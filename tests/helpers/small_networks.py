"""Small networks with the options that the tests of the estimators share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
)

NAMES = ["l0", "magnitude", None]
SPARSE_NAMES = ["l0", "magnitude"]


def global_state() -> list[np.ndarray]:
    """The random states of torch and numpy and the thread count of torch, as arrays."""
    legacy = np.random.get_state()  # noqa: NPY002  the state that a fit must leave alone
    return [
        torch.get_rng_state().numpy(),
        *map(np.asarray, legacy),
        np.array(torch.get_num_threads()),
    ]


def assert_global_state(before: list[np.ndarray]) -> None:
    for a, b in zip(global_state(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def make(name: Any = "l0", **changes: Any) -> SparseMLPClassifier:
    options = {
        "max_iter": 15,
        "batch_size": 60,
        "learning_rate_init": 0.02,
        "device": "cpu",
        "random_state": 0,
    }
    return SparseMLPClassifier((16,), sparsifier=name, **{**options, **changes})


def weights_of(model: SparseMLPClassifier) -> list[np.ndarray]:
    return model.coefs_ + model.intercepts_


def assert_same_fit(a: SparseMLPClassifier, b: SparseMLPClassifier) -> None:
    for u, v in zip(weights_of(a), weights_of(b), strict=True):
        np.testing.assert_array_equal(u, v)


def regressor(**changes: Any) -> SparseMLPRegressor:
    options = {"hidden_layer_sizes": (20,), "max_iter": 60, "random_state": 0, "device": "cpu"}
    return SparseMLPRegressor(**{**options, **changes})


def classifier(**changes: Any) -> SparseMLPClassifier:
    options = {"hidden_layer_sizes": (30,), "max_iter": 30, "random_state": 0, "device": "cpu"}
    return SparseMLPClassifier(**{**options, **changes})
