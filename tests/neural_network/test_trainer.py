"""The trainer and the data it slices, apart from any estimator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sksparse.neural_network.training._data import make_rows, make_table, merge_equal_rows
from sksparse.neural_network.training._objectives import WeightedCrossEntropy, weighted_accuracy
from sksparse.neural_network.training._observed import UserView
from sksparse.neural_network.training._trainer import PhasedNet
from sksparse.neural_network.training._updates import Stopping, Updates
from sksparse.sparsifiers import HardConcrete, Magnitude, Sparsifier, Task, prunable_tensors

CPU = torch.device("cpu")


def test_equal_rows_are_merged_and_weightless_rows_left_out() -> None:
    X = np.array([[1, 2], [0.0, 3], [1, 2], [-0.0, 3], [1, 2], [9, 9]], dtype=np.float32)
    y = np.array([0, 1, 0, 1, 1, 0])
    weight = np.array([1.0, 2, 3, 4, 5, 0])
    index, merged = merge_equal_rows(X, y, weight)
    found = {(*X[i].tolist(), int(y[i])): merged[i] for i in index}
    assert found == {(1.0, 2.0, 0): 4.0, (0.0, 3.0, 1): 6.0, (1.0, 2.0, 1): 5.0}
    assert merged.sum() == weight.sum()


def test_batches_cover_the_rows_once_with_mean_weight_one() -> None:
    X = np.arange(20, dtype=np.float32).reshape(10, 2)
    weight = np.arange(10.0)
    rows = make_rows(make_table(X, CPU), np.arange(10), weight, np.arange(2, 10), CPU)
    parts = list(rows.batches(3, shuffle=True))
    assert [len(y) for _, y, _ in parts] == [3, 3, 2]
    labels = torch.cat([y for _, y, _ in parts]).numpy()
    np.testing.assert_array_equal(np.sort(labels), np.arange(2, 10))
    np.testing.assert_array_equal(torch.cat([x for x, _, _ in parts]).numpy(), X[labels])
    weights = torch.cat([w for _, _, w in parts]).numpy()
    np.testing.assert_allclose(weights, weight[labels] / weight[2:].mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "n_rows, size, sizes", [(13, 10, [7, 6]), (20, 10, [10, 10]), (5, 2, [2, 3])]
)
def test_no_batch_is_much_smaller_than_the_others(n_rows: int, size: int, sizes: list[int]) -> None:
    table = make_table(np.zeros((n_rows, 1), dtype=np.float32), CPU)
    rows = make_rows(table, np.arange(n_rows), np.ones(n_rows), np.arange(n_rows), CPU)
    assert [len(y) for _, y, _ in rows.batches(size, shuffle=True)] == sizes


def test_weighted_loss_is_the_mean_of_weight_times_loss() -> None:
    logits, y = torch.tensor([[1.0, -1.0], [0.5, 0.0]]), torch.tensor([0, 1])
    weight = torch.tensor([0.5, 1.5])
    losses = -torch.log_softmax(logits, 1)[torch.arange(2), y]
    got = WeightedCrossEntropy()(logits, y, weight)
    torch.testing.assert_close(got, (losses * weight).sum() / weight.sum())
    torch.testing.assert_close(WeightedCrossEntropy()(logits, y, None), losses.mean())


@pytest.mark.parametrize(
    "sparsifier",
    [
        HardConcrete(),
        HardConcrete(granularity="input"),
        HardConcrete(granularity="input", gate_samples="local"),
        Magnitude(),
    ],
)
def test_any_module_is_trained_and_pruned(sparsifier: Sparsifier) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2, 8)).astype(np.float32)
    y = (X[:, 0].mean(axis=1) > 0).astype(np.int64)
    rows = make_rows(make_table(X, CPU), y, np.ones(120), np.arange(120), CPU)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = nn.Sequential(
            nn.Conv1d(2, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)
        )
        task = Task(
            alpha=None,
            target_sparsity=0.7,
            weight_decay=1e-3,
            learning_rate=0.02,
            max_iter=40,
            steps_per_epoch=4,
            n_samples=120,
            example=torch.from_numpy(X[:2]),
        )
        net = PhasedNet(
            module,
            criterion=WeightedCrossEntropy(),
            optimizer=torch.optim.Adam,
            lr=0.02,
            batch_size=30,
            train_split=None,
            verbose=0,
            run=sparsifier.attach(module, task),
            view=UserView(2, is_classifier=True),
            score=weighted_accuracy,
            stopping=Stopping(patience=50, tol=1e-4),
            updates=Updates(),
        ).initialize()
        assert not net.train_phases(rows, rows)
    weights = list(prunable_tensors(module).values())
    total = sum(w.numel() for w in weights)
    assert sum(int((w == 0).sum()) for w in weights) == round(0.7 * total)
    accuracy = (module.eval()(torch.from_numpy(X)).argmax(dim=1).numpy() == y).mean()
    assert accuracy > 0.85
    assert sum(p.epochs for p in net.run.phases) == len(net.history) == 40
