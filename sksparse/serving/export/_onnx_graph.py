"""A network as a graph of ONNX."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.serving._expansion import expanded
from sksparse.serving._kinds import Shape
from sksparse.serving._network import Network, parts_of
from sksparse.serving._program import Operation

#: The first set of operators with GELU.
_OPERATORS, _FORMAT = 20, 9


def to_onnx(network: Network, path: str | os.PathLike[str], *, sparse: bool = False) -> None:
    """Write a network as an ONNX file, which needs the package ``onnx`` (extra ``onnx``).

    Parameters
    ----------
    network : object
        A ``Predictor`` or a compressed network.
    path : str or path-like
        The file, which is written over.
    sparse : bool, default=False
        Whether tensors of which more than half is zero are stored by the places of their other
        numbers. The file is smaller; runtimes compute with all weights as before.

    Raises
    ------
    ImportError
        Where ``onnx`` is not installed.
    ValueError
        Where `network` is something else.

    Notes
    -----
    The graph takes ``input`` of shape (n_rows, ...) and gives ``output``, which are those of the
    network: scores before softmax for classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.serving import Operation, Predictor, Program, to_onnx
    >>> program = Program((2,), (Operation("linear", (0,), 1, {"weight": "w"}),), 1)
    >>> predictor = Predictor(program, {"w": np.array([[1.0, 0.0], [0.0, -1.0]])})
    >>> to_onnx(predictor, "network.onnx")  # doctest: +SKIP
    """
    program, tensors = expanded(*parts_of(network))
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "to_onnx needs the package onnx; install it with pip install sksparse[onnx]."
        ) from error
    shapes = program.value_shapes({name: tensor.shape for name, tensor in tensors.items()})
    writer = _Graph(onnx, sparse, shapes)
    for operation in program.operations:
        inputs = [_value(number) for number in operation.inputs]
        by_role = {
            role: np.asarray(tensors[n], np.float32) for role, n in operation.tensors.items()
        }
        _WRITERS[operation.kind](writer, operation, inputs, by_role)
    writer.add("Identity", [_value(program.output)], "output")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n_rows", *shape])
        for name, shape in (("input", program.input_shape), ("output", shapes[program.output]))
    ]
    graph = onnx.helper.make_graph(writer.nodes, "network", ends[:1], ends[1:], writer.dense)
    graph.sparse_initializer.extend(writer.sparse)
    model = onnx.helper.make_model(
        graph,
        producer_name="sksparse",
        ir_version=_FORMAT,
        opset_imports=[onnx.helper.make_opsetid("", _OPERATORS)],
    )
    onnx.checker.check_model(model)
    onnx.save(model, os.fspath(path))


def _value(number: int) -> str:
    return "input" if number == 0 else f"value{number}"


class _Graph:
    """Nodes and tensors of a graph.

    Parameters
    ----------
    onnx : module
        The package.
    sparse : bool
        Whether tensors with many zeros are stored by places.
    shapes : sequence of tuple of int
        The shapes of all values of one row.
    """

    def __init__(self, onnx: Any, sparse: bool, shapes: Sequence[Shape]) -> None:
        self._onnx, self._is_sparse, self.shapes = onnx, sparse, shapes
        self.nodes: list[Any] = []
        self.dense: list[Any] = []
        self.sparse: list[Any] = []

    def add(self, kind: str, inputs: Sequence[str], output: str, **options: Any) -> str:
        """Add a node; the name of what it makes."""
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, [output], **options))
        return output

    def tensor(self, array: np.ndarray) -> str:
        """Add a constant; its name."""
        name = f"tensor{len(self.dense) + len(self.sparse)}"
        numpy_helper = self._onnx.numpy_helper
        flat = array.ravel()
        places = np.flatnonzero(flat)
        if self._is_sparse and array.dtype == np.float32 and 0 < 2 * len(places) < array.size:
            values = numpy_helper.from_array(flat[places], name)
            indices = numpy_helper.from_array(places.astype(np.int64), f"{name}_places")
            make = self._onnx.helper.make_sparse_tensor
            self.sparse.append(make(values, indices, list(array.shape)))
        else:
            self.dense.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value: float) -> str:
        """Add a number; its name."""
        return self.tensor(np.array(value, dtype=np.float32))


Tensors = dict[str, Array]


def _linear(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    names = [graph.tensor(tensors[role]) for role in ("weight", "bias") if role in tensors]
    graph.add("Gemm", [*inputs, *names], _value(op.output), transB=1)


def _conv2d(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    names = [graph.tensor(tensors[role]) for role in ("weight", "bias") if role in tensors]
    settings = op.settings
    graph.add(
        *("Conv", [*inputs, *names], _value(op.output)),
        kernel_shape=tensors["weight"].shape[2:],
        strides=settings["stride"],
        pads=2 * tuple(settings["padding"]),
        dilations=settings["dilation"],
        group=settings["groups"],
    )


def _pool(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    settings = op.settings
    options = {
        "kernel_shape": settings["kernel"],
        "strides": settings["stride"],
        "pads": 2 * tuple(settings["padding"]),
    }
    if op.kind == "max_pool2d":
        graph.add("MaxPool", inputs, _value(op.output), **options)
    else:
        counts = int(settings["counts_padding"])
        graph.add("AveragePool", inputs, _value(op.output), count_include_pad=counts, **options)


#: The operators of functions, with the names that they have for our parameters.
_FUNCTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"slope": "alpha"}),
    "elu": ("Elu", {"alpha": "alpha"}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "softplus": ("Softplus", {}),
}


def _activation(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    name, output = op.options["name"], _value(op.output)
    if name == "clip":
        bounds = [graph.number(op.options[bound]) for bound in ("low", "high")]
        graph.add("Clip", [*inputs, *bounds], output)
    elif name == "silu":
        graph.add("Mul", [*inputs, graph.add("Sigmoid", inputs, f"{output}_gate")], output)
    else:
        kind, names = _FUNCTIONS[name]
        options: dict[str, Any] = {
            theirs: float(op.options[ours]) for ours, theirs in names.items()
        }
        if name == "gelu_tanh":
            options["approximate"] = "tanh"
        graph.add(kind, inputs, output, **options)


def _affine(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    name, output = inputs[0], _value(op.output)
    by_channel = (-1, *[1] * (len(graph.shapes[op.output]) - 1))
    for kind, role in (("Mul", "scale"), ("Add", "shift")):
        if role in tensors:
            array = graph.tensor(tensors[role].reshape(by_channel))
            name = graph.add(kind, [name, array], f"{output}_{role}")
    graph.add("Identity", [name], output)


def _reshape(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    shape = graph.tensor(np.array([-1, *op.options["shape"]], dtype=np.int64))
    graph.add("Reshape", [*inputs, shape], _value(op.output))


def _select(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    places = graph.tensor(np.flatnonzero(tensors["mask"]).astype(np.int64))
    graph.add("Gather", [*inputs, places], _value(op.output), axis=1)


def _add(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    graph.add("Sum", inputs, _value(op.output))


def _concatenate(graph: _Graph, op: Operation, inputs: list[str], tensors: Tensors) -> None:
    graph.add("Concat", inputs, _value(op.output), axis=1)


_WRITERS: dict[str, Callable[[_Graph, Operation, list[str], Tensors], None]] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "activation": _activation,
    "affine": _affine,
    "reshape": _reshape,
    "select": _select,
    "add": _add,
    "concatenate": _concatenate,
}
