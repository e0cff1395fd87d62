"""Group norms written as products of factors (D-Gating, 2025), for plain gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._strength_control import StrengthControl
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import n_kept, ranks_of, ranks_with_quotas
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.proximal._grouped import GroupedRun
from sksparse.sparsifiers.structure._dead_removal import remove_dead_units
from sksparse.sparsifiers.structure._target import Target


@dataclass(frozen=True)
class Tuning:
    """How the strength is adapted until a target is reached.

    Parameters
    ----------
    interval : int
        Updates between two looks at the norms.
    first_strength : float
        The strength with which the control begins under Adam.
    n_steps : int
        Updates beyond which that strength is weaker in proportion.
    log_range : float
        By how much the logarithm of the strength can change in all.
    falling : float
        Share of the updates in which the share that is asked for falls to the target.
    gone : float
        Groups whose norm is no larger a share of the mean in their layer count as gone.
    vanished : float
        A layer whose mean norm fell below this share of the first one is shrunk no further.
    """

    interval: int = 5
    first_strength: float = 1e-3
    n_steps: int = 1000
    log_range: float = 6.0
    falling: float = 0.8
    gone: float = 0.05
    vanished: float = 0.05


TUNING = Tuning()


class ProductGates(Sparsifier):
    r"""Write each group of weights as a vector times scalar gates, and decay all factors.

    With :math:`W_g = v_g \gamma_{g,1} \cdots \gamma_{g,D-1}` the objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell_i(W) + \frac{\eta}{2} \|W\|^2
        + \alpha \sum_g \frac{\sqrt{|g|}}{D}
        \Bigl(\|v_g\|_2^2 + \sum_{j<D} \gamma_{g,j}^2\Bigr),

    a smooth one. Of all factors of the same product, those of equal norm have the least sum of
    squares, :math:`D \|W_g\|_2^{2/D}`, and the minima are those of the loss plus

    .. math:: \alpha \sum_g \sqrt{|g|} \, \|W_g\|_2^{2/D}:

    the group lasso for depth :math:`D = 2`, and a penalty that is not convex and shrinks large
    groups less for larger depths. Any optimiser minimises it, without a proximal
    operator; it is meant for plain gradient descent (``solver="sgd"``).

    Norms of groups that vanish fall towards zero exponentially and are not exactly zero. In the end
    the factors are multiplied, and groups are removed whose root mean square is at most
    `threshold`. What is left is retrained without the penalty.

    Where there is a target, `alpha` is not used. The strength begins low and is adapted, so that
    the share of what is left falls to the target, where a group counts as gone whose norm is
    below a twentieth of the mean in its layer. When the target is met, or before a layer shrinks
    as a whole, as in front of a batch normalisation, which undoes any scale, the groups of least
    norm relative to the mean in their layer are removed; the others train without the penalty.

    Parameters
    ----------
    depth : int, default=2
        Number of factors, at least 2.
    granularity : {"unit", "input"}, default="unit"
        Whether a group belongs to a unit of the module, or is a column of one tensor. Units that
        nothing reads any more are dead and go as well.
    unit_weights : {"reads", "writes"}, default="reads"
        Whether the group of a unit is what reads it or what makes it.
    threshold : float, default=1e-3
        Groups are removed whose weights have at most this root mean square.
    sparsify_fraction : float, default=0.6
        Share of the epochs with the penalty; the rest retrains.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase; under Adam it raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    C. Kolb, L. Frost, B. Bischl and D. Ruegamer, "Differentiable sparsity via D-gating: simple and
    versatile structured penalization", NeurIPS 2025.

    Examples
    --------
    >>> from sksparse.sparsifiers import ProductGates
    >>> ProductGates(depth=3)
    ProductGates(depth=3)
    """

    _parameter_constraints: dict = {
        "depth": [Interval(Integral, 2, None, closed="left")],
        "granularity": [StrOptions({"unit", "input"})],
        "unit_weights": [StrOptions({"reads", "writes"})],
        "threshold": [Interval(Real, 0, None, closed="left")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    granularities = ("unit", "input")
    #: Strength where the estimator leaves ``alpha=None``.
    default_alpha = 3e-3

    def __init__(
        self,
        *,
        depth: int = 2,
        granularity: str = "unit",
        unit_weights: str = "reads",
        threshold: float = 1e-3,
        sparsify_fraction: float = 0.6,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.depth = depth
        self.granularity = granularity
        self.unit_weights = unit_weights
        self.threshold = threshold
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the strength, 3e-3 by default.

        Returns
        -------
        run : SparsifierRun
            A run of a phase that trains factors and one that retrains what is left.

        Raises
        ------
        ValueError
            When an option is out of range, when the module cannot be followed or cannot meet the
            target.
        """
        self._validate_params()
        return _ProductRun(self, module, task)


class _ProductRun(GroupedRun):
    """Vectors in the place of the weights, and gates of their groups."""

    compacts = True

    def __init__(self, options: ProductGates, module: nn.Module, task: Task) -> None:
        self.whole = options.granularity == "unit"
        if self.whole:
            self.measures = ("weights", "flops", "units")
        super().__init__(module, task)
        self._options = options
        self._strength = options.default_alpha if task.alpha is None else task.alpha
        if self.whole:
            self.require_units()
            self.require_target()
        self._control: StrengthControl | None = None
        self._kept: Tensor | None = None
        self._kind = "input"
        if self.whole:
            self._kind = "read" if options.unit_weights == "reads" else "unit"
        self._groups = self.groups_of(self._kind)
        self.separate()
        # factors of equal norm, which training keeps so
        norms = self._groups.norms(self.weights)
        gate = norms ** (1 / options.depth)
        self._first_means = self._groups.layer_means(norms)
        self._set_gates(gate.repeat(options.depth - 1, 1))
        self._groups.scale(self.latent.data, _inverse(self._product()))
        if task.target is not None:
            self._aim_at(task.target)

    def _aim_at(self, target: Target) -> None:
        """Prepare the control of the strength."""
        task, epochs = self.task, self.phases[0].epochs
        n_steps = max(1, epochs * task.steps_per_epoch)
        n_updates = math.ceil(n_steps / TUNING.interval)
        self._strength = self._first_strength(n_steps)
        self._n_batches = 0
        self._control = StrengthControl(
            self._strength, target.left, n_updates, TUNING.log_range, TUNING.falling * n_updates
        )

    def _first_strength(self, n_steps: int) -> float:
        """The strength with which the control begins, where there are so many updates."""
        if self.task.is_adaptive:
            return TUNING.first_strength / max(1.0, n_steps / TUNING.n_steps)
        # norms of groups without other gradients fall by exp(-2) in all
        reach = n_steps * self.task.learning_rate / (1 - self.task.momentum)
        return 1.0 / (reach * float(self._groups.roots.mean()))

    def _set_gates(self, values: Tensor) -> None:
        self._gates = nn.Parameter(values)
        self._gates.grad = torch.zeros_like(values)

    def _product(self) -> Tensor:
        return self._gates.data.prod(0)

    @property
    def phases(self) -> tuple[Phase, ...]:
        options = self._options
        return self.task.two_phases(
            "shrink",
            options.sparsify_fraction,
            options.min_weight_displacement,
            may_stop=self.task.target is None,
            average=False,
        )

    @property
    def _is_factored(self) -> bool:
        return self.mask is None

    def learned(self) -> list[nn.Parameter]:
        return [*super().learned(), *([self._gates] if self._is_factored else [])]

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "retrain" and self._is_factored:
            self.before_batch()
            self.unite()
            self._fix()

    def after_step(self) -> None:
        super().after_step()
        if not self._is_factored or self._control is None:
            return
        if self._kept is not None:
            self._gates.data.mul_(self._kept)
            return
        self._n_batches += 1
        if self._n_batches % TUNING.interval == 0:
            self._follow_target(self._control)

    def _follow_target(self, control: StrengthControl) -> None:
        """Adapt the strength; once enough groups are gone, the others are trained without it."""
        target, groups = self.task.target, self._groups
        assert target is not None
        self.before_batch()
        scores = self._scores()
        share = self._share_of(scores > TUNING.gone, target.measure)
        self._strength = control.update(share)
        means = groups.layer_means(groups.norms(self.weights))
        if share <= target.left or (means < TUNING.vanished * self._first_means).any():
            self._strength = 0.0
            self._kept = self._chosen(scores, target)
            self._gates.data.mul_(self._kept)

    def _share_of(self, keep: Tensor, measure: str) -> float:
        """The share of the network that is left with these groups."""
        if self.whole:
            return self.share_of_units(keep, measure)
        return float(self._groups.sizes.dot(keep.to(self.weights.dtype))) / self.n_weights

    def _chosen(self, scores: Tensor, target: Target) -> Tensor:
        """The groups of largest scores, as many as the target asks for."""
        if self.whole:
            return self.units.choose(scores, self.relative_to_now(target))
        n_left = n_kept(self.n_weights, 1 - target.left)
        ranks = ranks_of(self._groups.spread(scores), self.weights.abs())
        ranks = ranks_with_quotas(ranks, self.parameters.sizes, n_left)
        return self._groups.sums((ranks > len(ranks) - n_left).to(self.weights.dtype)) > 0

    def _scores(self) -> Tensor:
        """The norms of the groups, relative to the mean in their layer."""
        is_penalised = torch.ones_like(self._groups.sizes, dtype=torch.bool)
        return self._groups.relative_norms(self.weights, is_penalised)

    def _fix(self) -> None:
        groups, target = self._groups, self.task.target
        scores = self._scores()
        is_open = groups.norms(self.weights) > self._options.threshold * groups.roots
        if target is not None and not self.whole:
            self.fix_weights(groups.spread(scores), n_kept(self.n_weights, 1 - target.left))
            return
        keep = self._kept
        if keep is None:
            keep = self.choose_units(scores, is_open) if self.whole else is_open
        groups.scale(self.weights, keep.to(self.weights.dtype))
        remove_dead_units(self.graph)
        if self.whole:
            self.fix_units(scores * keep, keep)
        else:
            self.freeze(self.weights != 0)

    def before_batch(self) -> None:
        if self._is_factored:
            self.weights.copy_(self.latent.data)
            self._groups.scale(self.weights, self._product())

    def before_evaluation(self) -> None:
        self.before_batch()
        super().before_evaluation()

    def take_over(self, changed: Tensor) -> None:
        if not self._is_factored:
            super().take_over(changed)
            return
        vectors = self.weights.clone()
        self._groups.scale(vectors, _inverse(self._product()))
        self.latent.data.copy_(torch.where(changed, vectors, self.latent.data))

    def after_backward(self) -> None:
        if not self._is_factored:
            super().after_backward()
            return
        slopes = self.parameters.weight_gradient
        slopes.add_(self.weights, alpha=self.task.weight_decay)
        decay = 2 * self._strength / self._options.depth * self._groups.roots
        self._add_gate_slopes(self._groups.sums(slopes * self.latent.data), decay)
        self._groups.scale(slopes, self._product())
        at_weights = torch.zeros_like(slopes)
        self._groups.add(at_weights, decay)
        torch.addcmul(slopes, at_weights, self.latent.data, out=self.latent_gradient)

    def _add_gate_slopes(self, sums: Tensor, decay: Tensor) -> None:
        gates, found = self._gates.data, self._gates.grad
        assert found is not None
        for j in range(len(gates)):
            others = torch.cat([gates[:j], gates[j + 1 :]]).prod(0)
            found[j] = sums * others + decay * gates[j]

    def penalty(self) -> float:
        decay = super().penalty()
        # with a target the strength belongs to a constraint, not to the objective
        if not self._is_factored or self._control is not None:
            return decay
        groups = self._groups
        squares = groups.sums(self.latent.data.square()) + self._gates.data.square().sum(0)
        return decay + self._strength * float(groups.roots.dot(squares)) / self._options.depth

    def gone(self) -> Tensor:
        # factors are not taken out of the products
        is_gone = super().gone()
        return is_gone & (not self._is_factored)

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        positions = super().rebuild(kept)
        self._groups = self.groups_of(self._kind)
        return positions


def _inverse(factors: Tensor) -> Tensor:
    """One over each, and zero for zero."""
    return torch.where(factors == 0, 0.0, 1.0 / factors)
