"""Units by what their feature maps contribute to the loss (Molchanov et al., 2017)."""

from __future__ import annotations

from numbers import Real

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.masks._saliency import MANY_ROWS, evaluating, some_batches
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.units._base import UnitPruning, UnitPruningRun
from sksparse.sparsifiers.units._choice import flops_of_units, layer_normalised
from sksparse.sparsifiers.units._entering import ReaderProducts


class TaylorPruning(UnitPruning):
    r"""Remove, few at a time, the units whose absence changes the loss least to first order.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`. While units are removed, each is scored by

    .. math::

        \Theta_k = \frac{1}{\sum_i s_i} \sum_i s_i \Bigl| \frac{1}{M} \sum_{m=1}^M
        \frac{\partial \ell_i}{\partial z_{k,m}^{(i)}} z_{k,m}^{(i)} \Bigr|, \qquad
        \tilde\Theta_k = \frac{\Theta_k}{\|\Theta_{l(k)}\|_2} - \lambda \, \frac{c_k}{C},

    with the values :math:`z_k` of the unit as the layers behind read them, at all M positions of
    its feature map or all steps of a sequence, the norm of the scores of its layer, and the
    share of all multiplications that belong to the unit, :math:`c_k / C`. The gradients are those
    of the training itself, over the batches since the last removal, so that scores cost hardly
    anything. The units of least score in the whole network are removed for good, one or a few
    at a time: as many as the target needs for the number of removals that the epochs allow.

    The score of a unit that several layers read, or that shortcuts add up, is summed over the
    readers before the absolute value is taken. What a recurrent layer reads of its own states is
    known for a batch together, and its absolute value is taken there.

    `alpha` is the logarithm of the compression in FLOPs: a share :math:`e^{-\alpha}` of the
    multiplications is left, half of them by default. `target_flops`, `target_units` and
    `target_sparsity` name what is left, or removed, in other terms; whole units meet a target
    from below, and one unit of each layer stays.

    Parameters
    ----------
    flops_penalty : float, default=0.0
        The factor :math:`\lambda`: score that a unit loses for its share of the multiplications.
    schedule : {"gradual", "iterative", "one_shot"}, default="gradual"
        When units are removed: few every some batches, in rounds with retraining after each, or
        all at once. The last two take the score from up to 2048 training rows.
    scope : {"global", "layer"}, default="global"
        Whether units are ranked over all layers, or every layer loses the same share.
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
    P. Molchanov, S. Tyree, T. Karras, T. Aila and J. Kautz, "Pruning convolutional neural
    networks for resource efficient inference", ICLR 2017.

    Examples
    --------
    >>> from sksparse.sparsifiers import TaylorPruning
    >>> TaylorPruning(update_every=10)
    TaylorPruning(update_every=10)
    """

    _parameter_constraints: dict = {
        **UnitPruning._parameter_constraints,
        "flops_penalty": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        flops_penalty: float = 0.0,
        schedule: str = "gradual",
        scope: str = "global",
        n_rounds: int = 5,
        update_every: int | None = None,
        train_fraction: float = 0.2,
        sparsify_fraction: float = 0.4,
        min_weight_displacement: float = 1.0,
    ) -> None:
        self.flops_penalty = flops_penalty
        self.schedule = schedule
        self.scope = scope
        self.n_rounds = n_rounds
        self.update_every = update_every
        self.train_fraction = train_fraction
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def _run(self, module: nn.Module, task: Task) -> SparsifierRun:
        return _TaylorRun(self, module, task)


class _TaylorRun(UnitPruningRun):
    _options: TaylorPruning

    def __init__(self, options: TaylorPruning, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        self._watch()

    def _watch(self) -> None:
        self._products = ReaderProducts(self.units)
        self._forget()

    def _forget(self) -> None:
        self._total = self.weights.new_zeros(self.units.n_units)
        self._n_seen = 0

    def before_batch(self) -> None:
        super().before_batch()
        if self.updating:
            self._products.watch()

    def after_backward(self) -> None:
        if self.updating:
            # only here, so that copies of the module in between have no hooks
            self._products.unwatch()
            self._note()
        super().after_backward()

    def _note(self) -> None:
        self._total += self._products.sizes()
        self._n_seen += 1

    def remove(self, strength: float) -> None:
        super().remove(strength)
        # scores are those of the network as it is now
        self._forget()

    def scores(self, probe: Probe) -> Tensor:
        if not self._n_seen:
            self._observe(probe)
        scores = layer_normalised(self._total / self._n_seen, self.units.layer)
        if self._options.flops_penalty:
            shares = flops_of_units(self.units, self.mask)
            scores = scores - self._options.flops_penalty * shares
        return scores

    def _observe(self, probe: Probe) -> None:
        """Sizes over some training rows, with the network as it predicts."""
        with evaluating(probe.module):
            for X, y, weight in some_batches(probe, MANY_ROWS):
                self.parameters.zero_grad()
                with torch.enable_grad(), self._products.watching():
                    probe.criterion(probe.module(X), y, weight).backward()
                self._note()
        self.parameters.zero_grad()

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        positions = super().rebuild(kept)
        self._watch()
        return positions
