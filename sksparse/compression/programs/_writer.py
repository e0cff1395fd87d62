"""Operations and tensors as they are written down, node by node of a traced module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sksparse._typing import Array
from sksparse.serving import Operation, Program
from sksparse.serving._kinds import KINDS, Shape


class CannotRunError(Exception):
    """A call that no operation stands for, with the reason."""


class ProgramWriter:
    """A program that grows, and its tensors.

    Parameters
    ----------
    input_shape : tuple of int
        Of one row.
    """

    def __init__(self, input_shape: Shape) -> None:
        self.tensors: dict[str, Array] = {}
        self._operations: list[Operation] = []
        self._shapes = [tuple(input_shape)]
        self._numbers: dict[fx.Node, int] = {}
        self._constants: dict[fx.Node, Tensor] = {}

    def set_number(self, node: fx.Node, number: int) -> None:
        """Note which value a node stands for."""
        self._numbers[node] = number

    def set_constant(self, node: fx.Node, tensor: Tensor) -> None:
        """Note that a node is a tensor that does not depend on the rows."""
        self._constants[node] = tensor

    def is_value(self, argument: Any) -> bool:
        """Whether an argument of a call depends on the rows."""
        return isinstance(argument, fx.Node) and argument in self._numbers

    def follow_constants(self, node: fx.Node) -> bool:
        """Note what a call makes of tensors that do not depend on the rows.

        Whether it is such a call is returned.
        """
        inputs = node.all_input_nodes
        if not inputs or any(each not in self._constants for each in inputs):
            return False
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda each: self._constants[each])
        target: Any = node.target
        with torch.no_grad():
            if node.op == "call_method":
                self._constants[node] = getattr(args[0], target)(*args[1:], **kwargs)
            else:
                self._constants[node] = target(*args, **kwargs)
        return True

    def number(self, argument: Any) -> int:
        """The value that an argument of a call stands for."""
        if not self.is_value(argument):
            raise CannotRunError("it is called with something else than what depends on the rows")
        return self._numbers[argument]

    def constant(self, argument: Any) -> Array:
        """An argument of a call that does not depend on the rows, in double precision."""
        if isinstance(argument, fx.Node):
            if argument not in self._constants:
                raise CannotRunError("it computes with numbers that are not followed")
            argument = self._constants[argument]
        return as_array(argument)

    def shape(self, number: int) -> Shape:
        """The shape of a value of one row."""
        return self._shapes[number]

    def add(
        self,
        kind: str,
        inputs: Sequence[int],
        tensors: dict[str, tuple[str, Array]] | None = None,
        **options: Any,
    ) -> int:
        """Add an operation; the number of the value that it makes.

        Tensors come with the names that they shall have, by their roles.
        """
        names = {role: self._keep(*named) for role, named in (tensors or {}).items()}
        number = len(self._operations) + 1
        operation = Operation(kind, tuple(inputs), number, names, options)
        shapes = {role: self.tensors[name].shape for role, name in names.items()}
        try:
            made = KINDS[kind].shape(operation.settings, [self._shapes[k] for k in inputs], shapes)
        except ValueError as error:
            raise CannotRunError(str(error)) from None
        self._operations.append(operation)
        self._shapes.append(made)
        return number

    def reshape(self, number: int, shape: Sequence[int]) -> int:
        """The same numbers in another shape."""
        if self._shapes[number] == tuple(shape):
            return number
        if not shape:
            raise CannotRunError("it makes a single number of each row")
        return self.add("reshape", (number,), shape=tuple(map(int, shape)))

    def affine(self, number: int, scale: Array | None, shift: Array | None, name: str) -> int:
        """A value times factors plus shifts, which broadcast against a row of it."""
        shape = self._shapes[number]
        named = {"scale": scale, "shift": shift}
        full = {
            role: np.broadcast_to(array, shape)
            for role, array in named.items()
            if array is not None
        }
        by_channel = {role: array.reshape(shape[0], -1) for role, array in full.items()}
        if all((array == array[:, :1]).all() for array in by_channel.values()):
            tensors = {role: (f"{name}.{role}", array[:, 0]) for role, array in by_channel.items()}
            return self.add("affine", (number,), tensors)
        flat = self.reshape(number, (math.prod(shape),))
        tensors = {role: (f"{name}.{role}", array.ravel()) for role, array in full.items()}
        return self.reshape(self.add("affine", (flat,), tensors), shape)

    def fold(self, number: int, scale: Array, shift: Array) -> bool:
        """Put factors and shifts of channels into the product that made a value.

        The caller knows that nothing else reads it. Whether there is such a product is returned.
        """
        operation = self._operations[number - 1] if number else None
        if operation is None or operation.kind not in ("linear", "conv2d"):
            return False
        names = dict(operation.tensors)
        old = [name for other in self._operations for name in other.tensors.values()]
        if any(old.count(name) > 1 for name in names.values()):
            # another layer has the same tensors
            return False
        weight = self.tensors.pop(names["weight"])
        bias = np.zeros(len(weight)) if "bias" not in names else self.tensors.pop(names["bias"])
        factors = scale.reshape(-1, *[1] * (weight.ndim - 1))
        base = names["weight"].removesuffix("weight")
        names["weight"] = self._keep(names["weight"], weight * factors)
        names["bias"] = self._keep(names.get("bias", f"{base}bias"), bias * scale + shift)
        self._operations[number - 1] = Operation(
            operation.kind, operation.inputs, operation.output, names, operation.options
        )
        return True

    def _keep(self, name: str, array: Array) -> str:
        """The name under which a tensor is kept: its own, unless another one has it."""
        found = name
        for number in range(2, len(self.tensors) + 3):
            kept = self.tensors.get(found)
            if kept is None or np.array_equal(kept, array):
                break
            found = f"{name}_{number}"
        self.tensors[found] = array
        return found

    def finish(self, output: int) -> tuple[Program, dict[str, Array]]:
        """The program and its tensors as float32."""
        program = Program(self._shapes[0], tuple(self._operations), output)
        tensors = {
            name: np.ascontiguousarray(array, dtype=np.float32)
            for name, array in self.tensors.items()
        }
        program.check({name: tensor.shape for name, tensor in tensors.items()})
        return program, tensors


def as_array(tensor: Any) -> Array:
    """A tensor or number as an array of double precision."""
    if isinstance(tensor, Tensor):
        return np.asarray(tensor.detach().cpu().to(torch.float64).numpy())
    return np.asarray(tensor, dtype=np.float64)
