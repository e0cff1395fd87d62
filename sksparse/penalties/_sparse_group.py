"""The sparse group lasso penalty."""

from __future__ import annotations

from typing import Any

from sksparse._typing import Array
from sksparse.penalties._blocks import BlockPenalty, Blocks


class SparseGroup(BlockPenalty):
    """``l1_ratio sum_j |w_j| + (1 - l1_ratio) sum_g weights_g ||w_g||_2`` (Simon et al., 2013).

    Parameters
    ----------
    blocks : Blocks
        The groups.
    weights : ndarray of shape (n_groups,)
        Non-negative factors of the norms; a group with factor zero is never penalised, neither
        are its features.
    l1_ratio : float
        Share of the absolute values, strictly between 0 and 1.
    **more : dict
        Ridge and bounds, as in :class:`BlockPenalty`.
    """

    def __init__(self, blocks: Blocks, weights: Array, l1_ratio: float, **more: Any) -> None:
        penalised = (weights > 0)[blocks.labels]
        super().__init__(blocks, l1_ratio * penalised, (1.0 - l1_ratio) * weights, **more)
