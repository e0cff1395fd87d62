"""Runs of pruning: masks of rising strength over a score, at rest between rounds or moving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import LARGEST_WEIGHT_RATE, Phase, Task
from sksparse.sparsifiers.masks._keep import keep_above_deviation, keep_counts, keep_largest, n_kept
from sksparse.sparsifiers.masks._layer_densities import erdos_renyi_counts, uniform_counts
from sksparse.sparsifiers.masks._optimal_brain_surgeon import optimal_brain_surgeon
from sksparse.sparsifiers.masks._ranking import keep_above_mean_square, relative_ranks
from sksparse.sparsifiers.masks._saliency import CRITERIA
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.structure._dead_units import (
    keep_alive,
    links,
    live_weights,
    remove_dead_units,
)
from sksparse.sparsifiers.structure._dropout_rates import DropoutCorrection

if TYPE_CHECKING:
    from sksparse.sparsifiers.pruning._magnitude import Magnitude

#: How many weights each layer keeps, where layers are not compared with each other.
_COUNTS = {"layer": uniform_counts, "erdos_renyi": erdos_renyi_counts}

#: The score of a weight in use is at least this, that of a pruned one is 0.
_LEAST_SCORE = 1e-30

#: Masks that the gradual schedule makes at least, where there are as many updates.
_MASKS = 50


class _PruningRun(SparsifierRun):
    """What the schedules share: scores, masks of a given strength, and how they are fixed."""

    def __init__(self, options: Magnitude, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._quality = options.default_alpha if task.alpha is None else task.alpha
        self._shapes = [w.shape for w in self.tensors.values()]
        self._links = links(module) if options.remove_dead else []
        self._dropout = DropoutCorrection(module)
        self._l1 = options.l1
        self._statistic = torch.empty(0)

    def _phase(self, name: str, epochs: int, left: int, **changes: object) -> Phase:
        """A phase in which survivors grow, of those that share the epochs `left`."""
        rate = self.task.rate_to_travel(
            self._options.retrain_travel, left, largest_rate=LARGEST_WEIGHT_RATE
        )
        return Phase(name, epochs, learning_rate=rate, **changes)  # type: ignore[arg-type]

    def after_backward(self) -> None:
        super().after_backward()
        if self._l1:
            self.latent_gradient.add_(torch.sign(self.weights), alpha=self._l1)

    def penalty(self) -> float:
        lasso = self._l1 * float(self.weights.abs().sum()) if self._l1 else 0.0
        return super().penalty() + lasso

    def finalize(self) -> None:
        super().finalize()
        self._dropout.restore()

    def _observe(self, probe: Probe) -> None:
        """Compute what the criterion needs to know of the data now."""
        statistic = CRITERIA[self._options.criterion].statistic
        if statistic is not None:
            self._statistic = statistic(probe, self.parameters)

    def _scores(self, weights: Tensor) -> Tensor:
        """The score of each weight, 0 for those that are zero."""
        score = CRITERIA[self._options.criterion].score(weights, self._statistic)
        return score.clamp_(min=_LEAST_SCORE).mul_(weights != 0)

    def _kept(self, scores: Tensor, weights: Tensor, strength: float, sparsity: float) -> Tensor:
        """The weights to keep, whether or not their units are alive."""
        sizes = self.parameters.sizes
        if self.task.target_sparsity is None:
            quality = self._quality * strength
            if self._options.criterion in ("magnitude", "obs"):
                return keep_above_deviation(weights, sizes, quality)
            return keep_above_mean_square(scores, sizes, quality)
        count = n_kept(self.n_weights, sparsity)
        if self._options.scope == "global":
            return keep_largest(scores, count)
        return keep_counts(scores, sizes, _COUNTS[self._options.scope](self._shapes, count))

    def _settle(self, keep: Tensor, scores: Tensor) -> None:
        """Fix a mask in which no unit is dead, and move what dead ones emit into biases."""
        kept = keep
        if self._links:
            if self.task.target_sparsity is None:
                kept = live_weights(keep, self.parameters, self._links)
            else:
                kept = self._others_kept(keep, scores)
            before = self.weights.clone()
            self.weights.mul_(keep | kept)
            remove_dead_units(self.module)
            self.weights.copy_(before)
        self._fix(self.with_paths(kept, scores))

    def _fix(self, keep: Tensor) -> None:
        """Put a mask in force, and the dropout that belongs to it."""
        self.freeze(keep)
        self._dropout.adapt(self.parameters.by_tensor(keep.to(self.weights.dtype)))

    def _others_kept(self, keep: Tensor, scores: Tensor) -> Tensor:
        """As many weights, all of live units where that can be."""
        count = int(keep.sum())
        if int(live_weights(keep, self.parameters, self._links).sum()) == count:
            return keep
        if self._options.scope != "global":
            counts = _COUNTS[self._options.scope](self._shapes, count)
            scores = relative_ranks(scores, self.parameters.sizes, counts)
        return keep_alive(scores, count, self.parameters, self._links)


class PruningInRounds(_PruningRun):
    """Prune in rounds, or once, with the survivors retrained after each."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        options = self._options
        rounds = options.n_rounds if options.schedule == "iterative" else 1
        dense_epochs = round(options.train_fraction * self.task.max_iter)
        left = self.task.max_iter - dense_epochs
        # the remainder goes to the last round, which trains at the final sparsity
        epochs = [left // rounds] * (rounds - 1) + [left // rounds + left % rounds]
        retrain = [
            self._phase(f"retrain {r}", n, left, anneal=r == rounds, strength=r / rounds)
            for r, n in enumerate(epochs, start=1)
        ]
        return (Phase("train", dense_epochs, strength=0.0), *retrain)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.strength == 0:
            return
        if phase.strength == 1:
            self._l1 = 0.0
        self._dropout.restore()
        target = self.task.target_sparsity or 0.0
        sparsity = 1 - (1 - target) ** phase.strength
        if self._options.criterion == "obs":
            self._operate(phase.strength, sparsity, probe)
            return
        self._observe(probe)
        scores = self._scores(self.weights)
        self._settle(self._kept(scores, self.weights, phase.strength, sparsity), scores)

    def _operate(self, strength: float, sparsity: float, probe: Probe) -> None:
        """Prune with the optimal brain surgeon."""
        before = self.weights.clone()
        count = int(self._kept(before.abs(), before, strength, sparsity).sum())
        keep = optimal_brain_surgeon(probe, self.parameters, count, self.task.weight_decay)
        largest = before.abs().max().clamp(min=_LEAST_SCORE)
        # where a unit dies, the weights that take its place do so at their old values
        scores = torch.where(keep, 2.0, before.abs() / largest)
        self.weights.copy_(torch.where(keep, self.weights, before))
        self._settle(keep_largest(scores, count), scores)


class GradualPruning(_PruningRun):
    """Prune while training, with masks that are computed anew every some batches."""

    def __init__(self, options: Magnitude, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        self._probe: Probe | None = None
        self._asleep = torch.zeros_like(self.weights)
        self._batch = 0

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, n = self._options, self.task.max_iter
        dense = round(options.train_fraction * n)
        prune = min(round(options.prune_fraction * n), n - dense)
        left = n - dense
        return (
            Phase("train", dense, strength=0.0),
            # an average of weights that come and go would have no zeros
            self._phase("prune", prune, left, may_stop=False, average=False),
            self._phase("retrain", left - prune, left, anneal=True),
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == "prune":
            self._probe = probe
            self._n_batches = max(1, phase.epochs * self.task.steps_per_epoch)
            self._mask_every = max(1, min(self._options.update_every, self._n_batches // _MASKS))
            self._observe_every = max(1, self._n_batches // self._options.n_rounds)
        elif phase.name == "retrain":
            self._probe = None
            self._l1 = 0.0
            self._observe(probe)
            self.weights.add_(self._asleep)
            scores = self._scores(self.weights)
            sparsity = self.task.target_sparsity or 0.0
            self._settle(self._kept(scores, self.weights, 1.0, sparsity), scores)

    def before_batch(self) -> None:
        if self._probe is None:
            return
        if self._batch % self._observe_every == 0:
            self._observe(self._probe)
        if self._batch % self._mask_every == 0:
            self._renew_mask(1 - (1 - self._batch / self._n_batches) ** 3)
        self._batch += 1

    def _renew_mask(self, strength: float) -> None:
        """Wake all weights, rank them, and lay those to sleep that are of least score now."""
        self.weights.add_(self._asleep)
        scores = self._scores(self.weights)
        sparsity = strength * (self.task.target_sparsity or 0.0)
        self._asleep.copy_(self.weights)
        self._fix(self._kept(scores, self.weights, strength, sparsity))
        self._asleep.sub_(self.weights)
