"""Networks that predict without torch.

A network is a `Program`, plain data that says what is computed, and tensors by name; a `Predictor`
runs them, and functions write them in other formats.
"""

from __future__ import annotations

from sksparse.serving._predictor import Predictor
from sksparse.serving._program import Operation, Program
from sksparse.serving.export._c_code import to_c
from sksparse.serving.export._onnx_graph import to_onnx
from sksparse.serving.export._safetensors import to_safetensors

__all__ = ["Operation", "Predictor", "Program", "to_c", "to_onnx", "to_safetensors"]
