"""OSCAR on the weights of a network: the sorted L1 norm, by proximal steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from numbers import Real

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse._typing import Array
from sksparse.penalties import SortedL1, oscar_weights
from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.proximal._base import ProximalRun, ProximalSparsifier


class OscarShrinkage(ProximalSparsifier):
    r"""Shrink weights by a sorted L1 norm, the larger the more: OSCAR.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W) + \frac{\eta}{2} \|W\|^2
        + \alpha \sum_l \Bigl((1 - \rho) \sum_j |w_j|
        + \frac{\rho}{n_l - 1} \sum_{j < k} \max(|w_j|, |w_k|)\Bigr)

    over the :math:`n_l` weights of each tensor :math:`l`, where :math:`\rho` is `pairwise`. It is
    the sorted L1 norm whose factors fall evenly from `alpha` at the largest weight of a
    tensor to ``alpha * (1 - pairwise)`` at the smallest, as in
    :class:`~sksparse.linear_model.OSCAR`: magnitudes are drawn together as well as to zero.
    With `granularity` the :math:`|w_j|` are Euclidean norms of rows or columns, times the root
    of their size.

    The optimiser minimises the loss, and the proximal operator of the penalty, the pooling of
    adjacent violators among the sorted magnitudes, makes zeros exact. Its step is the sum of the
    learning rates since the last prox, over one minus the momentum under gradient descent; under
    Adam divided as Adam divides gradients: by the root mean square of the gradients of the tensor,
    but at least by half of `alpha`. A zero weight stays zero as long as the optimiser moves it by
    less than the smallest threshold.

    With `target_sparsity` the strength is adapted so that the density falls to the target by the
    same factor in each update. When it is reached, or after `sparsify_fraction` of the epochs, the
    weights (groups) that are smallest relative to the mean in their tensor are zeroed until the
    number is met. What is left is retrained without the penalty, which removes its bias and the
    ties.

    Parameters
    ----------
    pairwise : float, default=0.5
        Share of the pairwise term, from 0 (the lasso) to 1.
    granularity : {"weight", "input", "unit"}, default="weight"
        Whether single weights are sorted, or the norms of the columns of each tensor, with the
        weights that leave an input unit ("input"), or the norms of the units of each layer, with
        the weights that make a unit ("unit"). As in :class:`GroupShrinkage`, dead units are
        removed, and units need a module that can be followed. Units that nothing reads any more are
        dead and go as well.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module. None weighs
        all alike; a tensor of factor 0 is pruned last.
    prox_every : int, default=20
        Updates between two proximal steps, which are so many times larger, and end each epoch.
        Sorting all weights takes longer than a small update.
    sparsify_fraction : float, default=0.6
        Share of the epochs with the penalty; the rest retrains.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; it raises the learning rate,
        up to 0.02, where there are few updates.

    See Also
    --------
    GrOWL : Sorted norms of columns, whose ties are kept.

    References
    ----------
    H. D. Bondell and B. J. Reich, "Simultaneous regression shrinkage, variable selection,
    and supervised clustering of predictors with OSCAR", Biometrics, 2008.

    M. Bogdan, E. van den Berg, C. Sabatti, W. Su and E. J. Candes, "SLOPE: adaptive variable
    selection via convex optimization", Annals of Applied Statistics, 2015, for the prox.

    Examples
    --------
    >>> from sksparse.sparsifiers import OscarShrinkage
    >>> OscarShrinkage(pairwise=0.2)
    OscarShrinkage(pairwise=0.2)
    """

    _parameter_constraints: dict = {
        **ProximalSparsifier._parameter_constraints,
        "pairwise": [Interval(Real, 0, 1, closed="both")],
        "granularity": [StrOptions({"weight", "input", "unit"})],
    }

    granularities = ("weight", "input", "unit")
    default_alpha = 2e-3

    def __init__(
        self,
        *,
        pairwise: float = 0.5,
        granularity: str = "weight",
        layer_strengths: Sequence[float] | None = None,
        prox_every: int = 20,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.pairwise = pairwise
        self.granularity = granularity
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
            What the estimator asks for; `alpha` is the strength, 2e-3 by default.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that shrinks weights and one that retrains what is left.
        """
        self._validate_params()
        return _OscarRun(self, module, task, granularity=self.granularity)


class SortedRun(ProximalRun):
    """The prox of the sorted L1 norm in each tensor, of the norms of its groups.

    Parameters
    ----------
    options : ProximalSparsifier
        The options.
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.
    granularity : {"weight", "input", "unit"}
        What a group is.
    """

    def __init__(
        self, options: ProximalSparsifier, module: nn.Module, task: Task, *, granularity: str
    ) -> None:
        super().__init__(options, module, task, whole=granularity == "unit")
        self.groups = self.groups_of(granularity)
        self._penalties = [SortedL1(self.sorted_weights(n)) for n in self.groups.counts]
        self._layer_factors = self.groups.layer_means(self.groups.mean(self.weight_factors))
        self._layer_roots = self.groups.layer_means(self.groups.roots)

    @abstractmethod
    def sorted_weights(self, n: int) -> Array:
        """The factors of n sorted norms, the largest norm first."""

    def penalty_value(self) -> float:
        factors = (self._layer_factors * self._layer_roots).tolist()
        parts = zip(self._norms(), self._penalties, factors, strict=True)
        return sum(factor * penalty.value(norms) for norms, penalty, factor in parts)

    def shrink(self, strength: float, step: float) -> None:
        mean_squares = self.groups.layer_means(self.groups.mean(self.metric.squares()))
        steps = self.metric.step(strength * self._layer_factors, mean_squares, step)
        thresholds = (steps * self._layer_roots).tolist()
        parts = zip(self._norms(), self._penalties, thresholds, strict=True)
        shrunk = [penalty.prox(norms, threshold) for norms, penalty, threshold in parts]
        norms = torch.from_numpy(np.concatenate(shrunk)).to(self.weights)
        self.groups.bring_to(self.weights, norms)

    def group_scores(self) -> Tensor:
        return self.groups.spread(self.unit_scores())

    def unit_scores(self) -> Tensor:
        penalised = self._layer_factors[self.groups.layer] > 0
        return self.groups.relative_norms(self.weights, penalised)

    def _norms(self) -> list[Array]:
        norms = self.groups.norms(self.weights).cpu().numpy()
        return np.split(norms, np.cumsum(self.groups.counts)[:-1])


class _OscarRun(SortedRun):
    _options: OscarShrinkage

    def sorted_weights(self, n: int) -> Array:
        return oscar_weights(n, self._options.pairwise)
