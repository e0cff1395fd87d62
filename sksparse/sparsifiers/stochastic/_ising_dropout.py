"""Ising dropout (Salehinejad & Valaee, 2019), in the interpretation of this package."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.stochastic._group_removal import MEASURES, GroupRemoval
from sksparse.sparsifiers.stochastic._ising_model import (
    TUNING,
    mean_fields,
    penalised_fields,
    removal_scores,
    solve,
)
from sksparse.sparsifiers.structure._target import Target
from sksparse.sparsifiers.structure._weight_graph import WeightGraph


class IsingDropout(Sparsifier):
    r"""Drop the units that are off in the state of least energy of an Ising model (experimental).

    The features and hidden units of a perceptron are nodes with states :math:`s_i` of 0 or 1,
    the outputs are always 1, and the energy is

    .. math::

        E(s) = - \lambda \sum_{(i, j)} J_{ij} s_i s_j - \sum_i b_i s_i
        + \alpha \sum_i m_i s_i

    over the edges between consecutive layers. The coupling :math:`J_{ij}` is :math:`|w_{ij}|`
    times the standard deviation of what unit :math:`i` passes on, and the field :math:`b_i` is
    that deviation: units whose output hardly varies have small ones and are dropped first.
    In each layer both are scaled to a mean of 1, over units, of their sum over successors. `alpha`
    is the penalty of a unit, by default 0.7, in units of :math:`m_i`: of what a unit of its
    layer adds on average while all states are 1.

    Every `solve_every` batches one batch is trained with all units, from which the couplings
    and fields are computed; a descent by flips then finds the state for a penalty that
    rises to `alpha`, and until the next solution the units that are off are masked
    and their weights are not trained. With `target_sparsity` or `target_flops`, the units of each
    layer are ranked by the penalty at which they are dropped, and the same share of each layer is
    dropped, so many that a sparsity that rises to the target is met; weights to within one, since
    the last unit is dropped in part, by magnitude. After `sparsify_fraction` of the epochs the
    state is final, but for the best unit of a layer that would lose all, and what is left is
    trained further.

    The paper leaves the energy and its optimiser partly open; this is an interpretation
    and may change. It works on ``nn.Sequential`` modules of linear layers and activations.

    Parameters
    ----------
    coupling : float, default=1.0
        Factor :math:`\lambda` of the couplings. The larger it is, the more units that are
        connected have the same state.
    solve_every : int, default=50
        Batches from one solution to the next.
    ramp_fraction : float, default=0.8
        Share of the epochs with dropout in which penalty or target rise, from 0.
    sparsify_fraction : float, default=0.6
        Share of the epochs with dropout; the rest trains what is left.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each of the two phases. It raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    H. Salehinejad and S. Valaee, "Ising-dropout: A regularization method for training and
    compression of deep neural networks", ICASSP 2019.

    Examples
    --------
    >>> from sksparse.sparsifiers import IsingDropout
    >>> IsingDropout(solve_every=20)
    IsingDropout(solve_every=20)
    """

    granularities = ("input",)

    _parameter_constraints: dict = {
        "coupling": [Interval(Real, 0, None, closed="left")],
        "solve_every": [Interval(Integral, 2, None, closed="left")],
        "ramp_fraction": [Interval(Real, 0, 1, closed="both")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    #: The penalty of a unit where the estimator leaves ``alpha=None``.
    default_alpha = 0.7

    def __init__(
        self,
        *,
        coupling: float = 1.0,
        solve_every: int = 50,
        ramp_fraction: float = 0.8,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.coupling = coupling
        self.solve_every = solve_every
        self.ramp_fraction = ramp_fraction
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the penalty of a unit.

        Returns
        -------
        run : SparsifierRun
            A run of a phase with dropout and one that trains what is left.
        """
        self._validate_params()
        return _IsingRun(self, module, task)


class UnitStatistics:
    """Averages over batches of couplings and fields of a perceptron, by hooks.

    Parameters
    ----------
    layers : list of torch.nn.Linear
        The layers, in order.
    """

    def __init__(self, layers: list[nn.Linear]) -> None:
        self._layers = layers
        self._deviations: dict[int, Tensor] = {}
        self.active = False
        self._handles = [
            layer.register_forward_pre_hook(self._observe(i)) for i, layer in enumerate(layers)
        ]

    def _observe(self, i: int) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Tensor]) -> None:
            if not self.active:
                return
            values = args[0].detach()
            now = values.reshape(-1, values.shape[-1]).std(dim=0, correction=0)
            self._deviations[i] = torch.lerp(now, self._deviations.get(i, now), TUNING.memory)

        return hook

    @property
    def is_ready(self) -> bool:
        """Whether every layer has been seen."""
        return len(self._deviations) == len(self._layers)

    def model(self, strength: float) -> tuple[list[Tensor], list[Tensor]]:
        """Couplings, times a strength, and fields; those of the outputs are zero."""
        couplings, fields = [], []
        for layer, deviation in zip(self._layers, self._deviations.values(), strict=True):
            coupling = layer.weight.data.abs().t() * deviation[:, None]
            scale = strength * len(coupling) / coupling.sum().clamp(min=TUNING.least_mean)
            couplings.append(coupling * scale)
            fields.append(deviation / deviation.mean().clamp(min=TUNING.least_mean))
        return couplings, [*fields, torch.zeros_like(couplings[-1][0])]

    def remove(self) -> None:
        """Leave the layers as they were."""
        for handle in self._handles:
            handle.remove()


def chain_of_linear_layers(graph: WeightGraph) -> list[Any]:
    """The layers of a perceptron, or an error for any other module."""
    remedy = "Choose another sparsifier, such as 'targeted' with granularity='unit'."
    graph.require_chain("IsingDropout works on linear layers, and", remedy)
    layers = [graph.owner(name) for name in graph.parameters.tensors]
    for name, layer in zip(graph.parameters.tensors, layers, strict=True):
        if type(layer) is not nn.Linear:
            raise ValueError(
                "IsingDropout has states for the units of linear layers alone, and "
                f"{name!r} belongs to a {type(layer).__name__}. {remedy}"
            )
    return layers


class _IsingRun(SparsifierRun):
    measures = MEASURES["input"]

    def __init__(self, options: IsingDropout, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._unit_penalty = options.default_alpha if task.alpha is None else task.alpha
        layers = chain_of_linear_layers(self.graph)
        self._removal = GroupRemoval(self, "IsingDropout", "input")
        self._scores = self._removal.gates.sizes
        self._is_open = self._scores > 0
        self._statistics = UnitStatistics(layers)
        ramp = options.ramp_fraction * self.phases[0].epochs * task.steps_per_epoch
        self._ramp_batches = round(ramp)
        self._batch = 0
        self._dropping = True
        self._passes = torch.ones_like(self.weights)
        self.separate()

    @property
    def phases(self) -> tuple[Phase, ...]:
        options = self._options
        return self.task.two_phases(
            "dropout", options.sparsify_fraction, options.min_weight_displacement, may_stop=False
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name != "retrain":
            return
        self.weights.copy_(self.latent.data)
        self._statistics.active = True
        if not self._statistics.is_ready:
            X, _, _ = next(probe.batches())
            probe.module(X)
        self._solve(1.0)
        self._statistics.remove()
        self._dropping = False
        self.unite()
        self._removal.close(self._scores, self._is_open)

    def _solve(self, progress: float) -> None:
        """Find which weights are in use at a share of the final penalty or target."""
        couplings, fields = self._statistics.model(self._options.coupling)
        target, columns = self.task.target, self._removal.removed
        if target is not None:
            self._scores = columns.ranks_in_layers(-removal_scores(couplings, fields))
            now = Target(target.measure, 1 - progress * (1 - target.left))
            self._passes.copy_(self._removal.kept(self._scores, now))
            return
        means, penalty = mean_fields(couplings, fields), progress * self._unit_penalty
        states = solve(couplings, penalised_fields(fields, means, penalty))
        self._is_open = torch.cat(states[:-1]) > 0
        self._scores = torch.cat(fields[:-1])
        self._passes.copy_(columns.mask(self._is_open)[: self.n_weights])

    def before_batch(self) -> None:
        if not self._dropping:
            return
        self._statistics.active = self._batch % self._options.solve_every == 0
        if self._statistics.active:
            self.weights.copy_(self.latent.data)
        else:
            torch.mul(self.latent.data, self._passes, out=self.weights)

    def after_backward(self) -> None:
        if not self._dropping:
            super().after_backward()
            return
        self.latent_gradient.copy_(self.parameters.weight_gradient)
        if self._statistics.active:
            over = self._batch >= self._ramp_batches
            self._solve(1.0 if over else self._batch / self._ramp_batches)
            self._statistics.active = False
        else:
            self.latent_gradient.mul_(self._passes)
        self.add_weight_decay()
        self._batch += 1

    def before_evaluation(self) -> None:
        if self._dropping:
            torch.mul(self.latent.data, self._passes, out=self.weights)
        else:
            super().before_evaluation()

    def after_step(self) -> None:
        if not self._dropping:
            super().after_step()
