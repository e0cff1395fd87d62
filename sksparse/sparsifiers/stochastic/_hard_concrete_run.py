"""The training of hard-concrete gates in one flat tensor, with gradients in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._larger_steps import LargerSteps
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.stochastic._group_removal import MEASURES, GroupRemoval
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


class HardConcreteRun(SparsifierRun):
    """A phase that trains gates, and one that retrains what is left.

    Parameters
    ----------
    options : HardConcrete
        The options.
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.
    """

    def __init__(self, options: Any, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self._distribution = HardConcreteDistribution(
            options.beta, options.gamma, options.zeta, self.weights.dtype
        )
        self._removal = GroupRemoval(self, "HardConcrete", options.granularity)
        self._gates = self._removal.gates
        self._begin_gates()
        gating = self.phases[0]
        rate = task.rate_for_displacement(options.min_gate_displacement, gating.epochs)
        self._gate_steps = LargerSteps(self.log_alpha.data, rate / gating.learning_rate)
        self._set_penalties()
        self._training_gates = True
        self._local: LocalGates | None = None
        if options.gate_samples == "local":
            self._local = LocalGates(module, self._gates, self._local_gates)
        else:
            self.separate()
        # views in which weights and groups are multiplied, once for all batches
        self._product = torch.empty_like(self.weights)
        self._weight_views = self._gates.views(self.weights)
        self._gradient_views = self._gates.views(self.parameters.weight_gradient)
        self._latent_views = self._gates.views(self.latent.data)
        self._slope_views = self._gates.views(self.latent_gradient)
        self._product_views = self._gates.views(self._product)

    def _begin_gates(self) -> None:
        rates = self._gates.per_layer(
            "droprate_init",
            self._options.droprate_init,
            least=TUNING.least_probability,
            most=1 - TUNING.least_probability,
        )
        start = -rates.logit()[self._gates.layer] + 0.01 * torch.randn_like(self._gates.sizes)
        self.log_alpha = nn.Parameter(start)
        self._gate_gradient = torch.zeros_like(start)
        self.log_alpha.grad = self._gate_gradient
        self._noise = mirrored_noise(start)
        self._s, self._z = (torch.empty_like(start) for _ in range(2))
        self._decay, self._penalty_slope = (torch.zeros_like(start) for _ in range(2))
        self._batch = 0

    def _set_penalties(self) -> None:
        """The penalty of what is left: fixed, or proportional to the Lagrange multiplier."""
        task, strengths = self.task, self._options.layer_strengths
        self._alpha = 1.0 / task.n_samples if task.alpha is None else task.alpha
        self._multiplier = torch.zeros_like(self.weights[0])
        self._ascent = TUNING.ascent / max(1, self.phases[0].epochs * task.steps_per_epoch)
        if task.target is not None:
            self._size = self._removal.expected_share()
        elif strengths is None:
            self._size = self._removal.expected_weights()
        else:
            factors = self.parameters.per_tensor("layer_strengths", strengths)
            self._size = self._removal.expected_weights(factors)

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, free = self._options, self.task.target is None
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
        self._distribution.concrete(self.log_alpha.data, next(self._noise), out=self._s)
        self._distribution.gate(self._s, out=self._z)
        self._gates.multiply(self._latent_views, self._z, out=self._weight_views)

    def after_backward(self) -> None:
        if not self._training_gates:
            super().after_backward()
            return
        gates = self._gates
        if self._local is None:
            gates.multiply(self._gradient_views, self._z, out=self._slope_views)
            torch.mul(self.parameters.weight_gradient, self.latent.data, out=self._product)
            by_gate = gates.sums(self._product_views)
            self._distribution.slope(self._s, self._z, by_gate, out=self._gate_gradient)
        if self._batch % TUNING.penalty_interval == 0:
            self._refresh_penalty_gradients()
        self._batch += 1
        self._gate_gradient.add_(self._penalty_slope)
        if self.task.weight_decay:
            gates.add_multiple(
                self._slope_views, self._latent_views, self._decay, self.task.weight_decay
            )

    def _refresh_penalty_gradients(self) -> None:
        """Compute what the penalty adds to the gradients until this is called again."""
        probability = self._distribution.probability_nonzero(self.log_alpha.data)
        strength: Tensor | float = self._alpha
        if self.task.target is not None:
            excess = self._size.expected(probability) - self.task.target.left
            self._multiplier.add_(excess, alpha=TUNING.penalty_interval * self._ascent)
            strength = self._multiplier.clamp_(min=0.0)
        penalty = self._size.slope(probability) * strength
        if self.task.weight_decay:
            torch.mul(self.latent.data, self.latent.data, out=self._product)
            squares = self._gates.sums(self._product_views)
            penalty = penalty.add(squares, alpha=0.5 * self.task.weight_decay)
            self._decay.copy_(probability)
        torch.addcmul(probability, probability, probability, value=-1, out=self._penalty_slope)
        self._penalty_slope.mul_(penalty)

    def after_step(self) -> None:
        if self._training_gates:
            self._gate_steps.extend()
            self.log_alpha.data.clamp_(-TUNING.log_alpha_bound, TUNING.log_alpha_bound)
        else:
            super().after_step()

    def before_evaluation(self) -> None:
        if not self._training_gates:
            super().before_evaluation()
        elif self._local is None:
            self._write_weights(self._test_gates())

    def _test_gates(self) -> Tensor:
        return self._distribution.test_gate(self.log_alpha.data)

    def _write_weights(self, gates: Tensor) -> None:
        self._gates.multiply(self._latent_views, gates, out=self._weight_views)

    def penalty(self) -> float:
        if not self._training_gates:
            return super().penalty()
        probability = self._distribution.probability_nonzero(self.log_alpha.data)
        torch.mul(self.latent.data, self.latent.data, out=self._product)
        self._gates.multiply(self._product_views, probability, out=self._product_views)
        penalty = 0.5 * self.task.weight_decay * self._product.sum()
        if self.task.target is None:
            # with a target the multiplier belongs to a constraint, not to the objective
            penalty = penalty + self._alpha * self._size.expected(probability)
        return float(penalty)

    def density(self) -> float:
        if not self._training_gates:
            return super().density()
        return self._removal.density(self._test_gates() > 0)

    def share_left(self) -> float:
        if not self._training_gates:
            return super().share_left()
        return self._removal.share_left(self._test_gates() > 0)

    def _local_gates(self, n_rows: int, *, training: bool) -> Tensor:
        """One gate for each group, in each row of a batch while training."""
        if not training:
            return self._test_gates().expand(n_rows, -1)
        log_alpha = self.log_alpha
        noise = logistic_noise(log_alpha.detach().new_empty((n_rows, len(log_alpha))))
        s = torch.sigmoid((noise + log_alpha) / self._distribution.beta)
        return (s * self._distribution.width + self._distribution.gamma).clamp(0.0, 1.0)

    def _close_gates(self) -> None:
        """Multiply the test gates into the weights and fix which are zero."""
        self._training_gates = False
        if self._local is not None:
            self._local.remove()
        gates = self._test_gates()
        # views of the latent weights: they may be those of the module
        self._write_weights(torch.where(gates > 0, gates, TUNING.least_gate))
        self.unite()
        self._removal.close(self.log_alpha.data, gates > 0)
