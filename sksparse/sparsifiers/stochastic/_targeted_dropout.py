"""Targeted dropout (Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal & Hinton, 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_largest, n_kept, rank_shares
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.stochastic._group_removal import MEASURES, GroupRemoval
from sksparse.sparsifiers.structure._target import Target


@dataclass(frozen=True)
class Tuning:
    """How targets are updated.

    Parameters
    ----------
    rank_interval : int
        Batches that share one set of targets: magnitudes change little in an update.
    first_half : float
        Share of the targeting proportion that is reached in the first half of the ramp.
    """

    rank_interval: int = 16
    first_half: float = 0.95


TUNING = Tuning()


class TargetedDropout(Sparsifier):
    r"""Drop weights or units at random in training, but only those that are about to be pruned.

    The objective is

    .. math::

        \mathbb{E}_m \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W \odot m)
        + \frac{\eta}{2} \|W\|^2

    where the mask :math:`m` is drawn for every batch: in each output unit of a layer the share
    :math:`\gamma` of weights of least magnitude is the target, and each of them is dropped
    with probability `drop_rate`. Weights that are kept are not scaled up. The network thus learns
    not to depend on the weights that are removed in the end, and important ones that have
    become small can grow out of the target. :math:`\gamma` is `target_sparsity`, what
    `target_flops` or `target_units` ask to remove or, without these, the share `alpha` of the
    weights, by default 0.5.

    Both :math:`\gamma` and the rate rise from zero: :math:`\gamma` linearly to 95 % of its value
    in the first half of `ramp_fraction` of the epochs with dropout and to all of it in the
    second, the rate linearly over both. After `sparsify_fraction` of the epochs the target
    is removed, single weights and inputs to within one weight, and what is left is trained further.

    Parameters
    ----------
    granularity : {"weight", "input", "unit"}, default="weight"
        Whether single weights are dropped; inputs of layers with all weights that leave them, by
        whose norm they are ranked; or units between the layers, ranked by the norm of the weights
        that make them. The same share of the inputs or units of each layer goes. Units that nothing
        reads any more are dead and go as well.
    scope : {"unit", "layer", "global"}, default="global"
        Among which weights those of least magnitude are found: the ones that enter one output
        unit, as in the paper, those of a tensor, or all. For ``granularity="weight"`` only.
    drop_rate : float, default=0.9
        Probability that a targeted weight, input or unit is dropped, at the end of the ramp.
    ramp_fraction : float, default=0.8
        Share of the epochs with dropout in which proportion and rate rise. 0 for no ramp.
    sparsify_fraction : float, default=0.6
        Share of the epochs with dropout; the rest trains what is left.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each of the two phases. It raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    A. N. Gomez et al., "Learning sparse networks using targeted dropout", arXiv 1905.13678,
    2019.

    Examples
    --------
    >>> from sksparse.sparsifiers import TargetedDropout
    >>> TargetedDropout(drop_rate=0.66)
    TargetedDropout(drop_rate=0.66)
    """

    granularities = ("weight", "input", "unit")

    _parameter_constraints: dict = {
        "granularity": [StrOptions({"weight", "input", "unit"})],
        "scope": [StrOptions({"unit", "layer", "global"})],
        "drop_rate": [Interval(Real, 0, 1, closed="both")],
        "ramp_fraction": [Interval(Real, 0, 1, closed="both")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    #: The targeting proportion where the estimator leaves ``alpha=None``.
    default_alpha = 0.5

    def __init__(
        self,
        *,
        granularity: str = "weight",
        scope: str = "global",
        drop_rate: float = 0.9,
        ramp_fraction: float = 0.8,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.scope = scope
        self.drop_rate = drop_rate
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
            What the estimator asks for; `alpha` is the share to remove, at most 1.

        Returns
        -------
        run : SparsifierRun
            A run of a phase with dropout and one that trains what is left.
        """
        self._validate_params()
        if task.target is None and task.alpha is not None and task.alpha > 1:
            raise ValueError(
                f"alpha={task.alpha!r} is the share of the weights to remove with targeted "
                "dropout; give a number from 0 to 1, or a target."
            )
        return _TargetedRun(self, module, task)


class _TargetedRun(SparsifierRun):
    counted = True

    def __init__(self, options: TargetedDropout, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        share = options.default_alpha if task.alpha is None else task.alpha
        target = Target("weights", 1 - share) if task.target is None else task.target
        self._measure, self.proportion = target.measure, 1 - target.left
        ramp = options.ramp_fraction * self.phases[0].epochs * task.steps_per_epoch
        self._ramp_batches = round(ramp)
        self._batch = 0
        self._dropping = True
        self._removal = GroupRemoval(self, "TargetedDropout", options.granularity)
        self._gates = self._removal.gates
        self._noise = torch.ones_like(self._gates.sizes)
        self._passes = torch.ones_like(self._gates.sizes)
        self._drop_rates = torch.zeros_like(self._gates.sizes)
        self.separate()
        self._weights = self._gates.views(self.weights)
        self._latents = self._gates.views(self.latent.data)
        self._gradients = self._gates.views(self.parameters.weight_gradient)
        self._slopes = self._gates.views(self.latent_gradient)
        self._product = torch.empty_like(self.weights)
        self._product_views = self._gates.views(self._product)

    @property
    def phases(self) -> tuple[Phase, ...]:
        options = self._options
        return self.task.two_phases(
            "dropout", options.sparsify_fraction, options.min_weight_displacement, may_stop=False
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name != "retrain":
            return
        self._dropping = False
        self.weights.copy_(self.latent.data)
        self._removal.close(self._scores(), self._passes > 0, self._goal(self.proportion))

    def _goal(self, proportion: float) -> Target:
        return Target(self._measure, 1 - proportion)

    def targets(self, proportion: float) -> Tensor:
        """The weights, flat, that are targeted: the given share of what is counted."""
        options, size = self._options, self.latent.data.abs()
        if options.granularity == "weight" and options.scope == "global":
            return ~keep_largest(size, n_kept(self.n_weights, proportion))
        return ~self._removal.kept(self._scores(), self._goal(proportion))

    def _scores(self) -> Tensor:
        """For each weight or group how long it is kept, comparable between layers."""
        options, size = self._options, self.latent.data.abs()
        if options.granularity == "unit":
            squares = self.units.sums(size.square(), ("writes",))
            return self.units.ranks_in_layers(squares)
        if options.granularity == "input":
            return self._removal.removed.ranks_in_layers(self._removal.removed.sums(size.square()))
        if options.scope == "global":
            return size
        whole = options.scope == "layer"
        parts = self.parameters.by_tensor(size).values()
        return torch.cat([rank_shares(p.reshape(1 if whole else len(p), -1)) for p in parts])

    def ramp(self) -> tuple[float, float]:
        """The targeting proportion and the rate of dropout of this batch."""
        progress = 1.0 if self._batch >= self._ramp_batches else self._batch / self._ramp_batches
        share = min(
            2 * progress * TUNING.first_half, 1 - 2 * (1 - progress) * (1 - TUNING.first_half)
        )
        return share * self.proportion, progress * self._options.drop_rate

    def before_batch(self) -> None:
        if not self._dropping:
            return
        if self._batch % TUNING.rank_interval == 0:
            proportion, rate = self.ramp()
            torch.mul(~self.targets(proportion), 1.0, out=self._product)
            # a group is dropped as a whole, or not at all
            is_kept = self._gates.sums(self._product_views) > 0
            self._drop_rates = rate * (~is_kept).to(self.weights.dtype)
        self._batch += 1
        torch.ge(self._noise.uniform_(), self._drop_rates, out=self._passes)
        self._gates.multiply(self._latents, self._passes, out=self._weights)

    def after_backward(self) -> None:
        if self._dropping:
            self._gates.multiply(self._gradients, self._passes, out=self._slopes)
        super().after_backward()

    def before_evaluation(self) -> None:
        if self._dropping:
            keep = ~self.targets(self.ramp()[0])
            torch.mul(self.latent.data, keep, out=self.weights)
        else:
            super().before_evaluation()

    def density(self) -> float:
        if not self._dropping:
            return super().density()
        return float((~self.targets(self.ramp()[0])).double().mean())

    def after_step(self) -> None:
        if not self._dropping:
            super().after_step()
