"""Networks that are really smaller: what is dead is removed, and the output stays the same."""

from __future__ import annotations

from sksparse.compression._compact import compact
from sksparse.compression._result import CompactResult

__all__ = ["CompactResult", "compact"]
