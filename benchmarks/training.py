"""The time of a training epoch: against a bare torch loop, scikit-learn, skorch; by method."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import SPARSIFIERS, HardConcrete

from .report import Report

N_PAIRS = 7
#: Epochs that both sides of a pair are timed over, set-up included.
N_EPOCHS = {"2000 x 50": 60, "500 x 20": 150, "MNIST": 6}


@dataclass(frozen=True)
class Table:
    """Data and the network that is trained on them."""

    X: np.ndarray
    y: np.ndarray
    hidden: tuple[int, ...]
    batch: int


def run(report: Report) -> None:
    """Every comparison, on one thread."""
    torch.set_num_threads(1)
    report.note(
        "Seconds of a training epoch, set-up and finalisation of the fit included; medians of "
        f"{N_PAIRS} pairs (3 on MNIST) timed in turn, on one thread. A fit has "
        + ", ".join(f"{n} epochs on {name}" for name, n in N_EPOCHS.items())
        + "."
    )
    tables = {"2000 x 50": synthetic(2000, 50, 200), "500 x 20": synthetic(500, 20, 50)}
    if report.data is not None:
        data = report.load("mnist.npz")
        X = data["X_train"].reshape(60_000, -1).astype(np.float32) / 255
        tables["MNIST"] = Table(X, data["y_train"].astype(np.int64), (300, 100), 128)
    dense_beside_others(report, tables)
    methods_beside_dense(report, tables)


def synthetic(n: int, p: int, batch: int) -> Table:
    """Two classes, split by a sum of five features."""
    X = np.random.default_rng(0).standard_normal((n, p)).astype(np.float32)
    return Table(X, (X[:, :5].sum(axis=1) > 0).astype(np.int64), (100,), batch)


def dense_beside_others(report: Report, tables: dict[str, Table]) -> None:
    """The dense network of the estimator against three ways to train the same one."""
    others = {"bare loop": bare_loop, "MLPClassifier": scikit_learn, "skorch": skorch_net}
    rows = []
    for name, table in tables.items():
        for other, fit in others.items():
            ours, ratio = compare(
                lambda t=table, e=N_EPOCHS[name]: ours_fit(t, e, sparsifier=None),
                lambda t=table, e=N_EPOCHS[name], fit=fit: fit(t, e),
                3 if name == "MNIST" else N_PAIRS,
            )
            rows.append([name, f"{1e3 * ours:.2f} ms", other, f"{1 / ratio:.2f}"])
    report.note("The dense network; a ratio above 1 says how many times slower the other is:")
    report.table(["data", "epoch", "other", "other's time over ours"], rows)


def methods_beside_dense(report: Report, tables: dict[str, Table]) -> None:
    """Every sparsifier against the dense network of the same estimator."""
    methods: dict[str, Any] = {name: name for name in SPARSIFIERS if name is not None}
    methods["l0, gates of inputs"] = HardConcrete(granularity="input")
    small = {name: table for name, table in tables.items() if name != "MNIST"}
    rows = []
    for label, sparsifier in methods.items():
        ratios = []
        for name, table in small.items():
            options = {"sparsifier": sparsifier, "target_sparsity": 0.9}
            _, ratio = compare(
                lambda t=table, e=N_EPOCHS[name], o=options: ours_fit(t, e, **o),
                lambda t=table, e=N_EPOCHS[name]: ours_fit(t, e, sparsifier=None),
                N_PAIRS,
            )
            ratios.append(f"{ratio:.2f}")
        rows.append([label, *ratios])
    report.note("Methods at 90 % sparsity; the mean epoch over that of the dense network:")
    report.table(["sparsifier", *small], rows)


def compare(
    ours: Callable[[], float], other: Callable[[], float], pairs: int
) -> tuple[float, float]:
    """Our median epoch, and the median over pairs of its ratio to the other's."""
    ours(), other()
    timed = [(ours(), other()) for _ in range(pairs)]
    return median(a for a, _ in timed), median(a / b for a, b in timed)


def ours_fit(table: Table, n_epochs: int, **params: Any) -> float:
    """Seconds of an epoch through the estimator."""
    model = SparseMLPClassifier(
        table.hidden,
        batch_size=table.batch,
        max_iter=n_epochs,
        n_iter_no_change=n_epochs,
        random_state=0,
        **params,
    )
    return timed(lambda: model.fit(table.X, table.y)) / model.n_iter_


def bare_loop(table: Table, n_epochs: int) -> float:
    """Seconds of an epoch with nothing around the updates."""

    def train() -> None:
        torch.manual_seed(0)
        module = build(table)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
        X, y = torch.from_numpy(table.X), torch.from_numpy(table.y)
        for _ in range(n_epochs):
            for rows in torch.randperm(len(X)).split(table.batch):
                loss = nn.functional.cross_entropy(module(X[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return timed(train) / n_epochs


def scikit_learn(table: Table, n_epochs: int) -> float:
    """Seconds of an epoch of scikit-learn's network."""
    model = MLPClassifier(
        table.hidden,
        batch_size=table.batch,
        max_iter=n_epochs,
        n_iter_no_change=n_epochs,
        random_state=0,
    )
    return timed(lambda: model.fit(table.X, table.y)) / model.n_iter_


def skorch_net(table: Table, n_epochs: int) -> float:
    """Seconds of an epoch of skorch's classifier."""
    net = NeuralNetClassifier(
        build(table),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=1e-3,
        batch_size=table.batch,
        max_epochs=n_epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return timed(lambda: net.fit(table.X, table.y)) / n_epochs


def build(table: Table) -> nn.Module:
    """The network as plain torch."""
    widths = [table.X.shape[1], *table.hidden, int(table.y.max()) + 1]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        # Time is measured here, not convergence.
        warnings.simplefilter("ignore", ConvergenceWarning)
        work()
    return time.perf_counter() - start
