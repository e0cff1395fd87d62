"""One training run of a network whose inputs leave on a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._fit_tasks import fit_tasks
from sksparse._interrupts import check, signalled, worth_keeping
from sksparse._progress import Progress
from sksparse._typing import Indices
from sksparse.feature_selection.perceptron._input_path import InputPath
from sksparse.feature_selection.perceptron._method import Criterion, InputMethod
from sksparse.feature_selection.perceptron._network import keep_columns
from sksparse.neural_network.training._data import Rows
from sksparse.neural_network.training._updates import half_cosine

#: Inputs leave at most so many at a time, as a share of those that are left.
_AT_ONCE = 0.1
#: Rows of a batch of validation.
_EVALUATED = 2048


class ColumnTable(Protocol):
    """Features whose columns can leave."""

    def take(self, rows: Tensor) -> Tensor:
        """The given rows, dense."""
        ...

    def select(self, rows: Tensor) -> Any:
        """The given rows, as they are held."""
        ...

    def keep(self, kept: Tensor) -> None:
        """Only these columns stay."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When inputs leave, and how weights are updated.

    Parameters
    ----------
    n_epochs, batch_size : int
        Epochs of the whole run, and rows of a batch.
    learning_rate : float
        The rate at the beginning; it falls to zero along a half cosine.
    weight_decay : float
        Decoupled decay: in each update weights shrink by this times the learning rate.
    first, last : float
        Shares of the updates after which the first and the last inputs leave.
    least : int
        Features that are left in the end.
    """

    n_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    first: float = 0.1
    last: float = 0.9
    least: int = 1

    def removals(self, n_features: int, n_updates: int) -> list[tuple[int, int]]:
        """Updates after which features leave, and how many are left then: a geometric fall."""
        counts, left = [], n_features
        while left > self.least:
            left = max(self.least, min(left - 1, round((1 - _AT_ONCE) * left)))
            counts.append(left)
        fall = math.log(n_features / self.least) if counts else 1.0
        begin, span = self.first * n_updates, (self.last - self.first) * n_updates
        return [(math.ceil(begin + span * math.log(n_features / c) / fall), c) for c in counts]


class PathTraining:
    """A run: updates of the weights, and inputs that leave in between.

    Parameters
    ----------
    method : InputMethod
        What scores the inputs, with the network.
    schedule : Schedule
        When they leave.
    table : ColumnTable
        The features of all rows.
    train, valid : Rows
        The rows to learn from, and those to score; of that table.
    criterion : callable
        The loss.
    score : callable
        Takes outputs, targets and weights of the validation rows; returns a score and its
        standard error.
    sizes : torch.Tensor of shape (n_groups,)
        Features of each group, also those that are no inputs since they are constant.
    costs : torch.Tensor of shape (n_groups,)
        What groups cost, in float64; those of 0 stay.
    progress : Progress
        Where lines about epochs go.
    """

    def __init__(
        self,
        method: InputMethod,
        schedule: Schedule,
        table: ColumnTable,
        train: Rows,
        valid: Rows,
        criterion: Criterion,
        score: Callable[[Tensor, Tensor, Tensor], tuple[float, float]],
        sizes: Tensor,
        costs: Tensor,
        progress: Progress,
    ) -> None:
        self.method, self.schedule, self.table = method, schedule, table
        self.train, self.valid = train, valid
        self.criterion, self.score = criterion, score
        self.sizes, self.costs, self.progress = sizes, costs, progress
        network = method.network
        added = method.column_parameters()
        self._columns: list[nn.Parameter] = [network.weight, *added]
        groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
        if method.reach is None:
            groups[0]["params"] += added
        else:
            # the mean of half a cosine is one half
            rate = 2 * method.reach / method.n_updates
            groups.append({"params": added, "initial_lr": rate, "weight_decay": 0.0})
        groups[0]["initial_lr"] = schedule.learning_rate
        self._optimizer = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay, fused=True)
        self._gone: list[Tensor] = []
        self._scored: list[tuple[int, float, float, float]] = []

    def run(self) -> InputPath:
        """Train to the end."""
        schedule = self.schedule
        per_epoch = math.ceil(len(self.train) / schedule.batch_size)
        n_updates, done = schedule.n_epochs * per_epoch, 0
        removals = schedule.removals(self._n_left, n_updates)[::-1]
        complete = True
        try:
            with fit_tasks("epochs", schedule.n_epochs) as tasks:
                for _ in range(schedule.n_epochs):
                    tasks.begin()
                    for X, y, weight in self.train.batches(schedule.batch_size, shuffle=True):
                        check()
                        self._update(X, y, weight, half_cosine(done / n_updates))
                        done += 1
                        while removals and removals[-1][0] <= done:
                            self._remove(removals.pop()[1])
                    self.progress.step(self._progress_text)
                    if tasks.end():
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            if signalled() and not (self._scored and worth_keeping()):
                raise
            complete = False
        self._note_score()
        counts, scores, errors, losses = np.transpose(self._scored)
        n_epochs = math.ceil(done / per_epoch)
        counts = counts.astype(np.intp)
        return InputPath(self._order(), counts, scores, errors, n_epochs, losses, complete)

    def _order(self) -> Indices:
        """All groups, those that are left behind those that left, by their scores."""
        last = torch.argsort(self._group_scores(), stable=True)
        order: Indices = torch.cat([*self._gone, last[self._is_left[last]]]).numpy()
        return order

    @property
    def _is_left(self) -> Tensor:
        """Mask of the groups that are left."""
        mask = torch.zeros(len(self.costs), dtype=torch.bool)
        mask[self.method.group_of] = True
        return mask

    @property
    def _n_left(self) -> int:
        """Number of features that are left."""
        return int(self.sizes[self._is_left].sum())

    def _progress_text(self) -> str:
        score = f", score {self._scored[-1][1]:.4f}" if self._scored else ""
        return f"{self._n_left} features left{score}"

    def _update(self, X: Tensor, y: Tensor, weight: Tensor | None, factor: float) -> None:
        optimizer, method = self._optimizer, self.method
        for group in optimizer.param_groups:
            group["lr"] = factor * group["initial_lr"]
        optimizer.zero_grad()
        method.loss(X, y, weight, self.criterion).backward()
        with torch.no_grad():
            method.after_backward()
            optimizer.step()
            method.after_step(optimizer.param_groups[0]["lr"])

    @torch.no_grad()
    def _remove(self, n_left: int) -> None:
        """Let groups of inputs go until so few are left; the score with them is noted before."""
        groups = self.method.group_of
        order = torch.argsort(self._group_scores(), stable=True)
        order = order[(self._is_left & (self.costs > 0))[order]]
        sizes = self.sizes[order]
        # the last group may take more than has to go, but one stays
        leaving = order[self._n_left - torch.cumsum(sizes, 0) + sizes > n_left]
        leaving = leaving[: int(self._is_left.sum()) - 1]
        if not len(leaving):
            return
        self._note_score()
        self._gone.append(leaving)
        kept = (~torch.isin(groups, leaving)).nonzero()[:, 0]
        for parameter in self._columns:
            keep_columns(parameter, kept, self._optimizer)
        self.method.keep(kept)
        self.table.keep(kept)

    def _group_scores(self) -> Tensor:
        """Scores of groups for what they cost: infinite for those that stay."""
        sums = torch.zeros(len(self.costs), dtype=torch.float64)
        sums.index_add_(0, self.method.group_of, self.method.scores().double())
        return torch.where(self.costs > 0, sums / self.costs, torch.inf)

    @torch.no_grad()
    def _note_score(self) -> None:
        network, outputs, targets, weights = self.method.network.eval(), [], [], []
        for X, y, weight in self.valid.batches(_EVALUATED):
            outputs.append(self.method.forward(X))
            targets.append(y)
            weights.append(torch.ones(len(y)) if weight is None else weight)
        network.train()
        predicted = torch.cat(outputs)
        if not bool(predicted.isfinite().all()):
            raise FloatingPointError(
                "Outputs of the network became infinite or not a number with "
                f"learning_rate_init={self.schedule.learning_rate:g} and "
                f"weight_decay={self.schedule.weight_decay:g}; lower them, and the strength where "
                "one is given."
            )
        rows = predicted, torch.cat(targets), torch.cat(weights)
        self._scored.append((self._n_left, *self.score(*rows), float(self.criterion(*rows))))
