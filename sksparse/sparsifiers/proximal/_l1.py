"""L1 regularisation by the shrinkage operator or by subgradients (Collins & Kohli, 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.penalties._operators import soft_threshold
from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._strength_control import StrengthControl
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.masks._keep import n_kept, ranks_of, ranks_with_quotas
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._schedule import CuttingRun, GradualSparsifier
from sksparse.sparsifiers.structure._dead_units import keep_alive


@dataclass(frozen=True)
class Tuning:
    """How a target sparsity is reached.

    Parameters
    ----------
    first_strength : float
        The strength with which the control begins.
    density_margin : float
        The control aims at this multiple of the density asked for; ranking removes the rest.
    restart : float
        A kept weight that is zero when the mask is fixed restarts at this share of its initial
        value.
    """

    first_strength: float = 0.05
    density_margin: float = 1.25
    restart: float = 0.01


TUNING = Tuning()


class L1Shrinkage(GradualSparsifier):
    r"""Shrink all weights towards zero by the same amount after every update.

    After each update of the optimiser on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2` at the learning rate :math:`\lambda`, every weight becomes

    .. math:: w \leftarrow \mathrm{sign}(w) \max(|w| - \lambda \alpha, 0),

    the proximal operator of :math:`\lambda \alpha \|W\|_1`. With plain gradient descent this
    is proximal gradient descent on the objective plus :math:`\alpha \|W\|_1`. Adam divides the
    gradient of each weight by its root mean square, and the shrinkage is not so divided
    (as the decay of AdamW is not): a weight is zero and stays so while the mean of its gradient
    is below :math:`\alpha` times its root mean square. `alpha` is then a number between 0
    and 1 that does not depend on the scales of data and loss, by default 0.3; at 1 and above
    every weight vanishes.

    With `target_sparsity`, the strength rises while the density is above its target and
    falls while it is below. In the last phase exactly the required number of weights, those
    of largest magnitude, is trained without shrinkage. Biases are never pruned.

    Parameters
    ----------
    solver : {"shrinkage", "subgradient"}, default="shrinkage"
        Whether a weight that would cross zero becomes exactly zero, or crosses:
        :math:`w \leftarrow w - \lambda \alpha \, \mathrm{sign}(w)`.
    threshold : float, default=0.01
        For ``solver="subgradient"``, where no weight is exactly zero: those of at most
        this magnitude, or of one shrinkage, are pruned in the end, and count as zero before.
    train_fraction : float, default=0.1
        Share of the epochs before the shrinkage.
    sparsify_fraction : float, default=0.5
        Share of the epochs with shrinkage.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in each phase after the first; it raises the
        learning rate, up to 0.02, where there are few updates.

    References
    ----------
    M. D. Collins and P. Kohli, "Memory bounded deep convolutional networks",
    arXiv:1412.1442, 2014.

    Examples
    --------
    >>> from sksparse.sparsifiers import L1Shrinkage
    >>> L1Shrinkage(solver="subgradient")
    L1Shrinkage(solver='subgradient')
    """

    _parameter_constraints: dict = {
        **GradualSparsifier._parameter_constraints,
        "solver": [StrOptions({"shrinkage", "subgradient"})],
        "threshold": [Interval(Real, 0, None, closed="left")],
    }

    #: The strength where the estimator leaves ``alpha=None``.
    default_alpha = 0.3
    #: Batches between two checks of the density.
    update_every = 8

    def __init__(
        self,
        *,
        solver: str = "shrinkage",
        threshold: float = 0.01,
        train_fraction: float = 0.1,
        sparsify_fraction: float = 0.5,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.solver = solver
        self.threshold = threshold
        self.train_fraction = train_fraction
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the strength of the shrinkage.

        Returns
        -------
        run : SparsifierRun
            A run of a dense phase, one with shrinkage and one that trains what is left.
        """
        self._validate_params()
        return _L1Run(self, module, task)


class _L1Run(CuttingRun):
    def __init__(self, options: L1Shrinkage, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._crosses = options.solver == "subgradient"
        self._threshold = options.threshold if self._crosses else 0.0
        self._initial = self.weights.clone()
        self._control: StrengthControl | None = None
        self._strength = options.default_alpha if task.alpha is None else task.alpha

    def begin_updates(self, probe: Probe) -> None:
        super().begin_updates(probe)
        target = self.task.target_sparsity
        if target is not None:
            self._strength = TUNING.first_strength
            n_left = max(n_kept(self.n_weights, target), 1)
            density = min(1.0, TUNING.density_margin * n_left / self.n_weights)
            n_updates = self._n_batches // self._interval
            self._control = StrengthControl(self._strength, density, n_updates)

    def after_step(self) -> None:
        if self.updating:
            amount = self.rate * self._strength
            if self._crosses:
                self.weights.sub_(self.weights.sign(), alpha=amount)
            else:
                self.weights.copy_(soft_threshold(self.weights, amount))
        super().after_step()

    def cut(self) -> None:
        """Adapt the strength to the number of weights left: shrinkage zeroes them by itself."""
        if self._control is not None:
            self._strength = self._control.update(self.density())

    def density(self) -> float:
        if self.updating:
            return int(self._left().sum()) / self.n_weights
        return super().density()

    def penalty(self) -> float:
        value = super().penalty()
        if self.updating and self._control is None:
            value += self._strength * float(self.weights.abs().sum())
        return value

    def final_mask(self) -> Tensor:
        target = self.task.target_sparsity
        if target is None:
            return self._left()
        count, sizes = n_kept(self.n_weights, target), self.parameters.sizes
        ranks = ranks_with_quotas(ranks_of(self.weights.abs(), self._initial.abs()), sizes, count)
        keep = keep_alive(ranks, count, self.graph)
        revived = keep & (self.weights == 0)
        self.weights.copy_(torch.where(revived, TUNING.restart * self._initial, self.weights))
        return keep

    def _left(self) -> Tensor:
        threshold = self._threshold
        if self._crosses:
            # a weight that crosses zero again and again is within one shrinkage of it
            threshold = max(threshold, self.rate * self._strength)
        return self.weights.abs() > threshold
