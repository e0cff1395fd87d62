"""L0 regularisation by hard-concrete gates (Louizos, Welling & Kingma, 2018)."""

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
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_ranked, n_kept
from sksparse.sparsifiers.parameters._flat_parameters import UnitGates, multiply
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.stochastic._hard_concrete_distribution import (
    HardConcreteDistribution,
    logistic_noise,
    mirrored_noise,
)
from sksparse.sparsifiers.stochastic._per_sample_gates import LocalGates


@dataclass(frozen=True)
class Tuning:
    """How gates are trained and closed.

    Parameters
    ----------
    log_alpha_bound : float
        Bound on the magnitude of ``log_alpha``.
    ascent : float
        By how much the multiplier rises if the density exceeds the target by 1 as long as gates
        are trained.
    least_probability : float
        Initial probabilities are at least so far from 0 and 1, where a gate could not change.
    penalty_interval : int
        Batches that share one gradient of the penalty, which hardly changes in an update.
    least_gate : float
        A kept weight whose own gate is closed is retrained from this share of its value.
    """

    log_alpha_bound: float = math.log(1e2)
    ascent: float = 50.0
    least_probability: float = 1e-6
    penalty_interval: int = 4
    least_gate: float = 0.01


TUNING = Tuning()


class HardConcrete(Sparsifier):
    r"""Learn which weights to keep with stochastic hard-concrete gates.

    Every weight (or every unit of a layer) is multiplied by a random gate
    :math:`z \in [0, 1]` that is exactly 0 or 1 with positive probability. The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \mathbb{E}_z \, \ell_i(W \odot z)
        + \sum_j P(z_j \neq 0) \left(\alpha + \frac{\eta}{2} w_j^2\right)

    over the weights :math:`j`, with the weight decay :math:`\eta` of the estimator: `alpha`
    is the penalty of one expected non-zero weight in units of the mean loss, by default
    ``1 / n_samples`` of distinct training samples (the paper uses 0.1 and 1 over it). The
    gradients are exact for the sampled gates and written out, not traced; every second
    batch sees the mirror image of the noise before it, which lowers their variance.

    With `target_sparsity`, `alpha` is not used: it is replaced by a Lagrange multiplier
    that rises while the expected density is above the target and falls while it is below.

    After `sparsify_fraction` of the epochs the gates are fixed: with `alpha` those that are closed
    in the deterministic network remain closed; with `target_sparsity` exactly the required number
    of weights is kept, ranked by gate and within equal gates by magnitude. These are multiplied by
    their gates and retrained.

    Parameters
    ----------
    granularity : {"weight", "input", "output"}, default="weight"
        Whether a gate belongs to one weight, to an input unit of a layer (an input channel
        of a convolution) with all weights that leave it, or to an output unit with all
        weights that enter it. The weights on the other side of a unit have gates of their own.
    gate_samples : {"shared", "local"}, default="shared"
        Whether one gate sample serves a batch or each row has its own, which makes the
        gradients of wide batches less noisy; only for units of linear and convolution layers.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module. None weighs
        all alike.
    beta : float, default=2/3
        Temperature of the concrete distribution.
    gamma : float, default=-0.1
        Lower end of the stretched interval, negative.
    zeta : float, default=1.1
        Upper end of the stretched interval, above 1.
    droprate_init : float or sequence of float, default=0.2
        The initial ``log_alpha`` is ``log(1 - d) - log(d)`` for this value d, up to noise;
        a sequence has one value for each prunable tensor.
    sparsify_fraction : float, default=0.6
        Share of the epochs in which gates are trained; the rest retrains what is left.
    min_gate_displacement : float, default=20.0
        Minimum displacement that a ``log_alpha`` can make while gates are trained. It raises
        the learning rate of the gates where there are few updates.
    min_weight_displacement : float, default=10.0
        The same for a weight in each of the two phases, up to a rate of 0.02: the fewer
        weights are left, the larger they have to grow.

    References
    ----------
    C. Louizos, M. Welling and D. P. Kingma, "Learning sparse neural networks through L0
    regularization", ICLR 2018.

    J. Gallego-Posada et al., "Controlled sparsity via constrained optimization", NeurIPS
    2022, for the multiplier.

    Examples
    --------
    >>> from sksparse.sparsifiers import HardConcrete
    >>> HardConcrete(granularity="input")
    HardConcrete(granularity='input')
    """

    _parameter_constraints: dict = {
        "granularity": [StrOptions({"weight", "input", "output"})],
        "gate_samples": [StrOptions({"shared", "local"})],
        "layer_strengths": ["array-like", None],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "gamma": [Interval(Real, None, 0, closed="neither")],
        "zeta": [Interval(Real, 1, None, closed="neither")],
        "droprate_init": ["array-like", Interval(Real, 0, 1, closed="neither")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_gate_displacement": [Interval(Real, 0, None, closed="neither")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        gate_samples: str = "shared",
        layer_strengths: Sequence[float] | None = None,
        beta: float = 2 / 3,
        gamma: float = -0.1,
        zeta: float = 1.1,
        droprate_init: float | Sequence[float] = 0.2,
        sparsify_fraction: float = 0.6,
        min_gate_displacement: float = 20.0,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.gate_samples = gate_samples
        self.layer_strengths = layer_strengths
        self.beta = beta
        self.gamma = gamma
        self.zeta = zeta
        self.droprate_init = droprate_init
        self.sparsify_fraction = sparsify_fraction
        self.min_gate_displacement = min_gate_displacement
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that trains gates and one that retrains what is left.
        """
        self._validate_params()
        if self.gate_samples == "local" and self.granularity == "weight":
            raise ValueError(
                "gate_samples='local' needs gates of units, but granularity='weight' has one for "
                "each weight; set granularity='input' or 'output', or gate_samples='shared'."
            )
        return _HardConcreteRun(self, module, task)


class _HardConcreteRun(SparsifierRun):
    """Gates in one flat tensor over all layers, with gradients in closed form."""

    def __init__(self, options: HardConcrete, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._gates = HardConcreteDistribution(
            options.beta, options.gamma, options.zeta, self.weights.dtype
        )
        self.graph.require_axis(
            options.granularity,
            f"HardConcrete with granularity={options.granularity!r}",
            "Set granularity='weight'.",
        )
        self._units = UnitGates(self.parameters, options.granularity)
        rates = self.parameters.per_tensor(
            "droprate_init",
            options.droprate_init,
            least=TUNING.least_probability,
            most=1 - TUNING.least_probability,
        )[self._units.layer]
        start = -rates.logit() + 0.01 * torch.randn_like(self._units.sizes)
        self.log_alpha = nn.Parameter(start)
        self._gate_gradient = torch.zeros_like(start)
        self.log_alpha.grad = self._gate_gradient
        self._noise = mirrored_noise(start)
        self._s, self._z, self._sums = (torch.empty_like(start) for _ in range(3))
        self._decay, self._penalty_slope = (torch.zeros_like(start) for _ in range(2))
        self._batch = 0
        gating = self.phases[0]
        rate = task.rate_for_displacement(options.min_gate_displacement, gating.epochs)
        self._gate_steps = LargerSteps(self.log_alpha.data, rate / gating.learning_rate)
        self._set_penalties()
        self._training_gates = True
        self._local: LocalGates | None = None
        if options.gate_samples == "local":
            self._local = LocalGates(
                module, self.parameters, self._units, self._local_gate, options.granularity
            )
        else:
            self.separate()
        self._make_views()

    def _make_views(self) -> None:
        """Make the views in which weights and units are multiplied once for all batches."""
        units, like = self._units, self.weights
        self._product = torch.empty_like(like)
        self._of = {
            "weights": units.weight_views(like),
            "gradient": units.weight_views(self.parameters.weight_gradient),
            "latent": units.weight_views(self.latent.data),
            "latent gradient": units.weight_views(self.latent_gradient),
            "product": units.weight_views(self._product),
            "z": units.unit_views(self._z),
            "sums": units.unit_views(self._sums),
            "decay": units.unit_views(self._decay),
        }

    def _set_penalties(self) -> None:
        """The penalty of each open gate: fixed, or proportional to the Lagrange multiplier."""
        task, sizes = self.task, self._units.sizes
        strengths = self._options.layer_strengths
        if strengths is not None:
            factors = self.parameters.per_tensor("layer_strengths", strengths)
            sizes = sizes * factors[self._units.layer]
        alpha = 1.0 / task.n_samples if task.alpha is None else task.alpha
        self._multiplier = torch.zeros_like(sizes[0])
        self._unit_share = sizes / self.n_weights
        self._gate_penalty = alpha * sizes if task.target_sparsity is None else 0 * sizes
        self._ascent = TUNING.ascent / max(1, self.phases[0].epochs * task.steps_per_epoch)

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, free = self._options, self.task.target_sparsity is None
        return self.task.two_phases(
            "gates", options.sparsify_fraction, options.min_weight_displacement, may_stop=free
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "retrain":
            self._close_gates()

    def learned(self) -> list[nn.Parameter]:
        return [*super().learned(), *([self.log_alpha] if self._training_gates else [])]

    def before_batch(self) -> None:
        if not self._training_gates:
            return
        self._gate_steps.remember()
        if self._local is not None:
            self._gate_gradient.zero_()
            return
        self._gates.concrete(self.log_alpha.data, next(self._noise), out=self._s)
        self._gates.gate(self._s, out=self._z)
        multiply(self._of["latent"], self._of["z"], out=self._of["weights"])

    def after_backward(self) -> None:
        if not self._training_gates:
            super().after_backward()
            return
        if self._local is None:
            of = self._of
            multiply(of["gradient"], of["z"], out=of["latent gradient"])
            torch.mul(self.parameters.weight_gradient, self.latent.data, out=self._product)
            sums = self._unit_sums()
            self._gates.slope(self._s, self._z, sums, out=self._gate_gradient)
        if self._batch % TUNING.penalty_interval == 0:
            self._refresh_penalty_gradients()
        self._batch += 1
        self._gate_gradient.add_(self._penalty_slope)
        if self.task.weight_decay:
            of = self._of
            torch._foreach_addcmul_(of["latent gradient"], of["latent"], of["decay"])

    def _unit_sums(self) -> Tensor:
        """The sums of ``_product`` over each unit."""
        if self._options.granularity == "weight":
            return self._product
        self._units.gather(self._of["product"], out=self._of["sums"])
        return self._sums

    def _refresh_penalty_gradients(self) -> None:
        """Compute what the penalty adds to the gradients until this is called again."""
        probability = self._gates.probability_nonzero(self.log_alpha.data)
        if self.task.target_sparsity is not None:
            excess = probability.dot(self._units.sizes) / self.n_weights
            excess -= 1 - self.task.target_sparsity
            self._multiplier.add_(excess, alpha=TUNING.penalty_interval * self._ascent).clamp_(
                min=0.0
            )
            torch.mul(self._unit_share, self._multiplier, out=self._gate_penalty)
        penalty = self._gate_penalty
        if self.task.weight_decay:
            torch.mul(self.latent.data, self.latent.data, out=self._product)
            penalty = penalty.add(self._unit_sums(), alpha=0.5 * self.task.weight_decay)
            torch.mul(probability, self.task.weight_decay, out=self._decay)
        torch.addcmul(probability, probability, probability, value=-1, out=self._penalty_slope)
        self._penalty_slope.mul_(penalty)

    def after_step(self) -> None:
        if self._training_gates:
            self._gate_steps.extend()
            self.log_alpha.data.clamp_(-TUNING.log_alpha_bound, TUNING.log_alpha_bound)
        else:
            super().after_step()

    def before_evaluation(self) -> None:
        if self._training_gates and self._local is None:
            gates = self._units.unit_views(self._gates.test_gate(self.log_alpha))
            multiply(self._of["latent"], gates, out=self._of["weights"])

    def penalty(self) -> float:
        if not self._training_gates:
            return super().penalty()
        probability = self._gates.probability_nonzero(self.log_alpha)
        torch.mul(self.latent, self.latent, out=self._product)
        penalty = 0.5 * self.task.weight_decay * self._unit_sums()
        if self.task.target_sparsity is None:
            # with a target the multiplier belongs to a constraint, not to the objective
            penalty = penalty + self._gate_penalty
        return float(probability @ penalty)

    def density(self) -> float:
        if not self._training_gates:
            return super().density()
        is_open = (self._gates.test_gate(self.log_alpha) > 0).to(self._units.sizes.dtype)
        return float(is_open @ self._units.sizes) / self.n_weights

    def _local_gate(self, units: slice, n_rows: int, *, training: bool) -> Tensor:
        """One gate for each unit, in each row of a batch while training."""
        log_alpha = self.log_alpha[units]
        if not training:
            return self._gates.test_gate(log_alpha).expand(n_rows, -1)
        noise = logistic_noise(log_alpha.detach().new_empty((n_rows, len(log_alpha))))
        s = torch.sigmoid((noise + log_alpha) / self._gates.beta)
        return (s * self._gates.width + self._gates.gamma).clamp(0.0, 1.0)

    def _close_gates(self) -> None:
        """Multiply the test gates into the weights and fix which are zero."""
        self._training_gates = False
        if self._local is not None:
            self._local.remove()
        log_alpha = self.log_alpha.detach()
        gates = self._units.spread(self._gates.test_gate(log_alpha))
        size = self.latent.detach().abs()
        if self.task.target_sparsity is None:
            keep = gates > 0
        else:
            count = n_kept(self.n_weights, self.task.target_sparsity)
            keep = keep_ranked(self._units.spread(log_alpha), size, count)
        self.weights.copy_(self.latent.detach() * torch.where(gates > 0, gates, TUNING.least_gate))
        self.unite()
        self.fix_mask(keep)
