"""Networks and linear models in few bytes.

``compact`` removes what is dead, and the output stays the same. ``compress`` goes on with shared
weights and entropy codes, and ``load`` reads what it saved, without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sksparse.coding._errors import DamagedFileError
    from sksparse.compression._compact import compact
    from sksparse.compression._compress import compress
    from sksparse.compression._program_of import program_of
    from sksparse.compression._recurrent_stack import RecurrentStack
    from sksparse.compression._reinitialise import reinitialise
    from sksparse.compression._result import CompactResult
    from sksparse.compression._shift import Shift
    from sksparse.serving._compressed import CompressedLinearModel, CompressedNetwork, load

# A file is loaded without torch, which the other half needs.
_MODULE_OF_NAME = {
    "CompactResult": "compression._result",
    "CompressedLinearModel": "serving._compressed",
    "CompressedNetwork": "serving._compressed",
    "DamagedFileError": "coding._errors",
    "RecurrentStack": "compression._recurrent_stack",
    "Shift": "compression._shift",
    "compact": "compression._compact",
    "compress": "compression._compress",
    "load": "serving._compressed",
    "program_of": "compression._program_of",
    "reinitialise": "compression._reinitialise",
}

__all__ = [
    "CompactResult",
    "CompressedLinearModel",
    "CompressedNetwork",
    "DamagedFileError",
    "RecurrentStack",
    "Shift",
    "compact",
    "compress",
    "load",
    "program_of",
    "reinitialise",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF_NAME:
        return getattr(importlib.import_module(f"sksparse.{_MODULE_OF_NAME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
