"""Training with a penalty whose proximal operator sets weights to exactly zero."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier
from sksparse.sparsifiers._strength_control import StrengthControl
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import layer_quotas, n_kept
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.proximal._grouped import GroupedRun
from sksparse.sparsifiers.proximal._groups import LEAST_DIVISOR
from sksparse.sparsifiers.proximal._metric import ProxMetric
from sksparse.sparsifiers.structure._dead_removal import remove_dead_units
from sksparse.sparsifiers.structure._target import Target


@dataclass(frozen=True)
class Tuning:
    """How proximal steps are scaled, and how a target sparsity is reached.

    Parameters
    ----------
    first_strength : float
        The strength with which the control begins.
    n_updates : int
        Updates beyond which the first strength is weaker in proportion: what a penalty removes
        adds up over the updates.
    first_reach : float
        Share of the updates in which the first strength of gradient descent would bring a usual
        weight to zero. Units that go early leave more training to the others.
    log_range : float
        By how much the logarithm of the strength can change in all updates.
    worth : float
        Share of the weights that must read dead units before these are removed in an epoch.
    falling : float
        Share of the updates in which the share of whole units that is asked for falls to the
        target, where it stays.
    """

    first_strength: float = 1e-3
    n_updates: int = 1000
    first_reach: float = 0.1
    log_range: float = 6.0
    worth: float = 0.02
    falling: float = 0.8


TUNING = Tuning()


class ProximalSparsifier(Sparsifier):
    """The options that proximal methods share."""

    _parameter_constraints: dict = {
        "layer_strengths": ["array-like", None],
        "prox_every": [Interval(Integral, 1, None, closed="left")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    #: Strength where the estimator leaves ``alpha=None``.
    default_alpha: float

    layer_strengths: Sequence[float] | None
    prox_every: int
    sparsify_fraction: float
    min_weight_displacement: float


class ProximalRun(GroupedRun):
    """A phase in which the prox is applied, and one that retrains what is left without it.

    Parameters
    ----------
    options : ProximalSparsifier
        The options.
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.
    whole : bool, default=False
        Whether whole groups are removed in the end, not single weights.
    removed_kind : {"unit", "input", "layer"}, default="unit"
        What these groups are.

    Attributes
    ----------
    factors : torch.Tensor of shape (n_tensors,)
        Factors on the strength, from `layer_strengths`.
    weight_factors : torch.Tensor of shape (n_weights,)
        The same at every weight.
    metric : ProxMetric
        How steps of the prox are scaled.
    """

    #: The control aims at this multiple of the density asked for; ranking removes the rest.
    density_margin = 1.0

    def __init__(
        self,
        options: ProximalSparsifier,
        module: nn.Module,
        task: Task,
        *,
        whole: bool = False,
        removed_kind: str = "unit",
    ) -> None:
        self.removed_kind = removed_kind
        if whole:
            units = ("units",) if removed_kind == "unit" else ()
            self.measures = ("weights", "flops", *units)
        super().__init__(module, task)
        self._options = options
        self.whole = whole
        if whole and removed_kind == "unit":
            self.require_units()
        strengths = options.layer_strengths
        self.factors = self.parameters.per_tensor(
            "layer_strengths", 1.0 if strengths is None else strengths
        )
        sizes = torch.tensor(self.parameters.sizes, device=self.weights.device)
        self.weight_factors = self.factors.repeat_interleave(sizes)
        self.metric = ProxMetric(task, self.weights)
        self._pending = 0
        self._strength = options.default_alpha if task.alpha is None else task.alpha
        self._control: StrengthControl | None = None
        if task.target is not None:
            self._aim_at(task.target)

    def _aim_at(self, target: Target) -> None:
        """Prepare the control of the strength."""
        self._last_weights = self.weights.clone()
        if self.whole:
            self.require_target()
            share = target.left
        else:
            self._n_kept = n_kept(self.n_weights, 1 - target.left)
            self._quotas = layer_quotas(self.parameters.sizes, self._n_kept)
            share = self.density_margin * max(self._n_kept, 1) / self.n_weights
        self._final_share = min(1.0, share)
        task, epochs = self.task, self.phases[0].epochs
        per_epoch = math.ceil(task.steps_per_epoch / self._options.prox_every)
        n_updates = max(1, epochs * per_epoch)
        self._strength = self._first_strength(max(1, epochs * task.steps_per_epoch))
        # units go late, in steps
        n_falling = (TUNING.falling if self.whole else 1.0) * n_updates
        self._control = StrengthControl(
            self._strength, self._final_share, n_updates, TUNING.log_range, n_falling
        )

    def _first_strength(self, n_updates: int) -> float:
        """The strength with which the control begins, where it is adapted for so many updates."""
        if self.task.is_adaptive:
            return TUNING.first_strength / max(1.0, n_updates / TUNING.n_updates)
        # it would bring a usual weight without other gradients to zero in this share of the updates
        reach = n_updates * self.task.learning_rate / (1 - self.task.momentum)
        reach *= TUNING.first_reach
        usual = float(self.weights.square().mean().sqrt())
        return max(usual, LEAST_DIVISOR) / reach

    @abstractmethod
    def penalty_value(self) -> float:
        """The penalty of the weights at unit strength."""

    @abstractmethod
    def shrink(self, strength: float, step: float) -> None:
        """Apply the prox of the penalty times a strength, with a step of Adam, in place."""

    @abstractmethod
    def group_scores(self) -> Tensor:
        """For every weight the score of its groups; those of least score are removed first."""

    def units_open(self) -> Tensor:
        """The units that are left where there is no target."""
        return self.in_use()

    @abstractmethod
    def unit_scores(self) -> Tensor:
        """For every unit, or other group, its score, where groups are removed as wholes."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, free = self._options, self.task.target is None
        return self.task.two_phases(
            "shrink",
            options.sparsify_fraction,
            options.min_weight_displacement,
            may_stop=free,
            average=False,
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "retrain" and self.mask is None:
            if self._pending:
                self._apply_prox()
            if self.mask is None:
                self._fix_zeros()

    def after_step(self) -> None:
        super().after_step()
        if self.mask is None:
            self._pending += 1
            if self._pending == self._options.prox_every:
                self._apply_prox()

    def before_evaluation(self) -> None:
        super().before_evaluation()
        if self.mask is None and self._pending:
            self._apply_prox()
        if self.mask is None:
            # once an epoch: it costs more than a proximal step
            self._remove_dead(0.0 if self.whole else TUNING.worth)

    def _remove_dead(self, worth: float) -> None:
        if self._strength > 0:
            remove_dead_units(self.graph, worth)

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        positions = super().rebuild(kept)
        weights = positions[0]
        self.weight_factors = self.weight_factors[weights]
        self.metric.keep(weights)
        if self._control is not None:
            self._last_weights = self._last_weights[weights]
            if not self.whole:
                self._quotas = layer_quotas(self.parameters.sizes, self._n_kept)
        return positions

    def penalty(self) -> float:
        decay = super().penalty()
        # with a target the strength belongs to a constraint, not to the objective
        free = self.mask is None and self._control is None
        return decay + self._strength * self.penalty_value() if free else decay

    def _apply_prox(self) -> None:
        self.metric.observe(self.latent_gradient, self._pending)
        if self._strength > 0:
            self.shrink(self._strength, self.rate * self._pending)
        self._pending = 0
        if self._control is not None:
            self._follow_target(self._control)

    def _follow_target(self, control: StrengthControl) -> None:
        self._strength = control.update(self.share_left())
        if self._is_beyond_target():
            # too many zeros, in all or in one tensor: the weights before this step are ranked
            self.weights.copy_(self._last_weights)
            self._fix_zeros()
        else:
            self._last_weights.copy_(self.weights)

    def _is_beyond_target(self) -> bool:
        if self.whole:
            return self.share_left() <= self._final_share
        left = [
            int(torch.count_nonzero(part)) for part in self.weights.split(self.parameters.sizes)
        ]
        too_few = any(n < least for n, least in zip(left, self._quotas, strict=True))
        return sum(left) <= self._n_kept or too_few

    def _fix_zeros(self) -> None:
        self._remove_dead(0.0)
        if self.whole:
            self.fix_units(self.unit_scores(), self.units_open())
        elif self._control is None:
            self.freeze(self.weights != 0)
        else:
            self.fix_weights(self.group_scores(), self._n_kept)
