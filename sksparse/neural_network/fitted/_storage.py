"""Modules as NumPy arrays and plain objects, which any tool can store; and copies of modules."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class StoredTensor:
    """A tensor as NumPy arrays, with what these do not say; zeros take a bit each.

    Parameters
    ----------
    tensor : torch.Tensor
        Any dense tensor.
    """

    def __init__(self, tensor: Tensor) -> None:
        values = tensor.detach().cpu()
        try:
            array = values.numpy()
        except TypeError:
            # NumPy has no bfloat16, whose numbers are all in float32
            array = values.float().numpy()
        kept = array != 0
        self.values, self.mask = array.copy(), None
        if 2 * np.count_nonzero(kept) < kept.size:
            self.values, self.mask = array[kept], np.packbits(kept)
        self.shape = array.shape
        self.dtype = str(tensor.dtype).removeprefix("torch.")
        self.is_parameter = isinstance(tensor, nn.Parameter)
        self.requires_grad = bool(tensor.requires_grad)

    def restore(self) -> Tensor:
        """The tensor, in memory of its own."""
        array = self.values
        if self.mask is not None:
            kept = np.unpackbits(self.mask, count=math.prod(self.shape)).astype(bool)
            array = np.zeros(self.shape, dtype=self.values.dtype)
            array[kept.reshape(self.shape)] = self.values
        tensor = torch.tensor(array, dtype=getattr(torch, self.dtype))
        if self.is_parameter:
            return nn.Parameter(tensor, requires_grad=self.requires_grad)
        return tensor


def as_arrays(value: Any) -> Any:
    """Modules and containers with NumPy arrays for tensors, which any tool can store.

    Modules with lazy layers stay as they are: their tensors have no shape yet.
    """
    return value if _is_lazy(value) else with_tensors(value, Tensor, StoredTensor)


def as_tensors(value: Any) -> Any:
    """The reverse of ``as_arrays``."""
    return value if _is_lazy(value) else with_tensors(value, StoredTensor, StoredTensor.restore)


def _is_lazy(value: Any) -> bool:
    if not isinstance(value, nn.Module):
        return False
    return any(is_lazy(tensor) for tensor in chain(value.parameters(), value.buffers()))


def with_tensors(
    value: Any, kind: type, convert: Callable[[Any], Any], memo: dict[int, Any] | None = None
) -> Any:
    """Modules and containers like these, with other tensors in them.

    Only modules, tensors and the containers that hold them are made anew; all else is shared.
    Unlike ``copy.deepcopy``, which takes ten times as long, it does not look into other objects.

    Parameters
    ----------
    value : object
        A module, a tensor, or a dict, list or tuple of such; all else is returned as it is.
    kind : type
        What takes the place of tensors in `value`.
    convert : callable
        Takes one of these and returns what is to be there instead.
    memo : dict, default=None
        What was made so far, by the id of what it was made from.

    Returns
    -------
    value : object
        The same structure.
    """
    memo = {} if memo is None else memo
    kept = memo.get(id(value))
    if kept is not None:
        return kept
    again = lambda item: with_tensors(item, kind, convert, memo)  # noqa: E731
    if isinstance(value, kind):
        memo[id(value)] = made = convert(value)
        return made
    if isinstance(value, nn.Module):
        memo[id(value)] = module = object.__new__(type(value))
        module.__dict__.update({name: again(item) for name, item in vars(value).items()})
        return module
    if type(value) in (dict, OrderedDict):
        return type(value)((key, again(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(map(again, value))
    if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
        return MethodType(value.__func__, again(value.__self__))
    return value
