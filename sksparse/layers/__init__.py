"""Linear layers that are learned and stored in fewer numbers than they have weights.

They stand in any module of torch, in place of ``torch.nn.Linear``.
"""

from __future__ import annotations

from sksparse.layers._hashed_linear import HashedLinear
from sksparse.layers._low_rank_linear import LowRankLinear

__all__ = ["HashedLinear", "LowRankLinear"]
