"""Rigged lottery: sparse from beginning to end, with connections that move (Evci et al., 2020)."""

from __future__ import annotations

import math
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_counts, keep_largest, n_kept
from sksparse.sparsifiers.masks._layer_densities import erdos_renyi_counts, uniform_counts
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._asked import asked_sparsity

_COUNTS = {"erdos_renyi": erdos_renyi_counts, "uniform": uniform_counts}
#: Changes of the masks that a training has at least, unless it has fewer updates.
_LEAST_CHANGES = 40


class RigL(Sparsifier):
    r"""Train a network that is sparse from the start, and move its connections.

    The objective is :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i + \frac{\eta}{2} \|W\|^2`.
    The masks are random at first. Every `update_every` updates each layer drops the share

    .. math:: \frac{d}{2} \left(1 + \cos \frac{\pi t}{T}\right)

    of its connections, those of least magnitude, and grows as many where the gradient of
    the mean loss, by all weights, is largest; these start at zero. After `sparsify_fraction` of the
    epochs, :math:`T` updates, the masks are fixed.

    `alpha` is the logarithm of the compression: a share :math:`e^{-\alpha}` of the weights
    is in use, one in ten by default. With `target_sparsity` :math:`s` it is :math:`1 - s`, to
    within one weight. Biases are never pruned.

    Parameters
    ----------
    densities : {"erdos_renyi", "uniform"}, default="erdos_renyi"
        Whether a layer's share of weights in use is proportional to the sum of its dimensions
        over their product, which favours small layers, or the same for all.
    drop_fraction : float, default=0.3
        The share d of the connections that the first change moves.
    update_every : int, default=None
        Updates from one change to the next. None is 100, and fewer where the training would
        have less than 40 changes.
    sparsify_fraction : float, default=0.75
        Share of the epochs in which connections move.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; it raises the learning rate,
        up to 0.02, where there are few updates.

    Notes
    -----
    The moments of the optimiser are kept for all weights, with the gradients that are
    computed anyway. A connection that grows is therefore moved neither by outdated moments nor by
    the too large first steps of new ones.

    References
    ----------
    U. Evci, T. Gale, J. Menick, P. S. Castro and E. Elsen, "Rigging the lottery: making all
    tickets winners", ICML 2020.

    Examples
    --------
    >>> from sksparse.sparsifiers import RigL
    >>> RigL(densities="uniform")
    RigL(densities='uniform')
    """

    _parameter_constraints: dict = {
        "densities": [StrOptions(set(_COUNTS))],
        "drop_fraction": [Interval(Real, 0, 1, closed="both")],
        "update_every": [Interval(Integral, 1, None, closed="left"), None],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="left")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        densities: str = "erdos_renyi",
        drop_fraction: float = 0.3,
        update_every: int | None = None,
        sparsify_fraction: float = 0.75,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.densities = densities
        self.drop_fraction = drop_fraction
        self.update_every = update_every
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
            A run of a phase in which connections move and one in which they are fixed.
        """
        self._validate_params()
        return _RigLRun(self, module, task)


class _RigLRun(SparsifierRun):
    counted = True

    def __init__(self, options: RigL, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._moving = False
        self._batch = 0
        self._n_batches = max(1, self.phases[0].epochs * task.steps_per_epoch)
        self._every = options.update_every or max(1, min(100, self._n_batches // _LEAST_CHANGES))
        kept = n_kept(self.n_weights, asked_sparsity(task))
        shapes = [tuple(w.shape) for w in self.tensors.values()]
        self.counts = _COUNTS[options.densities](shapes, kept)

    @property
    def phases(self) -> tuple[Phase, ...]:
        task, displacement = self.task, self._options.min_weight_displacement
        moving = min(round(self._options.sparsify_fraction * task.max_iter), task.max_iter - 1)
        # an average would mix connections that exist at different times
        move = task.weight_phase("move", moving, displacement, may_stop=False, average=False)
        left = task.max_iter - moving
        return (move, task.weight_phase("retrain", left, displacement, anneal=True))

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        self._moving = phase.name == "move"
        if self._moving:
            self.fix_mask(self._first_mask())
        else:
            # an output may have lost all its paths when connections moved
            self.fix_mask(self.weights != 0 if self.mask is None else self.mask > 0)

    def _first_mask(self) -> Tensor:
        """Random masks; in a network with zeros, weights that are not zero come first."""
        scores = torch.rand_like(self.weights) + (self.weights != 0)
        return keep_counts(scores, self.parameters.sizes, self.counts)

    def after_backward(self) -> None:
        if self._moving:
            self._batch += 1
            if self._batch % self._every == 0 and self._batch < self._n_batches:
                self._move()
        super().after_backward()

    def _move(self) -> None:
        """Exchange connections of every tensor, before the update that they take part in."""
        progress = self._batch / self._n_batches
        share = self._options.drop_fraction * (0.5 + 0.5 * math.cos(math.pi * progress))
        sizes = self.parameters.sizes
        assert self.mask is not None
        parts = zip(
            self.mask.split(sizes),
            self.weights.split(sizes),
            self.parameters.weight_gradient.split(sizes),
            strict=True,
        )
        for mask, weight, gradient in parts:
            exchange(mask, weight, gradient, share)


def exchange(mask: Tensor, weights: Tensor, gradient: Tensor, share: float) -> None:
    """Drop a share of the connections, grow as many others, in place.

    Parameters
    ----------
    mask : torch.Tensor of shape (n_weights,)
        One where there is a connection; as many ones afterwards as before.
    weights : torch.Tensor of shape (n_weights,)
        Dropped connections are set to zero.
    gradient : torch.Tensor of shape (n_weights,)
        By all weights.
    share : float
        Of the connections.
    """
    present = mask > 0
    n_present = int(present.sum())
    n_moved = min(int(share * n_present), len(mask) - n_present)
    size = torch.where(present, weights.abs(), -1.0)
    stay = keep_largest(size, n_present - n_moved)
    slope = torch.where(present, -1.0, gradient.abs())
    mask.copy_(stay | keep_largest(slope, n_moved))
    weights.mul_(mask)
