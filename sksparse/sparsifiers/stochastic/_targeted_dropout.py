"""Targeted dropout (Gomez, Zhang, Kamalakara, Madaan, Swersky, Gal & Hinton, 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_largest, keep_ranked, n_kept, rank_shares
from sksparse.sparsifiers.parameters._flat_parameters import UnitGates
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.structure._unit_masks import UnitMasks


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
    become small can grow out of the target. :math:`\gamma` is `target_sparsity` or, without
    one, `alpha`, by default 0.5.

    Both :math:`\gamma` and the rate rise from zero: :math:`\gamma` linearly to 95 % of its value
    in the first half of `ramp_fraction` of the epochs with dropout and to all of it in the
    second, the rate linearly over both. After `sparsify_fraction` of the epochs the target
    is removed, to within one weight, and what is left is trained further.

    Parameters
    ----------
    granularity : {"weight", "unit"}, default="weight"
        Whether single weights are dropped, or units: the smallest share of the input units of
        each layer, with all weights that leave them and, where layers follow each other in an
        ``nn.Sequential``, those that enter them, whose norm ranks them. Other units and features
        are ranked by the weights that leave them.
    scope : {"unit", "layer", "global"}, default="global"
        Among which weights those of least magnitude are found: the ones that enter one output
        unit, as in the paper, those of a tensor, or all. For ``granularity="weight"`` only.
    drop_rate : float, default=0.9
        Probability that a targeted weight or unit is dropped, at the end of the ramp.
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

    _parameter_constraints: dict = {
        "granularity": [StrOptions({"weight", "unit"})],
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
        if task.target_sparsity is None and task.alpha is not None and task.alpha > 1:
            raise ValueError(
                f"alpha={task.alpha!r} is the share of the weights to remove with targeted "
                "dropout; give a number from 0 to 1, or target_sparsity."
            )
        return _TargetedRun(self, module, task)


class _TargetedRun(SparsifierRun):
    counted = True

    def __init__(self, options: TargetedDropout, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self.proportion = options.default_alpha if task.alpha is None else task.alpha
        if task.target_sparsity is not None:
            self.proportion = task.target_sparsity
        ramp = options.ramp_fraction * self.phases[0].epochs * task.steps_per_epoch
        self._ramp_batches = round(ramp)
        self._batch = 0
        self._dropping = True
        self._passes, self._noise = (torch.ones_like(self.weights) for _ in range(2))
        if options.granularity == "unit":
            option = "TargetedDropout with granularity='unit'"
            self.graph.require_axis("input", option, "Set granularity='weight'.")
        self._units = UnitGates(self.parameters, "input")
        self._unit_masks = UnitMasks(self.graph, self._units)
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
        self._dropping = False
        keep = ~self.targets(self.proportion)
        self.weights.copy_(self.latent.data)
        self.unite()
        self.fix_mask(keep)

    def targets(self, proportion: float) -> Tensor:
        """The weights, flat, that are targeted: exactly the given share of all."""
        size = self.latent.data.abs()
        count = n_kept(self.n_weights, proportion)
        if self._options.granularity == "unit":
            return ~self._unit_masks.keep_best(self._unit_shares(), size, count)
        if self._options.scope == "global":
            return ~keep_largest(size, count)
        whole = self._options.scope == "layer"
        parts = self.parameters.by_tensor(size).values()
        shares = [rank_shares(part.reshape(1 if whole else len(part), -1)) for part in parts]
        return ~keep_ranked(torch.cat(shares), size, count)

    def _unit_shares(self) -> Tensor:
        """For each unit the share of the units of its layer that have a larger norm."""
        norms = self._unit_masks.norms(self.latent.data)
        parts = norms.split(self._units.counts)
        return torch.cat([rank_shares(-part[None]) for part in parts])

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
            self._drop_rates = rate * self.targets(proportion).to(self.weights.dtype)
        self._batch += 1
        self._draw()
        torch.mul(self.latent.data, self._passes, out=self.weights)

    def _draw(self) -> None:
        """Ones where a weight passes in this batch, zeros where it is dropped."""
        if self._options.granularity == "weight":
            torch.ge(self._noise.uniform_(), self._drop_rates, out=self._passes)
            return
        passes = torch.rand_like(self._units.sizes) >= self._drop_rates.max()
        torch.logical_or(self._unit_masks.live(passes), self._drop_rates == 0, out=self._passes)

    def after_backward(self) -> None:
        if self._dropping:
            torch.mul(self.parameters.weight_gradient, self._passes, out=self.latent_gradient)
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
        return n_kept(self.n_weights, self.ramp()[0]) / self.n_weights

    def after_step(self) -> None:
        if not self._dropping:
            super().after_step()
