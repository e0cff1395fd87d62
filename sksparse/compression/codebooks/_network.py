"""A fitted network on its way into a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor, nn
from torch.nn import functional

from sksparse._typing import Array
from sksparse.coding._arrays import encode_array
from sksparse.coding._rounding import RoundedArray, round_to_levels, round_to_steps
from sksparse.compression._options import Options
from sksparse.compression._program_of import program_of
from sksparse.compression.codebooks._choice import change_of, choose_bits
from sksparse.compression.codebooks._fine_tuning import FineTuning, fine_tune
from sksparse.serving._compressed import CompressedNetwork
from sksparse.serving._head import Head
from sksparse.serving._numpy_forms import run_numpy
from sksparse.serving._program import Program

#: Rows on which the change of the outputs is measured at most.
_MEASURED = 512
#: Vectors are a small part of a file: they have so many bits more than the weights.
_MORE_BITS = 2


@dataclass(frozen=True)
class NetworkParts:
    """What an estimator knows of its network.

    Parameters
    ----------
    module : torch.nn.Module
        The network without dead units, on the CPU and in evaluation mode.
    example : torch.Tensor
        Rows as it takes them.
    head : Head
        What stands around its outputs.
    dense_nbytes : int
        Bytes of the parameters of the dense network.
    """

    module: nn.Module
    example: Tensor
    head: Head
    dense_nbytes: int

    def compress(self, X: Any, y: Any, options: Options) -> CompressedNetwork:
        """The network in a file."""
        program, tensors = program_of(self.module, self.example)
        tensors = {name: _finite(name, tensor) for name, tensor in tensors.items()}
        rows = None if X is None else self.head.inputs(self.head.rows(X)).astype(np.float32)
        names = [name for name, tensor in tensors.items() if tensor.ndim > 1]
        asked = options.bits_of(names)
        bits = _chosen(program, tensors, rows, asked, options)
        rounded = {name: _rounded(tensors[name], bits[name], options) for name in bits}
        vectors = {name: tensors[name] for name in tensors if name not in asked}
        if rounded and y is not None and rows is not None and options.max_iter > 0:
            tuning = self._tuning(rows, y, options)
            levels, vectors = fine_tune(program, rounded, vectors, tuning)
            rounded = {
                name: array.with_levels(levels[name], options.codebook_dtype)
                for name, array in rounded.items()
            }
        if bits and None not in asked.values():
            most = max(bits.values()) + _MORE_BITS
            vectors = {name: round_to_steps(vector, most) for name, vector in vectors.items()}
        made = {**tensors, **vectors, **{name: array.array() for name, array in rounded.items()}}
        return CompressedNetwork._write(
            {"program": program.to_json()},
            self.head,
            {
                name: encode_array(array, options.coding)
                for name, array in {**made, **self.head.arrays()}.items()
            },
            self.dense_nbytes,
        )

    def _tuning(self, rows: Array, y: Any, options: Options) -> FineTuning:
        random = check_random_state(options.random_state)
        return FineTuning(
            rows,
            _loss(self.head, y, len(rows)),
            options.max_iter,
            options.learning_rate_init,
            options.batch_size,
            np.random.default_rng(random.randint(2**31)),
        )


def _finite(name: str, tensor: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(tensor).all():
        raise ValueError(f"The tensor {name!r} of the network holds values that are not finite.")
    return tensor


def _rounded(tensor: NDArray[Any], bits: int, options: Options) -> RoundedArray:
    return round_to_levels(tensor, bits, options.codebook_dtype, options.init, options.random_state)


def _chosen(
    program: Program,
    tensors: Mapping[str, NDArray[Any]],
    rows: Array | None,
    asked: Mapping[str, Any],
    options: Options,
) -> dict[str, int]:
    """The bits of each layer that shall have a codebook."""
    given = {name: int(bits) for name, bits in asked.items() if bits not in ("auto", None)}
    auto = {name: int((tensors[name] != 0).sum()) for name, b in asked.items() if b == "auto"}
    if not auto:
        return given
    made = {(name, b): _rounded(tensors[name], b, options) for name in auto for b in range(1, 9)}
    if rows is None:
        return given | {
            name: next(
                (
                    b
                    for b in range(1, 9)
                    if _share(made[name, b].array(), tensors[name]) <= options.tolerance
                ),
                8,
            )
            for name in auto
        }
    few = rows[:: max(1, len(rows) // _MEASURED)][:_MEASURED]
    exact = run_numpy(program, tensors, few)

    def noise(bits: Mapping[str, int]) -> float:
        changed = {name: made[name, b].array() for name, b in bits.items()}
        return change_of(run_numpy(program, {**tensors, **changed}, few), exact)

    return given | choose_bits(auto, noise, options.tolerance)


def _share(rounded: NDArray[Any], exact: NDArray[Any]) -> float:
    """The change of weights as a share of their length."""
    length = float(np.linalg.norm(exact))
    return float(np.linalg.norm(rounded - exact)) / length if length else 0.0


def _loss(head: Head, y: Any, n_rows: int) -> Any:
    """The loss by outputs and numbers of rows: log loss, or squared error in deviations."""
    target = np.asarray(y)
    if len(target) != n_rows:
        raise ValueError(f"y has {len(target)} rows, but X has {n_rows}; give as many.")
    if head.classes is None:
        values = target.astype(np.float64).reshape(n_rows, -1)
        deviation = values.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        bare = replace(head, output_shift=None)
        unit = torch.from_numpy(np.asarray(bare.values(np.ones_like(scale)) / scale, np.float32))
        shift = 0.0 if head.output_shift is None else head.output_shift
        wanted = torch.from_numpy(((values - shift) / scale).astype(np.float32))
        return lambda outputs, rows: functional.mse_loss(outputs * unit, wanted[rows])
    if head.link == "sigmoid":
        labels = torch.from_numpy(target.astype(np.float32))
        return lambda outputs, rows: functional.binary_cross_entropy_with_logits(
            outputs, labels[rows]
        )
    strange = np.setdiff1d(target, head.classes)
    if len(strange):
        raise ValueError(f"y holds {strange.tolist()[:5]}, which the model was not fitted to.")
    codes = torch.from_numpy(np.searchsorted(head.classes, target))
    return lambda outputs, rows: functional.cross_entropy(outputs, codes[rows])
