"""Penalties at unit strength; a solver multiplies them by ``alpha``.

Coefficients have shape (n_features,), or (n_outputs, n_features). ``prox(v, step)`` minimises
``||w - v||^2 / 2 + step * value(w)`` within the bounds. A new penalty is one file that
derives from :class:`Penalty` (or :class:`ConvexPenalty` when it has a dual norm), and one line
here.
"""

from sksparse.penalties._base import ConvexPenalty, Penalty
from sksparse.penalties._blocks import BlockPenalty, Blocks
from sksparse.penalties._group import GroupL2
from sksparse.penalties._l0 import L0
from sksparse.penalties._l1 import L1
from sksparse.penalties._sorted_l1 import SortedL1, cluster_labels
from sksparse.penalties._sorted_prox import prox_sorted_l1
from sksparse.penalties._sorted_weights import oscar_weights, slope_weights
from sksparse.penalties._sparse_group import SparseGroup

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
    "cluster_labels",
    "oscar_weights",
    "prox_sorted_l1",
    "slope_weights",
]
