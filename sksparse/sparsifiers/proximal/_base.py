"""Training with a penalty whose proximal operator sets weights to exactly zero.

An optimiser minimises the loss, and the proximal operator of the penalty is applied every few
updates. Under gradient descent the step of the prox is that of the gradient, over one minus the
momentum: only then is the limit stationary for the objective. Adam divides the gradient of every
weight by its root mean square; the prox is taken in the same metric, or the penalty would be
stronger for weights with small gradients. The mean squares are estimated from the gradients of the
batches at which the prox is taken, and averaged over the weights that are shrunk together: a group
or a tensor.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._strength_control import StrengthControl
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import layer_quotas, n_kept, ranks_of, ranks_with_quotas
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.proximal._groups import (
    LEAST_DIVISOR,
    UNIT_ROLES,
    PenaltyGroups,
    UnitGroups,
    WeightGroups,
)
from sksparse.sparsifiers.structure._dead_units import keep_alive, remove_dead_units
from sksparse.sparsifiers.structure._target import Target


@dataclass(frozen=True)
class Tuning:
    """How proximal steps are scaled, and how a target sparsity is reached.

    Parameters
    ----------
    memory : float
        Share of its mean squared gradients that Adam keeps in an update.
    first_strength : float
        The strength with which the control begins.
    n_updates : int
        Updates beyond which the first strength is weaker in proportion: what a penalty removes
        adds up over the updates.
    log_range : float
        By how much the logarithm of the strength can change in all updates.
    """

    memory: float = 0.999
    first_strength: float = 1e-3
    n_updates: int = 1000
    log_range: float = 6.0


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


class ProximalRun(SparsifierRun):
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
        Whether whole units of the module are removed in the end, not single weights.

    Attributes
    ----------
    factors : torch.Tensor of shape (n_tensors,)
        Factors on the strength, from `layer_strengths`.
    weight_factors : torch.Tensor of shape (n_weights,)
        The same at every weight.
    """

    #: The control aims at this multiple of the density asked for; ranking removes the rest.
    density_margin = 1.0

    def __init__(
        self, options: ProximalSparsifier, module: nn.Module, task: Task, *, whole: bool = False
    ) -> None:
        if whole:
            self.measures = ("weights", "flops", "units")
        super().__init__(module, task)
        self._options = options
        self._whole = whole
        strengths = options.layer_strengths
        self.factors = self.parameters.per_tensor(
            "layer_strengths", 1.0 if strengths is None else strengths
        )
        sizes = torch.tensor(self.parameters.sizes, device=self.weights.device)
        self.weight_factors = self.factors.repeat_interleave(sizes)
        self._squares = torch.zeros_like(self.weights)
        self._share_seen = 0.0
        self._pending = 0
        self._strength = options.default_alpha if task.alpha is None else task.alpha
        self._control: StrengthControl | None = None
        if task.target is not None:
            self._aim_at(task.target)

    def _aim_at(self, target: Target) -> None:
        """Prepare the control of the strength."""
        self._last_weights = self.weights.clone()
        if self._whole:
            self.require_target()
            share = target.left
        else:
            self._n_kept = n_kept(self.n_weights, 1 - target.left)
            self._quotas = layer_quotas(self.parameters.sizes, self._n_kept)
            share = self.density_margin * max(self._n_kept, 1) / self.n_weights
        self._final_share = min(1.0, share)
        task, epochs = self.task, self.phases[0].epochs
        per_epoch = math.ceil(task.steps_per_epoch / self._options.prox_every)
        self._n_updates = max(1, epochs * per_epoch)
        self._n_done = 0
        excess = epochs * task.steps_per_epoch / TUNING.n_updates
        self._strength = TUNING.first_strength / max(1.0, excess)
        self._control = StrengthControl(
            self._strength, self._final_share, self._n_updates, TUNING.log_range
        )

    def groups_of(self, kind: str) -> PenaltyGroups:
        """The groups of one kind.

        Parameters
        ----------
        kind : {"weight", "input", "shape", "unit", "state"}
            Single weights, the columns or the positions of the filters of each tensor, or the
            units of the module with what makes them, or with all that belongs to them.

        Raises
        ------
        ValueError
            When the module does not have such groups, or they are not known.
        """
        if kind in UNIT_ROLES:
            return UnitGroups(self.units, kind)
        option = f"{type(self._options).__name__} with groups of the kind {kind!r}"
        remedy = "Choose a sparsifier of single weights, such as 'oscar'."
        self.graph.require_axis(kind, option, remedy)
        return WeightGroups(self.parameters, kind)

    @abstractmethod
    def penalty_value(self) -> float:
        """The penalty of the weights at unit strength."""

    @abstractmethod
    def shrink(self, strength: float, step: float) -> None:
        """Apply the prox of the penalty times a strength, with a step of Adam, in place."""

    @abstractmethod
    def group_scores(self) -> Tensor:
        """For every weight the score of its groups; those of least score are removed first."""

    def units_in_use(self) -> Tensor:
        """Which units are made by a weight that is not zero, and read by one."""
        return self.units.in_use(self.weights)

    def share_left(self) -> float:
        target = self.task.target
        if target is None or not self._whole:
            return self.density()
        return self.units.left(self.units_in_use(), target.measure)

    def unit_scores(self) -> Tensor:
        """For every removable unit its score, where whole units are removed."""
        raise NotImplementedError

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

    def penalty(self) -> float:
        decay = super().penalty()
        # with a target the strength belongs to a constraint, not to the objective
        free = self.mask is None and self._control is None
        return decay + self._strength * self.penalty_value() if free else decay

    def prox_step(self, strength: Tensor | float, squares: Tensor, step: float) -> Tensor:
        """The step of the prox times the strength, where gradients have these mean squares.

        Under gradient descent that is the step that a constant gradient would make. Under Adam it
        is divided by the root mean square like the gradient of the loss, but by no less than
        half the strength: a weight without other gradients shrinks by twice the learning rate in
        an update. A zero weight stays zero while its gradients are smaller than the strength,
        because Adam moves it by about the learning rate.

        Parameters
        ----------
        strength : float or torch.Tensor
            Strength of the penalty per root of a weight.
        squares : torch.Tensor
            Means of ``gradient_squares`` over the weights that are shrunk together.
        step : float
            The sum of the learning rates since the last prox.

        Returns
        -------
        step : torch.Tensor
            In the shape of `squares`.
        """
        strength = torch.as_tensor(strength, dtype=squares.dtype, device=squares.device)
        if not self.task.is_adaptive:
            return (step / (1 - self.task.momentum) * strength).expand_as(squares).clone()
        size = torch.maximum(squares.sqrt(), 0.5 * strength).clamp_(min=LEAST_DIVISOR)
        return step * strength / size

    def gradient_squares(self) -> Tensor:
        """The mean squared gradient of every weight, flat."""
        return self._squares / max(self._share_seen, LEAST_DIVISOR)

    def _apply_prox(self) -> None:
        kept = TUNING.memory**self._pending
        self._squares.lerp_(self.latent_gradient.square(), 1 - kept)
        self._share_seen = kept * self._share_seen + 1 - kept
        if self._strength > 0:
            self.shrink(self._strength, self.rate * self._pending)
            remove_dead_units(self.graph.connections)
        self._pending = 0
        if self._control is not None:
            self._follow_target(self._control)

    def _follow_target(self, control: StrengthControl) -> None:
        self._n_done += 1
        # the share asked for falls by the same factor in each update
        ahead = self._final_share ** max(0.0, 1 - self._n_done / self._n_updates)
        self._strength = control.update(self.share_left() * ahead)
        if self._is_beyond_target():
            # too many zeros, in all or in one tensor: the weights before this step are ranked
            self.weights.copy_(self._last_weights)
            self._fix_zeros()
        else:
            self._last_weights.copy_(self.weights)

    def _is_beyond_target(self) -> bool:
        if self._whole:
            return self.share_left() <= self._final_share
        left = [
            int(torch.count_nonzero(part)) for part in self.weights.split(self.parameters.sizes)
        ]
        too_few = any(n < least for n, least in zip(left, self._quotas, strict=True))
        return sum(left) <= self._n_kept or too_few

    def _fix_zeros(self) -> None:
        if self._whole:
            is_set = self.weights != 0
            self.freeze_units(self.choose_units(self.unit_scores(), self.units_in_use()))
            assert self.mask is not None
            self.mask.mul_(is_set)
        elif self._control is None:
            self.freeze(self.weights != 0)
        else:
            # zeros have the lowest rank, also those in a group that is kept
            ranks = ranks_of(self.group_scores(), self.weights.abs())
            ranks = ranks_with_quotas(ranks, self.parameters.sizes, self._n_kept)
            ranks.masked_fill_(self.weights == 0, 0)
            self.fix_mask(keep_alive(ranks, self._n_kept, self.graph), ranks)
