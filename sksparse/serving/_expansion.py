"""Layers that are stored in few numbers, written out as the linear layers that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sksparse._hashing import hashed_matrix
from sksparse._typing import Array
from sksparse.serving._kinds import MOST_NUMBERS
from sksparse.serving._program import Program

#: All layers that are written out have no more numbers than this together: 1 GB of them.
_MOST_TOGETHER = 4 * MOST_NUMBERS


def expanded(program: Program, tensors: Mapping[str, Array]) -> tuple[Program, dict[str, Array]]:
    """The same network with linear layers in place of hashed ones.

    Parameters
    ----------
    program : Program
        A program that fits the tensors.
    tensors : mapping of str to ndarray
        Tensors by name.

    Returns
    -------
    program : Program
        Without operations ``hashed_linear``.
    tensors : dict of str to ndarray
        Without the values of hashed layers, with their weights and biases.

    Raises
    ------
    ValueError
        Where the layers would take more than a gigabyte.
    """
    hashed = [op for op in program.operations if op.kind == "hashed_linear"]
    made = dict(tensors)
    if not hashed:
        return program, made
    shapes = program.value_shapes({name: tensor.shape for name, tensor in tensors.items()})
    sizes = {op.output: (op.options["size"], shapes[op.inputs[0]][0] + 1) for op in hashed}
    total = sum(n_rows * n_columns for n_rows, n_columns in sizes.values())
    if total > _MOST_TOGETHER:
        raise ValueError(f"The hashed layers stand for {total} numbers, more than can be held.")
    operations = list(program.operations)
    for op in hashed:
        values = tensors[op.tensors["values"]][0]
        matrix = hashed_matrix(values, *sizes[op.output], op.options["seed"])
        # several layers may have the same values
        names = {role: _free(f"{op.output}.{role}", made) for role in ("weight", "bias")}
        made[names["weight"]] = np.ascontiguousarray(matrix[:, :-1])
        made[names["bias"]] = np.ascontiguousarray(matrix[:, -1])
        operations[op.output - 1] = replace(op, kind="linear", tensors=names, options={})
    used = {name for op in operations for name in op.tensors.values()}
    return (
        Program(program.input_shape, tuple(operations), program.output),
        {name: tensor for name, tensor in made.items() if name in used},
    )


def _free(name: str, tensors: Mapping[str, Array]) -> str:
    """A name that no tensor has."""
    while name in tensors:
        name += "_"
    return name
