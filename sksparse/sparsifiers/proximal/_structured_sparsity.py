"""Structured sparsity learning (Wen et al., 2016): filters, channels, shapes and depth."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.proximal._base import ProximalSparsifier
from sksparse.sparsifiers.proximal._group_run import GroupPenalty, GroupRun


class StructuredSparsity(ProximalSparsifier):
    r"""Shrink filters, channels, shapes of filters and whole branches, each by its own strength.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W) + \frac{\eta}{2} \|W\|^2
        + \alpha \sum_k f_k \sum_{g \in G_k} \|W_g\|_2

    over the kinds :math:`k` of groups of the weights :math:`W_{n,c,m,k}` of a convolution: filters
    :math:`W_{n,:,:,:}`, with all else that writes the same unit; channels
    :math:`W_{:,c,:,:}`; shapes :math:`W_{:,c,m,k}`, one position of a channel over all filters; and
    depth, all weights of a branch beside a shortcut. For a linear layer filters are the rows, and
    channels and shapes the columns. Unlike :class:`GroupShrinkage`, norms are not multiplied by the
    root of the size of their group.

    With ``solver="prox"`` block soft thresholding makes zeros exact, as in
    :class:`GroupShrinkage`; overlapping groups are thresholded one kind after the other. With
    ``solver="subgradient"``, as in the paper, the subgradient of the norms is added to the gradient
    of the loss, and weights below `threshold` are set to zero after each update.

    Parameters
    ----------
    granularity : {"unit", "input", "shape", "layer"}, default=None
        One kind of groups alone: filters, channels, shapes or branches. None takes all kinds of a
        positive factor. Units that nothing reads any more are dead and go as well.
    filter_strength, channel_strength : float, default=1.0
        Factors on `alpha` for filters and for channels.
    shape_strength, depth_strength : float, default=0.0
        Factors on `alpha` for shapes and for branches.
    solver : {"prox", "subgradient"}, default="prox"
        How the penalty is minimised.
    threshold : float, default=1e-4
        Smaller weights are set to zero by the subgradient solver.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module. None weighs
        all alike; a tensor of factor 0 is pruned last.
    prox_every : int, default=5
        Updates between two proximal steps (or uses of the threshold), which end each epoch.
    sparsify_fraction : float, default=0.6
        Share of the epochs with the penalty; the rest retrains.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; under Adam it raises the
        learning rate, up to 0.02, where there are few updates.

    See Also
    --------
    GroupShrinkage : How the prox is combined with the optimiser, and how a target is met.

    References
    ----------
    W. Wen, C. Wu, Y. Wang, Y. Chen and H. Li, "Learning structured sparsity in deep neural
    networks", NIPS 2016.

    Examples
    --------
    >>> from sksparse.sparsifiers import StructuredSparsity
    >>> StructuredSparsity(shape_strength=1.0)
    StructuredSparsity(shape_strength=1.0)
    """

    _parameter_constraints: dict = {
        **ProximalSparsifier._parameter_constraints,
        "granularity": [StrOptions({"unit", "input", "shape", "layer"}), None],
        "filter_strength": [Interval(Real, 0, None, closed="left")],
        "channel_strength": [Interval(Real, 0, None, closed="left")],
        "shape_strength": [Interval(Real, 0, None, closed="left")],
        "depth_strength": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"prox", "subgradient"})],
        "threshold": [Interval(Real, 0, None, closed="left")],
    }

    granularities = ("unit", "input", "shape", "layer")
    default_alpha = 5e-3

    def __init__(
        self,
        *,
        granularity: str | None = None,
        filter_strength: float = 1.0,
        channel_strength: float = 1.0,
        shape_strength: float = 0.0,
        depth_strength: float = 0.0,
        solver: str = "prox",
        threshold: float = 1e-4,
        layer_strengths: Sequence[float] | None = None,
        prox_every: int = 5,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.filter_strength = filter_strength
        self.channel_strength = channel_strength
        self.shape_strength = shape_strength
        self.depth_strength = depth_strength
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
            A run of a phase that shrinks groups and one that retrains what is left.

        Raises
        ------
        ValueError
            When an option is out of range or no kind of group has a positive factor, when the
            module cannot be followed, has no such groups, or cannot meet the target.
        """
        self._validate_params()
        penalty = GroupPenalty(
            self._strengths(),
            by_size=False,
            threshold=self.threshold if self.solver == "subgradient" else None,
        )
        return GroupRun(self, module, task, penalty)

    def _strengths(self) -> dict[str, float]:
        factors = {
            "unit": self.filter_strength,
            "input": self.channel_strength,
            "shape": self.shape_strength,
            "layer": self.depth_strength,
        }
        if self.granularity is not None:
            return {self.granularity: factors[self.granularity] or 1.0}
        if not any(factors.values()):
            raise ValueError(
                "filter_strength, channel_strength, shape_strength and depth_strength are all 0, "
                "so that nothing is penalised; raise one of them."
            )
        return factors
