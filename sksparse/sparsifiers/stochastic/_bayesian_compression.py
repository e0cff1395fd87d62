"""Bayesian compression with group priors (Louizos, Ullrich & Welling, 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._larger_steps import LargerSteps
from sksparse.sparsifiers._strength_control import StrengthControl
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.stochastic._gate_groups import GateGroups
from sksparse.sparsifiers.stochastic._group_removal import MEASURES, GroupRemoval
from sksparse.sparsifiers.stochastic._local_reparametrisation import LocalNoise
from sksparse.sparsifiers.stochastic._per_sample_gates import RowFactors
from sksparse.sparsifiers.stochastic._scale_posteriors import (
    Horseshoe,
    NormalJeffreys,
    ScalePosterior,
)


@dataclass(frozen=True)
class Tuning:
    """How posteriors begin, and how a target sparsity is reached.

    Parameters
    ----------
    first_log_variance : float
        The logarithm of the variance of a weight at the beginning.
    control_interval : int
        Batches that share one strength.
    first_strength : float
        The first strength with a target, in units of the variational bound.
    log_range : float
        By how much the logarithm of that strength can change.
    """

    first_log_variance: float = -9.0
    control_interval: int = 4
    first_strength: float = 0.5
    log_range: float = 3.0


TUNING = Tuning()


class BayesianGroups(Sparsifier):
    r"""Give each input of a layer, or unit, a random scale with a prior that favours zero.

    All weights that leave input :math:`i` are :math:`w_{ij} = z_i v_{ij}`. The scales have
    the prior :math:`1 / |z|` ("normal_jeffreys") or a product of half-Cauchy priors of the
    layer and the unit ("horseshoe"), the :math:`v` a standard normal prior. The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \mathbb{E} \, \ell_i
        + \alpha \left(KL(z) + KL(v)\right) + \frac{\eta}{2} \|V\|^2

    with normal (log-normal) posteriors, their divergences :math:`KL` from the priors, the
    means :math:`V` of the posteriors and the weight decay :math:`\eta` of the estimator. With
    `alpha` at its default ``1 / n_samples`` the first two terms are the variational bound.
    Linear and convolution layers draw scales and what they compute anew in each row;
    the weights of other layers are drawn once a batch.

    After `sparsify_fraction` of the epochs inputs or units are removed whose scale is beyond
    `threshold`, with all weights that leave them and, where nothing else reads a unit, those that
    make it, but for the best one of a layer that would lose all. Means of scales and weights
    are multiplied, and what is left is trained further without noise. With a target
    (`target_sparsity`, `target_flops`, `target_units`), `alpha` is not used: the strength begins at
    ``0.5 / n_samples`` and rises while too few are beyond the threshold, and falls while
    too many are; then as many are removed as it takes. Inputs reach `target_sparsity` to within
    one weight, since the last one is removed in part, by magnitude.

    Parameters
    ----------
    granularity : {"input", "unit"}, default="input"
        What has a scale: an input of a layer (an input channel of a convolution, a position after
        flattening), or a unit between the layers (neuron, filter, state of a recurrent layer),
        whose scale all layers that read it share. Units that nothing reads any more are dead and go
        as well.
    prior : {"normal_jeffreys", "horseshoe"}, default="normal_jeffreys"
        The prior of the scales.
    conv_samples : {"local", "shared"}, default="local"
        Whether convolutions draw what they compute anew in each row, or their weights once a
        batch, which makes their gradients noisier and an epoch about half as long.
    layer_strengths : sequence of float, default=None
        Factors on the divergence of the scales of the prunable tensors, in the order of the
        module, for units of the layers that have some: where a scale has many weights, the
        divergence of these dominates. None weighs all alike.
    threshold : float or sequence of float, default=None
        An input or unit is removed from here on: by the logarithm of variance over squared mean
        of its scale ("normal_jeffreys", None is 0) or by the negative logarithm of its mode
        ("horseshoe", None is half that of `tau`). One number, or one for each as in
        `layer_strengths`. The posteriors of used and unused units form separate
        clusters; a lower threshold than 0 removes more of what is between them.
    tau : float, default=1e-5
        Scale of the half-Cauchy prior of a layer in the horseshoe.
    warmup_fraction : float, default=0.1
        Share of the epochs with noise in which the strength rises from 0.
    sparsify_fraction : float, default=0.7
        Share of the epochs in which noise is learned; the rest trains what is left.
    min_noise_displacement : float, default=20.0
        Minimum displacement that the logarithm of a variance or a scale can make while noise is
        learned. It raises their learning rate where there are few updates.
    min_weight_displacement : float, default=10.0
        The same for a weight in each of the two phases, up to a rate of 0.02.

    References
    ----------
    C. Louizos, K. Ullrich and M. Welling, "Bayesian compression for deep learning", NIPS
    2017.

    Examples
    --------
    >>> from sksparse.sparsifiers import BayesianGroups
    >>> BayesianGroups(prior="horseshoe")
    BayesianGroups(prior='horseshoe')
    """

    granularities = ("input", "unit")

    _parameter_constraints: dict = {
        "granularity": [StrOptions({"input", "unit"})],
        "prior": [StrOptions({"normal_jeffreys", "horseshoe"})],
        "conv_samples": [StrOptions({"local", "shared"})],
        "layer_strengths": ["array-like", None],
        "threshold": [Real, "array-like", None],
        "tau": [Interval(Real, 0, 1, closed="neither")],
        "warmup_fraction": [Interval(Real, 0, 1, closed="both")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_noise_displacement": [Interval(Real, 0, None, closed="left")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "input",
        prior: str = "normal_jeffreys",
        conv_samples: str = "local",
        layer_strengths: Sequence[float] | None = None,
        threshold: float | Sequence[float] | None = None,
        tau: float = 1e-5,
        warmup_fraction: float = 0.1,
        sparsify_fraction: float = 0.7,
        min_noise_displacement: float = 20.0,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.prior = prior
        self.conv_samples = conv_samples
        self.layer_strengths = layer_strengths
        self.threshold = threshold
        self.tau = tau
        self.warmup_fraction = warmup_fraction
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
            What the estimator asks for; `alpha` is the factor of the divergences.

        Returns
        -------
        run : SparsifierRun
            A run of a phase with noise and one that trains what is left.
        """
        self._validate_params()
        return _BayesianRun(self, module, task)


class _BayesianRun(SparsifierRun):
    def __init__(self, options: BayesianGroups, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self.separate()
        self._removal = GroupRemoval(self, "BayesianGroups", options.granularity)
        gates = self._gates = self._removal.gates
        self.scales = self._make_scales()
        strengths = options.layer_strengths
        self._factors = gates.per_layer("layer_strengths", 1.0 if strengths is None else strengths)[
            self.scales.column_layer
        ]
        threshold = self.scales.threshold if options.threshold is None else options.threshold
        self._threshold = gates.per_layer("threshold", threshold, least=-math.inf)[gates.layer]
        self.log_variance = nn.Parameter(torch.full_like(self.weights, TUNING.first_log_variance))
        self._slope = self.log_variance.grad = torch.zeros_like(self.weights)
        self._variance = torch.exp(self.log_variance.data)
        factors = RowFactors(module, gates, self._draw_scales)
        self._noise = LocalNoise(
            module,
            self.parameters,
            self._variance,
            factors,
            convolutions=options.conv_samples == "local",
        )
        self._shared = _SharedDraws(self, self._noise.shared)
        self._weights = gates.views(self.weights)
        self._latents = gates.views(self.latent.data)
        self._plan_noise()

    def _make_scales(self) -> ScalePosterior:
        layer, n_layers = self._gates.layer, len(self._gates.layer_names)
        if self._options.prior == "horseshoe":
            return Horseshoe(layer, n_layers, self.weights, self._options.tau)
        return NormalJeffreys(layer, self.weights)

    def _plan_noise(self) -> None:
        """Set the rates and strengths of the first phase."""
        task, options, noisy = self.task, self._options, self.phases[0]
        rate = (
            task.rate_for_displacement(options.min_noise_displacement, noisy.epochs)
            / noisy.learning_rate
        )
        noise = (self.log_variance.data, self.scales.values.data)
        self._noise_steps = [LargerSteps(values, rate) for values in noise]
        n_batches = noisy.epochs * task.steps_per_epoch
        self._warmup_batches = max(1, round(options.warmup_fraction * n_batches))
        self._strength = 1.0 / task.n_samples if task.alpha is None else task.alpha
        self._control: StrengthControl | None = None
        if task.target is not None:
            self._strength = TUNING.first_strength / task.n_samples
            n_updates = n_batches // TUNING.control_interval
            self._control = StrengthControl(
                self._strength, task.target.left, n_updates, log_range=TUNING.log_range
            )
        self._batch = 0
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
        noise = [self.log_variance, self.scales.values] if self._training_noise else []
        return [*super().learned(), *noise]

    def _draw_scales(self, n_rows: int, *, training: bool) -> Tensor:
        return self.scales.sample(n_rows)

    def before_batch(self) -> None:
        if not self._training_noise:
            return
        for steps in self._noise_steps:
            steps.remember()
        torch.exp(self.log_variance.data, out=self._variance)
        self.weights.copy_(self.latent.data)
        self._noise.gradient.zero_()
        self.scales.values.grad.zero_()  # type: ignore[union-attr]
        self._shared.write()

    def after_backward(self) -> None:
        if not self._training_noise:
            super().after_backward()
            return
        self.latent_gradient.copy_(self.parameters.weight_gradient)
        torch.mul(self._noise.gradient, self._variance, out=self._slope)
        self._shared.read()
        self.add_weight_decay()
        strength = self._strength * min(1.0, self._batch / self._warmup_batches)
        self.latent_gradient.add_(self.latent.data, alpha=strength)
        self._slope.add_(self._variance, alpha=0.5 * strength).sub_(0.5 * strength)
        gradient: Tensor = self.scales.values.grad  # type: ignore[assignment]
        gradient.addcmul_(self.scales.divergence_gradient(), self._factors, value=strength)
        self._batch += 1
        if self._control is None or self._batch < self._warmup_batches:
            return
        if self._batch % TUNING.control_interval == 0:
            self._strength = self._control.update(self.share_left())

    def after_step(self) -> None:
        if not self._training_noise:
            super().after_step()
            return
        for steps in self._noise_steps:
            steps.extend()

    def _is_used(self) -> Tensor:
        return self.scales.score() < self._threshold

    def before_evaluation(self) -> None:
        if not self._training_noise:
            super().before_evaluation()
            return
        self._write_means(self.scales.mean() * self._is_used())

    def _write_means(self, scales: Tensor) -> None:
        self._gates.multiply(self._latents, scales, out=self._weights)

    def penalty(self) -> float:
        if not self._training_noise:
            return super().penalty()
        means, log_variance = self.latent.data, self.log_variance.data
        squares = means.square().sum()
        of_weights = 0.5 * (squares + (log_variance.exp() - log_variance - 1).sum())
        total = self._strength * (of_weights + self.scales.divergence() @ self._factors)
        return float(total + 0.5 * self.task.weight_decay * squares)

    def density(self) -> float:
        if not self._training_noise:
            return super().density()
        return self._removal.density(self._is_used())

    def share_left(self) -> float:
        if not self._training_noise:
            return super().share_left()
        return self._removal.share_left(self._is_used())

    def _remove_noise(self) -> None:
        """Fix what is removed and continue with the means of the others."""
        self._training_noise = False
        self._noise.remove()
        self._write_means(self.scales.mean())
        self.unite()
        self._removal.close(-self.scales.score(), self._is_used())


class _SharedDraws:
    """Weights of the tensors that are drawn once for all rows of a batch.

    Parameters
    ----------
    run : _BayesianRun
        The run.
    places : dict of str to slice
        The tensors, with their places among all weights.
    """

    def __init__(self, run: _BayesianRun, places: dict[str, slice]) -> None:
        self._run = run
        self._places = places
        gates: GateGroups = run._gates
        self._groups = {name: gates.groups_of(name) for name in places}
        self._axes = {name: gates.axes.get(name, 0) for name in places}

    def write(self) -> None:
        """Draw and write the weights of the next batch."""
        if not self._places:
            return
        run = self._run
        with torch.enable_grad():
            self._z = run.scales.sample(1)[0]
        padded = torch.cat([self._z.detach(), self._z.new_ones(1)])
        self.factors, self.noise, self._drawn = {}, {}, {}
        for name, place in self._places.items():
            tensor, groups = run.tensors[name], self._groups[name]
            shape = [1] * tensor.ndim
            shape[self._axes[name]] = -1
            factor = padded[-1:] if groups is None else padded[groups]
            self.factors[name] = factor.view(shape)
            deviation = run._variance[place].sqrt()
            self.noise[name] = torch.randn_like(deviation).mul_(deviation)
            self._drawn[name] = (run.latent.data[place] + self.noise[name]).view(tensor.shape)
            run.weights[place] = (self._drawn[name] * self.factors[name]).view(-1)

    def read(self) -> None:
        """Turn the gradient by these weights into gradients by what was drawn."""
        if not self._places:
            return
        run = self._run
        by_scale = self._z.new_zeros(len(self._z) + 1)
        for name, place in self._places.items():
            drawn, groups = self._drawn[name], self._groups[name]
            slope = run.parameters.weight_gradient[place].view(drawn.shape)
            if groups is not None:
                others = [axis for axis in range(drawn.ndim) if axis != self._axes[name]]
                by_scale.index_add_(0, groups, (slope * drawn).sum(others))
            by_mean = (slope * self.factors[name]).view(-1)
            run.latent_gradient[place] = by_mean
            run._slope[place] = 0.5 * self.noise[name] * by_mean
        self._z.backward(by_scale[:-1])
