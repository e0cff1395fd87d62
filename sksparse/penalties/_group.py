"""The group lasso penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.penalties._blocks import BlockPenalty, Blocks


class GroupL2(BlockPenalty):
    """``sum_g weights_g ||w_g||_2`` (Yuan and Lin, 2006).

    Parameters
    ----------
    blocks : Blocks
        The groups.
    weights : ndarray of shape (n_groups,)
        Non-negative factors; a group with factor zero is never penalised.
    **more : dict
        Ridge and bounds, as in :class:`BlockPenalty`.
    """

    def __init__(self, blocks: Blocks, weights: Array, **more: Any) -> None:
        super().__init__(blocks, np.zeros(len(blocks.labels)), weights, **more)
