"""Filters by the norm of their weights (Li et al., 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target
from sksparse.sparsifiers.units._base import UnitPruning, UnitPruningRun
from sksparse.sparsifiers.units._calls import writer_depths
from sksparse.sparsifiers.units._choice import (
    flops_of_units,
    keep_of_layers,
)


class FilterPruning(UnitPruning):
    r"""Remove the filters whose weights have the least norm, and retrain what is left.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`. A unit j (filter, channel, neuron, recurrent state) has the score

    .. math:: s_j = \sum |F_{ij}| \quad \text{or} \quad s_j = \sqrt{\sum F_{ij}^2}

    over the weights :math:`F_j` that make it. Those of least score are removed with their biases,
    their normalisation and all that reads them: a filter with its feature map and the kernels of
    the next layer. The neuron of a perceptron is the row of its matrix.

    `alpha` is the logarithm of the compression in FLOPs: a share :math:`e^{-\alpha}` of the
    multiplications is left, half of them by default. `target_flops`, `target_units` and
    `target_sparsity` name what is left, or removed, in other terms; whole units meet a target
    from below, and one unit of each layer stays.

    Parameters
    ----------
    norm : {"l1", "l2"}, default="l1"
        The norm of a filter.
    order : {"independent", "greedy"}, default="independent"
        Whether norms are those of all weights, or leave out, layer after layer, the weights of
        inputs that are removed in the same step. "greedy" needs ``scope="layer"``.
    coupled : {"sum", "shortcut"}, default="sum"
        What ranks units that several layers write, because shortcuts add their outputs: all of
        these layers together, or, as in the paper, the one that the shortcut comes from
        (a projection, or what is before the first block): the one with the fewest layers before
        it.
    scope : {"layer", "global"}, default="layer"
        Whether every layer loses the same share of its units, or norms of all layers are compared.
    normalise : {"layer", "flops"}, default="layer"
        What makes the norms of several layers comparable with ``scope="global"``: division by the
        Euclidean norm over the layer, or by the multiplications that leave with the unit.
    ratios : sequence of float, default=None
        The share of its units that each layer loses, in the order in which layers are called,
        coupled ones once. It takes the place of `alpha` and of targets.
    schedule : {"gradual", "iterative", "one_shot"}, default="gradual"
        When units are removed: some every few batches, in rounds with retraining after each, or
        all at once. After the share t of the removal the target to the power of t is left.
    n_rounds : int, default=5
        Number of rounds of the iterative schedule.
    update_every : int, default=None
        Updates between two removals of the gradual schedule. None is from 2 to 30, to have 100 or
        more removals.
    train_fraction : float, default=0.2
        Share of the epochs before the first removal.
    sparsify_fraction : float, default=0.4
        Share of the epochs in which the gradual schedule removes units; with `train_fraction`
        below 1.
    min_weight_displacement : float, default=1.0
        Minimum displacement that a weight can make in all retraining; it raises the learning rate,
        up to 0.02, where there are few updates.

    References
    ----------
    H. Li, A. Kadav, I. Durdanovic, H. Samet and H. P. Graf, "Pruning filters for efficient
    ConvNets", ICLR 2017.

    Examples
    --------
    >>> from sksparse.sparsifiers import FilterPruning
    >>> FilterPruning(norm="l2", schedule="one_shot")
    FilterPruning(norm='l2', schedule='one_shot')
    """

    _parameter_constraints: dict = {
        **UnitPruning._parameter_constraints,
        "norm": [StrOptions({"l1", "l2"})],
        "order": [StrOptions({"independent", "greedy"})],
        "coupled": [StrOptions({"sum", "shortcut"})],
        "normalise": [StrOptions({"layer", "flops"})],
        "ratios": ["array-like", None],
    }

    def __init__(
        self,
        *,
        norm: str = "l1",
        order: str = "independent",
        coupled: str = "sum",
        scope: str = "layer",
        normalise: str = "layer",
        ratios: Sequence[float] | None = None,
        schedule: str = "gradual",
        n_rounds: int = 5,
        update_every: int | None = None,
        train_fraction: float = 0.2,
        sparsify_fraction: float = 0.4,
        min_weight_displacement: float = 1.0,
    ) -> None:
        self.norm = norm
        self.order = order
        self.coupled = coupled
        self.scope = scope
        self.normalise = normalise
        self.ratios = ratios
        self.schedule = schedule
        self.n_rounds = n_rounds
        self.update_every = update_every
        self.train_fraction = train_fraction
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def _run(self, module: nn.Module, task: Task) -> SparsifierRun:
        return _FilterRun(self, module, task)

    def _check(self) -> None:
        super()._check()
        if self.scope == "global":
            self._check_global()

    def _check_global(self) -> None:
        if self.order == "greedy":
            raise ValueError(
                "order='greedy' goes through the layers one after the other and cannot compare "
                "them with scope='global'; set scope='layer' or order='independent'."
            )
        if self.ratios is not None:
            raise ValueError(
                f"ratios={self.ratios!r} says what each layer loses, which scope='global' leaves "
                "to the norms; set scope='layer' or ratios=None."
            )


class _FilterRun(UnitPruningRun):
    _options: FilterPruning

    def _resolve_target(self) -> Target:
        ratios = self._options.ratios
        if ratios is None:
            return super()._resolve_target()
        if self.task.target is not None:
            raise ValueError(
                f"ratios={ratios!r} and {self.task.target.option} both say what is removed; leave "
                "one of them out."
            )
        self._shares = [1.0 - float(ratio) for ratio in ratios]
        names = self.units.layer_names
        if len(ratios) != len(names) or not all(0 < share <= 1 for share in self._shares):
            raise ValueError(
                f"ratios={ratios!r} must be one share, at least 0 and below 1, for each of the "
                f"{len(names)} layers whose units can be removed: {', '.join(names)}."
            )
        self._widths = [len(members) for members in self.units.by_layer()]
        return Target("units", sum(self._counts(1.0)) / self.units.n_units)

    def _counts(self, strength: float) -> list[int]:
        """The units that each layer keeps where the user says so."""
        return [
            max(1, round(share**strength * n))
            for share, n in zip(self._shares, self._widths, strict=True)
        ]

    def chosen(self, scores: Tensor, strength: float) -> Tensor:
        options = self._options
        if options.ratios is None:
            comparable = self._comparable(scores) if options.scope == "global" else scores
            keep = super().chosen(comparable, strength)
        else:
            keep = keep_of_layers(self.units, scores, self._counts(strength))
        return self._greedily(keep) if options.order == "greedy" else keep

    def scores(self, probe: Probe) -> Tensor:
        return self._norms(self.weights)

    def _norms(self, weights: Tensor) -> Tensor:
        """The norm over the weights that make each unit."""
        squared = self._options.norm == "l2"
        sizes = weights.square() if squared else weights.abs()
        if self._options.coupled == "shortcut":
            sizes *= shallowest_writers(self.units)
        sums = self.units.sums(sizes, ("writes",))
        return sums.sqrt() if squared else sums

    def _comparable(self, scores: Tensor) -> Tensor:
        """Norms that can be compared between layers; removed units stay the last ones."""
        norms = scores.clamp(min=0.0)
        if self._options.normalise == "layer":
            norms = self.units.relative(norms)
        else:
            norms = norms / flops_of_units(self.units, self.mask)
        return torch.where(self.alive, norms, -math.inf)

    def _greedily(self, usual: Tensor) -> Tensor:
        """As many of each layer, by norms without the weights of inputs that are just removed."""
        keep = self.alive.clone()
        for members in self.units.by_layer():
            mask = self.units.mask(keep)[: self.n_weights]
            norms = torch.where(self.alive, self._norms(self.weights * mask), -math.inf)
            keep[members] = keep_largest(norms[members], int(usual[members].sum()))
        return keep


def shallowest_writers(units: ModuleUnits) -> Tensor:
    """Which weights belong to that writer of their unit which has the fewest layers before it.

    Parameters
    ----------
    units : ModuleUnits
        The units of a network.

    Returns
    -------
    chosen : torch.Tensor of shape (n_weights,)
        One for these weights, and for all of the outputs; zero for those of other writers.
    """
    graph = units.graph
    depth = writer_depths(graph)
    shallowest = torch.full((graph.n_units,), math.inf)
    writers = [slot for slot in graph.slots if slot.role == "writes"]
    for slot in writers:
        members = torch.from_numpy(slot.units)
        depths = torch.full((len(members),), float(depth[slot.tensor]))
        shallowest.scatter_reduce_(0, members, depths, "amin")
    chosen = torch.ones_like(units.parameters.weights)
    by_name = units.parameters.by_tensor(chosen)
    for slot in writers:
        if slot.tensor in by_name:
            first = shallowest[torch.from_numpy(slot.units)] == depth[slot.tensor]
            tensor = by_name[slot.tensor]
            shape = [1] * tensor.ndim
            shape[slot.axis] = -1
            tensor.mul_(first.to(tensor).view(shape))
    return chosen
