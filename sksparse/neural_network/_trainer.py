"""The one training loop: a skorch net that runs the phases of any sparsifier.

Batches are slices of tensors, callbacks are notified once an epoch, and no value leaves
the device before the epoch ends; that is what keeps small tabular data fast.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.func import functional_call

from sksparse.neural_network._data import Rows
from sksparse.sparsifiers import Phase, SparsifierRun

#: Rows that pass through the network at once when it is only evaluated.
PREDICT_ROWS = 4096

Score = Callable[[Tensor, Tensor, Tensor], float]


@dataclass(frozen=True)
class Stopping:
    """When a phase ends before its epochs are used up.

    Parameters
    ----------
    patience : int
        Epochs without improvement that are tolerated.
    tol : float
        The least change that counts as an improvement.
    """

    patience: int
    tol: float


@dataclass
class _Plateau:
    """The best value so far, to be maximised, and the epochs since it was reached."""

    stopping: Stopping
    best: float = -math.inf
    stalled: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def update(self, value: float, module: nn.Module, *, keep_state: bool) -> bool:
        """Take note of a value and say whether it is time to stop."""
        self.stalled = 0 if value > self.best + self.stopping.tol else self.stalled + 1
        if value > self.best:
            self.best = value
            if keep_state:
                self.state = {k: v.clone() for k, v in module.state_dict().items()}
        return self.stalled > self.stopping.patience


class PhasedNet(NeuralNet):
    """A skorch net trained in the phases that a sparsifier declares.

    Parameters
    ----------
    *args, **kwargs
        As in ``skorch.NeuralNet``; `criterion` takes predictions, targets and weights
        (None where all are 1) of a batch and returns the mean of the weighted losses.
    run : SparsifierRun
        The sparsifier, attached to the module.
    score : callable
        Takes predictions, targets and weights of the validation rows, returns a score.
    stopping : Stopping
        When a phase ends early.
    """

    def __init__(
        self,
        *args: Any,
        run: SparsifierRun,
        score: Score,
        stopping: Stopping,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.run = run
        self.score = score
        self.stopping = stopping

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return []

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> PhasedNet:
        """Build the optimiser over the parameter groups of the sparsifier."""
        groups = [{**g, "lr": self.lr * g["factor"]} for g in self.run.parameter_groups()]
        self.optimizer_ = self.optimizer(
            [g for g in groups if g["params"]], **self.get_params_for("optimizer")
        )
        return self

    def train_phases(self, train: Rows, valid: Rows | None) -> bool:
        """Run all phases and finalize; an interrupt ends training, not the phases.

        Parameters
        ----------
        train : Rows
            The rows to learn from.
        valid : Rows or None
            The rows that decide when to stop and which weights to keep.

        Returns
        -------
        interrupted : bool
            Whether a KeyboardInterrupt cut training short.
        """
        interrupted = False
        self.notify("on_train_begin", X=None, y=None)
        for phase in self.run.phases:
            self.run.begin_phase(phase)
            if interrupted:
                continue
            try:
                self._train_phase(phase, train, valid)
            except KeyboardInterrupt:
                interrupted = True
                if self.history and "loss" not in self.history[-1]:
                    self.history.pop()
        self.notify("on_train_end", X=None, y=None)
        self.run.finalize()
        return interrupted

    def _train_phase(self, phase: Phase, train: Rows, valid: Rows | None) -> None:
        self.initialize_optimizer()
        rates = [g["lr"] * phase.learning_rate for g in self.optimizer_.param_groups]
        plateau = _Plateau(self.stopping)
        is_last = phase is self.run.phases[-1]
        for epoch in range(phase.epochs):
            fall = 0.5 + 0.5 * math.cos(math.pi * epoch / phase.epochs) if phase.anneal else 1.0
            for group, rate in zip(self.optimizer_.param_groups, rates, strict=True):
                group["lr"] = rate * fall
            value = self._train_epoch(phase, train, valid)
            stop = plateau.update(value, self.module_, keep_state=is_last and valid is not None)
            if stop and phase.may_stop:
                break
        if plateau.state:
            self.module_.load_state_dict(plateau.state)

    def _train_epoch(self, phase: Phase, train: Rows, valid: Rows | None) -> float:
        """Train one epoch, record it, and return the value that should rise."""
        self.notify("on_epoch_begin", dataset_train=train, dataset_valid=valid)
        start = time.perf_counter()
        objective = self._update_weights(train)
        record: dict[str, Any] = {
            "phase": phase.name,
            "loss": objective,
            "sparsity": 1.0 - self.run.density(),
            "seconds": time.perf_counter() - start,
        }
        if not math.isfinite(objective):
            raise FloatingPointError(
                f"The training loss became {objective} in epoch {len(self.history)} (phase "
                f"{phase.name!r}) with learning_rate_init={self.lr!r}; lower learning_rate_init "
                "or scale X, for example with StandardScaler."
            )
        if valid is not None:
            record["valid_score"] = self._validation_score(valid)
        for name, value in record.items():
            self.history.record(name, value)
        if self.verbose:
            print(_progress_line(len(self.history), record))
        self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
        return -objective if valid is None else record["valid_score"]

    def _update_weights(self, train: Rows) -> float:
        module, criterion, optimizer, run = (
            self.module_,
            self.criterion_,
            self.optimizer_,
            self.run,
        )
        module.train()
        total = torch.zeros((), device=train.index.device)
        for X, y, weight in train.batches(self.batch_size, shuffle=True):
            substitutes = run.tensors(training=True)
            output = functional_call(module, substitutes, (X,)) if substitutes else module(X)
            objective = criterion(output, y, weight)
            penalty = run.penalty()
            if penalty is not None:
                objective = objective + penalty
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
            run.after_step()
            total += objective.detach() * len(X)
        return float(total) / len(train)

    def _validation_score(self, valid: Rows) -> float:
        module = self.module_.eval()
        with torch.no_grad():
            substitutes = self.run.tensors(training=False)
            outputs, ys, weights = [], [], []
            for X, y, weight in valid.batches(PREDICT_ROWS):
                outputs.append(functional_call(module, substitutes, (X,)))
                ys.append(y)
                weights.append(torch.ones(len(X), device=y.device) if weight is None else weight)
            return self.score(torch.cat(outputs), torch.cat(ys), torch.cat(weights))


def _progress_line(epoch: int, record: dict[str, Any]) -> str:
    score = f"  score {record['valid_score']:.4f}" if "valid_score" in record else ""
    return (
        f"epoch {epoch:4d}  {record['phase']:<12}  loss {record['loss']:.5f}{score}"
        f"  sparsity {record['sparsity']:.4f}"
    )
