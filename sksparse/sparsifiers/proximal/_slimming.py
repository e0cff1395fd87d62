"""Network slimming (Liu et al., 2017): channels are pruned by the scales of batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.penalties._operators import soft_threshold
from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.proximal._metric import ProxMetric
from sksparse.sparsifiers.structure._dead_removal import remove_dead_units
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class NetworkSlimming(Sparsifier):
    r"""Shrink the scales of batch normalisation, and remove the channels of small ones.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W) + \frac{\eta}{2} \|W\|^2
        + \alpha \sum_u |\gamma_u|

    over the scales :math:`\gamma_u` of the batch normalisations of removable units, channels or
    neurons. After some epochs the units whose scale does not exceed a threshold are removed, with
    their scale, shift and all weights, and what is left is retrained without the penalty. Shifts
    let a channel of scale 0 still emit a constant, which moves into the biases of the next
    layer where it is one.

    With `target_units` the threshold is the one of the paper: the element of the sorted
    magnitudes of all layers at the place ``int(n_units * (1 - target_units))``, and scales that are
    strictly greater stay. With `target_flops` or `target_sparsity` it is the least threshold that
    meets the target. Scales of layers need not compare, and one threshold for all may leave next
    to nothing of a layer through which everything passes; `min_layer_share` therefore protects the
    largest scales of each layer. Without a target, units stay whose scale is not zero, or exceeds
    `threshold`. `alpha` is in force in all cases. The unit of largest scale of each layer is always
    kept. A unit that several normalisations scale, in a residual network, is ranked by its
    largest scale; units that none scales stay.

    Perceptrons have normalisations with ``batch_norm=True``. Modules without any are refused.

    Parameters
    ----------
    solver : {"prox", "subgradient"}, default="prox"
        Whether scales are soft-thresholded after each update, which makes zeros exact, or the
        sign of each times `alpha` is added to its gradient, as in the paper.
    threshold : float, default=1e-2
        Scales up to this are removed by the subgradient solver where there is no target.
    n_passes : int, default=1
        How often the network is trained, pruned and retrained: each pass removes the same share of
        what the one before left.
    scale_init : float, default=None
        What all scales begin with (0.5 in the paper); None leaves them as they are.
    min_layer_share : float, default=0.5
        Where there is a target, the units of largest scale of each layer are removed last: this
        share of the target times the units of the layer, rounded up. 0 is the paper.
    sparsify_fraction : float, default=0.6
        Share of the epochs of each pass with the penalty; the rest retrains.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; under Adam it raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    Z. Liu, J. Li, Z. Shen, G. Huang, S. Yan and C. Zhang, "Learning efficient convolutional
    networks through network slimming", ICCV 2017.

    Examples
    --------
    >>> from sksparse.sparsifiers import NetworkSlimming
    >>> NetworkSlimming(n_passes=2, scale_init=0.5)
    NetworkSlimming(n_passes=2, scale_init=0.5)
    """

    _parameter_constraints: dict = {
        "solver": [StrOptions({"prox", "subgradient"})],
        "threshold": [Interval(Real, 0, None, closed="left")],
        "n_passes": [Interval(Integral, 1, None, closed="left")],
        "scale_init": [Interval(Real, 0, None, closed="neither"), None],
        "min_layer_share": [Interval(Real, 0, 1, closed="both")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    granularities = ("unit",)
    #: Strength where the estimator leaves ``alpha=None``.
    default_alpha = 1e-2

    def __init__(
        self,
        *,
        solver: str = "prox",
        threshold: float = 1e-2,
        n_passes: int = 1,
        scale_init: float | None = None,
        min_layer_share: float = 0.5,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.solver = solver
        self.threshold = threshold
        self.n_passes = n_passes
        self.scale_init = scale_init
        self.min_layer_share = min_layer_share
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the strength, 1e-2 by default.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that shrinks scales and one that retrains what is left, for each pass.

        Raises
        ------
        ValueError
            When an option is out of range, when the module cannot be followed or has no batch
            normalisation of units that may be removed, or cannot meet the target.
        """
        self._validate_params()
        return _SlimmingRun(self, module, task)


def keep_above_percentile(scores: Tensor, share: float) -> Tensor:
    """The units whose score is strictly greater than the one at a place in the ranking.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_units,)
        Magnitudes of scales.
    share : float
        The share that may stay; the place is ``int(n_units * (1 - share))``.

    Returns
    -------
    keep : torch.Tensor of shape (n_units,)
        Boolean.
    """
    # what differs from a whole number by rounding is one
    place = int(len(scores) * (1 - share) + 1e-9)
    if place == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    return scores > scores.sort().values[min(place, len(scores) - 1)]


def keep_layers_wide(scores: Tensor, layers: Sequence[Tensor], quotas: Sequence[int]) -> Tensor:
    """Scores in which the best units of each layer come before all others.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_units,)
        At least zero, infinite for units that stay.
    layers : sequence of torch.Tensor
        The numbers of the units of each layer.
    quotas : sequence of int
        How many of each layer come first.

    Returns
    -------
    scores : torch.Tensor of shape (n_units,)
        Those of the best ones are raised by more than the largest finite one.
    """
    raised = scores.clone()
    above = 1.0 + 2.0 * scores.masked_fill(scores.isinf(), 0.0).max()
    for units, quota in zip(layers, quotas, strict=True):
        raised[units[scores[units].topk(min(quota, len(units))).indices]] += above
    return raised


class _UnitScales:
    """The scales of batch normalisations among the parameters that are no weights.

    Parameters
    ----------
    units : ModuleUnits
        The units of a module with its flat parameters.

    Attributes
    ----------
    positions : torch.Tensor of shape (n_scales,)
        Positions of the scales of removable units.
    units : torch.Tensor of shape (n_scales,)
        The unit of each.
    """

    def __init__(self, units: ModuleUnits) -> None:
        parameters, graph = units.parameters, units.graph
        device = parameters.values.device
        at = torch.arange(len(parameters.values), device=device)
        at_names = parameters.all_by_name(at)
        number = torch.full((graph.n_units,), -1, dtype=torch.long, device=device)
        number[units.graph_units] = torch.arange(units.n_units, device=device)
        positions, owners = [at[:0]], [at[:0]]
        for slot in graph.slots:
            layer = graph.module.get_submodule(slot.layer)
            if isinstance(layer, _BATCH_NORMS) and slot.tensor == f"{slot.layer}.weight":
                owner = number[torch.from_numpy(slot.units).to(device)]
                positions.append(at_names[slot.tensor][owner >= 0] - parameters.n_weights)
                owners.append(owner[owner >= 0])
        self.positions, self.units = torch.cat(positions), torch.cat(owners)
        self._n_units = units.n_units

    def largest(self, others: Tensor) -> Tensor:
        """For each unit the largest magnitude of its scales, infinite where it has none."""
        scores = others.new_full((self._n_units,), -1.0)
        scores.scatter_reduce_(0, self.units, others[self.positions].abs(), "amax")
        return scores.masked_fill_(scores < 0, torch.inf)


class _SlimmingRun(SparsifierRun):
    """Passes of shrinking, pruning and retraining."""

    compacts = True
    measures = ("weights", "flops", "units")

    def __init__(self, options: NetworkSlimming, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._strength = options.default_alpha if task.alpha is None else task.alpha
        self._scales = _UnitScales(self.units)
        self._require_scales()
        if options.scale_init is not None:
            self.parameters.others[self._scales.positions] = options.scale_init
        self._metric = ProxMetric(task, self._values())
        self._shrinks = False
        self._n_pruned = 0
        self._widths = [len(units) for units in self.units.by_layer()]

    def _require_scales(self) -> None:
        """Refuse modules without scales, and targets that need units without them."""
        name = type(self.module).__name__
        if not len(self._scales.positions):
            raise ValueError(
                f"NetworkSlimming removes units by the scales of batch normalisations, and {name} "
                "has none (affine=True) behind a unit that may be removed. Add nn.BatchNorm "
                "layers, for perceptrons with batch_norm=True, or choose another sparsifier, such "
                "as 'group' with granularity='unit'."
            )
        target = self.task.target
        if target is None:
            return
        self.require_target()
        scores = self._scores()
        unscaled = torch.isinf(scores)
        keep = unscaled | self.units.best_of_emptied(unscaled, scores)
        least = self.units.left(keep, target.measure)
        if least > target.left:
            raise ValueError(
                f"{target.option} cannot be met with the units that a batch normalisation "
                f"scales: those without one are {least:.3g} of the {target.measure}. "
                f"{target.remedy(least)}"
            )

    def _values(self) -> Tensor:
        return self.parameters.others[self._scales.positions]

    def _scores(self) -> Tensor:
        return self._scales.largest(self.parameters.others)

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, task = self._options, self.task
        ends = [round(task.max_iter * k / options.n_passes) for k in range(options.n_passes + 1)]
        found: list[Phase] = []
        for number, (start, end) in enumerate(pairwise(ends), start=1):
            suffix = f" {number}" if options.n_passes > 1 else ""
            shrinking = math.ceil(options.sparsify_fraction * (end - start))
            for name, epochs in (("shrink", shrinking), ("retrain", end - start - shrinking)):
                is_last = name == "retrain"
                found.append(
                    task.weight_phase(
                        name + suffix,
                        epochs,
                        options.min_weight_displacement,
                        anneal=is_last,
                        may_stop=is_last or task.target is None,
                        average=is_last,
                    )
                )
        return tuple(found)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        self._shrinks = phase.name.startswith("shrink")
        if not self._shrinks:
            self._n_pruned += 1
            self._prune()

    def _prune(self) -> None:
        scores, target = self._scores(), self.task.target
        if target is not None:
            done = self._n_pruned / self._options.n_passes
            keep = self._keep(scores, Target(target.measure, target.left**done))
        else:
            least = self._options.threshold if self._options.solver == "subgradient" else 0.0
            keep = self.choose_units(scores, scores > least)
        self._move_constants(keep)
        self.freeze_units(keep)

    def _keep(self, scores: Tensor, target: Target) -> Tensor:
        now = self.relative_to_now(target)
        share = self._options.min_layer_share * target.left
        quotas = [math.ceil(share * width) for width in self._widths]
        if share > 0:
            scores = keep_layers_wide(scores, self.units.by_layer(), quotas)
        if target.measure != "units":
            return self.units.choose(scores, now)
        keep = keep_above_percentile(scores, now.left)
        return keep | self.units.best_of_emptied(keep, scores)

    def _move_constants(self, keep: Tensor) -> None:
        """Add what units still emit at scale 0 to what the next layers add."""
        gone = ~keep[self._scales.units]
        self.parameters.others[self._scales.positions[gone]] = 0.0
        self.units.scale(self.weights, keep.to(self.weights.dtype), ("writes",))
        remove_dead_units(self.graph)

    def after_backward(self) -> None:
        super().after_backward()
        if self._shrinks and self._options.solver == "subgradient":
            slopes = self._strength * self._values().sign()
            self.parameters.other_gradient[self._scales.positions] += slopes

    def after_step(self) -> None:
        super().after_step()
        if self._shrinks and self._options.solver == "prox":
            positions, metric = self._scales.positions, self._metric
            metric.observe(self.parameters.other_gradient[positions], 1)
            steps = metric.step(self._strength, metric.squares(), self.rate)
            self.parameters.others[positions] = soft_threshold(self._values(), steps)

    def penalty(self) -> float:
        decay = super().penalty()
        return decay + self._strength * float(self._values().abs().sum()) * self._shrinks

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        before = self._scales.positions
        places = torch.empty(len(self.parameters.others), dtype=torch.long, device=before.device)
        places[before] = torch.arange(len(before), device=before.device)
        positions = super().rebuild(kept)
        self._scales = _UnitScales(self.units)
        self._metric.keep(places[positions[1][self._scales.positions]])
        return positions
