"""A training in three phases: dense, cut towards a sparsity, retrained with a fixed mask."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe

#: Batches between two cuts, which cost about as much as a batch, and how many cuts to aim at.
_OFTEN = 4
_SELDOM = 16
_MANY_CUTS = 200
#: The logarithm of the compression where neither a strength nor a sparsity is asked for.
DEFAULT_LOG_COMPRESSION = math.log(10.0)


def asked_sparsity(task: Task) -> float:
    """The sparsity asked for, where `alpha` is the logarithm of the compression.

    Parameters
    ----------
    task : Task
        What the estimator asks for.

    Returns
    -------
    sparsity : float
        `target_sparsity`, or ``1 - exp(-alpha)``.
    """
    if task.target_sparsity is not None:
        return task.target_sparsity
    return -math.expm1(-(DEFAULT_LOG_COMPRESSION if task.alpha is None else task.alpha))


def cubic_rise(progress: float) -> float:
    """From 0 to 1, steep at first and flat at the end (Zhu & Gupta, 2017)."""
    return 1.0 - (1.0 - min(1.0, progress)) ** 3


@dataclass(frozen=True)
class Course:
    """How the epochs are shared out.

    Parameters
    ----------
    train_fraction : float
        Share of the epochs spent on the dense network.
    cut_fraction : float
        Share of the epochs in which weights are cut.
    travel : float
        Least distance that a weight can travel in each phase after the first.
    update_every : int or None
        Batches between two cuts; None is from 4 to 16, to have 200 cuts or more.
    """

    train_fraction: float
    cut_fraction: float
    travel: float
    update_every: int | None


class GradualRun(SparsifierRun):
    """Train densely, cut every some batches, then retrain with a fixed mask.

    A subclass writes ``cut`` and ``final_mask``, and in ``begin_cut`` what the phase needs.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.
    course : Course
        How the epochs are shared out.

    Attributes
    ----------
    cutting : bool
        Whether the phase of cuts is on.
    """

    def __init__(self, module: nn.Module, task: Task, course: Course) -> None:
        super().__init__(module, task)
        self.cutting = False
        self._course = course
        self._batch = 0
        self._n_batches = 1
        self._every = course.update_every or _SELDOM

    @property
    def phases(self) -> tuple[Phase, ...]:
        course, task = self._course, self.task
        dense = round(course.train_fraction * task.max_iter)
        cut = round(course.cut_fraction * task.max_iter)
        # at least one epoch is left to train the final network
        cut = max(0, min(cut, task.max_iter - dense - 1))
        return (
            Phase("train", dense, strength=0.0),
            # what is zero changes until the end, so that an average would have no zeros
            task.weight_phase("cut", cut, course.travel, may_stop=False, average=False),
            task.weight_phase("retrain", task.max_iter - dense - cut, course.travel, anneal=True),
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "cut":
            self._n_batches = max(1, phase.epochs * self.task.steps_per_epoch)
            if self._course.update_every is None:
                self._every = max(_OFTEN, min(_SELDOM, self._n_batches // _MANY_CUTS))
            self.cutting = True
            self.begin_cut()
        elif phase.name == "retrain":
            self.cutting = False
            self.settle(self.final_mask())

    def after_step(self) -> None:
        super().after_step()
        if not self.cutting:
            return
        self._batch += 1
        if self._batch % self._every == 0:
            self.cut()

    @property
    def progress(self) -> float:
        """Share of the phase of cuts that is over."""
        return min(1.0, self._batch / self._n_batches)

    def on_the_way(self, final: float) -> float:
        """What rises from 0 to its final value in the first half of the phase of cuts."""
        return final * cubic_rise(2.0 * self.progress)

    def begin_cut(self) -> None:
        """Prepare the phase of cuts."""

    @abstractmethod
    def cut(self) -> None:
        """Choose the weights in use anew, between two batches."""

    @abstractmethod
    def final_mask(self) -> Tensor:
        """The weights to keep for good; `weights` holds their values."""
