"""Group lasso on units and columns (Wen, Wu, Wang, Chen & Li, 2016), by proximal steps."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.proximal._base import ProximalSparsifier
from sksparse.sparsifiers.proximal._group_run import GroupPenalty, GroupRun


class GroupShrinkage(ProximalSparsifier):
    r"""Shrink units and inputs of layers to zero as blocks: group lasso.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W) + \frac{\eta}{2} \|W\|^2
        + \alpha \sum_g \sqrt{|g|} \, \|W_g\|_2

    over the groups :math:`g`, of :math:`|g|` weights each. By default these are the units of the
    module with all weights that make them, such as the rows of a neuron, the filter of a channel,
    the four rows of a state of an LSTM, or the filters of several convolutions whose outputs are
    added; and the columns of each tensor, with all weights that leave an input unit (channel).
    Whole units are removed, and the tensors can be replaced by smaller ones. The outputs of the
    network are no units to remove, and one unit of each layer is always kept.

    The optimiser minimises the loss, and the proximal operator of the penalty, block soft
    thresholding, makes zeros exact: a group is zero if its norm does not exceed the
    threshold. Units and columns overlap, and the penalty is the sum of both; its prox is that of
    the units followed by that of the columns, which differs from the prox of the sum in
    second order of the small step. That step is the sum of the learning rates since the last prox,
    over one minus the momentum under gradient descent (``solver="sgd"``). Under Adam it is
    divided as Adam divides gradients: by the root mean square of the gradients of the
    group, but at least by half of `alpha`. The prox thus weighs the penalty against the loss as the
    objective does, and a zero group stays zero as long as the gradients of its weights are below
    `alpha` on average.

    With a target the strength is adapted so that the share of weights, FLOPs or units that is left
    falls to it by the same factor in each update. When it is reached, or after `sparsify_fraction`
    of the epochs, groups are zeroed in the order of their norms relative to the mean norm in their
    layer until it is met: with ``granularity="unit"``, or where FLOPs or units are counted, whole
    groups; else the smallest weights of the last group as well, so that the number of weights
    is exact. What is left is retrained without the penalty, which removes its bias.

    Units that have lost their inputs or their outputs are removed with all their weights; constants
    that such units emit move into the next biases. A module that cannot be followed has no units
    that are known, and is refused: set ``granularity="input"``.

    Parameters
    ----------
    granularity : {"both", "unit", "input", "shape", "layer"}, default="both"
        What a group is: all that makes a unit, such as the rows of a neuron or a filter ("unit"),
        the weights that leave an input unit of a layer ("input"), units and inputs ("both"), one
        position of a channel over all filters of a convolution ("shape"), or all weights of a
        branch beside a shortcut ("layer"). Units that nothing reads any more are dead and go as
        well.
    flops_power : float, default=0.0
        Groups of more FLOPs are shrunk more: their strength is multiplied by the FLOPs of the
        group over the mean, to this power, from 0 to 1. The FLOPs of a unit are those of all
        weights that make or read it.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module. None weighs
        all alike; a tensor of factor 0 is pruned last.
    prox_every : int, default=5
        Updates between two proximal steps, which are so many times larger, and end each epoch.
    sparsify_fraction : float, default=0.6
        Share of the epochs with the penalty; the rest retrains.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; it raises the learning rate,
        up to 0.02, where there are few updates.

    References
    ----------
    W. Wen, C. Wu, Y. Wang, Y. Chen and H. Li, "Learning structured sparsity in deep neural
    networks", NIPS 2016.

    M. Yuan and Y. Lin, "Model selection and estimation in regression with grouped
    variables", Journal of the Royal Statistical Society B, 2006.

    Examples
    --------
    >>> from sksparse.sparsifiers import GroupShrinkage
    >>> GroupShrinkage(granularity="input")
    GroupShrinkage(granularity='input')
    """

    _parameter_constraints: dict = {
        **ProximalSparsifier._parameter_constraints,
        "granularity": [StrOptions({"both", "unit", "input", "shape", "layer"})],
        "flops_power": [Interval(Real, 0, 1, closed="both")],
    }

    granularities = ("both", "unit", "input", "shape", "layer")
    default_alpha = 1e-3

    def __init__(
        self,
        *,
        granularity: str = "both",
        flops_power: float = 0.0,
        layer_strengths: Sequence[float] | None = None,
        prox_every: int = 5,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.flops_power = flops_power
        self.layer_strengths = layer_strengths
        self.prox_every = prox_every
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the strength, 1e-3 by default.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that shrinks groups and one that retrains what is left.
        """
        self._validate_params()
        return GroupRun(self, module, task, _penalty(self, l1_ratio=0.0))


class SparseGroupShrinkage(ProximalSparsifier):
    r"""Shrink units, inputs of layers and single weights: sparse group lasso.

    The objective is that of :class:`GroupShrinkage` with the penalty

    .. math::

        \alpha \Bigl(\lambda \|W\|_1
        + (1 - \lambda) \sum_g \sqrt{|g|} \, \|W_g\|_2\Bigr)

    where :math:`\lambda` is `l1_ratio`: whole units are removed, and single weights of the
    others. The prox of a group is soft thresholding of its weights, each with a step divided by
    the root mean square of its own gradients, and block soft thresholding after that.

    Parameters
    ----------
    l1_ratio : float, default=0.5
        Share of the absolute values, from 0 (only groups) to 1 (only weights).
    granularity : {"both", "unit", "input", "shape", "layer"}, default="both"
        What a group is: all that makes a unit, such as the rows of a neuron or a filter ("unit"),
        the weights that leave an input unit of a layer ("input"), units and inputs ("both"), one
        position of a channel over all filters of a convolution ("shape"), or all weights of a
        branch beside a shortcut ("layer"). Units that nothing reads any more are dead and go as
        well.
    flops_power : float, default=0.0
        Groups of more FLOPs are shrunk more: their strength is multiplied by the FLOPs of the
        group over the mean, to this power, from 0 to 1. The FLOPs of a unit are those of all
        weights that make or read it.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module. None weighs
        all alike; a tensor of factor 0 is pruned last.
    prox_every : int, default=5
        Updates between two proximal steps, which are so many times larger, and end each epoch.
    sparsify_fraction : float, default=0.6
        Share of the epochs with the penalty; the rest retrains.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; it raises the learning rate,
        up to 0.02, where there are few updates.

    See Also
    --------
    GroupShrinkage : How the prox is combined with the optimiser, and how a target is met.

    References
    ----------
    N. Simon, J. Friedman, T. Hastie and R. Tibshirani, "A sparse-group lasso", Journal of
    Computational and Graphical Statistics, 2013.

    S. Scardapane, D. Comminiello, A. Hussain and A. Uncini, "Group sparse regularization for
    deep neural networks", Neurocomputing, 2017.

    Examples
    --------
    >>> from sksparse.sparsifiers import SparseGroupShrinkage
    >>> SparseGroupShrinkage(l1_ratio=0.9)
    SparseGroupShrinkage(l1_ratio=0.9)
    """

    _parameter_constraints: dict = {
        **GroupShrinkage._parameter_constraints,
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    }

    granularities = ("both", "unit", "input", "shape", "layer")
    default_alpha = 1e-3

    def __init__(
        self,
        *,
        l1_ratio: float = 0.5,
        granularity: str = "both",
        flops_power: float = 0.0,
        layer_strengths: Sequence[float] | None = None,
        prox_every: int = 5,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.granularity = granularity
        self.flops_power = flops_power
        self.layer_strengths = layer_strengths
        self.prox_every = prox_every
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the strength, 1e-3 by default.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that shrinks weights and one that retrains what is left.
        """
        self._validate_params()
        return GroupRun(self, module, task, _penalty(self, l1_ratio=self.l1_ratio))


def _penalty(options: GroupShrinkage | SparseGroupShrinkage, *, l1_ratio: float) -> GroupPenalty:
    both = options.granularity == "both"
    kinds = ("unit", "input") if both else (options.granularity,)
    return GroupPenalty(
        dict.fromkeys(kinds, 1.0), l1_ratio=l1_ratio, flops_power=options.flops_power
    )
