"""One training run of a network whose inputs leave on a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sksparse._fit_tasks import fit_tasks
from sksparse._interrupts import check
from sksparse._progress import Progress
from sksparse._typing import Array, Indices
from sksparse.feature_selection.perceptron._method import Criterion, InputMethod
from sksparse.feature_selection.perceptron._network import keep_columns
from sksparse.neural_network.training._data import Rows

#: Inputs leave at most so many at a time, as a share of those that are left.
_AT_ONCE = 0.1
#: Rows of a batch of validation.
_EVALUATED = 2048


class ColumnTable(Protocol):
    """Features whose columns can leave."""

    def take(self, rows: Tensor) -> Tensor:
        """The given rows, dense."""
        ...

    def select(self, rows: Tensor) -> Tensor:
        """The same."""
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


@dataclass(frozen=True)
class InputPath:
    """What one run found.

    Parameters
    ----------
    order : ndarray of shape (n_groups,)
        The groups of features, those that left first at the beginning.
    n_features : ndarray of shape (n_counts,)
        Numbers of features that the network was scored with, falling.
    scores, errors : ndarray of shape (n_counts,)
        Its scores for the validation rows, and their standard errors.
    is_complete : bool
        Whether the run was not interrupted.
    """

    order: Indices
    n_features: Indices
    scores: Array
    errors: Array
    is_complete: bool = True


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
    always : torch.Tensor of shape (n_groups,)
        Groups that stay.
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
        score: Callable[[Tensor, Tensor, Tensor | None], tuple[float, float]],
        always: Tensor,
        progress: Progress,
    ) -> None:
        self.method, self.schedule, self.table = method, schedule, table
        self.train, self.valid = train, valid
        self.criterion, self.score = criterion, score
        self.always, self.progress = always, progress
        network = method.network
        self._columns = [network.first.weight, *method.column_parameters()]
        others = [p for p in network.parameters() if p is not network.first.weight]
        self._optimizer = torch.optim.AdamW(
            [*self._columns, *others],
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            fused=True,
        )
        self._gone: list[Tensor] = []
        self._scored: list[tuple[int, float, float]] = []

    def run(self) -> InputPath:
        """Train to the end."""
        schedule, n_groups = self.schedule, len(self.always)
        per_epoch = math.ceil(len(self.train) / schedule.batch_size)
        n_updates, done = schedule.n_epochs * per_epoch, 0
        removals = schedule.removals(self._n_left, n_updates)[::-1]
        complete = True
        with fit_tasks("epochs", schedule.n_epochs) as tasks:
            for _ in range(schedule.n_epochs):
                tasks.begin()
                self.method.network.train()
                for X, y, weight in self.train.batches(schedule.batch_size, shuffle=True):
                    check()
                    rate = schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * done / n_updates))
                    self._update(X, y, weight, rate)
                    done += 1
                    while removals and removals[-1][0] <= done:
                        _, n_left = removals.pop()
                        self._remove(n_left)
                self.progress.step(self._progress_text)
                if tasks.end():
                    complete = False
                    break
        self._note_score()
        left = torch.argsort(self._group_scores(), stable=True)
        gone = torch.cat([*self._gone, left[~torch.isin(left, torch.cat([*self._gone, left[:0]]))]])
        assert len(gone) == n_groups
        counts, scores, errors = np.transpose(self._scored)
        return InputPath(gone.numpy(), counts.astype(np.intp), scores, errors, complete)

    @property
    def _n_left(self) -> int:
        return len(self.method.group_of)

    def _progress_text(self) -> str:
        score = f", score {self._scored[-1][1]:.4f}" if self._scored else ""
        return f"{self._n_left} features left{score}"

    def _update(self, X: Tensor, y: Tensor, weight: Tensor | None, rate: float) -> None:
        optimizer, method = self._optimizer, self.method
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        method.loss(X, y, weight, self.criterion).backward()
        with torch.no_grad():
            method.after_backward()
            optimizer.step()
            method.after_step(rate)

    @torch.no_grad()
    def _remove(self, n_left: int) -> None:
        """Note the score of the network, and let groups of inputs go until so few are left."""
        self._note_score()
        scores, groups = self._group_scores(), self.method.group_of
        sizes = torch.bincount(groups, minlength=len(scores))
        order = torch.argsort(scores, stable=True)
        order = order[(sizes[order] > 0) & ~self.always[order]]
        before = self._n_left - torch.cumsum(sizes[order], 0) + sizes[order]
        leaving = order[before > n_left]
        if not len(leaving):
            return
        self._gone.append(leaving)
        kept = (~torch.isin(groups, leaving)).nonzero()[:, 0]
        for parameter in self._columns:
            keep_columns(parameter, kept, self._optimizer)
        self.method.keep(kept)
        self.table.keep(kept)

    def _group_scores(self) -> Tensor:
        """The sum of the scores of each group's inputs, infinite for those that stay."""
        sums = torch.zeros(len(self.always), dtype=torch.float64)
        sums.index_add_(0, self.method.group_of, self.method.scores().double())
        return torch.where(self.always, torch.inf, sums)

    @torch.no_grad()
    def _note_score(self) -> None:
        network = self.method.network.eval()
        parts = [
            (self.method.forward(X), y, weight) for X, y, weight in self.valid.batches(_EVALUATED)
        ]
        network.train()
        outputs, targets = (torch.cat([part[k] for part in parts]) for k in (0, 1))
        weight = None if self.valid.weight is None else torch.cat([part[2] for part in parts])
        self._scored.append((self._n_left, *self.score(outputs, targets, weight)))
