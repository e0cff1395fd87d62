"""Filters by the norm of their weights (Li et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, fx, nn

from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target
from sksparse.sparsifiers.units._base import UnitPruning, UnitPruningRun
from sksparse.sparsifiers.units._choice import (
    flops_of_units,
    keep_shares,
    layer_normalised,
    shares_for,
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

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the logarithm of the compression in FLOPs.

        Returns
        -------
        run : SparsifierRun
            A run of a dense phase, and of those that the schedule asks for.

        Raises
        ------
        ValueError
            When options do not fit each other or the network, the module cannot be followed or a
            target cannot be met.
        """
        self._check()
        if self.scope == "global":
            self._check_global()
        return _FilterRun(self, module, task)

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

    def __init__(self, options: FilterPruning, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        self._writers = None
        if options.coupled == "shortcut":
            self._writers = shallowest_writers(self.units).to(self.weights.dtype)

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
        equal = torch.zeros(self.units.n_units, device=self.weights.device)
        keep = keep_shares(self.units, equal, self._shares)
        return Target("units", self.units.left(keep, "units"))

    def chosen(self, scores: Tensor, target: Target) -> Tensor:
        options = self._options
        if options.scope == "global":
            return super().chosen(self._comparable(scores), target)
        if options.ratios is None:
            shares = shares_for(self.units, target)
        else:
            done = self.strength_of(target)
            shares = [share**done for share in self._shares]
        if options.order == "greedy":
            return self._greedily(scores, shares)
        return keep_shares(self.units, scores, shares)
