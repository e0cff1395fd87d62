"""What a sparsifier is: options that are cloned, and a run that is made for one fit.

A ``Sparsifier`` holds options only. Its ``attach`` makes a ``SparsifierRun`` for one
module; the run holds all state of one training and is thrown away afterwards, so that no
scaffolding can remain in the fitted module or in its pickle. The module itself is never
rewritten: a method that trains with changed weights (gates, noise) hands them to the
trainer, which calls the module with them in place of its own.

A run sees *prunable tensors*, the parameters with two or more dimensions, of any module.
Biases and the parameters of normalisation layers are never pruned.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

ParameterGroup = dict[str, Any]

#: Adam trains the weights of common networks steadily up to about this learning rate.
LARGEST_WEIGHT_RATE = 0.02


@dataclass(frozen=True)
class Phase:
    """One stretch of training, declared as data.

    Parameters
    ----------
    name : str
        The name shown in the history.
    epochs : int
        Epochs at most; 0 runs only the beginning of the phase.
    learning_rate : float, default=1.0
        Factor on the learning rate of the estimator.
    anneal : bool, default=False
        Whether the learning rate falls to zero along half a cosine within the phase.
    may_stop : bool, default=True
        Whether the phase ends when the objective or the validation score stalls.
    strength : float, default=1.0
        Share, from 0 to 1, of the final strength or sparsity that is in force.
    """

    name: str
    epochs: int
    learning_rate: float = 1.0
    anneal: bool = False
    may_stop: bool = True
    strength: float = 1.0


@dataclass(frozen=True)
class Task:
    """What the estimator asks of a sparsifier in one fit.

    Parameters
    ----------
    alpha : float or None
        The strength, in the meaning of the method; None for its default.
    target_sparsity : float or None
        Share of the prunable weights to set to zero; governs in place of `alpha`.
    weight_decay : float
        Factor of half the squared norm of the prunable weights in the objective.
    learning_rate : float
        The learning rate of the estimator.
    max_iter : int
        Epochs of all phases together.
    steps_per_epoch : int
        Updates in one epoch.
    n_samples : int
        Distinct training rows.
    """

    alpha: float | None
    target_sparsity: float | None
    weight_decay: float
    learning_rate: float
    max_iter: int
    steps_per_epoch: int
    n_samples: int

    def rate_to_travel(
        self, distance: float, epochs: int, *, largest_rate: float = math.inf
    ) -> float:
        """Factor, at least 1, on the learning rate that lets a parameter travel far enough.

        An update of Adam moves a parameter by about the learning rate. Where small data
        gives few updates, the rate of the estimator may not reach what has to be reached.

        Parameters
        ----------
        distance : float
            How far a parameter that always moves one way should come.
        epochs : int
            Epochs at hand.
        largest_rate : float, default=inf
            The learning rate is not raised above this value.

        Returns
        -------
        factor : float
            Factor on the learning rate of the estimator.
        """
        steps = max(1, epochs * self.steps_per_epoch)
        rate = min(distance / steps, largest_rate)
        return max(1.0, rate / self.learning_rate)


def prunable_tensors(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a module that may be pruned, by name.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.

    Returns
    -------
    tensors : dict of str to torch.nn.Parameter
        The parameters with at least two dimensions, in the order of the module.

    Examples
    --------
    >>> from torch import nn
    >>> from sksparse.sparsifiers import prunable_tensors
    >>> list(prunable_tensors(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))))
    ['0.weight', '2.weight']
    """
    return {name: p for name, p in module.named_parameters() if p.ndim >= 2}


class Sparsifier(BaseEstimator, ABC):
    """The options of one way to make a network sparse; cloned like an estimator.

    A subclass keeps its options in ``__init__`` and makes the run in ``attach``.
    """

    @abstractmethod
    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run that sparsifies `module` during one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained, on its device.
        task : Task
            What the estimator asks for.

        Returns
        -------
        run : SparsifierRun
            The state of this training.
        """


class SparsifierRun(ABC):
    """One sparsified training: the verbs that the trainer calls, in this order.

    For every phase ``begin_phase``, then ``parameter_groups`` for a fresh optimiser; for
    every batch ``tensors``, ``penalty`` and, after the update, ``after_step``; at the very
    end ``finalize``. Only ``phases`` and ``begin_phase`` must be written; the defaults of
    the others train the module's own weights under the masks of ``freeze``.

    Parameters
    ----------
    module : torch.nn.Module
        The network, whose prunable tensors become ``weights``.
    task : Task
        What the estimator asks for.
    """

    def __init__(self, module: nn.Module, task: Task) -> None:
        self.task = task
        self.weights = prunable_tensors(module)
        self.n_weights = sum(w.numel() for w in self.weights.values())
        self._others = [p for p in module.parameters() if p.ndim < 2]
        self._masks: dict[str, Tensor] = {}

    @property
    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The schedule; the last phase trains at the final sparsity."""

    @abstractmethod
    def begin_phase(self, phase: Phase) -> None:
        """Prune, freeze or rewind what the phase asks for."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """The groups of the optimiser; ``lr`` is the factor on the rate of the phase."""
        decay = self.task.weight_decay
        return [
            {"params": list(self.weights.values()), "weight_decay": decay, "factor": 1.0},
            {"params": self._others, "weight_decay": 0.0, "factor": 1.0},
        ]

    def tensors(self, *, training: bool) -> dict[str, Tensor]:
        """Differentiable tensors that stand in for parameters of the module, by name."""
        return {}

    def penalty(self) -> Tensor | None:
        """The differentiable term added to the mean loss of every batch."""
        return None

    def after_step(self) -> None:
        """Project after an update; by default, pruned weights back to exactly zero."""
        if self._masks:
            with torch.no_grad():
                torch._foreach_mul_(list(self.weights.values()), list(self._masks.values()))

    def density(self) -> float:
        """Share of the prunable weights that are in use now."""
        return sum(int(torch.count_nonzero(w)) for w in self.weights.values()) / self.n_weights

    def finalize(self) -> None:
        """Leave plain parameters with exact zeros in the module."""
        self.after_step()

    def freeze(self, keep: dict[str, Tensor]) -> None:
        """Keep only the weights where the boolean tensors are true, from now on."""
        self._masks = {name: keep[name].to(w.dtype) for name, w in self.weights.items()}
        self.after_step()
