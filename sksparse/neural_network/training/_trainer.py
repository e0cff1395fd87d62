"""The one training loop: a skorch net that runs the phases of any sparsifier.

Batches are slices of tensors, no value leaves the device before the epoch ends, and all
weights are updated as one tensor; that is what keeps small tabular data fast.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from tqdm.auto import tqdm

from sksparse._interrupts import check, signalled, worth_keeping
from sksparse.neural_network.training._data import Rows
from sksparse.sparsifiers import Phase, Probe, SparsifierRun

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


@dataclass(frozen=True)
class Updates:
    """How gradients become updates.

    Parameters
    ----------
    schedule : {"auto", "constant", "cosine", "step"}, default="auto"
        Schedule of the learning rate over all epochs; "auto" is what the phases ask for.
    ema_decay : float, default=0.0
        Decay of the moving average of the weights that is evaluated and returned; 0 for none.
    max_grad_norm : float, default=None
        Longer gradients are scaled down to this norm.
    state : dict, default=None
        State of an earlier optimiser to begin with.
    """

    schedule: str = "auto"
    ema_decay: float = 0.0
    max_grad_norm: float | None = None
    state: dict[str, Any] | None = None

    def rate(self, progress: float) -> float:
        """Factor on the learning rate when a share `progress` of all epochs is over."""
        if self.schedule == "cosine":
            return half_cosine(progress)
        if self.schedule == "step":
            return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))
        return 1.0


def half_cosine(progress: float) -> float:
    """From 1 at the beginning down to 0 at the end."""
    return 0.5 + 0.5 * math.cos(math.pi * progress)


class _Average:
    """The exponential moving average of what the optimiser updates."""

    def __init__(self, tensors: list[Tensor], decay: float) -> None:
        self._tensors = [t.data for t in tensors]
        self._decay = decay
        self._values = [t.clone() for t in self._tensors]
        self._updates = 0

    def update(self) -> None:
        self._updates += 1
        # the usual correction: a short history is not biased towards the first values
        decay = min(self._decay, self._updates / (10.0 + self._updates))
        torch._foreach_lerp_(self._values, self._tensors, 1.0 - decay)

    def load(self) -> None:
        """Make the average the current value."""
        torch._foreach_copy_(self._tensors, self._values)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Evaluate with the average, and restore the current values afterwards."""
        now = [t.clone() for t in self._tensors]
        self.load()
        yield
        torch._foreach_copy_(self._tensors, now)


@dataclass
class _Plateau:
    """The best value so far, to be maximised, and the epochs since it was reached."""

    stopping: Stopping
    best: float = -math.inf
    stalled: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def update(self, value: float) -> bool:
        """Record a value and return whether it is the best so far."""
        self.stalled = 0 if value > self.best + self.stopping.tol else self.stalled + 1
        is_best = value > self.best
        self.best = max(value, self.best)
        return is_best

    @property
    def is_over(self) -> bool:
        """Whether it is time to stop."""
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
    updates : Updates
        How gradients become updates.
    """

    def __init__(
        self,
        *args: Any,
        run: SparsifierRun,
        score: Score,
        stopping: Stopping,
        updates: Updates,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.run = run
        self.score = score
        self.stopping = stopping
        self.updates = updates

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return []

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> PhasedNet:
        """Build the optimiser over what the sparsifier learns in this phase."""
        learned = [p for p in self.run.learned() if p.numel()]
        self.optimizer_ = self.optimizer(learned, lr=self.lr, **self.get_params_for("optimizer"))
        if self.updates.state is not None:
            self.optimizer_.load_state_dict(self.updates.state)
        return self

    @property
    def optimizer_state(self) -> dict[str, Any]:
        """What the optimiser remembers, to continue with later."""
        state: dict[str, Any] = self.optimizer_.state_dict()
        return state

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
        self._total_epochs = sum(phase.epochs for phase in self.run.phases)
        self._bar = tqdm(total=self._total_epochs, unit="epoch", disable=self.verbose != 1)
        batches = lambda: train.batches(self.batch_size)  # noqa: E731
        probe = Probe(self.module_, batches, self.criterion_)
        try:
            self.notify("on_train_begin", X=None, y=None)
        except KeyboardInterrupt:
            interrupted = self._ends_interrupted()
        with self._bar:
            for phase in self.run.phases:
                with torch.no_grad():
                    self.run.begin_phase(phase, probe)
                if interrupted:
                    continue
                try:
                    self._train_phase(phase, train, valid)
                except KeyboardInterrupt:
                    interrupted = self._ends_interrupted()
        with torch.no_grad():
            self.run.finalize()
        try:
            # a signal may have arrived while the last phase began
            check()
            self.notify("on_train_end", X=None, y=None)
        except KeyboardInterrupt:
            interrupted = self._ends_interrupted()
        return interrupted

    def _ends_interrupted(self) -> bool:
        """Whether training ends with a network; without one the interrupt is raised again."""
        if self.history and "loss" not in self.history[-1]:
            self.history.pop()
        # a callback that raises KeyboardInterrupt always ends training
        if signalled() and not (self.history and worth_keeping()):
            raise
        return True

    def _train_phase(self, phase: Phase, train: Rows, valid: Rows | None) -> None:
        self.initialize_optimizer()
        (group,) = self.optimizer_.param_groups
        self._average = None
        if self.updates.ema_decay and phase.average:
            self._average = _Average(group["params"], self.updates.ema_decay)
        plateau = _Plateau(self.stopping)
        keep_state = phase is self.run.phases[-1] and valid is not None
        for epoch in range(phase.epochs):
            group["lr"] = self.run.rate = self.lr * self._rate_factor(phase, epoch)
            value = self._train_epoch(phase, train, valid)
            if plateau.update(value) and keep_state:
                with self._evaluation():
                    plateau.state = {k: v.clone() for k, v in self.module_.state_dict().items()}
            if plateau.is_over and phase.may_stop:
                break
        if plateau.state:
            self.module_.load_state_dict(plateau.state)
        elif self._average is not None:
            self._average.load()

    def _rate_factor(self, phase: Phase, epoch: int) -> float:
        if self.updates.schedule != "auto":
            return self.updates.rate(len(self.history) / self._total_epochs)
        return phase.learning_rate * (half_cosine(epoch / phase.epochs) if phase.anneal else 1.0)

    def _train_epoch(self, phase: Phase, train: Rows, valid: Rows | None) -> float:
        """Train one epoch, record it, and return the value that should rise."""
        self.notify("on_epoch_begin", dataset_train=train, dataset_valid=valid)
        start = time.perf_counter()
        loss = self._update_weights(train)
        with torch.no_grad(), self._evaluation():
            record: dict[str, Any] = {
                "phase": phase.name,
                "loss": loss + self.run.penalty(),
                "sparsity": 1.0 - self.run.density(),
                "seconds": time.perf_counter() - start,
            }
            if not math.isfinite(record["loss"]):
                raise FloatingPointError(
                    f"The training loss became {record['loss']} in epoch {len(self.history)} "
                    f"(phase {phase.name!r}) with learning_rate_init={self.lr!r}; lower "
                    "learning_rate_init, set max_grad_norm=1, or scale X, for example with "
                    "StandardScaler."
                )
            if valid is not None:
                record["valid_score"] = self._validation_score(valid)
        for name, value in record.items():
            self.history.record(name, value)
        self._show_progress(record)
        self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
        return -record["loss"] if valid is None else record["valid_score"]

    def _update_weights(self, train: Rows) -> float:
        """Update once with every batch and return the mean loss."""
        module, criterion, optimizer, run = (
            self.module_,
            self.criterion_,
            self.optimizer_,
            self.run,
        )
        learned = optimizer.param_groups[0]["params"]
        module.train()
        total = torch.zeros((), device=train.index.device)
        with torch.no_grad():
            for X, y, weight in train.batches(self.batch_size, shuffle=True):
                check()
                if self.callbacks:
                    self.notify("on_batch_begin", batch=(X, y), training=True)
                run.before_batch()
                run.parameters.zero_grad()
                with torch.enable_grad():
                    output = module(X)
                    loss = criterion(output, y, weight)
                    loss.backward()
                run.after_backward()
                if self.updates.max_grad_norm is not None:
                    nn.utils.clip_grad_norm_(learned, self.updates.max_grad_norm)
                optimizer.step()
                run.after_step()
                if self._average is not None:
                    self._average.update()
                total += loss * len(X)
                if self.callbacks:
                    step = {"loss": loss, "y_pred": output}
                    self.notify("on_batch_end", batch=(X, y), training=True, **step)
        return float(total) / len(train)

    @contextmanager
    def _evaluation(self) -> Iterator[None]:
        """The weights that would be returned now, for as long as the block lasts."""
        if self._average is None:
            with torch.no_grad():
                self.run.before_evaluation()
            yield
            return
        with torch.no_grad(), self._average.in_use():
            self.run.before_evaluation()
            yield

    def _validation_score(self, valid: Rows) -> float:
        module = self.module_.eval()
        outputs, ys, weights = [], [], []
        for X, y, weight in valid.batches(PREDICT_ROWS):
            outputs.append(module(X))
            ys.append(y)
            weights.append(torch.ones(len(X), device=y.device) if weight is None else weight)
        return self.score(torch.cat(outputs), torch.cat(ys), torch.cat(weights))

    def _show_progress(self, record: dict[str, Any]) -> None:
        if self.verbose > 1:
            print(_progress_line(len(self.history), record))
        self._bar.update()
        shown = {k: record[k] for k in ("phase", "loss", "valid_score", "sparsity") if k in record}
        self._bar.set_postfix(shown, refresh=False)


def _progress_line(epoch: int, record: dict[str, Any]) -> str:
    score = f"  score {record['valid_score']:.4f}" if "valid_score" in record else ""
    return (
        f"epoch {epoch:4d}  {record['phase']:<12}  loss {record['loss']:.5f}{score}"
        f"  sparsity {record['sparsity']:.4f}"
    )
