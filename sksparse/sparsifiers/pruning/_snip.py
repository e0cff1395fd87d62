"""Pruning before training by the sensitivity of connections (Lee, Ajanthan & Torr, 2019)."""

from __future__ import annotations

from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_top, n_kept, ranks_with_quotas
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._asked import asked_sparsity, asked_target
from sksparse.sparsifiers.pruning._removed_groups import MEASURES, RemovedGroups
from sksparse.sparsifiers.structure._dead_units import keep_alive


class SNIP(Sparsifier):
    r"""Prune the weights whose removal would change the loss least, before training.

    At the initial weights every connection has the sensitivity :math:`|w_j \, \partial L /
    \partial w_j|` of the mean loss :math:`L` of all training rows. Those of largest sensitivity
    are kept, and trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i + \frac{\eta}{2}
    \|W\|^2` at a learning rate that falls to zero.

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
        that nothing reads any more are dead and go as well. The sensitivity of a group is the mean
        of those of its weights, for a unit of the weights that make it, relative to the root mean
        square in its layer.
    scope : {"global", "layer"}, default="global"
        Whether the most sensitive weights are those of the network or those of each layer.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in training; it raises the learning rate, up to
        0.02, where there are few updates.

    References
    ----------
    N. Lee, T. Ajanthan and P. H. S. Torr, "SNIP: single-shot network pruning based on
    connection sensitivity", ICLR 2019.

    Examples
    --------
    >>> from sksparse.sparsifiers import SNIP
    >>> SNIP(scope="layer")
    SNIP(scope='layer')
    """

    granularities = ("weight", "input", "unit", "shape", "layer")

    _parameter_constraints: dict = {
        "granularity": [StrOptions(set(granularities))],
        "scope": [StrOptions({"global", "layer"})],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        scope: str = "global",
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.scope = scope
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
            A run of one phase with a fixed mask.
        """
        self._validate_params()
        return _SNIPRun(self, module, task)


class _SNIPRun(SparsifierRun):
    counted = True

    def __init__(self, options: SNIP, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self._removed = RemovedGroups.of(self, options.granularity, options.scope)

    @property
    def phases(self) -> tuple[Phase, ...]:
        task, displacement = self.task, self._options.min_weight_displacement
        return (task.weight_phase("retrain", task.max_iter, displacement, anneal=True),)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        slope = torch.zeros_like(self.weights)
        for gradient in probe.gradients(self.parameters):
            slope += gradient
        scores = slope.mul_(self.weights).abs_()
        if self._removed is None:
            self.fix_mask(self._most_sensitive(scores))
        else:
            keep = self._removed.choose(self._removed.means(scores))
            self._removed.freeze(keep, asked_target(self.task))

    def _most_sensitive(self, scores: Tensor) -> Tensor:
        sparsity, sizes = asked_sparsity(self.task), self.parameters.sizes
        if self._options.scope == "layer":
            return keep_top(scores, sparsity, sizes=sizes, per_tensor=True)
        count = n_kept(self.n_weights, sparsity)
        ranks = ranks_with_quotas(scores, sizes, count)
        return keep_alive(ranks, count, self.graph)
