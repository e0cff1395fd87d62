"""Learned binary gates with a bimodal regulariser (Srinivas, Subramanya & Babu, 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._larger_steps import LargerSteps
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.stochastic._group_removal import MEASURES, GroupRemoval


@dataclass(frozen=True)
class Tuning:
    """How the multiplier of a target is updated.

    Parameters
    ----------
    ascent : float
        By how much it rises if what is left exceeds the target by 1 as long as gates are trained.
    control_interval : int
        Batches between two updates.
    """

    ascent: float = 50.0
    control_interval: int = 4


TUNING = Tuning()


class LearnedGates(Sparsifier):
    r"""Learn a real gate for every weight, input or unit, in use where it is at least 1/2.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W \odot \mathbb{1}[g \ge 1/2])
        + \alpha \sum_j g_j + \alpha \rho \sum_j g_j (1 - g_j)
        + \frac{\eta}{2} \| W \odot \mathbb{1}[g \ge 1/2] \|^2

    over the weights :math:`j` and their gates :math:`g_j \in [0, 1]`, with the `bimodality`
    :math:`\rho` and the weight decay :math:`\eta` of the estimator. The first penalty is the
    expected number of open gates, were they drawn with probability :math:`g_j`; `alpha` is
    the penalty of one, by default ``0.1 / n_samples``. The second is the variance of such a draw:
    it drives gates to 0 or 1. The step at 1/2 has no slope, so gates learn as if it were
    the identity on [0, 1], to which they are clipped after each update.

    With gates of inputs or units the first penalty is the expected number of weights that are
    left, and each term of the second counts as often as the gate has weights.

    With a target (`target_sparsity`, `target_flops`, `target_units`), `alpha` is not used: it is
    replaced by a multiplier that rises while what is left in expectation, in the measure of the
    target, is above it, and restarts from zero below it.

    After `sparsify_fraction` of the epochs the gates are fixed: with `alpha` those below 1/2 are
    closed, but for the best one of a layer that would lose all; with `target_sparsity` exactly the
    required number of weights stays, ranked by gate and within equal gates by magnitude, or with
    gates of units as many whole units as the target allows. The weights that are left are trained
    on.

    Parameters
    ----------
    granularity : {"weight", "input", "unit"}, default="weight"
        What has a gate: a weight; an input of a layer (an input channel of a convolution, a
        position after flattening) with all weights that leave it; or a unit between the layers
        (neuron, filter, state of a recurrent layer) with all weights that read it. A unit whose
        gate is closed loses the weights that make it as well. Units that nothing reads any more are
        dead and go as well.
    bimodality : float, default=0.5
        Penalty :math:`\rho` of the variance, in multiples of `alpha`. Without a gradient of the
        loss, a gate falls from below :math:`(\rho + 1) / 2 \rho` and rises from above, so that
        for :math:`\rho < 1` all gates fall.
    gate_init : float or sequence of float, default=1.0
        Initial gates, from 0.5 to 1: one number, or one for each prunable tensor in the order
        of the module, with gates of units for each layer that has units.
    sparsify_fraction : float, default=0.6
        Share of the epochs in which gates are trained; the rest trains what is left.
    min_gate_displacement : float, default=5.0
        Minimum displacement that a gate can make while gates are trained. It raises the
        learning rate of the gates where there are few updates.
    min_weight_displacement : float, default=10.0
        The same for a weight in each of the two phases, up to a rate of 0.02.

    References
    ----------
    S. Srinivas, A. Subramanya and R. V. Babu, "Training sparse neural networks", CVPR
    workshops 2017.

    Examples
    --------
    >>> from sksparse.sparsifiers import LearnedGates
    >>> LearnedGates(bimodality=1.0)
    LearnedGates(bimodality=1.0)
    """

    granularities = ("weight", "input", "unit")

    _parameter_constraints: dict = {
        "granularity": [StrOptions({"weight", "input", "unit"})],
        "bimodality": [Interval(Real, 0, None, closed="left")],
        "gate_init": [Interval(Real, 0.5, 1, closed="both"), "array-like"],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_gate_displacement": [Interval(Real, 0, None, closed="left")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        bimodality: float = 0.5,
        gate_init: float | Sequence[float] = 1.0,
        sparsify_fraction: float = 0.6,
        min_gate_displacement: float = 5.0,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.bimodality = bimodality
        self.gate_init = gate_init
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
            What the estimator asks for; `alpha` is the penalty of an open gate.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that trains gates and one that trains what is left.
        """
        self._validate_params()
        return _LearnedGatesRun(self, module, task)


class _LearnedGatesRun(SparsifierRun):
    def __init__(self, options: LearnedGates, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self.separate()
        self._removal = GroupRemoval(self, "LearnedGates", options.granularity)
        self._groups = self._removal.gates
        start = self._groups.per_layer("gate_init", options.gate_init, least=0.5, most=1.0)
        start = start[self._groups.layer]
        self.gates = nn.Parameter(start)
        self._gate_gradient = self.gates.grad = torch.zeros_like(start)
        self._open = torch.ones_like(start)
        self._product = torch.empty_like(self.weights)
        self._weights = self._groups.views(self.weights)
        self._slopes = self._groups.views(self.parameters.weight_gradient)
        self._latents = self._groups.views(self.latent.data)
        self._latent_slopes = self._groups.views(self.latent_gradient)
        self._product_views = self._groups.views(self._product)
        gating = self.phases[0]
        rate = task.rate_for_displacement(options.min_gate_displacement, gating.epochs)
        self._gate_steps = LargerSteps(self.gates.data, rate / gating.learning_rate)
        alpha = 0.1 / task.n_samples if task.alpha is None else task.alpha
        self._size = self._removal.expected_weights()
        if task.target is not None:
            alpha, self._size = 0.0, self._removal.expected_share()
        self._multiplier = self.weights.new_tensor(alpha)
        self._ascent = TUNING.ascent / max(1, gating.epochs * task.steps_per_epoch)
        # what a gate counts by itself while all are open, for the variances
        self._costs = self._size.slope(torch.ones_like(start)).clone()
        self._batch = 0
        self._training_gates = True

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, free = self._options, self.task.target is None
        return self.task.two_phases(
            "gates",
            options.sparsify_fraction,
            options.min_weight_displacement,
            may_stop=free,
            average=False,
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "retrain":
            self._close_gates()

    def learned(self) -> list[nn.Parameter]:
        return [*super().learned(), *([self.gates] if self._training_gates else [])]

    def before_batch(self) -> None:
        if self._training_gates:
            self._gate_steps.remember()
            self._write_weights()

    def _write_weights(self) -> None:
        torch.ge(self.gates.data, 0.5, out=self._open)
        self._groups.multiply(self._latents, self._open, out=self._weights)

    def after_backward(self) -> None:
        if not self._training_gates:
            super().after_backward()
            return
        slope = self.parameters.weight_gradient
        self._groups.multiply(self._slopes, self._open, out=self._latent_slopes)
        self.latent_gradient.add_(self.weights, alpha=self.task.weight_decay)
        if self._batch % TUNING.control_interval == 0:
            self._refresh_penalty_gradient()
        self._batch += 1
        # straight through: the gate is clipped to [0, 1], where the slope of the step is taken as 1
        torch.mul(slope, self.latent.data, out=self._product)
        by_gate = self._groups.sums(self._product_views)
        torch.add(by_gate, self._penalty_slope, out=self._gate_gradient)

    def _refresh_penalty_gradient(self) -> None:
        """Compute what the penalty adds to the gradients until this is called again."""
        gates, rho = self.gates.data, self._options.bimodality
        if self.task.target is not None:
            excess = self._size.expected(gates) - self.task.target.left
            self._multiplier.add_(excess, alpha=TUNING.control_interval * self._ascent)
            # below the target it restarts from zero, or gates would close until it has fallen
            self._multiplier.mul_(excess > 0)
        of_variances = self._costs * (1 - 2 * gates)
        self._penalty_slope = self._size.slope(gates).add(of_variances, alpha=rho)
        self._penalty_slope *= self._multiplier

    def after_step(self) -> None:
        if self._training_gates:
            self._gate_steps.extend()
            self.gates.data.clamp_(0.0, 1.0)
        else:
            super().after_step()

    def before_evaluation(self) -> None:
        if self._training_gates:
            self._write_weights()
        else:
            super().before_evaluation()

    def penalty(self) -> float:
        decay = super().penalty()
        if not self._training_gates or self.task.target is not None:
            # a multiplier belongs to a constraint, not to the objective
            return decay
        g = self.gates.data
        cost = self._size.expected(g) + self._options.bimodality * (g - g * g) @ self._costs
        return decay + float(self._multiplier * cost)

    def density(self) -> float:
        if not self._training_gates:
            return super().density()
        return self._removal.density(self.gates.data >= 0.5)

    def share_left(self) -> float:
        if not self._training_gates:
            return super().share_left()
        return self._removal.share_left(self.gates.data >= 0.5)

    def _close_gates(self) -> None:
        """Fix which gates are open and continue with the weights themselves."""
        self._training_gates = False
        self.weights.copy_(self.latent.data)
        self.unite()
        self._removal.close(self.gates.data, self.gates.data >= 0.5)
