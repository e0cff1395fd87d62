"""Arrays and torch tensors by the same formulas, without an import of torch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from sksparse._typing import Array


def apply_to(v: Any, function: Callable[[Array], Array]) -> Any:
    """Apply a function of a float64 array to an array or to a torch tensor.

    Parameters
    ----------
    v : array-like or torch.Tensor
        Any shape and real type; a tensor may be on any device and is taken without its gradient.
    function : callable
        Takes an array of the shape of `v`, which it must not change, and returns one.

    Returns
    -------
    result : ndarray or torch.Tensor
        On the device of `v` and in its type, but float64 where that is one of integers.
    """
    v = v if _is_tensor(v) else np.asarray(v)
    result: Any = np.asarray(function(to_array(v)))
    if not _is_tensor(v):
        return result.astype(v.dtype, copy=False) if v.dtype.kind == "f" else result
    result = sys.modules["torch"].from_numpy(result)
    return result.to(v.dtype if v.is_floating_point() else result.dtype).to(v.device)


def to_array(v: Any) -> Array:
    """The numbers of an array or a tensor in float64.

    Raises
    ------
    ValueError
        Where these are not real numbers.
    """
    if _is_tensor(v):
        v = v.detach().cpu()
        v = (v.double() if v.is_floating_point() else v).numpy()
    v = np.asarray(v)
    if v.dtype.kind not in "fiub":
        raise ValueError(f"The proximal operator takes real numbers; got an array of {v.dtype}.")
    return v.astype(np.float64, copy=False)


def _is_tensor(v: Any) -> bool:
    return isinstance(v, getattr(sys.modules.get("torch"), "Tensor", ()))
