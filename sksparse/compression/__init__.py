"""Networks that are really smaller: what is dead is removed, and the output stays the same."""

from __future__ import annotations

from sksparse.compression._compact import compact
from sksparse.compression._program_of import program_of
from sksparse.compression._recurrent_stack import RecurrentStack
from sksparse.compression._reinitialise import reinitialise
from sksparse.compression._result import CompactResult
from sksparse.compression._shift import Shift

__all__ = ["CompactResult", "RecurrentStack", "Shift", "compact", "program_of", "reinitialise"]
