"""One selector on one split: what it chooses, how long it takes, what models reach."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection
from typing import Any

import numpy as np

from .choosing import Choose, Chosen, Task
from .data import Split, Table
from .ours import LINEAR, NETWORKS
from .rivals import RIVALS
from .scoring import score

#: Name of the rows without selection.
ALL = "all features"
CHOOSERS: dict[str, Choose] = {**NETWORKS, **RIVALS, **LINEAR}


def measure(name: str, table: Table, data: Split, seed: int) -> dict[str, Any]:
    """Choose columns and score them.

    Parameters
    ----------
    name : str
        Name of a selector, or of no selection.
    table : Table
        What is asked.
    data : Split
        The rows.
    seed : int
        Seed of the selector and of the models.

    Returns
    -------
    dict
        Seconds of the processor for all numbers of features, and for the scores; the columns by
        number; the scores by number and model. Where the selector fails, "failed" and why.
    """
    if name == ALL:
        everything = np.arange(data.X_train.shape[1])
        return {"seconds": 0.0, "chosen": {}, **scores(table, data, {"all": everything}, seed)}
    task = Task(table.numbers, table.is_regression, seed)
    start = time.process_time()
    try:
        chosen = choose(name, data.X_train, data.y_train, task)
    except (AssertionError, ArithmeticError, RuntimeError, ValueError) as failure:
        if name not in RIVALS:
            raise
        # that another package refuses data is a result
        return {"failed": f"{type(failure).__name__}: {str(failure)[:200]}"}
    seconds = time.process_time() - start
    return {
        "seconds": round(seconds, 2),
        # lines of numbers, as the file has a line for each entry of a list
        "chosen": {str(number): " ".join(map(str, found)) for number, found in chosen.items()},
        **scores(table, data, {str(number): found for number, found in chosen.items()}, seed),
    }


def choose(name: str, X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """The columns; whether an answer is final is not what is asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CHOOSERS[name](X, y, task)


def scores(table: Table, data: Split, chosen: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    """The scores by number of features and model, and the seconds of all."""
    start = time.process_time()
    found = {
        number: score(data, columns, table.models, table.is_regression, seed)
        for number, columns in chosen.items()
    }
    return {"scores": found, "scoring": round(time.process_time() - start, 1)}


def warm_up(names: Collection[str]) -> None:
    """Compile what selectors of this package compile, on data of no interest."""
    rng = np.random.default_rng(0)
    X = rng.random((60, 8)).astype(np.float32)
    for name in {*LINEAR} & set(names):
        choose(name, X, X[:, 0].astype(np.float64), Task((2,), True, 0))
        for n_classes in (2, 3):
            choose(name, X, np.arange(60) % n_classes, Task((2,), False, 0))
