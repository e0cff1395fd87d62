"""Intrinsic sparse structures of recurrent layers (Wen et al., 2018): one group for each state."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.proximal._base import ProximalSparsifier
from sksparse.sparsifiers.proximal._group_run import GroupPenalty, GroupRun


class IntrinsicSparseStructures(ProximalSparsifier):
    r"""Remove states of LSTM and GRU layers, and other units, with all that belongs to them.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W) + \frac{\eta}{2} \|W\|^2
        + \alpha \sum_u \|W_u\|_2

    over the units :math:`u` of the module. The group :math:`W_u` of a state of an LSTM is its row
    in each of the four gates, of the input and of the recurrent weights, its column of the
    recurrent weights, and its columns in everything that reads it: the next recurrent layer, the
    output layer. With :math:`m` inputs and :math:`h` states these are :math:`4 (m + h) + 4 h`
    weights and those of the readers. The weights from a state to itself stand in a row and in a
    column, and count twice in the sum of squares, as in the code of the paper. Neurons and channels
    of other layers are units as well: the weights that make them and those that read them.
    Biases are removed with their unit, but not penalised.

    Only whole groups are removed, so that the layers that are left are dense, of fewer states:
    zeroing a row without its column would leave the state in use.

    With ``solver="prox"`` each group is scaled by :math:`(1 - t / \|W_u\|)_+`, with the
    step :math:`t` of :class:`GroupShrinkage`. A weight between two units belongs to both
    groups and is scaled twice; in the first order of the step this is the prox of the sum, and a
    group that vanishes is exactly zero. With ``solver="subgradient"``, as in the paper, the
    subgradient is added to the gradient, and weights below `threshold` are set to zero.

    With a target the strength is adapted until the share of FLOPs, units or weights that is left
    falls to it, as in :class:`GroupShrinkage`.

    Parameters
    ----------
    solver : {"prox", "subgradient"}, default="prox"
        How the penalty is minimised.
    threshold : float, default=1e-4
        Smaller weights are set to zero by the subgradient solver.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module; that of a unit
        is the mean over its weights. None weighs all alike.
    prox_every : int, default=5
        Updates between two proximal steps (or uses of the threshold), which end each epoch.
    sparsify_fraction : float, default=0.6
        Share of the epochs with the penalty; the rest retrains.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; under Adam it raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    W. Wen, Y. He, S. Rajbhandari, M. Zhang, W. Wang, F. Liu, B. Hu, Y. Chen and H. Li, "Learning
    intrinsic sparse structures within long short-term memory", ICLR 2018.

    Examples
    --------
    >>> from sksparse.sparsifiers import IntrinsicSparseStructures
    >>> IntrinsicSparseStructures(solver="subgradient")
    IntrinsicSparseStructures(solver='subgradient')
    """

    _parameter_constraints: dict = {
        **ProximalSparsifier._parameter_constraints,
        "solver": [StrOptions({"prox", "subgradient"})],
        "threshold": [Interval(Real, 0, None, closed="left")],
    }

    granularities = ("unit",)
    default_alpha = 5e-3

    def __init__(
        self,
        *,
        solver: str = "prox",
        threshold: float = 1e-4,
        layer_strengths: Sequence[float] | None = None,
        prox_every: int = 5,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.solver = solver
        self.threshold = threshold
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
            What the estimator asks for; `alpha` is the strength, 5e-3 by default.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that shrinks units and one that retrains those that are left.

        Raises
        ------
        ValueError
            When an option is out of range, when the module cannot be followed or cannot meet the
            target.
        """
        self._validate_params()
        threshold = self.threshold if self.solver == "subgradient" else None
        penalty = GroupPenalty({"state": 1.0}, by_size=False, threshold=threshold)
        return GroupRun(self, module, task, penalty)
