"""Training in three phases: dense, sparsified gradually, retrained with a fixed mask."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from numbers import Real

from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_top
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._asked import asked_sparsity, asked_target
from sksparse.sparsifiers.pruning._removed_groups import MEASURES, RemovedGroups


@dataclass(frozen=True)
class Tuning:
    """How often masks are updated where the user leaves it open.

    Parameters
    ----------
    shortest_interval : int
        Batches between two updates at least: an update costs about as much as a batch.
    longest_interval : int
        Batches between two updates at most.
    n_updates : int
        Updates of the mask to aim at between these bounds.
    """

    shortest_interval: int = 4
    longest_interval: int = 16
    n_updates: int = 200


TUNING = Tuning()


def cubic_rise(progress: float) -> float:
    """From 0 to 1, steep at first and flat at the end (Zhu & Gupta, 2017)."""
    return 1.0 - (1.0 - min(1.0, progress)) ** 3


def phases_in_rounds(
    task: Task, train_fraction: float, n_rounds: int, displacement: float
) -> tuple[Phase, ...]:
    """A dense phase, and rounds after each of whose prunings the rest is retrained.

    Parameters
    ----------
    task : Task
        What the estimator asks for.
    train_fraction : float
        Share of the epochs before the first pruning.
    n_rounds : int
        Number of rounds.
    displacement : float
        Minimum displacement that a weight can make in all retraining.

    Returns
    -------
    phases : tuple of Phase
        The strength of round r of R is r / R.
    """
    dense = round(train_fraction * task.max_iter)
    left = task.max_iter - dense
    # the remainder goes to the last round, which trains at the final sparsity
    epochs = [left // n_rounds] * (n_rounds - 1) + [left // n_rounds + left % n_rounds]
    retrain = [
        task.weight_phase(
            f"retrain {r}",
            n,
            displacement,
            rate_epochs=left,
            anneal=r == n_rounds,
            strength=r / n_rounds,
        )
        for r, n in enumerate(epochs, start=1)
    ]
    return (Phase("train", dense, strength=0.0), *retrain)


class GradualSparsifier(Sparsifier):
    """The options of the three phases and of the updates in the second."""

    _parameter_constraints: dict = {
        "train_fraction": [Interval(Real, 0, 1, closed="left")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="left")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    train_fraction: float
    sparsify_fraction: float
    min_weight_displacement: float
    #: Batches between two updates of the mask; None leaves it to the run.
    update_every: int | None


class GradualRun(SparsifierRun):
    """Train densely, become sparse gradually, then retrain with a fixed mask.

    A subclass sets ``_options`` and writes ``end_updates``, and in ``begin_updates`` what the
    second phase needs.

    Attributes
    ----------
    updating : bool
        Whether the second phase, in which the mask is updated, is on.
    """

    #: Name of the second phase in the history.
    phase_name = "cut"
    #: Whether weights reach the minimum displacement in the last two phases together, not in each.
    shares_displacement = False

    _options: GradualSparsifier

    def __init__(self, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self.updating = False
        self._batch = 0
        self._n_batches = 1

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, task = self._options, self.task
        dense = round(options.train_fraction * task.max_iter)
        left = task.max_iter - dense
        # at least one epoch is left to train the final network
        n = max(0, min(round(options.sparsify_fraction * task.max_iter), left - 1))
        displacement = options.min_weight_displacement
        shared = left if self.shares_displacement else None
        return (
            Phase("train", dense, strength=0.0),
            # what is zero changes until the end, so that an average would have no zeros
            task.weight_phase(
                self.phase_name, n, displacement, rate_epochs=shared, may_stop=False, average=False
            ),
            task.weight_phase("retrain", left - n, displacement, rate_epochs=shared, anneal=True),
        )

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.name == self.phase_name:
            self._n_batches = max(1, phase.epochs * self.task.steps_per_epoch)
            self.updating = True
            self.begin_updates(probe)
        elif phase.name == "retrain":
            self.updating = False
            self.end_updates(probe)

    def after_step(self) -> None:
        super().after_step()
        if self.updating:
            self._batch += 1

    @property
    def progress(self) -> float:
        """Share of the second phase that is over."""
        return min(1.0, self._batch / self._n_batches)

    def begin_updates(self, probe: Probe) -> None:
        """Prepare the second phase."""

    @abstractmethod
    def end_updates(self, probe: Probe) -> None:
        """Fix the final mask."""


class CuttingRun(GradualRun):
    """A gradual run whose mask is updated every some batches.

    A subclass writes ``cut`` and ``final_mask``.
    """

    def after_step(self) -> None:
        super().after_step()
        if self.updating and self._batch % self._interval == 0:
            self.cut()

    def begin_updates(self, probe: Probe) -> None:
        shortest, longest = TUNING.shortest_interval, TUNING.longest_interval
        usual = max(shortest, min(longest, self._n_batches // TUNING.n_updates))
        self._interval = self._options.update_every or usual

    def end_updates(self, probe: Probe) -> None:
        self.fix_mask(self.final_mask())

    def scheduled(self, final: float) -> float:
        """What rises from 0 to its final value in the first half of the second phase."""
        return final * cubic_rise(2.0 * self.progress)

    @abstractmethod
    def cut(self) -> None:
        """Update the mask between two batches."""

    @abstractmethod
    def final_mask(self) -> Tensor:
        """The weights to keep in the end; `weights` holds their values."""


class RankedOptions(GradualSparsifier):
    """The options of the runs below."""

    granularity: str
    scope: str


class RankedRun(CuttingRun):
    """A cutting run that keeps the weights, or whole groups, of the largest scores.

    A subclass writes ``weight_scores``, ``group_scores``, ``cut`` and ``final_mask``, which
    return what ``kept`` does. While the mask changes, a unit is cut off by what reads it: what
    makes it learns on, so that it may be used again.

    Parameters
    ----------
    options : RankedOptions
        The options.
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.

    Attributes
    ----------
    removed : RemovedGroups or None
        What is removed as a whole; None for single weights.
    """

    counted = True

    def __init__(self, options: RankedOptions, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options: RankedOptions = options
        self._sparsity = asked_sparsity(task)
        self.removed = RemovedGroups.of(self, options.granularity, options.scope)

    @abstractmethod
    def weight_scores(self) -> Tensor:
        """For each weight its score."""

    @abstractmethod
    def group_scores(self, removed: RemovedGroups) -> Tensor:
        """For each group its score, the larger, the better."""

    def kept(self, share: float) -> Tensor:
        """The weights in use at a share of the final sparsity, flat."""
        if self.removed is None:
            return keep_top(
                self.weight_scores(),
                share * self._sparsity,
                sizes=self.parameters.sizes,
                per_tensor=self._options.scope == "layer",
            )
        self._kept_groups = self.removed.choose(self.group_scores(self.removed), share)
        return self.removed.gate(self._kept_groups)

    def end_updates(self, probe: Probe) -> None:
        keep = self.final_mask()
        if self.removed is None:
            self.fix_mask(keep)
        else:
            self.removed.freeze(self._kept_groups, asked_target(self.task))
