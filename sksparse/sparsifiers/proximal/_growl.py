"""GrOWL: columns pruned by sorted norms, then tied in clusters (Zhang et al., 2018)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from sklearn.cluster import affinity_propagation
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse._typing import Array, Indices
from sksparse.penalties import oscar_weights
from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._flat_parameters import prunable_tensors
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.proximal._base import ProximalSparsifier
from sksparse.sparsifiers.proximal._oscar import SortedRun


@dataclass(frozen=True)
class Tuning:
    """How units are ranked for a target sparsity.

    Parameters
    ----------
    protected_share : float
        Share of the units of a tensor, times the root of the density, that are pruned after all
        others.
    offset : float
        Added to the scores of these: larger than the saliency of a unit over the mean.
    """

    protected_share: float = 0.6
    offset: float = 1e6


TUNING = Tuning()


class GrOWL(ProximalSparsifier):
    r"""Prune input units by sorted norms, tie similar ones, and train them tied.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W) + \frac{\eta}{2} \|W\|^2
        + \alpha \sum_l \sqrt{m_l} \sum_i \lambda_i \|W_{l,[i]}\|_2

    where :math:`W_{l,[i]}` are the :math:`m_l` weights that leave an input unit (channel)
    of tensor :math:`l`, the unit with the :math:`i`-th largest norm. The factors
    :math:`\lambda` fall evenly from 1 to ``1 - pairwise`` over the first `sorted_fraction` of
    the units and stay there. Units whose inputs are strongly correlated get weights of equal
    norm, then equal weights, where those factors differ.

    The optimiser minimises the loss, and the prox of the penalty makes zeros exact: the norms of a
    tensor are sorted and pooled, and the weights scaled to the new norms. Its step is that
    of :class:`OscarShrinkage`.

    With `target_sparsity` the strength is adapted to the density. When the target is reached, or
    after `sparsify_fraction` of the epochs, the units of least saliency are zeroed, but each tensor
    keeps a share, and in the last one the smallest weights, until the number is met. Norms are
    equal where they were pooled, so the saliency is the norm times the root mean square of its
    gradients, relative to the tensor. Hidden units without outgoing weights are removed with the
    weights that enter them. Then the units of each tensor that are left are clustered by affinity
    propagation; the similarity is
    :math:`w_i^T w_k / \max(\|w_i\|^2, \|w_k\|^2)`, which is 1 for equal weights only. Every unit
    takes the mean weights of its cluster, and is trained further with the mean of their gradients:
    its weights stay equal to those of the others, and one copy is enough
    (:func:`stored_weights` counts them).

    Parameters
    ----------
    preference : float, default=0.9
        Similarity of a unit to itself in the clustering, up to 1: the larger, the more clusters.
    pairwise : float, default=0.5
        By how much the smallest factor is less than the largest, from 0 (group lasso) to 1.
    sorted_fraction : float, default=0.3
        Share of the units of a tensor over which the factors fall.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module. None weighs
        all alike. A tensor of factor 0 is pruned last and not tied.
    prox_every : int, default=5
        Updates between two proximal steps, which are so many times larger, and end each epoch;
        a large number gives one prox an epoch, as in the paper.
    sparsify_fraction : float, default=0.6
        Share of the epochs with the penalty; the rest trains tied weights.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; it raises the learning rate,
        up to 0.02, where there are few updates.

    References
    ----------
    D. Zhang, H. Wang, M. Figueiredo and L. Balzano, "Learning to share: simultaneous
    parameter tying and sparsification in deep learning", ICLR 2018.

    Examples
    --------
    >>> from sksparse.sparsifiers import GrOWL
    >>> GrOWL(preference=0.6)
    GrOWL(preference=0.6)
    """

    _parameter_constraints: dict = {
        **ProximalSparsifier._parameter_constraints,
        "preference": [Interval(Real, None, 1, closed="right")],
        "pairwise": [Interval(Real, 0, 1, closed="both")],
        "sorted_fraction": [Interval(Real, 0, 1, closed="both")],
    }

    default_alpha = 1e-2

    def __init__(
        self,
        *,
        preference: float = 0.9,
        pairwise: float = 0.5,
        sorted_fraction: float = 0.3,
        layer_strengths: Sequence[float] | None = None,
        prox_every: int = 5,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.preference = preference
        self.pairwise = pairwise
        self.sorted_fraction = sorted_fraction
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
            What the estimator asks for; `alpha` is the strength, 1e-2 by default.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that shrinks columns and one that trains them tied.
        """
        self._validate_params()
        return _GrOWLRun(self, module, task)


def cluster_columns(columns: Array, preference: float) -> Indices:
    """Affinity propagation of vectors; the number of its cluster for each.

    Parameters
    ----------
    columns : ndarray of shape (n, n_weights)
        Vectors, none of them zero.
    preference : float
        Similarity of each to itself.

    Returns
    -------
    labels : ndarray of shape (n,)
        From 0 on. Each has a cluster of its own where the propagation does not converge.
    """
    squares = np.einsum("ij,ij->i", columns, columns)
    similarities = columns @ columns.T / np.maximum.outer(squares, squares)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        warnings.filterwarnings("ignore", message="All samples have mutually equal similarities")
        _, labels = affinity_propagation(similarities, preference=preference, random_state=0)
    return np.arange(len(columns)) if (labels < 0).any() else np.asarray(labels)


def stored_weights(module: nn.Module) -> dict[str, int]:
    """How many numbers store each prunable tensor if equal columns are kept once.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.

    Returns
    -------
    counts : dict of str to int
        For each tensor the number of distinct columns (weights that leave an input unit), zero
        ones left out, times the number of their weights.

    Examples
    --------
    >>> import torch
    >>> from sksparse.sparsifiers import stored_weights
    >>> layer = torch.nn.Linear(4, 2)
    >>> _ = layer.weight.data.copy_(torch.tensor([[1, 1, 0, 2], [5, 5, 0, 5]]))
    >>> stored_weights(layer)
    {'weight': 4}
    """
    counts = {}
    for name, w in prunable_tensors(module).items():
        columns = w.detach().transpose(0, 1).flatten(1)
        columns = columns[(columns != 0).any(1)]
        counts[name] = len(torch.unique(columns, dim=0)) * columns.shape[1]
    return counts


class _GrOWLRun(SortedRun):
    _options: GrOWL

    # a penalty that removes hidden units as well is too strong for the features
    density_margin = 2.5

    def __init__(self, options: GrOWL, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task, granularity="input")
        self._ties: _Ties | None = None

    def sorted_weights(self, n: int) -> Array:
        options = self._options
        return oscar_weights(n, options.pairwise, max(1, int(options.sorted_fraction * n)))

    def group_scores(self) -> Tensor:
        """Saliency relative to the tensor: pooled norms are equal and cannot be ranked."""
        groups = self.groups
        saliency = groups.norms(self.weights) * groups.mean(self.metric.squares()).sqrt()
        # the best units of each tensor are protected, or one tensor might lose all of them
        share = TUNING.protected_share * (self._n_kept / self.n_weights) ** 0.5
        scores = []
        for part in saliency.split(groups.counts):
            mean = part.sum() / (part != 0).sum().clamp(min=1)
            best = part.argsort().argsort() >= (1 - share) * len(part)
            scores.append(
                part / mean.clamp(min=torch.finfo(part.dtype).tiny) + TUNING.offset * best
            )
        unpenalised = self.factors[groups.layer] == 0
        return groups.spread(torch.cat(scores) + 2 * TUNING.offset * unpenalised)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        super().begin_phase(phase, probe)
        if phase.name == "retrain":
            self._ties = _Ties(self._leaders())
            self._ties.average(self.weights)

    def after_backward(self) -> None:
        super().after_backward()
        if self._ties is not None:
            self._ties.average(self.latent_gradient)

    def after_step(self) -> None:
        super().after_step()
        if self._ties is not None:
            self._ties.copy(self.weights)

    def _leaders(self) -> Tensor:
        """For each weight the position of the one that it is tied to, which may be itself."""
        positions = torch.arange(self.n_weights, device=self.weights.device)
        at = self.parameters.by_tensor(positions)
        for (name, w), factor in zip(self.tensors.items(), self.factors, strict=True):
            columns = w.detach().transpose(0, 1).flatten(1).double().cpu().numpy()
            # zero columns are not tied, and one that was cut in part is not like the others
            used = (columns != 0).any(axis=0)
            whole = np.flatnonzero((columns[:, used] != 0).all(axis=1) & used.any())
            if len(whole) > 1 and factor > 0:
                labels = cluster_columns(columns[whole], self._options.preference)
                leaders = np.arange(len(columns))
                _, first = np.unique(labels, return_index=True)
                leaders[whole] = whole[first[labels]]
                index = torch.from_numpy(leaders).to(positions.device)
                at[name].copy_(at[name].index_select(1, index))
        return positions


class _Ties:
    """Weights that are kept equal to others.

    Parameters
    ----------
    leaders : torch.Tensor of shape (n_weights,)
        For each weight the position of its leader.
    """

    def __init__(self, leaders: Tensor) -> None:
        own = torch.arange(len(leaders), device=leaders.device)
        counts = torch.bincount(leaders, minlength=len(leaders))
        # clusters of one weight need no averaging
        self._members = torch.nonzero(counts[leaders] > 1).flatten()
        self._leaders, self._cluster = torch.unique(leaders[self._members], return_inverse=True)
        self._sizes = counts[self._leaders]
        followers = leaders != own
        self._followers = torch.nonzero(followers).flatten()
        self._followed = leaders[followers]

    def average(self, flat: Tensor) -> None:
        """Give each weight the mean of its cluster."""
        sums = flat.new_zeros(len(self._leaders))
        sums.index_add_(0, self._cluster, flat[self._members])
        flat[self._members] = (sums / self._sizes)[self._cluster]

    def copy(self, flat: Tensor) -> None:
        """Give each weight the value of its leader."""
        flat[self._followers] = flat[self._followed]
