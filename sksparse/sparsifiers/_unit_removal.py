"""What a run knows of the units of its module, and how it removes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property

from torch import Tensor, nn

from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._branches import Branches
from sksparse.sparsifiers.structure._columns import Columns
from sksparse.sparsifiers.structure._groups import Groups
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target
from sksparse.sparsifiers.structure._weight_graph import WeightGraph


class UnitRemoval(ABC):
    """The part of a run that finds, counts, chooses and removes whole units.

    Parameters
    ----------
    task : Task
        What the estimator asks for.
    """

    module: nn.Module
    parameters: FlatParameters
    n_weights: int

    def __init__(self, task: Task) -> None:
        self.task = task
        # what the dense network has, once units were taken out of it
        self._dense_totals: dict[str, float] | None = None
        self.mask: Tensor | None = None
        self.other_mask: Tensor | None = None

    @abstractmethod
    def density(self) -> float:
        """Share of the prunable weights of the dense network that are in use now."""

    @cached_property
    def graph(self) -> WeightGraph:
        """The units of the module as nodes, its weights as edges; none where it is not followed."""
        return WeightGraph(self.module, self.parameters, self.task.example)

    @cached_property
    def units(self) -> ModuleUnits:
        """The removable units of the module, where everything in it can be followed.

        Raises
        ------
        ValueError
            It names what cannot be followed.
        """
        picture = self.graph.picture
        if picture is None:
            raise ValueError("Units are found from a few rows of features; give Task(example=...).")
        picture.require_followed(
            "Removing whole units", "Choose granularity='weight', or change the module."
        )
        return ModuleUnits(picture, self.parameters)

    def require_units(self) -> ModuleUnits:
        """The removable units; a module that has none is refused.

        Returns
        -------
        units : ModuleUnits

        Raises
        ------
        ValueError
            It says what to do instead.
        """
        if not self.units.n_units:
            module = type(self.module).__name__
            raise ValueError(
                f"granularity='unit' has nothing to remove: the module {module} has no units "
                "between its layers that may go, as a perceptron with hidden_layer_sizes=(). Give "
                "it hidden units, or choose a sparsifier with another granularity, such as "
                "'magnitude' with 'input' or 'weight'."
            )
        return self.units

    def branches(self) -> Branches:
        """The residual branches as groups; a module that has none is refused.

        Returns
        -------
        branches : Branches

        Raises
        ------
        ValueError
            It says what to do instead.
        """
        branches = Branches(self.parameters, self.units.graph)
        if not branches.n_units:
            module = type(self.module).__name__
            raise ValueError(
                f"granularity='layer' has nothing to remove: the module {module} has no layers "
                "beside a shortcut, which could be left out as a whole. Choose another granularity,"
                " or depth_strength=0 where the sparsifier has it."
            )
        return branches

    def columns(self, *, positions: bool = False) -> Columns:
        """The inputs of all layers, or the positions of their filters, as groups.

        Parameters
        ----------
        positions : bool, default=False
            Whether each position of a filter is a group of its own.

        Returns
        -------
        columns : Columns

        Raises
        ------
        ValueError
            Where the target counts multiplications and the module cannot be followed.
        """
        target, example = self.task.target, self.task.example
        counts_flops = target is not None and target.measure == "flops"
        return Columns(
            self.parameters,
            self.units.graph if counts_flops else self.graph.picture,
            positions=positions,
            drops_features=example is not None and example.ndim == 2,
        )

    def require_target(self) -> None:
        """Refuse, before training, a target that removing units cannot meet.

        Raises
        ------
        ValueError
            It says the least share that can be left.
        """
        if self.task.target is not None:
            self.units.check_target(self.task.target)

    def choose_units(self, scores: Tensor, is_open: Tensor, groups: Groups | None = None) -> Tensor:
        """The units to keep in the end: as the target asks, or those that `alpha` leaves open.

        A layer is never emptied; where `alpha` would do so, the guard warns.

        Parameters
        ----------
        scores : torch.Tensor of shape (n_units,)
            The larger, the longer a unit is kept; comparable between layers.
        is_open : torch.Tensor of shape (n_units,)
            Boolean: what is kept where there is no target.
        groups : Groups, default=None
            What is removed; None for ``units``.

        Returns
        -------
        keep : torch.Tensor of shape (n_units,)
            Boolean.
        """
        groups = self.units if groups is None else groups
        if self.task.target is not None:
            return groups.choose(scores, self.relative_to_now(self.task.target))
        return groups.guarded(is_open, scores)

    def share_of_units(self, keep: Tensor, measure: str) -> float:
        """The share of the dense network that is left when only some units are kept.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean, one for each of ``units``, some of which may have been taken out before.
        measure : {"weights", "flops", "units"}
            What is counted, as in ``Target``.

        Returns
        -------
        share : float
        """
        return self.units.left(keep, measure) * self._share_of_dense(measure)

    def relative_to_now(self, target: Target) -> Target:
        """A target as a share of the module as it is, of which units may have been taken out."""
        return replace(target, left=min(1.0, target.left / self._share_of_dense(target.measure)))

    def _share_of_dense(self, measure: str) -> float:
        if self._dense_totals is None:
            return 1.0
        return self.units.totals[measure] / self._dense_totals[measure]

    def share_left(self) -> float:
        """The share of the dense network that is left now, in the measure of the target.

        Without a target, or where it counts weights, that is ``density``. A unit is left when
        something that makes it and something that reads it is not zero.
        """
        target = self.task.target
        if target is None or target.measure == "weights":
            return self.density()
        return self.share_of_units(self.units.in_use(self.parameters.values), target.measure)

    def freeze_units(self, keep: Tensor, groups: Groups | None = None) -> None:
        """Keep only these units, with all that belongs to them, from now on.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean, one for each of ``units``.
        groups : Groups, default=None
            What is removed; None for ``units``.
        """
        groups = self.units if groups is None else groups
        mask = groups.mask(keep).to(self.parameters.values.dtype)
        self.mask, self.other_mask = mask.tensor_split([self.n_weights])
        self.apply_masks()

    def apply_masks(self) -> None:
        """Set what the masks remove to zero."""
        if self.mask is not None:
            self.parameters.weights.mul_(self.mask)
        if self.other_mask is not None:
            self.parameters.others.mul_(self.other_mask)
