"""Dynamic network surgery: pruning and splicing (Guo, Yao & Chen, 2016)."""

from __future__ import annotations

from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.masks._keep import keep_largest, n_kept
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._removed_groups import MEASURES, RemovedGroups
from sksparse.sparsifiers.pruning._schedule import CuttingRun, GradualSparsifier


class DynamicSurgery(GradualSparsifier):
    r"""Cut weights below a threshold, and splice back those that grow above another.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`, first densely, then with the weights :math:`W \odot T` of a mask
    :math:`T`. The gradient by the masked weights updates all of :math:`W`, also where they
    are cut, and every `update_every` updates, with the probability :math:`\sigma(i) = (1 +
    \gamma i)^{-p}` at update :math:`i`, the mask changes:

    .. math::

        T_j = 0 \text{ if } |w_j| < 0.9\, \theta_l, \quad
        T_j = 1 \text{ if } |w_j| \ge 1.1\, \theta_l, \quad
        T_j \text{ stays in between}, \qquad
        \theta_l = \alpha \max(\mu_l + c\, \sigma_l, 0),

    where :math:`\mu_l, \sigma_l` are the mean and the standard deviation of :math:`|w|` in
    layer :math:`l` at the end of the dense phase. In the last phase the mask is fixed.

    The paper has :math:`\alpha = 1`, the default; the thresholds rise to their values in the
    first half of the surgery. With `target_sparsity` the threshold is chosen at
    each change of the mask such that the sparsity rises along a cubic to the target, which is
    reached to within one weight. Groups of other granularities are removed as a whole: at least so
    many weights are zero, or with `target_flops` or `target_units` at most that share is left, and
    of each layer at least one group. Biases are pruned with their units alone.

    Parameters
    ----------
    granularity : {"weight", "input", "unit", "shape", "layer"}, default="weight"
        What is pruned as a whole: a weight; an input of a layer with all weights that leave it; a
        unit (neuron, filter, state of a recurrent layer) with all that makes and reads it, its bias
        and scales; a position of a filter, ``W[:, c, m, k]``; or a branch beside a shortcut. Units
        that nothing reads any more are dead and go as well. A group has the root mean square of its
        weights for a magnitude, a unit that of the weights that read it; only these are masked
        until the mask is fixed. :math:`\mu_l, \sigma_l` are those of the groups of a layer, and
        with a target groups are compared relative to it.
    c : float, default=1.5
        Standard deviations between the mean and the threshold, where there is no target.
    gamma : float, default=1e-4
        Rate at which changes of the mask become rare.
    power : float, default=1.0
        Exponent of the same.
    hysteresis : float, default=0.1
        Half the width of the band in which the mask stays, relative to the threshold.
    splice_decay : float, default=0.01
        Share by which the values of cut weights shrink in each update, so that those return
        whose gradients keep their sign. An optimiser such as Adam moves every weight by about its
        learning rate, and noise alone would bring many back; 0 is the paper.
    scope : {"global", "layer"}, default="global"
        How a target is met: by one threshold for all layers, or by a common :math:`c` in the
        thresholds of the layers.
    update_every : int, default=None
        Updates between two attempts to change the mask. None is from 4 to 16, to have 200 or more.
    train_fraction : float, default=0.2
        Share of the epochs before the surgery.
    sparsify_fraction : float, default=0.4
        Share of the epochs with surgery.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase after the first; it raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    Y. Guo, A. Yao and Y. Chen, "Dynamic network surgery for efficient DNNs", NIPS 2016.

    Examples
    --------
    >>> from sksparse.sparsifiers import DynamicSurgery
    >>> DynamicSurgery(hysteresis=0.2)
    DynamicSurgery(hysteresis=0.2)
    """

    granularities = ("weight", "input", "unit", "shape", "layer")

    _parameter_constraints: dict = {
        "granularity": [StrOptions(set(granularities))],
        **GradualSparsifier._parameter_constraints,
        "c": [Interval(Real, None, None, closed="neither")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "power": [Interval(Real, 0, None, closed="left")],
        "hysteresis": [Interval(Real, 0, 1, closed="left")],
        "splice_decay": [Interval(Real, 0, 1, closed="both")],
        "scope": [StrOptions({"global", "layer"})],
        "update_every": [Interval(Integral, 1, None, closed="left"), None],
    }

    #: Factor on the thresholds where the estimator leaves ``alpha=None``.
    default_alpha = 1.0

    def __init__(
        self,
        *,
        granularity: str = "weight",
        c: float = 1.5,
        gamma: float = 1e-4,
        power: float = 1.0,
        hysteresis: float = 0.1,
        splice_decay: float = 0.01,
        scope: str = "global",
        update_every: int | None = None,
        train_fraction: float = 0.2,
        sparsify_fraction: float = 0.4,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.c = c
        self.gamma = gamma
        self.power = power
        self.hysteresis = hysteresis
        self.splice_decay = splice_decay
        self.scope = scope
        self.update_every = update_every
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
            What the estimator asks for; `alpha` is a factor on the thresholds.

        Returns
        -------
        run : SparsifierRun
            A run of a dense phase, one of surgery and one with a fixed mask.
        """
        self._validate_params()
        return _SurgeryRun(self, module, task)


class _SurgeryRun(CuttingRun):
    def __init__(self, options: DynamicSurgery, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self._removed = RemovedGroups.of(self, options.granularity, options.scope)
        self._factor = options.default_alpha if task.alpha is None else task.alpha
        self.in_use = torch.ones_like(self.weights)
        self._groups_in_use = self.weights.new_ones(
            0 if self._removed is None else self._removed.groups.n_units
        )
        self._decay = self.in_use.clone()
        self._measure()

    def _measure(self) -> None:
        """Mean and deviation of the magnitudes that are not zero in each tensor."""
        self._moments = []
        for part in self._sizes_by_layer(self._sizes()):
            size = part[part != 0]
            if not len(size):
                size = part.new_zeros(1)
            self._moments.append((float(size.mean()), float(size.std(correction=0))))

    def _sizes(self) -> Tensor:
        """The magnitude of each weight, or of each group."""
        if self._removed is None:
            return self.latent.data.abs()
        return self._removed.means(self.latent.data.square(), "reads").sqrt_()

    def _sizes_by_layer(self, sizes: Tensor) -> tuple[Tensor, ...]:
        if self._removed is None:
            return sizes.split(self.parameters.sizes)
        return tuple(sizes[units] for units in self._removed.groups.by_layer())

    def begin_updates(self, probe: Probe) -> None:
        super().begin_updates(probe)
        # the gradient by the masked weights is the gradient of all
        self._learn(self.weights.clone(), self.parameters.weight_gradient)
        self._measure()

    def before_batch(self) -> None:
        if self.updating:
            torch.mul(self.latent.data, self.in_use, out=self.weights)

    def after_step(self) -> None:
        if self.updating and self._options.splice_decay:
            self.latent.data.mul_(self._decay)
        super().after_step()

    def before_evaluation(self) -> None:
        super().before_evaluation()
        self.before_batch()

    def density(self) -> float:
        if self.updating:
            return float(self.in_use.mean())
        return super().density()

    def cut(self) -> None:
        options = self._options
        probability = (1.0 + options.gamma * self._batch) ** -options.power
        if float(torch.rand(())) < probability:
            self._use(self._chosen(self.scheduled(1.0)))

    def _use(self, keep: Tensor) -> None:
        """Use a mask; the values of cut weights decay from now on."""
        self.in_use.copy_(keep)
        decay = self._options.splice_decay
        self._decay = self.in_use.mul(decay).add_(1.0 - decay)

    def final_mask(self) -> Tensor:
        keep = self._chosen(1.0)
        self.weights.copy_(self.latent.data)
        self.unite()
        return keep

    def end_updates(self, probe: Probe) -> None:
        keep = self.final_mask()
        if self._removed is None:
            self.fix_mask(keep)
        else:
            self._removed.freeze(self._groups_in_use > 0)

    def _chosen(self, share: float) -> Tensor:
        """The mask after a change, at a share of the final threshold or sparsity."""
        # a kept weight is cut below 0.9 of a threshold, a cut one spliced from 1.1 of it
        band = self._options.hysteresis
        if self._removed is not None:
            size = self._sizes() / (1.0 + band - 2.0 * band * self._groups_in_use)
            keep = self._chosen_groups(self._removed, size, share)
            self._groups_in_use.copy_(keep)
            return self._removed.gate(keep)
        size = self._sizes().div_(1.0 + band - 2.0 * band * self.in_use)
        target = self.task.target_sparsity
        if target is None:
            return size >= self._thresholds(share).repeat_interleave(
                torch.tensor(self.parameters.sizes, device=size.device)
            )
        parts = zip(size.split(self.parameters.sizes), self._moments, strict=True)
        if self._options.scope == "layer":
            for part, (mean, std) in parts:
                part.sub_(mean).div_(std or 1.0)
        return keep_largest(size, n_kept(self.n_weights, target * share))

    def _chosen_groups(self, removed: RemovedGroups, size: Tensor, share: float) -> Tensor:
        if self.task.target is not None:
            return removed.choose(size, share)
        is_open = size >= self._thresholds(share)[removed.groups.layer]
        return removed.groups.guarded(is_open, size, warns=share == 1)

    def _thresholds(self, share: float) -> Tensor:
        """The threshold of each layer at a share of the final one."""
        c, factor = self._options.c, share * self._factor
        return self.weights.new_tensor(
            [factor * max(mean + c * std, 0.0) for mean, std in self._moments]
        )
