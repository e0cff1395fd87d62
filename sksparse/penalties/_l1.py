"""The lasso penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.penalties._blocks import BlockPenalty, Blocks


class L1(BlockPenalty):
    """``sum_j weights_j |w_j|`` (Tibshirani, 1996).

    Parameters
    ----------
    weights : ndarray of shape (n_features,)
        Non-negative factors; a feature with factor zero is never penalised.
    **more : dict
        Ridge and bounds, as in :class:`BlockPenalty`.
    """

    def __init__(self, weights: Array, **more: Any) -> None:
        blocks = Blocks.from_labels(np.arange(len(weights), dtype=np.intp))
        super().__init__(blocks, weights, np.zeros(len(weights)), **more)
