"""What the estimators of the family share that choose a strength by cross-validation."""

from __future__ import annotations

from typing import Any, ClassVar

from sksparse._typing import Array
from sksparse.linear_model._convex_path import ConvexSearch
from sksparse.linear_model._scoring import Readout
from sksparse.linear_model.group._base import GroupSelectorMixin
from sksparse.linear_model.group._options import GRID_CONSTRAINTS, GROUP_CONSTRAINTS
from sksparse.linear_model.group._task import GroupLassoPath, GroupTask


class GroupLassoSearch(GroupSelectorMixin, ConvexSearch[GroupTask]):
    """A model of grouped features whose strength is chosen by cross-validation."""

    group_norms_path_: Array

    _search_constraints: ClassVar[dict[str, list[Any]]] = {
        **ConvexSearch._common_constraints,
        **GROUP_CONSTRAINTS,
        **GRID_CONSTRAINTS,
    }

    def _readout(self, task: GroupTask) -> Readout:
        return task.model

    def _store_path(self, path: GroupLassoPath) -> None:
        super()._store_path(path)
        self.group_norms_path_ = path.group_norms
