"""Tables whose answer is known: what determines the target, that no single column shows.

Each function returns the features, the targets, and which columns hold the answer. Noise is added
to order, columns are shuffled unless that is switched off, and a ``random_state`` gives the same
table again.
"""

from sksparse.datasets._interactions import (
    make_multiplicative_features,
    make_parity_features,
    make_ring_features,
    make_xor_features,
)
from sksparse.datasets._redundancy import make_redundant_groups

__all__ = [
    "make_multiplicative_features",
    "make_parity_features",
    "make_redundant_groups",
    "make_ring_features",
    "make_xor_features",
]
