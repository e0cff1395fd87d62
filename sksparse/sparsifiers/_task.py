"""What an estimator asks of a sparsifier, and the phases of training that result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sksparse.sparsifiers.structure._target import Target

#: Adam trains the weights of common networks stably up to about this learning rate.
LARGEST_WEIGHT_RATE = 0.02


#: The learning rate of an estimator for which nothing better is known.
USUAL_RATE = 1e-3


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
    average : bool, default=True
        Whether the phase ends with the moving average of what it trained, where the
        estimator asks for one; an average of exact zeros and other values is not zero.
    """

    name: str
    epochs: int
    learning_rate: float = 1.0
    anneal: bool = False
    may_stop: bool = True
    strength: float = 1.0
    average: bool = True


@dataclass(frozen=True)
class Task:
    """What the estimator asks of a sparsifier in one fit.

    Parameters
    ----------
    alpha : float or None
        The strength, in the meaning of the method; None for its default.
    target_sparsity : float or None
        Share of the prunable weights to set to zero; where it is given, `alpha` is not used.
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
    scheduled : bool, default=False
        Whether the estimator prescribes the learning rates of all epochs.
    target_flops, target_units : float, default=None
        Share of the multiplications, or of the units, that is to be left; for methods that remove
        whole units. At most one target is given.
    example : torch.Tensor of shape (n_rows, ...), default=None
        A few rows of features, from which the units of a module are found.
    is_adaptive : bool, default=True
        Whether the optimiser divides gradients by their root mean square, as Adam does.
    momentum : float, default=0.0
        The momentum of an optimiser that is not adaptive: a constant gradient makes steps of the
        learning rate over one minus this.
    """

    alpha: float | None
    target_sparsity: float | None
    weight_decay: float
    learning_rate: float
    max_iter: int
    steps_per_epoch: int
    n_samples: int
    scheduled: bool = False
    target_flops: float | None = None
    target_units: float | None = None
    example: Tensor | None = None
    is_adaptive: bool = True
    momentum: float = 0.0

    @property
    def target(self) -> Target | None:
        """What is to be left, whichever way the user asked for it; None where `alpha` governs."""
        if self.target_sparsity is not None:
            return Target("weights", 1 - self.target_sparsity)
        if self.target_flops is not None:
            return Target("flops", self.target_flops)
        if self.target_units is not None:
            return Target("units", self.target_units)
        return None

    def rate_for_displacement(
        self, displacement: float, epochs: int, *, largest_rate: float = math.inf
    ) -> float:
        """Factor, at least 1, on the learning rate at which a parameter can be displaced so far.

        An update of Adam displaces a parameter by about the learning rate. Where small data
        gives few updates, the usual rate may not suffice. A rate of the estimator below the usual
        one scales the result down. Steps of gradient descent have no such size, and its rate is
        left as it is.

        Parameters
        ----------
        displacement : float
            Minimum displacement of a parameter whose updates all have one sign.
        epochs : int
            Epochs that are available.
        largest_rate : float, default=inf
            The learning rate is not raised above this value.

        Returns
        -------
        factor : float
            Factor on the learning rate of the estimator.
        """
        if self.scheduled or not self.is_adaptive:
            return 1.0
        steps = max(1, epochs * self.steps_per_epoch)
        rate = min(displacement / steps, largest_rate)
        return max(1.0, rate / max(self.learning_rate, USUAL_RATE))

    def weight_phase(
        self,
        name: str,
        epochs: int,
        displacement: float,
        *,
        rate_epochs: int | None = None,
        **options: Any,
    ) -> Phase:
        """A phase at the rate of a minimum displacement of weights, as far as training is stable.

        Parameters
        ----------
        name : str
            The name of the phase.
        epochs : int
            Its epochs.
        displacement : float
            Minimum displacement of a weight whose updates all have one sign.
        rate_epochs : int, default=None
            Epochs in which the displacement is to be possible; None for those of the phase.
        **options
            The other fields of the phase.

        Returns
        -------
        phase : Phase
            The phase.
        """
        rate = self.rate_for_displacement(
            displacement,
            epochs if rate_epochs is None else rate_epochs,
            largest_rate=LARGEST_WEIGHT_RATE,
        )
        return Phase(name, epochs, learning_rate=rate, **options)

    def two_phases(
        self, name: str, fraction: float, displacement: float, **options: Any
    ) -> tuple[Phase, Phase]:
        """A phase in which the network becomes sparse, and one that retrains what is left.

        Parameters
        ----------
        name : str
            The name of the first phase.
        fraction : float
            Share of the epochs that belong to it, rounded up.
        displacement : float
            As in ``weight_phase``, for each phase.
        **options
            The other fields of the first phase.

        Returns
        -------
        phases : tuple of Phase
            Both; the learning rate of the second falls to zero.
        """
        epochs = math.ceil(fraction * self.max_iter)
        return (
            self.weight_phase(name, epochs, displacement, **options),
            self.weight_phase("retrain", self.max_iter - epochs, displacement, anneal=True),
        )
