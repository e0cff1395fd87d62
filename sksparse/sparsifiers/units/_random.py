"""Random units: the control of every score (Liu et al., 2019; Mittal et al., 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.units._base import UnitPruning, UnitPruningRun


class RandomUnits(UnitPruning):
    r"""Remove units at random and retrain what is left: what any score has to be better than.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`. Each unit has a score that is drawn once, uniformly between 0 and 1,
    from the `random_state` of the fit; those of least score are removed with all that belongs to
    them.

    `alpha` is the logarithm of the compression in FLOPs: a share :math:`e^{-\alpha}` of the
    multiplications is left, half of them by default. `target_flops`, `target_units` and
    `target_sparsity` name what is left, or removed, in other terms; whole units meet a target
    from below, and one unit of each layer stays.

    Parameters
    ----------
    schedule : {"one_shot", "gradual", "iterative"}, default="one_shot"
        When units are removed: all at once, some every few batches, or in rounds with retraining
        after each. After the share t of the removal the target to the power of t is left.
    scope : {"layer", "global"}, default="layer"
        Whether every layer loses the same share of its units, or units are drawn from all layers.
    n_rounds : int, default=5
        Number of rounds of the iterative schedule.
    update_every : int, default=None
        Updates between two removals of the gradual schedule. None is from 2 to 30, to have 100 or
        more removals.
    train_fraction : float, default=0.2
        Share of the epochs before the first removal.
    sparsify_fraction : float, default=0.4
        Share of the epochs in which the gradual schedule removes units; with `train_fraction`
        below 1.
    min_weight_displacement : float, default=1.0
        Minimum displacement that a weight can make in all retraining; it raises the learning rate,
        up to 0.02, where there are few updates.

    References
    ----------
    D. Mittal, S. Bhardwaj, M. M. Khapra and B. Ravindran, "Recovering from random pruning: on the
    plasticity of deep convolutional neural networks", WACV 2018.

    Examples
    --------
    >>> from sksparse.sparsifiers import RandomUnits
    >>> RandomUnits(scope="global")
    RandomUnits(scope='global')
    """

    def __init__(
        self,
        *,
        schedule: str = "one_shot",
        scope: str = "layer",
        n_rounds: int = 5,
        update_every: int | None = None,
        train_fraction: float = 0.2,
        sparsify_fraction: float = 0.4,
        min_weight_displacement: float = 1.0,
    ) -> None:
        self.schedule = schedule
        self.scope = scope
        self.n_rounds = n_rounds
        self.update_every = update_every
        self.train_fraction = train_fraction
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def _run(self, module: nn.Module, task: Task) -> SparsifierRun:
        return _RandomRun(self, module, task)


class _RandomRun(UnitPruningRun):
    def __init__(self, options: RandomUnits, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        # drawn on the CPU, so that one seed is one choice on every device
        drawn = torch.rand(self.units.n_units).to(self.weights)
        # held for each parameter that makes a unit, so that a smaller module has those left
        self._drawn = torch.ones_like(self.parameters.values)
        self.units.scale(self._drawn, drawn, ("writes",))

    def scores(self, probe: Probe) -> Tensor:
        counts = self.units.sums(torch.ones_like(self._drawn), ("writes",))
        return self.units.sums(self._drawn, ("writes",)) / counts

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        self._drawn = self._drawn[kept]
        return super().rebuild(kept)
