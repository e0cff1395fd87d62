"""Removing whole units by a score: at once, in rounds, or some every few batches."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._schedule import (
    GradualRun,
    GradualSparsifier,
    phases_in_rounds,
)
from sksparse.sparsifiers.structure._target import Target
from sksparse.sparsifiers.units._choice import least_left

#: The logarithm of the compression in FLOPs where neither a strength nor a target is given.
DEFAULT_LOG_COMPRESSION = math.log(2.0)


@dataclass(frozen=True)
class Tuning:
    """How often units are removed where the user leaves it open.

    Parameters
    ----------
    shortest_interval, longest_interval : int
        Batches between two removals, at least and at most.
    n_removals : int
        Removals to aim at between these bounds.
    """

    shortest_interval: int = 2
    longest_interval: int = 30
    n_removals: int = 100


TUNING = Tuning()


class UnitPruning(GradualSparsifier):
    """The options that all methods with a score for each unit have."""

    granularities = ("unit",)

    _parameter_constraints: dict = {
        **GradualSparsifier._parameter_constraints,
        "schedule": [StrOptions({"gradual", "iterative", "one_shot"})],
        "scope": [StrOptions({"global", "layer"})],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "update_every": [Interval(Integral, 1, None, closed="left"), None],
        "train_fraction": [Interval(Real, 0, 1, closed="left")],
    }

    schedule: str
    scope: str
    n_rounds: int

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the logarithm of the compression in FLOPs.

        Returns
        -------
        run : SparsifierRun
            A run of a dense phase, and of those that the schedule asks for.

        Raises
        ------
        ValueError
            When options do not fit each other or the network, the module cannot be followed or a
            target cannot be met.
        """
        self._check()
        return self._run(module, task)

    @abstractmethod
    def _run(self, module: nn.Module, task: Task) -> SparsifierRun:
        """The run, with options that are checked."""

    def _check(self) -> None:
        """Refuse options that do not fit each other."""
        self._validate_params()
        gradual = self.schedule == "gradual"
        if gradual and self.train_fraction + self.sparsify_fraction >= 1:
            raise ValueError(
                f"train_fraction={self.train_fraction!r} and sparsify_fraction="
                f"{self.sparsify_fraction!r} leave no epochs to retrain in; lower one of them: "
                "they must add up to less than 1."
            )


class UnitPruningRun(GradualRun):
    """Train, remove units for good, and retrain what is left.

    A subclass writes ``scores``. What is left after the share t of the removal is the
    target to the power of t: each step removes the same share of what the one before left.

    Parameters
    ----------
    options : UnitPruning
        The method.
    module : torch.nn.Module
        The network.
    task : Task
        What the estimator asks for.

    Attributes
    ----------
    alive : torch.Tensor of shape (n_units,)
        Boolean: the units of the module that are left.
    """

    phase_name = "remove"
    shares_displacement = True
    compacts = True
    measures = ("weights", "flops", "units")

    _options: UnitPruning

    def __init__(self, options: UnitPruning, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self.require_units()
        self.target = self._resolve_target()
        n_layers = len(self.units.layer_names)
        self._dense_sizes = torch.bincount(self.units.layer, minlength=n_layers)
        self.alive = torch.ones(self.units.n_units, dtype=torch.bool, device=self.weights.device)
        # shares of the dense network: of the module as it stands, and of what is alive in it
        self._module_share = self._alive_share = 1.0

    def _resolve_target(self) -> Target:
        """What is to be left; `alpha` is the logarithm of the compression in FLOPs."""
        target = self.task.target
        if target is not None:
            self.require_target()
            return target
        alpha = DEFAULT_LOG_COMPRESSION if self.task.alpha is None else self.task.alpha
        asked = math.exp(-alpha)
        least = least_left(self.units, "flops")
        if asked < least:
            warnings.warn(
                f"alpha={alpha:g} asks for {asked:.3g} of the FLOPs of the dense network, but one "
                f"unit of each layer stays, with which {least:.3g} are left; give a smaller alpha.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return Target("flops", max(asked, least))

    @property
    def phases(self) -> tuple[Phase, ...]:
        options = self._options
        if options.schedule == "gradual":
            return super().phases
        n_rounds = options.n_rounds if options.schedule == "iterative" else 1
        displacement = options.min_weight_displacement
        return phases_in_rounds(self.task, options.train_fraction, n_rounds, displacement)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        self._probe = probe
        if self._options.schedule == "gradual":
            super().begin_phase(phase, probe)
        elif phase.strength > 0:
            self.begin_updates(probe)
            self.remove(phase.strength)

    def begin_updates(self, probe: Probe) -> None:
        usual = self._n_batches // TUNING.n_removals
        usual = max(TUNING.shortest_interval, min(TUNING.longest_interval, usual))
        self._interval = self._options.update_every or usual

    def after_step(self) -> None:
        super().after_step()
        if self.updating and self._batch % self._interval == 0:
            self.remove(self.progress)

    def end_updates(self, probe: Probe) -> None:
        self.remove(1.0)

    def remove(self, strength: float) -> None:
        """Remove the units of least score until what is left is the target to this power."""
        share = self.target.left**strength
        if self._alive_share <= share:
            return
        scores = torch.where(self.alive, self.scores(self._probe), -math.inf)
        self.alive &= self.chosen(scores, strength)
        self.freeze_units(self.alive)
        left = self.units.left(self.alive, self.target.measure)
        self._alive_share = self._module_share * left

    def target_at(self, strength: float) -> Target:
        """What may be left, as a share of the module as it stands."""
        share = self.target.left**strength / self._module_share
        return Target(self.target.measure, min(1.0, share))

    def chosen(self, scores: Tensor, strength: float) -> Tensor:
        """The units to keep; those that are removed already have the score minus infinity."""
        target = self.target_at(strength)
        if self._options.scope == "global":
            return self.units.choose(scores, target)
        return self.units.choose(self._shares_of_layers(scores), target)

    def _shares_of_layers(self, scores: Tensor) -> Tensor:
        """For each unit the share of its dense layer that has no larger score."""
        present = torch.bincount(self.units.layer, minlength=len(self._dense_sizes))
        part = (present / self._dense_sizes)[self.units.layer]
        return 1.0 - part * (1.0 - self.units.ranks_in_layers(scores))

    @abstractmethod
    def scores(self, probe: Probe) -> Tensor:
        """The score of each unit as the network is now, the larger the better."""

    def gone(self) -> Tensor:
        return ~self.alive

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        positions = super().rebuild(kept)
        # states of several recurrent layers in one have one number, so that some may still be dead
        self.alive = ~super().gone()
        left = self.units.left(self.alive, self.target.measure)
        self._module_share = self._alive_share / left
        return positions
