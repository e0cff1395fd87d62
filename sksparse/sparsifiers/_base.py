"""What a sparsifier is: options that are cloned, and a run that is made for one fit.

A ``Sparsifier`` holds options only. Its ``attach`` makes a ``SparsifierRun`` for one
module; the run holds all state of one training and is discarded afterwards, so that nothing
of it can remain in the fitted module or in its pickle.

A run works on *prunable weights*, the parameters with two or more dimensions, of any module,
as one flat tensor. The module is called with the values in this tensor: a method
that trains with changed weights (gates, noise) stores the weights that it learns elsewhere,
in ``latent``, writes the changed ones before each batch, and converts the gradient by the
changed ones into gradients by its own parameters. Biases and the parameters of normalisation
layers are never pruned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from sklearn.base import clone
from torch import Tensor, nn

from sksparse._estimator import Component
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers._unit_removal import UnitRemoval
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.structure._revived import keep_paths_alive


class Sparsifier(Component, ABC):
    """The options of one way to make a network sparse; cloned like an estimator.

    A subclass keeps its options in ``__init__`` and makes the run in ``attach``. One that has
    several granularities has a constructor parameter ``granularity``.
    """

    #: What it can remove as a whole, by the names that ``granularity`` takes.
    granularities: tuple[str, ...] = ("weight",)

    def with_granularity(self, granularity: str) -> Sparsifier:
        """The same options with another granularity; an estimator asks for its own here.

        Parameters
        ----------
        granularity : str
            One of ``granularities``.

        Returns
        -------
        sparsifier : Sparsifier
            A clone, or itself where there is but one granularity.

        Raises
        ------
        ValueError
            When it does not have this granularity; the message lists those that it has.
        """
        if granularity not in self.granularities:
            names = ", ".join(map(repr, self.granularities))
            raise ValueError(
                f"granularity={granularity!r} has no meaning for {type(self).__name__}, which has "
                f"{names}; choose one of these, or another sparsifier."
            )
        if len(self.granularities) == 1:
            return self
        return clone(self).set_params(granularity=granularity)

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


class SparsifierRun(UnitRemoval, ABC):
    """One sparsified training: the methods that the trainer calls, in this order.

    For every phase ``begin_phase``, then ``learned`` for a new optimiser; for
    every batch ``before_batch``, ``after_backward`` and, after the update, ``after_step``;
    before each evaluation ``before_evaluation``; once an epoch ``penalty``; at the very
    end ``finalize``. Between epochs a run that ``compacts`` may be asked for the units that are
    ``gone``, and to ``rebuild`` itself when they were taken out of the module. Only ``phases`` and
    ``begin_phase`` must be written; the defaults of the others train the module's own weights
    under the mask of ``freeze``.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.

    Attributes
    ----------
    parameters : FlatParameters
        The module's parameters, with which it is called.
    latent : torch.nn.Parameter of shape (n_weights,)
        The weights that are learned: the module's own, until ``separate``.
    latent_gradient : torch.Tensor of shape (n_weights,)
        Its gradient.
    mask : torch.Tensor of shape (n_weights,) or None
        One where a weight is in use, zero where it is pruned; None before any pruning.
    other_mask : torch.Tensor or None
        The same for biases and scales, which only removed units lose.
    rate : float
        The learning rate of the epoch, set by the trainer: the step of a proximal method.
    """

    #: Whether the number of weights to keep is known before training.
    counted = False
    #: What targets may count, as in ``Target``; "units" only where whole units are removed.
    measures: tuple[str, ...] = ("weights",)

    #: Whether units that are gone for good may be taken out of the module between epochs.
    compacts = False

    def __init__(self, module: nn.Module, task: Task) -> None:
        super().__init__(task)
        if task.target is not None:
            task.target.require_measure(self.measures)
        self.counted = self.counted or task.target_sparsity is not None
        self.rate = task.learning_rate
        self.module = module
        self.parameters = FlatParameters(module)
        self.n_weights = self.n_dense_weights = self.parameters.n_weights
        self.others = nn.Parameter(self.parameters.others)
        self.others.grad = self.parameters.other_gradient
        self.unite()
        self._first_weights = self.weights.clone()

    @property
    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The schedule; in the last phase the mask is the final one."""

    @abstractmethod
    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        """Prune, freeze or rewind what the phase asks for."""

    @property
    def weights(self) -> Tensor:
        """The weights of the module as one flat tensor that carries no gradient."""
        return self.parameters.weights

    @property
    def tensors(self) -> dict[str, nn.Parameter]:
        """The prunable tensors of the module, by name."""
        return self.parameters.tensors

    def separate(self) -> None:
        """Learn a copy of the weights; ``before_batch`` then writes those in use."""
        self._learn(self.weights.clone(), torch.zeros_like(self.weights))

    def unite(self) -> None:
        """Learn the weights of the module themselves."""
        self._learn(self.weights, self.parameters.weight_gradient)

    def _learn(self, values: Tensor, gradient: Tensor) -> None:
        self.latent = nn.Parameter(values)
        self.latent_gradient = self.latent.grad = gradient

    def learned(self) -> list[nn.Parameter]:
        """What the optimiser updates in this phase."""
        return [self.latent, self.others]

    def before_batch(self) -> None:
        """Write the weights that the next batch is to see."""

    def after_backward(self) -> None:
        """Convert the gradient by the weights in use into gradients by what is learned.

        The gradient of the penalty is added here; by default, that of the weight decay.
        """
        self.add_weight_decay()

    def add_weight_decay(self) -> None:
        """Add the gradient of half the squared norm times the weight decay."""
        if self.task.weight_decay:
            self.latent_gradient.add_(self.latent.data, alpha=self.task.weight_decay)

    def after_step(self) -> None:
        """Project after an update; by default, pruned weights back to exactly zero."""
        self.apply_masks()

    def before_evaluation(self) -> None:
        """Write the weights of the network as it would be returned now, without noise."""
        self.apply_masks()

    def take_over(self, changed: Tensor) -> None:
        """Learn on from weights of the module that a callback has changed, but for pruned ones.

        Parameters
        ----------
        changed : torch.Tensor of shape (n_weights,)
            Boolean: where.
        """
        if self.mask is not None:
            self.weights.mul_(self.mask)
        self.latent.data.copy_(torch.where(changed, self.weights, self.latent.data))

    def penalty(self) -> float:
        """What the objective adds to the mean loss; by default, the weight decay."""
        return 0.5 * self.task.weight_decay * float(self.weights.square().sum())

    def density(self) -> float:
        """Share of the prunable weights of the dense network that are in use now."""
        return int(torch.count_nonzero(self.weights)) / self.n_dense_weights

    def gone(self) -> Tensor:
        """The units that nothing can bring back; asked between epochs of a run that ``compacts``.

        By default those that no weight reads any more, for methods whose masks only shrink.

        Returns
        -------
        gone : torch.Tensor of shape (n_units,)
            Boolean, one for each of ``units``. What leaves such a unit is zero.
        """
        if self.mask is None:
            return torch.zeros(self.units.n_units, dtype=torch.bool, device=self.weights.device)
        return self.units.sums(self.mask, ("reads",)) == 0

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        """Go on with a module whose parameters have become smaller.

        Whatever the run holds for each parameter, weight or unit is cut to what is left. A
        method with tensors of its own extends this.

        Parameters
        ----------
        kept : torch.Tensor of shape (n_parameters,)
            Positions of the new flat parameters among the old ones, in rising order.

        Returns
        -------
        positions : list of torch.Tensor
            For each tensor of ``learned`` the positions of its new values among its old ones, with
            which the trainer cuts the state of the optimiser.
        """
        if self._dense_totals is None:
            self._dense_totals = self.units.totals
        n_before = self.n_weights
        separate = self.latent.data_ptr() != self.weights.data_ptr()
        self.parameters = self.parameters.renewed(self.module)
        self.n_weights = self.parameters.n_weights
        weights, others = kept[: self.n_weights], kept[self.n_weights :] - n_before
        self.others = nn.Parameter(self.parameters.others)
        self.others.grad = self.parameters.other_gradient
        if self.mask is not None:
            self.mask = self.mask[weights]
        if self.other_mask is not None:
            self.other_mask = self.other_mask[others]
        self._first_weights = self._first_weights[weights]
        latent = self.latent.data[weights]
        if separate:
            self._learn(latent, torch.zeros_like(latent))
        else:
            self.unite()
        for picture in ("graph", "units"):
            self.__dict__.pop(picture, None)
        return [weights, others]

    def finalize(self) -> None:
        """Leave plain parameters with exact zeros in the module."""
        self.after_step()
        self.parameters.release()

    def fix_mask(self, keep: Tensor, scores: Tensor | None = None) -> None:
        """Freeze a mask, with paths to all outputs where the number of weights is given.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_weights,)
            Boolean: the weights to keep; `weights` holds their values.
        scores : torch.Tensor of shape (n_weights,), default=None
            Ranks weights that may be exchanged; None is their magnitude.
        """
        self.freeze(self.with_paths(keep, self.weights.abs() if scores is None else scores))

    def with_paths(self, keep: Tensor, scores: Tensor) -> Tensor:
        """A mask with paths to all outputs, where the number of weights is given."""
        if not self.counted:
            return keep
        return keep_paths_alive(keep, scores, self.graph, self._first_weights)

    def freeze(self, keep: Tensor) -> None:
        """Keep only the weights where the flat boolean tensor is true, from now on."""
        self.mask = keep.to(self.weights.dtype)
        self.weights.mul_(self.mask)
