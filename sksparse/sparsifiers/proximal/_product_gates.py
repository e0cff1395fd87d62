"""Group norms written as products of factors (D-Gating, 2025), for plain gradient descent."""

from __future__ import annotations

from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import n_kept
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.proximal._grouped import GroupedRun
from sksparse.sparsifiers.structure._dead_removal import remove_dead_units


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
    `threshold`, or, where there is a target, those of least norm relative to the mean in their
    layer. `alpha` is in force in both cases. What is left is retrained without the penalty.

    Parameters
    ----------
    depth : int, default=2
        Number of factors, at least 2.
    granularity : {"unit", "input"}, default="unit"
        Whether a group belongs to a unit of the module, or is a column of one tensor.
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
            self.require_target()
        self._kind = "input"
        if self.whole:
            self._kind = "read" if options.unit_weights == "reads" else "unit"
        self._groups = self.groups_of(self._kind)
        self.separate()
        # factors of equal norm, which training keeps so
        norms = self._groups.norms(self.weights)
        gate = norms ** (1 / options.depth)
        self._set_gates(gate.repeat(options.depth - 1, 1))
        self._groups.scale(self.latent.data, _inverse(self._product()))

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

    def _fix(self) -> None:
        groups, target = self._groups, self.task.target
        norms = groups.norms(self.weights)
        scores = groups.relative_norms(self.weights, torch.ones_like(norms, dtype=torch.bool))
        is_open = norms > self._options.threshold * groups.roots
        if target is not None and not self.whole:
            self.fix_weights(groups.spread(scores), n_kept(self.n_weights, 1 - target.left))
            return
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
        if not self._is_factored:
            return decay
        groups = self._groups
        squares = groups.sums(self.latent.data.square()) + self._gates.data.square().sum(0)
        return decay + self._strength * float(groups.roots.dot(squares)) / self._options.depth

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        positions = super().rebuild(kept)
        self._groups = self.groups_of(self._kind)
        return positions


def _inverse(factors: Tensor) -> Tensor:
    """One over each, and zero for zero."""
    return torch.where(factors == 0, 0.0, 1.0 / factors)
