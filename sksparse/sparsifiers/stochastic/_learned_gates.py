"""Learned binary gates with a bimodal regulariser (Srinivas, Subramanya & Babu, 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._larger_steps import LargerSteps
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_ranked, n_kept
from sksparse.sparsifiers.parameters._probe import Probe


@dataclass(frozen=True)
class Tuning:
    """How the multiplier of a target sparsity is updated.

    Parameters
    ----------
    ascent : float
        By how much it rises if the density exceeds the target by 1 as long as gates are trained.
    control_interval : int
        Batches between two updates.
    """

    ascent: float = 50.0
    control_interval: int = 4


TUNING = Tuning()


class LearnedGates(Sparsifier):
    r"""Learn a real gate for every weight, which is in use where the gate is at least 1/2.

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

    With `target_sparsity`, `alpha` is not used: it is replaced by a multiplier that rises
    while the mean gate is above the target density and restarts from zero below it.

    After `sparsify_fraction` of the epochs the gates are fixed: with `alpha` those below 1/2 are
    closed; with `target_sparsity` exactly the required number stays open, ranked by
    gate and within equal gates by magnitude. The weights that are left are trained on.

    Parameters
    ----------
    bimodality : float, default=0.5
        Penalty :math:`\rho` of the variance, in multiples of `alpha`. Without a gradient of the
        loss, a gate falls from below :math:`(\rho + 1) / 2 \rho` and rises from above, so that
        for :math:`\rho < 1` all gates fall.
    gate_init : float or sequence of float, default=1.0
        Initial gates, from 0.5 to 1: one number, or one for each prunable tensor in the order
        of the module.
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

    _parameter_constraints: dict = {
        "bimodality": [Interval(Real, 0, None, closed="left")],
        "gate_init": [Interval(Real, 0.5, 1, closed="both"), "array-like"],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_gate_displacement": [Interval(Real, 0, None, closed="left")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        bimodality: float = 0.5,
        gate_init: float | Sequence[float] = 1.0,
        sparsify_fraction: float = 0.6,
        min_gate_displacement: float = 5.0,
        min_weight_displacement: float = 10.0,
    ) -> None:
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
        super().__init__(module, task)
        self._options = options
        self.separate()
        self.gates = nn.Parameter(self._initial_gates())
        self._gate_gradient = self.gates.grad = torch.zeros_like(self.weights)
        self._open = torch.ones_like(self.weights)
        gating = self.phases[0]
        rate = task.rate_for_displacement(options.min_gate_displacement, gating.epochs)
        self._gate_steps = LargerSteps(self.gates.data, rate / gating.learning_rate)
        alpha = 0.1 / task.n_samples if task.alpha is None else task.alpha
        self._gate_penalty = self.weights.new_tensor(alpha if task.target_sparsity is None else 0.0)
        self._ascent = TUNING.ascent / max(1, gating.epochs * task.steps_per_epoch)
        self._batch = 0
        self._training_gates = True

    def _initial_gates(self) -> Tensor:
        levels = self.parameters.per_tensor(
            "gate_init", self._options.gate_init, least=0.5, most=1.0
        )
        sizes = torch.tensor(self.parameters.sizes, device=self.weights.device)
        return levels.repeat_interleave(sizes)

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, free = self._options, self.task.target_sparsity is None
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
        torch.mul(self.latent.data, self._open, out=self.weights)

    def after_backward(self) -> None:
        if not self._training_gates:
            super().after_backward()
            return
        slope = self.parameters.weight_gradient
        torch.mul(slope, self._open, out=self.latent_gradient)
        self.latent_gradient.add_(self.weights, alpha=self.task.weight_decay)
        if self.task.target_sparsity is not None and self._batch % TUNING.control_interval == 0:
            excess = self.gates.data.mean() - (1 - self.task.target_sparsity)
            self._gate_penalty.add_(
                excess, alpha=TUNING.control_interval * self._ascent / self.n_weights
            )
            # below the target it restarts from zero, or gates would close until it has fallen
            self._gate_penalty.mul_(excess > 0)
        self._batch += 1
        # straight through: the gate is clipped to [0, 1], where the slope of the step is taken as 1
        torch.mul(slope, self.latent.data, out=self._gate_gradient)
        rho = self._options.bimodality
        self._gate_gradient.add_(self._gate_penalty * (1 + rho))
        self._gate_gradient.addcmul_(self.gates.data, self._gate_penalty * (-2 * rho))

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
        if not self._training_gates or self.task.target_sparsity is not None:
            # a multiplier belongs to a constraint, not to the objective
            return decay
        g = self.gates.data
        cost = g.sum() + self._options.bimodality * (g - g * g).sum()
        return decay + float(self._gate_penalty * cost)

    def density(self) -> float:
        if not self._training_gates:
            return super().density()
        return int((self.gates.data >= 0.5).sum()) / self.n_weights

    def _close_gates(self) -> None:
        """Fix which gates are open and continue with the weights themselves."""
        self._training_gates = False
        keep = self.gates.data >= 0.5
        if self.task.target_sparsity is not None:
            count = n_kept(self.n_weights, self.task.target_sparsity)
            keep = keep_ranked(self.gates.data, self.latent.data.abs(), count)
        self.weights.copy_(self.latent.data)
        self.unite()
        self.fix_mask(keep)
