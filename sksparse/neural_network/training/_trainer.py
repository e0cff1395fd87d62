"""The one training loop: a skorch net that runs the phases of any sparsifier.

Batches are slices of tensors, no value leaves the device before the epoch ends, and all
weights are updated as one tensor; that is what keeps small tabular data fast. Callbacks are
told of a batch only where there are some.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sksparse._fit_tasks import fit_tasks
from sksparse._interrupts import check, signalled, worth_keeping
from sksparse._progress import Progress
from sksparse.neural_network.training._data import Rows
from sksparse.neural_network.training._observed import ObservedNet
from sksparse.neural_network.training._smaller import take_out
from sksparse.neural_network.training._updates import (
    Average,
    Plateau,
    Stopping,
    Updates,
    half_cosine,
)
from sksparse.sparsifiers import Phase, Probe

Score = Callable[[Tensor, Tensor, Tensor], float]


class PhasedNet(ObservedNet):
    """A net trained in the phases that a sparsifier declares.

    Parameters
    ----------
    *args, **kwargs
        As in ``skorch.NeuralNet``; `criterion` takes predictions, targets and weights
        (None where all are 1) of a batch and returns the mean of the weighted losses.
    score : callable
        Takes predictions, targets and weights of the validation rows, returns a score.
    stopping : Stopping
        When a phase ends early.
    updates : Updates
        How gradients become updates.
    name : str
        Who trains, in the lines of progress.
    rates_given : bool, default=False
        Whether callbacks set the learning rate.
    compacts : bool, default=False
        Whether units that are gone for good are taken out of the module between epochs.
    attributes : callable, default=None
        Takes the net and returns what makes the estimator a fitted one, for the callbacks of
        scikit-learn. It is called while the module has the weights that would be returned.
    """

    def __init__(
        self,
        *args: Any,
        score: Score,
        stopping: Stopping,
        updates: Updates,
        name: str = "network",
        rates_given: bool = False,
        compacts: bool = False,
        attributes: Callable[[PhasedNet], dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.score_of = score
        self.stopping = stopping
        self.updates = updates
        self.name = name
        self.rates_given = rates_given
        self.compacts = compacts
        self.attributes = attributes

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> PhasedNet:
        """Build the optimiser over what the sparsifier learns at the beginning."""
        self.optimizer_ = self.optimizer(
            self._learned(), lr=self.lr, **self.get_params_for("optimizer")
        )
        if self.updates.state is not None:
            self.optimizer_.load_state_dict(self.updates.state)
        return self

    def _learned(self) -> list[nn.Parameter]:
        return [p for p in self.run.learned() if p.numel()]

    def _renew_optimizer(self, phase: Phase) -> None:
        """Begin a phase without memory of the last one; schedules hold on to the optimiser."""
        learned, group = self._learned(), self._group
        same = all(a is b for a, b in zip(learned, group["params"], strict=False))
        if phase is self._phases[0] and same and len(learned) == len(group["params"]):
            return
        self.optimizer_.state.clear()
        group["params"] = learned

    @property
    def _group(self) -> dict[str, Any]:
        """The only group of parameters, which loading a state replaces."""
        group: dict[str, Any] = self.optimizer_.param_groups[0]
        return group

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
        self._epochs_done = 0
        # a run may make them anew each time it is asked
        self._phases = self.run.phases
        self._total_epochs = sum(phase.epochs for phase in self._phases)
        self._progress = Progress(self.name, "epoch", self._total_epochs, verbose=self.verbose)
        probe = Probe(self.module_, lambda: self._probed(train), self.criterion_)
        self._datasets: dict[str, Any] = {"dataset_train": None, "dataset_valid": None}
        if self.callbacks_:
            pair = (self.dataset_of(train), self.dataset_of(valid))
            self._datasets = dict(zip(self._datasets, pair, strict=True))
        data = self._datasets["dataset_train"]
        words = {"X": None, "y": None} if data is None else {"X": data.X, "y": data.y}
        try:
            self.tell("on_train_begin", **words)
        except KeyboardInterrupt:
            interrupted = self._ends_interrupted()
        self._rate_set = self._group["lr"]
        with self._progress, fit_tasks("epochs", self._total_epochs) as self._tasks:
            for phase in self._phases:
                with torch.no_grad():
                    self.run.begin_phase(phase, probe)
                if interrupted:
                    continue
                if self.compacts:
                    # the optimiser begins anew
                    take_out(self.run)
                try:
                    self._train_phase(phase, train, valid)
                except KeyboardInterrupt:
                    interrupted = self._ends_interrupted()
        with torch.no_grad():
            self.run.finalize()
        try:
            # a signal may have arrived while the last phase began
            check()
            with self._zeros_kept():
                self.notify("on_train_end", **words)
        except KeyboardInterrupt:
            interrupted = self._ends_interrupted()
        return interrupted

    def _probed(self, train: Rows) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """The batches that a sparsifier may look at."""
        for X, y, weight in train.batches(self.batch_size):
            yield self.layout.arrange(X), y, weight

    @contextmanager
    def _zeros_kept(self) -> Iterator[None]:
        """Whatever weights callbacks load in the end, the pruned ones stay zero."""
        kept = [(w, w.detach() != 0) for w in self.run.tensors.values()]
        try:
            yield
        finally:
            with torch.no_grad():
                for w, is_kept in kept:
                    w.mul_(is_kept)

    def _ends_interrupted(self) -> bool:
        """Whether training ends with a network; without one the interrupt is raised again."""
        if self.history and "loss" not in self.history[-1]:
            self.history.pop()
        # a callback that raises KeyboardInterrupt always ends training
        if signalled() and not (self.history and worth_keeping()):
            raise
        return True

    def _train_phase(self, phase: Phase, train: Rows, valid: Rows | None) -> None:
        self._renew_optimizer(phase)
        self._average = None
        if self.updates.ema_decay and phase.average:
            self._average = Average(self._group["params"], self.updates.ema_decay)
        plateau = Plateau(self.stopping)
        keep_state = phase is self._phases[-1] and valid is not None
        self.restart_callbacks()
        for epoch in range(phase.epochs):
            self._tasks.begin()
            self._set_rate(phase, epoch)
            value = self._train_epoch(phase, train, valid)
            if plateau.update(value) and keep_state:
                with self._evaluation():
                    plateau.state = {k: v.clone() for k, v in self.module_.state_dict().items()}
            over = self._end_epoch(phase)
            if (plateau.is_over or over) and phase.may_stop:
                break
            if self.compacts and epoch + 1 < phase.epochs:
                self._take_out_units(plateau)
        if plateau.state:
            self.module_.load_state_dict(plateau.state)
            # what is learned may be other tensors than those of the module
            self.run.take_over(torch.ones_like(self.run.weights, dtype=torch.bool))
        elif self._average is not None:
            self._average.load()

    def _take_out_units(self, plateau: Plateau) -> None:
        """Go on with a smaller module, where units are gone for good."""
        with torch.no_grad():
            cut = take_out(self.run)
            if cut is None:
                return
            cut.optimizer(self.optimizer_)
            if self._average is not None:
                self._average.cut(cut.learned, cut.positions)
            plateau.state = cut.state(plateau.state)

    def _set_rate(self, phase: Phase, epoch: int) -> None:
        """The learning rate of an epoch, unless callbacks have set one."""
        group = self._group
        self.rates_given |= group["lr"] != self._rate_set
        if not self.rates_given:
            group["lr"] = self.run.rate = self._rate_set = self.lr * self._rate_factor(phase, epoch)

    def _rate_factor(self, phase: Phase, epoch: int) -> float:
        if self.updates.schedule != "auto":
            return self.updates.rate(self._epochs_done / self._total_epochs)
        return phase.learning_rate * (half_cosine(epoch / phase.epochs) if phase.anneal else 1.0)

    def _train_epoch(self, phase: Phase, train: Rows, valid: Rows | None) -> float:
        """Train one epoch, record it, and return the value that should rise."""
        self.tell("on_epoch_begin", **self._datasets)
        if self.callbacks_:
            self.note_frozen()
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
                valid_loss, record["valid_score"] = self._validate(valid)
        for name, value in record.items():
            self.history.record(name, value)
        self.record_best("train_loss", loss)
        if valid is not None:
            self.record_best("valid_loss", valid_loss)
        self._epochs_done += 1
        self._progress.step(_progress_text, record)
        return -record["loss"] if valid is None else record["valid_score"]

    def _end_epoch(self, phase: Phase) -> bool:
        """Tell that an epoch is over, and return whether a callback ends its phase."""
        if self.callbacks_:
            self.history.record("dur", self.history[-1]["seconds"])
        stoppings = self.early_stoppings()
        for stopping in () if phase.may_stop else stoppings:
            # such a phase has to reach its end
            stopping.misses_ = -1
        over = False
        try:
            self.tell("on_epoch_end", self._evaluation, **self._datasets)
        except KeyboardInterrupt:
            over = any(stopping.misses_ == stopping.patience for stopping in stoppings)
            if signalled() or not over:
                raise
        if self._tasks.end(self._attributes_now):
            raise KeyboardInterrupt
        return over

    def _attributes_now(self) -> dict[str, Any] | None:
        """What would be fitted if training ended here."""
        if self.attributes is None:
            return None
        with torch.no_grad(), self._evaluation():
            return self.attributes(self)

    def _update_weights(self, train: Rows) -> float:
        """Update once with every batch and return the mean loss."""
        module, criterion, optimizer, run = (
            self.module_,
            self.criterion_,
            self.optimizer_,
            self.run,
        )
        group = self._group
        run.rate = group["lr"]
        module.train()
        hears_gradients, arrange = self.hears("on_grad_computed"), self.layout.arrange
        total = torch.zeros((), device=train.index.device)
        with torch.no_grad():
            for X, y, weight in train.batches(self.batch_size, shuffle=True):
                check()
                if self.callbacks_:
                    self.begin_batch(X, y, training=True)
                    run.rate = group["lr"]
                run.before_batch()
                run.parameters.zero_grad()
                with torch.enable_grad():
                    output = module(arrange(X))
                    loss = criterion(output, y, weight)
                    loss.backward()
                if hears_gradients:
                    self.tell_gradients((X, self.view.truth(y)))
                run.after_backward()
                if self.updates.max_grad_norm is not None:
                    nn.utils.clip_grad_norm_(group["params"], self.updates.max_grad_norm)
                if self._frozen is None:
                    optimizer.step()
                    run.after_step()
                else:
                    with self.frozen_kept():
                        optimizer.step()
                        run.after_step()
                if self._average is not None:
                    self._average.update()
                total += loss * len(X)
                if self.callbacks_:
                    self.end_batch(X, y, output, loss, training=True)
        if self.callbacks_:
            self.history.record("train_batch_count", len(self.history[-1]["batches"]))
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

    def _validate(self, valid: Rows) -> tuple[float, float]:
        """Mean loss and score of the validation rows."""
        module = self.module_.eval()
        outputs, ys, weights = [], [], []
        n_before = len(self.history[-1]["batches"])
        for X, y, weight in valid.batches(self.layout.n_rows):
            if self.callbacks_:
                self.begin_batch(X, y, training=False)
            outputs.append(module(self.layout.arrange(X)))
            ys.append(y)
            weights.append(torch.ones(len(X), device=y.device) if weight is None else weight)
            if self.callbacks_:
                loss = self.criterion_(outputs[-1], y, weight)
                self.end_batch(X, y, outputs[-1], loss, training=False)
        if self.callbacks_:
            n_batches = len(self.history[-1]["batches"]) - n_before
            self.history.record("valid_batch_count", n_batches)
        output, y, weight = torch.cat(outputs), torch.cat(ys), torch.cat(weights)
        loss = self.criterion_(output, y, None if valid.weight is None else weight)
        return float(loss), self.score_of(output, y, weight)


def _progress_text(record: dict[str, Any]) -> str:
    score = f", score {record['valid_score']:.4f}" if "valid_score" in record else ""
    return f"{record['phase']}, loss {record['loss']:.5f}{score}, sparsity {record['sparsity']:.4f}"
