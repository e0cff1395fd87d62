"""What models reach on the chosen features."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .data import Split

#: Updates of the network, and rows of each.
N_UPDATES, N_BATCH = 3000, 64
#: A network on more weights than this would take minutes, which is not of interest.
MOST_WEIGHTS = 1_000_000


def network(split: Split, is_regression: bool, seed: int) -> Any:
    """One hidden layer of a third of the width of the table."""
    n_rows, n_features = split.X_train.shape
    n_epochs = math.ceil(N_UPDATES / math.ceil(n_rows / N_BATCH))
    kind = MLPRegressor if is_regression else MLPClassifier
    return kind(
        hidden_layer_sizes=(n_features // 3,),
        batch_size=min(N_BATCH, n_rows),
        max_iter=n_epochs,
        n_iter_no_change=n_epochs,
        random_state=seed,
    )


def trees(split: Split, is_regression: bool, seed: int) -> Any:
    """One hundred extremely random trees."""
    kind = ExtraTreesRegressor if is_regression else ExtraTreesClassifier
    return kind(100, random_state=seed)


def neighbours(split: Split, is_regression: bool, seed: int) -> Any:
    """Five nearest neighbours."""
    return (KNeighborsRegressor if is_regression else KNeighborsClassifier)(5)


MODELS: dict[str, Callable[[Split, bool, int], Any]] = {
    "MLP": network,
    "trees": trees,
    "neighbours": neighbours,
}


def score(
    split: Split, chosen: np.ndarray, models: tuple[str, ...], is_regression: bool, seed: int
) -> dict[str, float]:
    """Accuracy on the test rows, or R², of each model.

    Parameters
    ----------
    split : Split
        The data.
    chosen : ndarray of int
        Columns that the models see.
    models : tuple of str
        Names of models.
    is_regression : bool
        Whether the target is a number.
    seed : int
        Seed of the models.

    Returns
    -------
    dict of str to float
        The score by name, without that of a network that would be too large.
    """
    found = {}
    for name in models:
        if name == "MLP" and len(chosen) * (split.X_train.shape[1] // 3) > MOST_WEIGHTS:
            continue
        model = MODELS[name](split, is_regression, seed)
        with warnings.catch_warnings():
            # the number of updates is part of the protocol, not convergence
            warnings.simplefilter("ignore")
            model.fit(split.X_train[:, chosen], split.y_train)
        found[name] = round(float(model.score(split.X_test[:, chosen], split.y_test)), 4)
    return found
