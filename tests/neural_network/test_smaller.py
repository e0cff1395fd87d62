"""Modules that get smaller while they are trained: nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksparse.neural_network.training._adam import FusedAdam
from sksparse.neural_network.training._data import make_rows, make_table
from sksparse.neural_network.training._objectives import WeightedCrossEntropy, weighted_accuracy
from sksparse.neural_network.training._observed import UserView
from sksparse.neural_network.training._trainer import PhasedNet
from sksparse.neural_network.training._updates import Stopping, Updates
from sksparse.sparsifiers import FilterPruning, Task

CPU = torch.device("cpu")


class Network(nn.Module):
    """A shortcut, a depthwise convolution, a tied layer and statistics of batches."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 12, 3, padding=1)
        self.norm = nn.BatchNorm1d(12)
        self.branch = nn.Conv1d(12, 12, 3, padding=1, bias=False)
        self.depthwise = nn.Conv1d(12, 12, 3, groups=12)
        self.hidden = nn.Linear(12 * 4, 16)
        self.last = nn.Linear(16, 2)

    def forward(self, X: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.first(X)))
        h = h + torch.relu(self.branch(h))
        h = torch.relu(self.depthwise(h)).flatten(1)
        logits: Tensor = self.last(torch.relu(self.hidden(h)))
        return logits


def train(*, compacts: bool, solver: str = "adam", valid: bool = False, **updates: Any) -> Any:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2, 6))
    y = (X[:, 0].mean(axis=1) > 0).astype(np.int64)
    rows = make_rows(make_table(X, CPU), y, np.ones(120), np.arange(120), CPU)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Network().double()
        task = Task(
            alpha=None,
            target_sparsity=None,
            target_flops=0.2,
            weight_decay=1e-3,
            learning_rate=0.01,
            max_iter=24,
            steps_per_epoch=4,
            n_samples=120,
            example=rows.first(2),
            is_adaptive=solver == "adam",
        )
        options = {} if solver == "adam" else {"momentum": 0.9, "nesterov": True, "fused": True}
        run = FilterPruning(schedule="gradual").attach(module, task)
        shapes: list[list[int]] = []
        net = PhasedNet(
            module,
            criterion=WeightedCrossEntropy(),
            optimizer=FusedAdam if solver == "adam" else torch.optim.SGD,
            **{f"optimizer__{name}": value for name, value in options.items()},
            lr=0.01,
            batch_size=30,
            train_split=None,
            verbose=0,
            run=run,
            view=UserView(2, is_classifier=True),
            score=weighted_accuracy,
            stopping=Stopping(patience=50, tol=1e-4),
            updates=Updates(**updates),
            compacts=compacts,
        ).initialize()
        original = net._update_weights

        def noted(train: Any) -> float:
            shapes.append([sum(p.numel() for p in module.parameters())])
            return float(original(train))

        net._update_weights = noted  # type: ignore[method-assign]
        net.train_phases(rows, rows if valid else None)
    return module.eval(), net, shapes, torch.from_numpy(X)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sgd", "valid": True},
        {"valid": True, "ema_decay": 0.9, "max_grad_norm": 0.5},
    ],
    ids=str,
)
def test_the_same_training_of_a_smaller_module(options: dict[str, Any]) -> None:
    large, net, _, X = train(compacts=False, **options)
    small, other, sizes, _ = train(compacts=True, **options)
    n_parameters = [n for (n,) in sizes]
    assert n_parameters == sorted(n_parameters, reverse=True)
    assert len(set(n_parameters)) > 3
    with torch.no_grad():
        torch.testing.assert_close(small(X), large(X), rtol=1e-9, atol=1e-9)
    for before, after in zip(net.history, other.history, strict=True):
        assert after["loss"] == pytest.approx(before["loss"], rel=1e-9)
        assert after["sparsity"] == pytest.approx(before["sparsity"], abs=1e-12)
    assert n_parameters[-1] < 0.5 * n_parameters[0]
    assert len(other.optimizer_.param_groups[0]["params"][0]) == other.run.n_weights
