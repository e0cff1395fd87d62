"""Runs of pruning by a score: in rounds with a fixed mask in between, or gradually."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_above_deviation, keep_counts, keep_largest, n_kept
from sksparse.sparsifiers.masks._layer_densities import erdos_renyi_counts, uniform_counts
from sksparse.sparsifiers.masks._optimal_brain_surgeon import optimal_brain_surgeon
from sksparse.sparsifiers.masks._ranking import keep_above_mean_square, relative_ranks
from sksparse.sparsifiers.masks._saliency import CRITERIA
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._removed_groups import MEASURES, RemovedGroups
from sksparse.sparsifiers.pruning._schedule import (
    GradualRun,
    GradualSparsifier,
    cubic_rise,
    phases_in_rounds,
)
from sksparse.sparsifiers.structure._dead_removal import remove_dead_units
from sksparse.sparsifiers.structure._dead_units import (
    keep_alive,
    live_weights,
)
from sksparse.sparsifiers.structure._dropout_rates import DropoutCorrection

#: How many weights each layer keeps, where layers are not compared with each other.
_COUNTS = {"layer": uniform_counts, "erdos_renyi": erdos_renyi_counts}


@dataclass(frozen=True)
class Tuning:
    """What scores and schedules are bounded by.

    Parameters
    ----------
    least_score : float
        The score of a weight in use is at least this; that of a pruned one is 0.
    n_updates : int
        Updates of the mask in the gradual schedule at least, where there are as many batches.
    """

    least_score: float = 1e-30
    n_updates: int = 50


TUNING = Tuning()


class PruningOptions(GradualSparsifier):
    """The options that the runs read."""

    default_alpha: float

    granularity: str
    criterion: str
    schedule: str
    scope: str
    n_rounds: int
    update_every: int
    l1: float
    remove_dead: bool


class _PruningRun(SparsifierRun):
    """What the schedules share: scores, masks of a given strength, and how they are fixed."""

    _options: PruningOptions

    def __init__(self, options: PruningOptions, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self._removed = RemovedGroups.of(self, options.granularity, options.scope)
        self._quality = options.default_alpha if task.alpha is None else task.alpha
        self._shapes = [w.shape for w in self.tensors.values()]
        single = self._removed is None
        self._removes_dead = single and options.remove_dead and bool(self.graph.links)
        self._dropout = DropoutCorrection(module)
        self._l1 = options.l1
        self._statistic = torch.empty(0)

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
        """Compute the statistic of the training data that the criterion needs."""
        statistic = CRITERIA[self._options.criterion].statistic
        if statistic is not None:
            self._statistic = statistic(probe, self.parameters)

    def _scores(self, weights: Tensor) -> Tensor:
        """The score of each weight, 0 for those that are zero."""
        score = CRITERIA[self._options.criterion].score(weights, self._statistic)
        return score.clamp_(min=TUNING.least_score).mul_(weights != 0)

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

    def _kept_groups(self, removed: RemovedGroups, scores: Tensor, strength: float) -> Tensor:
        """The groups to keep, from the scores of the weights."""
        means = removed.means(scores)
        if self.task.target is not None:
            return removed.choose(means, strength)
        relative = removed.groups.relative(means)
        return removed.groups.guarded(
            (relative >= self._quality * strength) & (relative > 0), relative, warns=strength == 1
        )

    def _use(self, scores: Tensor, strength: float, sparsity: float) -> None:
        """Use a mask until it is updated, and the dropout rates that belong to it."""
        if self._removed is None:
            self.freeze(self._kept(scores, self.weights, strength, sparsity))
        else:
            keep = self._kept_groups(self._removed, scores, strength)
            self.freeze_units(keep, self._removed.groups)
        self._adapt_dropout()

    def _prune(self, scores: Tensor, strength: float, sparsity: float) -> None:
        """Fix a mask until the next round, or for good."""
        if self._removed is None:
            self._fix_mask(self._kept(scores, self.weights, strength, sparsity), scores)
        else:
            self._use(scores, strength, sparsity)

    def _adapt_dropout(self) -> None:
        assert self.mask is not None
        self._dropout.adapt(self.parameters.by_tensor(self.mask))

    def _fix_mask(self, keep: Tensor, scores: Tensor) -> None:
        """Fix a mask without dead units, whose constants move into biases."""
        kept = keep
        if self._removes_dead:
            if self.task.target_sparsity is None:
                kept = live_weights(keep, self.graph)
            else:
                kept = self._kept_alive(keep, scores)
            before = self.weights.clone()
            self.weights.mul_(keep | kept)
            remove_dead_units(self.graph)
            self.weights.copy_(before)
        self.freeze(self.with_paths(kept, scores))
        self._adapt_dropout()

    def _kept_alive(self, keep: Tensor, scores: Tensor) -> Tensor:
        """As many weights, all on paths where that can be."""
        count = int(keep.sum())
        if int(live_weights(keep, self.graph).sum()) == count:
            return keep
        if self._options.scope != "global":
            counts = _COUNTS[self._options.scope](self._shapes, count)
            scores = relative_ranks(scores, self.parameters.sizes, counts)
        return keep_alive(scores, count, self.graph)


class PruningInRounds(_PruningRun):
    """Prune in rounds, or once, and retrain the remaining weights after each."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        options = self._options
        rounds = options.n_rounds if options.schedule == "iterative" else 1
        displacement = options.min_weight_displacement
        return phases_in_rounds(self.task, options.train_fraction, rounds, displacement)

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
        self._prune(scores, phase.strength, sparsity)

    def _operate(self, strength: float, sparsity: float, probe: Probe) -> None:
        """Prune with the optimal brain surgeon."""
        before = self.weights.clone()
        count = int(self._kept(before.abs(), before, strength, sparsity).sum())
        keep = optimal_brain_surgeon(probe, self.parameters, count, self.task.weight_decay)
        largest = before.abs().max().clamp(min=TUNING.least_score)
        # weights that replace those of dead units have their old values
        scores = torch.where(keep, 2.0, before.abs() / largest)
        self.weights.copy_(torch.where(keep, self.weights, before))
        self._fix_mask(keep_largest(scores, count), scores)


class GradualPruning(_PruningRun, GradualRun):
    """Prune while training, with masks that are updated every some batches."""

    phase_name = "prune"
    shares_displacement = True

    def __init__(self, options: PruningOptions, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        # whole units take their biases and scales with them
        every = self.parameters.values
        self._prunable = self.weights if self._removed is None else every
        self._pruned_values = torch.zeros_like(self._prunable)

    def begin_updates(self, probe: Probe) -> None:
        self._probe = probe
        n, options = self._n_batches, self._options
        self._update_every = max(1, min(options.update_every, n // TUNING.n_updates))
        self._observe_every = max(1, n // options.n_rounds)

    def end_updates(self, probe: Probe) -> None:
        self._l1 = 0.0
        self._observe(probe)
        self._prunable.add_(self._pruned_values)
        self._prune(self._scores(self.weights), 1.0, self.task.target_sparsity or 0.0)

    def before_batch(self) -> None:
        if not self.updating:
            return
        if self._batch % self._observe_every == 0:
            self._observe(self._probe)
        if self._batch % self._update_every == 0:
            self._update_mask(cubic_rise(self._batch / self._n_batches))

    def _update_mask(self, strength: float) -> None:
        """Restore the pruned weights, score all again, and mask those of least score."""
        self._prunable.add_(self._pruned_values)
        sparsity = strength * (self.task.target_sparsity or 0.0)
        self._pruned_values.copy_(self._prunable)
        self._use(self._scores(self.weights), strength, sparsity)
        self._pruned_values.sub_(self._prunable)
