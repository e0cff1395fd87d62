"""Penalties at unit strength; a solver multiplies them by ``alpha``.

Coefficients are a vector of shape (n_features,). ``prox(v, step)`` minimises
``||w - v||^2 / 2 + step * value(w)``. A new penalty is one file that derives from :class:`Penalty`
(or :class:`ConvexPenalty` when it has a dual norm), and one line here.
"""

from ._base import ConvexPenalty, Penalty
from ._blocks import BlockPenalty, Blocks
from ._group import GroupL2
from ._l0 import L0
from ._l1 import L1
from ._sorted_l1 import SortedL1, oscar_weights
from ._sparse_group import SparseGroup

__all__ = [
    "L0",
    "L1",
    "BlockPenalty",
    "Blocks",
    "ConvexPenalty",
    "GroupL2",
    "Penalty",
    "SortedL1",
    "SparseGroup",
    "oscar_weights",
]
