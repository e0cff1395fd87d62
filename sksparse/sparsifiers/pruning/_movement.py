"""Movement pruning: keep what training moves away from zero (Sanh et al., 2020)."""

from __future__ import annotations

from numbers import Integral

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._removed_groups import RemovedGroups
from sksparse.sparsifiers.pruning._schedule import RankedOptions, RankedRun


class Movement(RankedOptions):
    r"""Keep the weights that training moves away from zero, whatever their size.

    The objective is :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i + \frac{\eta}{2} \|W\|^2`.
    Every weight collects the score

    .. math:: S_j = - \sum_t w_j^{(t)} \frac{\partial L}{\partial w_j}\Big|_{W^{(t)} \odot M}

    over all updates, which grows while the gradient pushes the weight away from zero. After a
    dense phase the mask :math:`M` keeps the weights of the largest scores, fewer and fewer
    along a cubic; the scores of masked weights are collected as well (straight-through), so
    that a weight may be used again, with its old value. In the last phase the mask is
    fixed.

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
        that nothing reads any more are dead and go as well. The score of a group is the mean of
        those of its weights, for a unit of the weights that read it, relative to its layer; only
        these are masked until the mask is fixed.
    update_every : int, default=None
        Updates from one mask to the next. None is from 4 to 16, to have 200 or more.
    scope : {"global", "layer"}, default="global"
        Whether the largest scores are those of the network or those of each layer.
    train_fraction : float, default=0.2
        Share of the epochs before the first mask; scores are collected here, too.
    sparsify_fraction : float, default=0.4
        Share of the epochs in which the mask changes.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase after the first; it raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    V. Sanh, T. Wolf and A. M. Rush, "Movement pruning: adaptive sparsity by fine-tuning",
    NeurIPS 2020.

    Examples
    --------
    >>> from sksparse.sparsifiers import Movement
    >>> Movement(scope="layer")
    Movement(scope='layer')
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
            A run of a dense phase, one with changing masks and one with a fixed mask.
        """
        self._validate_params()
        return _MovementRun(self, module, task)


class _MovementRun(RankedRun):
    def __init__(self, options: Movement, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        self._collecting = True
        self.scores = torch.zeros_like(self.weights)

    def begin_updates(self, probe: Probe) -> None:
        super().begin_updates(probe)
        # masked weights keep their values: they collect scores and may be used again
        self._learn(self.weights.clone(), self.parameters.weight_gradient)
        self._keep = torch.ones_like(self.weights)

    def before_batch(self) -> None:
        if self.updating:
            torch.mul(self.latent.data, self._keep, out=self.weights)

    def after_backward(self) -> None:
        if self._collecting:
            self.scores.addcmul_(self.latent.data, self.parameters.weight_gradient, value=-1)
        if self.updating:
            self.latent_gradient.mul_(self._keep)
        super().after_backward()

    def before_evaluation(self) -> None:
        super().before_evaluation()
        self.before_batch()

    def weight_scores(self) -> Tensor:
        return self.scores

    def group_scores(self, removed: RemovedGroups) -> Tensor:
        return removed.means(self.scores, "reads")

    def cut(self) -> None:
        self._keep.copy_(self.kept(self.scheduled(1.0)))

    def final_mask(self) -> Tensor:
        self._collecting = False
        self.weights.copy_(self.latent.data)
        self.unite()
        return self.kept(1.0)
