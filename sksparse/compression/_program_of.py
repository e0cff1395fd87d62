"""A module of torch as a program and tensors, which run without torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sksparse._typing import Array
from sksparse.compression._shift import Shift
from sksparse.compression.programs._calls import CALLS
from sksparse.compression.programs._layers import LAYERS, NORMALISATIONS, normalise
from sksparse.compression.programs._writer import CannotRunError, ProgramWriter, as_array
from sksparse.module_graph._trace import Obstacle, trace
from sksparse.serving import Program
from sksparse.serving._numpy_forms import run_numpy

_REMEDY = (
    "Predict with the network of torch, or write these parts with linear layers, convolutions, "
    "batch normalisations, activations, pools, sums and concatenations."
)

#: Share of the largest output by which the program may differ from the module.
_TOLERANCE = 1e-3


def program_of(module: nn.Module, example: Tensor) -> tuple[Program, dict[str, Array]]:
    """What a module computes in evaluation mode, as a program and its tensors.

    Dropout is left out, and batch normalisation becomes part of the layer before it.

    Parameters
    ----------
    module : torch.nn.Module
        Linear layers, convolutions over one or two axes, batch normalisations, pools, activations,
        sums, concatenations and changes of shape, as layers or as functions in its code. It is
        left as it is.
    example : torch.Tensor of shape (n_rows, ...)
        A few rows of features, of the type and on the device of the module.

    Returns
    -------
    program : Program
        Operations on values of one row.
    tensors : dict of str to ndarray
        What it computes with, as float32, by the names of the layers.

    Raises
    ------
    ValueError
        Where the module has parts for which there is no operation: it names all of them. Also
        where the outputs of the program for `example` are not those of the module, as for a module
        with hooks.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sksparse.compression import program_of
    >>> module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    >>> program, tensors = program_of(module, torch.randn(2, 4))
    >>> [operation.kind for operation in program.operations]
    ['linear', 'activation', 'linear']
    >>> sorted(tensors)
    ['0.bias', '0.weight', '3.bias', '3.weight']
    """
    if not isinstance(module, nn.Module) or not isinstance(example, Tensor) or example.ndim < 2:
        raise ValueError(
            f"module must be a torch.nn.Module, not a {type(module).__name__}, and example a "
            "tensor of a few rows of features, with an axis of rows."
        )
    graph, obstacle = trace(module, example)
    if graph is None:
        raise ValueError(f"The module cannot run without torch: {obstacle}. {_REMEDY}")
    program, tensors = _written(module, graph, example)
    _compare(module, example, program, tensors)
    return program, tensors


def _shift(writer: ProgramWriter, number: int, layer: Shift, name: str) -> int:
    values = as_array(layer.values)
    shape = writer.shape(number)
    return writer.affine(number, None, values.reshape(-1, *[1] * (len(shape) - 1)), name)


_LAYERS: dict[type[nn.Module], Callable[..., int]] = {**LAYERS, Shift: _shift}


def _written(
    module: nn.Module, graph: fx.Graph, example: Tensor
) -> tuple[Program, dict[str, Array]]:
    writer = ProgramWriter(tuple(example.shape[1:]))
    obstacles: list[Obstacle] = []
    output = 0
    lost: set[fx.Node] = set()
    for node in graph.nodes:
        if not lost.isdisjoint(node.all_input_nodes):
            # what follows from an obstacle cannot be run either, and is no news
            lost.add(node)
            continue
        try:
            if node.op == "output":
                output = writer.number(node.args[0])
            else:
                _write(writer, module, node)
        except CannotRunError as error:
            what = f"{_name(module, node)}: {error}"
            obstacles.append(Obstacle(what, str(node.meta.get("line", ""))))
            lost.add(node)
    if obstacles:
        parts = "; ".join(map(str, obstacles))
        raise ValueError(f"The module has parts that cannot run without torch: {parts}. {_REMEDY}")
    return writer.finish(output)


def _name(module: nn.Module, node: fx.Node) -> str:
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        return f"{node.target!r} ({type(layer).__name__})"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    part = node.meta.get("part", "")
    return f"{name!r} in {part!r}" if part else f"{name!r}"


def _write(writer: ProgramWriter, module: nn.Module, node: fx.Node) -> None:
    """Write down a call, unless it asks for a size or makes something of constants."""
    if node.op == "placeholder":
        writer.set_number(node, 0)
    elif node.op == "get_attr":
        writer.set_constant(node, _attribute(module, node))
    elif node.op == "call_module":
        writer.set_number(node, _layer(writer, module, node))
    elif isinstance(node.meta["shape"], torch.Size) and not writer.follow_constants(node):
        target: Any = node.target
        rule = CALLS.get(target)
        if rule is None:
            raise CannotRunError("there is no operation for it")
        writer.set_number(node, rule(writer, node))


def _attribute(module: nn.Module, node: fx.Node) -> Tensor:
    if "constant" in node.meta:
        constant: Tensor = node.meta["constant"]
        return constant
    owner, _, attribute = str(node.target).rpartition(".")
    found: Tensor = getattr(module.get_submodule(owner), attribute)
    return found


def _layer(writer: ProgramWriter, module: nn.Module, node: fx.Node) -> int:
    name = str(node.target)
    layer = module.get_submodule(name)
    if len(node.args) != 1 or node.kwargs:
        raise CannotRunError("it is called with several arguments")
    number = writer.number(node.args[0])
    if isinstance(layer, NORMALISATIONS):
        source = node.args[0]
        assert isinstance(source, fx.Node)
        return normalise(writer, number, name or "0", layer, len(source.users) == 1)
    rule = next((_LAYERS[kind] for kind in type(layer).__mro__ if kind in _LAYERS), None)
    if rule is None:
        raise CannotRunError("there is no operation for it")
    return rule(writer, number, layer, name or "0")


def _compare(
    module: nn.Module, example: Tensor, program: Program, tensors: dict[str, Array]
) -> None:
    """Whether the program gives the outputs of the module."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            outputs = module(example).cpu().double().numpy()
    finally:
        for part, mode in modes:
            part.training = mode
    double = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    found = run_numpy(program, double, example.detach().cpu().double().numpy())
    if found.shape == outputs.shape:
        scale = max(1.0, float(np.abs(outputs).max(initial=0.0)))
        if np.allclose(found, outputs, rtol=0.0, atol=_TOLERANCE * scale, equal_nan=True):
            return
    raise ValueError(
        "The operations that stand for the layers of the module do not give its outputs, as where "
        "hooks or methods of its own change what a layer computes. Predict with the network of "
        "torch."
    )
