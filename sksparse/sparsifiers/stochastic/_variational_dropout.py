"""Sparse variational dropout (Molchanov, Ashukha & Vetrov, 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._larger_steps import LargerSteps
from sksparse.sparsifiers._strength_control import StrengthControl
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import n_kept, ranks_with_quotas
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.stochastic._local_reparametrisation import LocalNoise
from sksparse.sparsifiers.structure._dead_units import keep_alive

#: The fit of the divergence from the log-uniform prior, Molchanov et al., equation 14.
_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695


@dataclass(frozen=True)
class Tuning:
    """How noise is bounded, and how a target sparsity is reached.

    Parameters
    ----------
    log_alpha_bound : float
        Log alpha is clipped to this magnitude.
    least_square : float
        Added to squared weights before their logarithm is taken.
    refresh_interval : int
        Batches that share one gradient of the divergence by log alpha, which hardly changes.
    first_strength : float
        The first strength with a target, in units of the variational bound.
    log_range : float
        By how much the logarithm of that strength can change.
    """

    log_alpha_bound: float = 8.0
    least_square: float = 1e-8
    refresh_interval: int = 4
    first_strength: float = 0.2
    log_range: float = 3.0


TUNING = Tuning()


def divergence(log_alpha: Tensor) -> Tensor:
    """The divergence of N(w, alpha w^2) from the log-uniform prior, zero at infinite alpha."""
    fit = _K1 * torch.sigmoid(_K2 + _K3 * log_alpha)
    return _K1 - fit + 0.5 * nn.functional.softplus(-log_alpha)


def divergence_slope(log_alpha: Tensor) -> Tensor:
    """The derivative of ``divergence``, never positive."""
    s = torch.sigmoid(_K2 + _K3 * log_alpha)
    return (s * s - s).mul_(_K1 * _K3).sub_(torch.sigmoid(-log_alpha), alpha=0.5)


class VariationalDropout(Sparsifier):
    r"""Learn how much noise each weight can have, and remove those that are mostly noise.

    Every weight is drawn from :math:`N(w_j, a_j w_j^2)`. The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \mathbb{E} \, \ell_i
        + \alpha \sum_j KL(a_j) + \frac{\eta}{2} \|W\|^2

    with the divergence :math:`KL` of that distribution from the log-uniform prior, which falls
    as the noise :math:`a_j` grows, and the weight decay :math:`\eta` of the estimator.
    With `alpha` at its default ``1 / n_samples`` the first two terms are the variational bound.
    Learned are :math:`w_j` and the variance :math:`\log \sigma_j^2 = \log a_j w_j^2`.
    Linear and convolution layers draw what they compute, anew in each row; the
    weights of other layers are drawn once a batch (see `conv_samples`).

    After `sparsify_fraction` of the epochs the weights with :math:`\log a_j` at or above
    `threshold` are removed, or with `target_sparsity` those with the largest until
    it is reached to within one weight; what is left is trained further without noise. With
    `target_sparsity`, `alpha` is not used: the strength begins at ``0.2 / n_samples`` and
    rises while too few weights are beyond the threshold, and falls while too many are.

    Parameters
    ----------
    threshold : float, default=3.0
        The log alpha from which on a weight is removed; 3 stands for a rate of
        binary dropout above 0.95.
    conv_samples : {"local", "shared"}, default="local"
        Whether convolutions draw what they compute anew in each row, or their weights once a
        batch, which makes their gradients noisier and an epoch about half as long.
    warmup_fraction : float, default=0.1
        Share of the epochs with noise in which the strength rises from 0 to `alpha`.
    log_variance_init : float, default=-10.0
        Initial logarithm of the variances.
    sparsify_fraction : float, default=0.7
        Share of the epochs in which noise is learned; the rest trains what is left.
    min_noise_displacement : float, default=20.0
        Minimum displacement that the logarithm of a variance can make while noise is learned. It
        raises their learning rate where there are few updates.
    min_weight_displacement : float, default=10.0
        The same for a weight in each of the two phases, up to a rate of 0.02.

    References
    ----------
    D. Molchanov, A. Ashukha and D. Vetrov, "Variational dropout sparsifies deep neural
    networks", ICML 2017.

    Examples
    --------
    >>> from sksparse.sparsifiers import VariationalDropout
    >>> VariationalDropout(threshold=2.0)
    VariationalDropout(threshold=2.0)
    """

    _parameter_constraints: dict = {
        "threshold": [
            Interval(Real, -TUNING.log_alpha_bound, TUNING.log_alpha_bound, closed="neither")
        ],
        "conv_samples": [StrOptions({"local", "shared"})],
        "warmup_fraction": [Interval(Real, 0, 1, closed="both")],
        "log_variance_init": [Interval(Real, None, 0, closed="neither")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_noise_displacement": [Interval(Real, 0, None, closed="left")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        threshold: float = 3.0,
        conv_samples: str = "local",
        warmup_fraction: float = 0.1,
        log_variance_init: float = -10.0,
        sparsify_fraction: float = 0.7,
        min_noise_displacement: float = 20.0,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.threshold = threshold
        self.conv_samples = conv_samples
        self.warmup_fraction = warmup_fraction
        self.log_variance_init = log_variance_init
        self.sparsify_fraction = sparsify_fraction
        self.min_noise_displacement = min_noise_displacement
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the factor of the divergence.

        Returns
        -------
        run : SparsifierRun
            A run of a phase with noise and one that trains what is left.
        """
        self._validate_params()
        return _VariationalRun(self, module, task)


class _VariationalRun(SparsifierRun):
    def __init__(self, options: VariationalDropout, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self.separate()
        self.log_variance = nn.Parameter(torch.full_like(self.weights, options.log_variance_init))
        self._slope = self.log_variance.grad = torch.zeros_like(self.weights)
        self._variance = torch.exp(self.log_variance.data)
        self._noise = LocalNoise(
            module, self.parameters, self._variance, convolutions=options.conv_samples == "local"
        )
        self._shared = list(self._noise.shared.values())
        self._draws: list[Tensor] = []
        self._log_alpha, self._divergence_slope = (torch.empty_like(self.weights) for _ in "ab")
        self._active = torch.ones_like(self.weights)
        noisy = self.phases[0]
        rate = task.rate_for_displacement(options.min_noise_displacement, noisy.epochs)
        self._noise_steps = LargerSteps(self.log_variance.data, rate / noisy.learning_rate)
        self._strength = 1.0 / task.n_samples if task.alpha is None else task.alpha
        warmup = options.warmup_fraction * noisy.epochs * task.steps_per_epoch
        self._warmup_batches = max(1, round(warmup))
        self._batch = 0
        self._control: StrengthControl | None = None
        if task.target_sparsity is not None:
            n_updates = noisy.epochs * task.steps_per_epoch // TUNING.refresh_interval
            self._strength = TUNING.first_strength / task.n_samples
            self._control = StrengthControl(
                self._strength, 1 - task.target_sparsity, n_updates, log_range=TUNING.log_range
            )
        self._training_noise = True

    @property
    def phases(self) -> tuple[Phase, ...]:
        options = self._options
        return self.task.two_phases(
            "noise", options.sparsify_fraction, options.min_weight_displacement, may_stop=False
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "retrain":
            self._remove_noise()

    def learned(self) -> list[nn.Parameter]:
        return [*super().learned(), *([self.log_variance] if self._training_noise else [])]

    def before_batch(self) -> None:
        if not self._training_noise:
            return
        self._noise_steps.remember()
        if self._batch % TUNING.refresh_interval == 0:
            self._refresh()
        torch.exp(self.log_variance.data, out=self._variance)
        torch.mul(self.latent.data, self._active, out=self.weights)
        self._noise.gradient.zero_()
        deviations = [self._variance[place].sqrt() for place in self._shared]
        self._draws = [torch.randn_like(d).mul_(d) for d in deviations]
        for place, noise in zip(self._shared, self._draws, strict=True):
            self.weights[place] += noise

    def _refresh(self) -> None:
        """Update what changes slowly: which weights are in use, the slope of the divergence."""
        log_alpha = self._write_log_alpha()
        torch.lt(log_alpha, self._options.threshold, out=self._active)
        self._divergence_slope = divergence_slope(log_alpha)
        self._divergence_slope.mul_(log_alpha.abs() < TUNING.log_alpha_bound)
        if self._control is not None and self._batch >= self._warmup_batches:
            self._strength = self._control.update(float(self._active.mean()))

    def _write_log_alpha(self) -> Tensor:
        torch.mul(self.latent.data, self.latent.data, out=self._log_alpha)
        self._log_alpha.add_(TUNING.least_square).log_().neg_().add_(self.log_variance.data)
        return self._log_alpha.clamp_(-TUNING.log_alpha_bound, TUNING.log_alpha_bound)

    def after_backward(self) -> None:
        if not self._training_noise:
            super().after_backward()
            return
        self.latent_gradient.copy_(self.parameters.weight_gradient)
        self.add_weight_decay()
        torch.mul(self._noise.gradient, self._variance, out=self._slope)
        for place, noise in zip(self._shared, self._draws, strict=True):
            # the derivative of noise = deviation * draw by the logarithm of the variance
            self._slope[place] = 0.5 * noise * self.parameters.weight_gradient[place]
        strength = self._strength * min(1.0, self._batch / self._warmup_batches)
        self._batch += 1
        self._slope.add_(self._divergence_slope, alpha=strength)
        # log alpha holds -log w^2, whose derivative by w is -2 w / (w^2 + epsilon)
        latent = self.latent.data
        by_weight = torch.addcmul(latent.new_tensor(TUNING.least_square), latent, latent)
        torch.div(latent, by_weight, out=by_weight)
        self.latent_gradient.addcmul_(by_weight, self._divergence_slope, value=-2 * strength)

    def after_step(self) -> None:
        if self._training_noise:
            self._noise_steps.extend()
        else:
            super().after_step()

    def before_evaluation(self) -> None:
        if not self._training_noise:
            super().before_evaluation()
            return
        is_signal = self._write_log_alpha() < self._options.threshold
        torch.mul(self.latent.data, is_signal, out=self.weights)

    def penalty(self) -> float:
        decay = super().penalty()
        if not self._training_noise:
            return decay
        return decay + self._strength * float(divergence(self._write_log_alpha()).sum())

    def density(self) -> float:
        if not self._training_noise:
            return super().density()
        return int((self._write_log_alpha() < self._options.threshold).sum()) / self.n_weights

    def _remove_noise(self) -> None:
        """Fix which weights are removed and continue with the means of the others."""
        self._training_noise = False
        self._noise.remove()
        log_alpha = self._write_log_alpha()
        keep = log_alpha < self._options.threshold
        if self.task.target_sparsity is not None:
            count = n_kept(self.n_weights, self.task.target_sparsity)
            ranks = ranks_with_quotas(-log_alpha, self.parameters.sizes, count)
            keep = keep_alive(ranks, count, self.graph)
        self.weights.copy_(self.latent.data)
        self.unite()
        self.fix_mask(keep)
