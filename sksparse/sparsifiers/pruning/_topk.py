"""Projection to the largest weights every some updates (Collins & Kohli, 2014)."""

from __future__ import annotations

from numbers import Integral

from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.pruning._removed_groups import RemovedGroups
from sksparse.sparsifiers.pruning._schedule import RankedOptions, RankedRun


class TopK(RankedOptions):
    r"""Train with all but the largest weights set to zero every some updates.

    The objective is :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i + \frac{\eta}{2} \|W\|^2`
    subject to :math:`\|W\|_0 \le t`. After a dense phase, every `update_every` updates the
    `t` weights of largest magnitude are kept, equal ones by index, and the others are set to
    zero. In between all weights are trained, so that a zero may change: with one update
    in between this is iterative hard thresholding. `t` falls along a cubic to its final value
    in the first half of that phase. In the last phase the zeros are fixed.

    `alpha` is the logarithm of the compression: a share :math:`e^{-\alpha}` of the weights
    is kept, one in ten by default. With `target_sparsity` :math:`s` it is :math:`1 - s`, to within
    one weight. Groups of other granularities are removed as a whole: at least so many weights are
    zero, or with `target_flops` or `target_units` at most that share is left, and of each layer at
    least one group. Biases are pruned with their units alone.

    Parameters
    ----------
    granularity : {"weight", "input", "unit", "shape", "layer"}, default="weight"
        What is pruned as a whole: a weight; an input of a layer with all weights that leave it; a
        unit (neuron, filter, state of a recurrent layer) with all that makes and reads it, its bias
        and scales; a position of a filter, ``W[:, c, m, k]``; or a branch beside a shortcut. Units
        that nothing reads any more are dead and go as well. A group has the root mean square of its
        weights for a magnitude, a unit that of the weights that read it, relative to its layer.
        Whole units stay zero by these until the zeros are fixed, so that they may return.
    update_every : int, default=None
        Updates from one projection to the next. None is from 4 to 16, to have 200 or more.
    scope : {"global", "layer"}, default="global"
        Whether the largest weights are those of the network or those of each layer.
    train_fraction : float, default=0.2
        Share of the epochs before the first projection.
    sparsify_fraction : float, default=0.4
        Share of the epochs with projections.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase after the first; it raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    M. D. Collins and P. Kohli, "Memory bounded deep convolutional networks",
    arXiv:1412.1442, 2014.

    Examples
    --------
    >>> from sksparse.sparsifiers import TopK
    >>> TopK(update_every=50)
    TopK(update_every=50)
    """

    granularities = ("weight", "input", "unit", "shape", "layer")

    _parameter_constraints: dict = {
        "granularity": [StrOptions(set(granularities))],
        **RankedOptions._parameter_constraints,
        "update_every": [Interval(Integral, 1, None, closed="left"), None],
        "scope": [StrOptions({"global", "layer"})],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        update_every: int | None = None,
        scope: str = "global",
        train_fraction: float = 0.2,
        sparsify_fraction: float = 0.4,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.update_every = update_every
        self.scope = scope
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
            What the estimator asks for; `alpha` is the logarithm of the compression.

        Returns
        -------
        run : SparsifierRun
            A run of a dense phase, one with projections and one with fixed zeros.
        """
        self._validate_params()
        return _TopKRun(self, module, task)


class _TopKRun(RankedRun):
    def __init__(self, options: TopK, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        self._density = 1.0

    def weight_scores(self) -> Tensor:
        return self.weights.abs()

    def group_scores(self, removed: RemovedGroups) -> Tensor:
        return removed.means(self.weights.square(), "reads").sqrt()

    def cut(self) -> None:
        keep = self.kept(self.scheduled(1.0))
        self.weights.mul_(keep)
        self._density = float(keep.double().mean())

    def final_mask(self) -> Tensor:
        return self.kept(1.0)

    def density(self) -> float:
        # weights that are not zero any more are projected again soon
        return self._density if self.updating else super().density()
