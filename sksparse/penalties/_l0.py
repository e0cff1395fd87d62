"""The best-subset penalty."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array
from sksparse.penalties._base import Penalty


class L0(Penalty):
    """``||w||_0``, the number of non-zero coefficients."""

    def value(self, coef: Array) -> float:
        return float(np.count_nonzero(coef))

    def prox(self, v: Array, step: float) -> Array:
        return np.where(np.abs(v) > np.sqrt(2.0 * step), v, 0.0)
