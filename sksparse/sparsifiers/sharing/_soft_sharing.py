"""Soft weight sharing (Nowlan & Hinton, 1992; Ullrich, Meeds & Welling, 2017)."""

from __future__ import annotations

import math
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import n_kept, ranks_with_quotas
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.sharing._mixture import WeightMixture
from sksparse.sparsifiers.structure._dead_units import keep_alive

#: The logarithm of the odds of a weight to be zero, by default: 99 to 1.
DEFAULT_LOG_ODDS = math.log(99)
#: No component is impossible beforehand.
_LEAST_SHARE = 1e-6
#: Batches that share one gradient of the prior, which changes slowly.
_REFRESH = 4


class SoftWeightSharing(Sparsifier):
    r"""Draw all weights to a few values, one of which is zero, and let them share these.

    The weights have a mixture of normal distributions as their prior, which is fitted to them
    while they are trained. The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i - \frac{\tau}{n} \left[ \sum_k \log \sum_{j<J}
        \pi_j N(w_k \mid m_j, 1 / p_j) + \sum_{j<J} \log \Gamma(p_j) \right]
        + \frac{\eta}{2} \|W\|^2

    with :math:`n` training rows, the mean :math:`m_0 = 0`, the odds
    :math:`\pi_0 / (1 - \pi_0) = e^\alpha` of a weight to be zero, Gamma priors of the precisions
    :math:`p_j` and the weight decay :math:`\eta` of the estimator. Other means, precisions and
    shares follow by steps of expectation maximisation.

    Training has three phases. A network is trained, unless there is one already
    (``warm_start=True``); its weights that are zero stay so. Then the prior is in force. In the
    end each weight takes the mean of its most probable component, which is zero for most of
    them, and the values that are left are trained further, each by the gradients of all its
    weights. All layers together have at most `n_components` different weights, zero
    included.

    With `target_sparsity` the weights that are most probably zero are set to zero until it is
    reached, to within one weight, and it is the share :math:`\pi_0`; `alpha` is not used.
    ``partial_fit`` trains weights, not shared values.

    Parameters
    ----------
    n_components : int, default=16
        Number J of components, at least 2.
    strength : float, default=0.003
        Strength :math:`\tau` of the prior.
    deviation : float, default=0.2
        Deviation of the components that is most probable beforehand, in units of the root mean
        square of the weights when the prior comes into force.
    train_fraction : float, default=0.3
        Share of the epochs in which the network is trained without the prior.
    share_fraction : float, default=0.4
        Share of the epochs with it; in the rest the shared values are trained.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in a phase. It raises the learning rate, up
        to 0.02, where there are few updates.

    Notes
    -----
    `alpha` is the logarithm of the odds of a weight to be zero, of those that are not zero
    already; by default that of 99 to 1, 4.6.

    References
    ----------
    S. J. Nowlan and G. E. Hinton, "Simplifying neural networks by soft weight-sharing", Neural
    Computation, 1992.

    K. Ullrich, E. Meeds and M. Welling, "Soft weight-sharing for neural network compression",
    ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> from sksparse.sparsifiers import SoftWeightSharing
    >>> X, y = load_iris(return_X_y=True)
    >>> sharing = SoftWeightSharing(n_components=8)
    >>> model = SparseMLPClassifier(
    ...     (20,), sparsifier=sharing, target_sparsity=0.5, random_state=0
    ... ).fit(X, y)
    >>> len(np.unique(np.concatenate([coef.ravel() for coef in model.coefs_]))) <= 8
    True
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 2, None, closed="left")],
        "strength": [Interval(Real, 0, None, closed="left")],
        "deviation": [Interval(Real, 0, None, closed="neither")],
        "train_fraction": [Interval(Real, 0, 1, closed="both")],
        "share_fraction": [Interval(Real, 0, 1, closed="both")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_components: int = 16,
        strength: float = 0.003,
        deviation: float = 0.2,
        train_fraction: float = 0.3,
        share_fraction: float = 0.4,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.n_components = n_components
        self.strength = strength
        self.deviation = deviation
        self.train_fraction = train_fraction
        self.share_fraction = share_fraction
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the logarithm of the odds of zero.

        Returns
        -------
        run : SparsifierRun
            A run of three phases: training, the prior in force, and shared values.
        """
        self._validate_params()
        if self.train_fraction + self.share_fraction > 1:
            raise ValueError(
                f"train_fraction={self.train_fraction!r} and "
                f"share_fraction={self.share_fraction!r} are more than all epochs; lower one."
            )
        return _SharingRun(self, module, task)


class _SharingRun(SparsifierRun):
    def __init__(self, options: SoftWeightSharing, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._strength = options.strength / task.n_samples
        if bool((self.weights == 0).any()):
            # what was pruned before stays so
            self.freeze(self.weights != 0)
        self._prior: WeightMixture | None = None
        self._gradient = torch.zeros(0)
        self._batch = 0
        self._zeros = 0.0
        self._groups: Tensor | None = None
        self._counts = torch.zeros(0)

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, n = self._options, self.task.max_iter
        displacement = options.min_weight_displacement
        train = math.floor(options.train_fraction * n)
        share = min(n - train, math.ceil(options.share_fraction * n))
        return (
            self.task.weight_phase("train", train, displacement, may_stop=False),
            self.task.weight_phase("share", share, displacement, may_stop=False, anneal=True),
            self.task.weight_phase("retrain", n - train - share, displacement, anneal=True),
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "share":
            self._begin_prior()
        elif phase.name == "retrain":
            self._share_values()

    def _begin_prior(self) -> None:
        free = self._free()
        log_odds = DEFAULT_LOG_ODDS if self.task.alpha is None else self.task.alpha
        zero_share = 1 / (1 + math.exp(-log_odds))
        if self.task.target_sparsity is not None:
            n_zero = self.n_weights - n_kept(self.n_weights, self.task.target_sparsity)
            n_more = n_zero - (self.n_weights - len(free))
            zero_share = n_more / max(1, len(free))
        self._prior = WeightMixture(
            free,
            self._options.n_components,
            min(max(zero_share, _LEAST_SHARE), 1 - _LEAST_SHARE),
            self._options.deviation,
        )
        self._gradient = torch.zeros_like(free)

    def _free(self) -> Tensor:
        """The weights that were not pruned before."""
        return self.weights if self.mask is None else self.weights[self.mask > 0]

    def after_backward(self) -> None:
        if self._groups is not None:
            slopes = self.parameters.weight_gradient.add(self.weights, alpha=self.task.weight_decay)
            # a step of gradient descent is then the mean of those of the weights, and as stable
            self.latent_gradient.copy_(self._sums(slopes).div_(self._counts))
            return
        super().after_backward()
        if self._prior is None:
            return
        if self._batch % _REFRESH == 0:
            self._zeros = self._prior.update(self._free(), self._gradient)
        self._batch += 1
        if self.mask is None:
            self.latent_gradient.add_(self._gradient, alpha=self._strength)
        else:
            self.latent_gradient[self.mask > 0] += self._strength * self._gradient

    def after_step(self) -> None:
        self._write()
        super().after_step()

    def before_evaluation(self) -> None:
        self._write()
        super().before_evaluation()

    def _write(self) -> None:
        """The weights that the shared values stand for."""
        if self._groups is not None:
            torch.index_select(self.latent.data, 0, self._groups, out=self.weights)

    def take_over(self, changed: Tensor) -> None:
        if self._groups is None:
            super().take_over(changed)
            return
        # each value is the mean of its weights, exactly itself where they are equal
        means = self._sums(self.weights.double()) / self._counts
        self.latent.data.copy_(means)
        self._write()
        self.apply_masks()

    def _sums(self, values: Tensor) -> Tensor:
        """Sums of numbers over the weights in use of each shared value."""
        assert self._groups is not None
        assert self.mask is not None
        return torch.bincount(self._groups, values * self.mask, len(self.latent))

    def penalty(self) -> float:
        decay = super().penalty()
        if self._prior is None or self._groups is not None or self.task.target_sparsity is not None:
            return decay
        return decay + self._strength * self._prior.loss(self._free())

    def density(self) -> float:
        if self._prior is None or self._groups is not None:
            return super().density()
        return len(self._gradient) * (1 - self._zeros) / self.n_dense_weights

    def _share_values(self) -> None:
        """Fix which weights are zero, and which value each of the others shares."""
        assert self._prior is not None
        # a last look at the weights, where the phase had no epochs too
        self._prior.update(self._free(), self._gradient)
        components, advantage = self._prior.assign(self.weights)
        same = self._prior.merged()
        keep = (advantage > 0) & (same[components] > 0)
        if self.mask is not None:
            keep &= self.mask > 0
            advantage = advantage.masked_fill(self.mask == 0, -math.inf)
        if self.task.target_sparsity is not None:
            count = n_kept(self.n_weights, self.task.target_sparsity)
            if self.mask is not None:
                count = min(count, int(torch.count_nonzero(self.mask)))
            ranks = ranks_with_quotas(advantage, self.parameters.sizes, count)
            keep = keep_alive(ranks, count, self.graph)
        self.fix_mask(keep)
        # weights that came back for the sake of a path have new values
        components, _ = self._prior.assign(self.weights)
        merged = torch.where(same[components] > 0, same[components], components)
        used, self._groups = torch.unique(merged, return_inverse=True)
        values = self._prior.means[used].to(self.weights.dtype)
        self._learn(values, torch.zeros_like(values))
        self._counts = self._sums(torch.ones_like(self.weights)).clamp_(min=1)
        self._write()
        self.apply_masks()
