"""What runs over groups of weights share: their groups, and the groups that stay in the end."""

from __future__ import annotations

from torch import Tensor

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers.masks._keep import ranks_of, ranks_with_quotas
from sksparse.sparsifiers.proximal._groups import (
    UNIT_ROLES,
    BranchGroups,
    PenaltyGroups,
    UnitGroups,
    WeightGroups,
)
from sksparse.sparsifiers.structure._dead_units import keep_alive
from sksparse.sparsifiers.structure._groups import Groups


class GroupedRun(SparsifierRun):
    """A run that removes groups of weights, or whole units of the module."""

    #: Whether whole groups are removed in the end, not single weights.
    whole = False
    #: What these groups are: units of the module, inputs of layers, or branches ("layer").
    removed_kind = "unit"

    def groups_of(self, kind: str) -> PenaltyGroups:
        """The groups of one kind.

        Parameters
        ----------
        kind : {"weight", "input", "shape", "layer", "unit", "state", "read"}
            Single weights, the columns or the positions of the filters of each tensor, the residual
            branches, or the units of the module with what makes them, with all that belongs to
            them, or with what reads them.

        Returns
        -------
        groups : PenaltyGroups

        Raises
        ------
        ValueError
            When the module does not have such groups, or they are not known.
        """
        picture = self.graph.picture
        if picture is not None and (kind in UNIT_ROLES or kind == "layer"):
            picture.require_followed(
                "Removing whole units or branches",
                "Choose granularity='input' where the sparsifier has it, a sparsifier of single "
                "weights, such as 'oscar', or change the module.",
            )
        if kind in UNIT_ROLES:
            return UnitGroups(self.units, kind)
        if kind == "layer":
            return BranchGroups(self.parameters, self.branches())
        option = f"{type(self).__name__} with groups of the kind {kind!r}"
        remedy = "Choose a sparsifier of single weights, such as 'oscar'."
        self.graph.require_axis(kind, option, remedy)
        return WeightGroups(self.parameters, kind)

    @property
    def removed(self) -> Groups:
        """What is removed as a whole."""
        if self.removed_kind == "unit":
            return self.require_units()
        return self.branches() if self.removed_kind == "layer" else self.columns()

    def in_use(self) -> Tensor:
        """Which units are made by a weight that is not zero, and read by one; or other groups."""
        if self.removed_kind == "unit":
            return self.units.in_use(self.weights)
        return self.removed.sums((self.weights != 0).to(self.weights.dtype)) > 0

    def share_left(self) -> float:
        target = self.task.target
        if target is None or not self.whole:
            return self.density()
        left = self.removed.left(self.in_use(), target.measure)
        return left * self._share_of_dense(target.measure)

    def require_target(self) -> None:
        if self.task.target is not None:
            self.removed.check_target(self.task.target)

    def fix_units(self, scores: Tensor, is_open: Tensor) -> None:
        """Keep the best groups, or those that are open, and no weight that is zero, from now on."""
        is_set, groups = self.weights != 0, self.removed
        self.freeze_units(self.choose_units(scores, is_open, groups), groups)
        assert self.mask is not None
        self.mask.mul_(is_set)

    def fix_weights(self, scores: Tensor, n_kept: int) -> None:
        """Keep some weights from now on: those in the best groups, and the largest in the last.

        Parameters
        ----------
        scores : torch.Tensor of shape (n_weights,)
            For every weight the score of its group.
        n_kept : int
            Weights to keep.
        """
        # zeros have the lowest rank, also those in a group that is kept
        ranks = ranks_of(scores, self.weights.abs())
        ranks = ranks_with_quotas(ranks, self.parameters.sizes, n_kept)
        ranks.masked_fill_(self.weights == 0, 0)
        self.fix_mask(keep_alive(ranks, n_kept, self.graph), ranks)

    def gone(self) -> Tensor:
        # what dead units emitted was added to the layers behind them
        return self.units.sums((self.weights != 0).to(self.weights.dtype), ("reads",)) == 0
