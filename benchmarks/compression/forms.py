"""Networks that are trained in few numbers: hashed, of low rank, with shared values; on MNIST.

Settings were chosen on 10 000 of the training images; each row is trained on all 60 000 once and
scored on the test images once.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sksparse.compression import compress
from sksparse.neural_network import (
    HashedMLPClassifier,
    LowRankMLPClassifier,
    SparseMLPClassifier,
)
from sksparse.sparsifiers import (
    Magnitude,
    Phase,
    Probe,
    SoftWeightSharing,
    Sparsifier,
    SparsifierRun,
    Task,
)

from ..mnist import images
from ..report import Report

COMMON: dict[str, Any] = {
    "batch_size": 128,
    "learning_rate": "cosine",
    "max_iter": 20,
    "weight_decay": 0.0,
    # the schedules run to their end
    "n_iter_no_change": 1000,
    "device": "cpu",
    "random_state": 0,
}
#: The three and five layers of the paper: inputs, hidden layers of 1000 units, outputs.
WIDTHS = {"3 layers": (1000,), "5 layers": (1000, 1000, 1000)}
#: Learning rate and dropout of inputs and hidden layers for each network and share of values.
HASHED = {
    ("3 layers", 8): (2e-3, [0.2, 0.4]),
    ("3 layers", 64): (2e-3, [0.0, 0.1]),
    ("5 layers", 8): (1e-3, [0.2, 0.3, 0.3, 0.3]),
    ("5 layers", 64): (1e-3, [0.1, 0.1, 0.1, 0.1]),
}
#: Hidden units of dense networks with as many parameters.
NARROW = {("3 layers", 8): 125, ("3 layers", 64): 16, ("5 layers", 8): 264, ("5 layers", 64): 48}
ASKED = {
    ("3 layers", 8): "<= 1.6; published 1.45",
    ("3 layers", 64): "<= 2.9; published 2.79",
    ("5 layers", 8): "<= 1.4; published 1.22",
    ("5 layers", 64): "<= 2.2; published 1.99",
}
PUBLISHED_NARROW = {
    ("3 layers", 8): "1.69",
    ("3 layers", 64): "6.28",
    ("5 layers", 8): "1.35",
    ("5 layers", 64): "2.69",
}
PUBLISHED_EDGES = {
    ("3 layers", 8): "2.19",
    ("3 layers", 64): "15.03",
    ("5 layers", 8): "1.24",
    ("5 layers", 64): "3.20",
}
BASES = {
    "identity": {"basis": "identity", "hidden_basis": "identity"},
    "random": {"basis": "random"},
    "covariance": {"basis": "covariance"},
    "squared exponential": {
        "basis": "squared_exponential",
        "image_shape": (28, 28),
        "length_scale": 1.0,
    },
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    make : callable
        Returns the estimator.
    goal : str
        Test error that is asked for or was published, in percent.
    start : callable, default=None
        Returns the estimator that is trained first; what ``make`` returns goes on from it.
    file : dict, default={}
        Options of ``compress``.
    """

    make: Callable[[], Any]
    goal: str
    start: Callable[[], Any] | None = None
    file: dict[str, Any] = field(default_factory=dict)


class RandomEdges(Sparsifier):
    """Train a random share of the weights from the beginning; the others are zero."""

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        return _RandomRun(module, task)


class _RandomRun(SparsifierRun):
    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("train", self.task.max_iter),)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        assert self.task.target_sparsity is not None
        scores = torch.rand_like(self.weights)
        self.freeze(scores >= self.task.target_sparsity)


def _hashed(case: tuple[str, int]) -> Row:
    rate, dropout = HASHED[case]
    options = {**COMMON, "learning_rate_init": rate, "dropout": dropout}
    return Row(
        lambda: HashedMLPClassifier(WIDTHS[case[0]], share=1 / case[1], **options), ASKED[case]
    )


def _narrow(case: tuple[str, int]) -> Row:
    widths = (NARROW[case],) * len(WIDTHS[case[0]])
    options = {**COMMON, "sparsifier": None, "learning_rate_init": 2e-3}
    # the rates of wide networks would drop most of what narrow ones know
    options["dropout"] = 0.1 if NARROW[case] > 100 else 0.0
    return Row(lambda: SparseMLPClassifier(widths, **options), PUBLISHED_NARROW[case])


def _edges(case: tuple[str, int]) -> Row:
    rate, dropout = HASHED[case]
    options = {**COMMON, "learning_rate_init": rate, "dropout": dropout}
    return Row(
        lambda: SparseMLPClassifier(
            WIDTHS[case[0]],
            sparsifier=RandomEdges(),
            target_sparsity=1 - 1 / case[1],
            **options,
        ),
        PUBLISHED_EDGES[case],
    )


def _low_rank(options: dict[str, Any], n_columns: int) -> Row:
    common = {**COMMON, "learning_rate_init": 2e-3, "dropout": 0.2, **options}
    return Row(
        lambda: LowRankMLPClassifier((300, 100), share=0.25, n_columns=n_columns, **common),
        "<= .3 above dense for the best",
    )


def _lenet(**changes: Any) -> SparseMLPClassifier:
    return SparseMLPClassifier((300, 100), **{**COMMON, "learning_rate_init": 2e-3, **changes})


def _pruned() -> SparseMLPClassifier:
    return _lenet(
        sparsifier=Magnitude(train_fraction=0.05, sparsify_fraction=0.7, l1=1e-4),
        target_sparsity=0.93,
        learning_rate_init=4e-3,
        weight_decay=1e-4,
        dropout=[0.1, 0.1, 0.1],
    )


def _shared() -> SparseMLPClassifier:
    return _pruned().set_params(
        sparsifier=SoftWeightSharing(train_fraction=0.0, share_fraction=0.5),
        target_sparsity=0.95,
        learning_rate="auto",
        learning_rate_init=1e-3,
        max_iter=10,
        weight_decay=0.0,
        warm_start=True,
    )


ROWS = {
    **{f"hashed, {name}, 1/{n}": _hashed((name, n)) for name, n in HASHED},
    **{f"dense of equal size, {name}, 1/{n}": _narrow((name, n)) for name, n in HASHED},
    **{f"random edges, {name}, 1/{n}": _edges((name, n)) for name, n in HASHED},
    "dense 784-300-100-10": Row(lambda: _lenet(sparsifier=None, dropout=0.2), ""),
    **{
        f"low rank, {name}, {n_columns} columns": _low_rank(options, n_columns)
        for name, options in BASES.items()
        for n_columns in (1, 10)
    },
    "soft sharing": Row(_shared, "<= 1.94 at 64x", _pruned, {"bits": 4}),
}


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all, and add their table to a report."""
    data = report.load("mnist.npz")
    X_train, X_test = (images(data[name]) for name in ("X_train", "X_test"))
    arrays = (X_train, data["y_train"], X_test, data["y_test"])
    # kept beside the other rows of the benchmark, which are measured elsewhere
    kept = Report("compression_forms", report.data)
    merged = kept.merge({}, ROWS)
    for name in ROWS:
        if report.rows is None or name in report.rows:
            result = measure(ROWS[name], arrays)
            print(name, result, flush=True)
            merged = kept.merge({name: result}, ROWS)
    report.note(
        "Trained in few numbers: test error, the numbers that are learned (of pruned networks "
        "those that are not zero) of those of the dense network, the bytes of a file by "
        "`compress` and the test error of what it holds, and the time of the fit."
    )
    report.table(
        ["row", "test error", "learned", "of", "file", "its error", "fit", "asked or published"],
        [[name, *cells(result), ROWS[name].goal] for name, result in merged.items()],
    )


def measure(row: Row, data: Any) -> dict[str, Any]:
    """Fit once and score on the test images."""
    X_train, y_train, X_test, y_test = data
    start = time.perf_counter()
    with warnings.catch_warnings():
        # the schedules run to their end, which need not be convergence
        warnings.simplefilter("ignore", ConvergenceWarning)
        if row.start is None:
            model = row.make().fit(X_train, y_train)
        else:
            model = row.start().fit(X_train, y_train)
            model.set_params(**row.make().get_params()).fit(X_train, y_train)
    dense = sum(w.size for w in model.coefs_) + sum(map(len, model.intercepts_))
    learned = sum(p.numel() for p in model.module_.parameters())
    if model.sparsity_ > 0:
        learned -= round(model.sparsity_ * sum(w.size for w in model.coefs_))
    seconds = time.perf_counter() - start
    file = compress(model, X_train[::60], **row.file)
    return {
        "error": round(100 * (1 - model.score(X_test, y_test)), 2),
        "learned": learned,
        "dense": dense,
        "bytes": file.nbytes,
        "file_error": round(100 * float((file.predict(X_test) != y_test).mean()), 2),
        "seconds": round(seconds),
    }


def cells(result: dict[str, Any]) -> list[str]:
    """What the table shows of a result."""
    return [
        f"{result['error']:.2f} %",
        f"{result['learned']:,}".replace(",", " "),
        f"{result['dense']:,}".replace(",", " "),
        f"{result['bytes'] / 1000:.1f} KB ({4 * result['dense'] / result['bytes']:.0f}x)",
        f"{result['file_error']:.2f} %",
        f"{result['seconds']} s",
    ]
