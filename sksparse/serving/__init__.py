"""Networks that predict without torch.

A network is a `Program`, plain data that says what is computed, and tensors by name; a `Predictor`
runs them.
"""

from __future__ import annotations

from sksparse.serving._predictor import Predictor
from sksparse.serving._program import Operation, Program

__all__ = ["Operation", "Predictor", "Program"]
