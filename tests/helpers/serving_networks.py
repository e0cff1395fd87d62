"""Networks that are served: programs with tensors, and what must come out of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from sksparse.serving import Operation, Program
from sksparse.serving._numpy_forms import run_numpy

Case = tuple[Program, dict[str, np.ndarray]]


def sparse(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> np.ndarray:
    n_in = int(np.prod(shape[1:]))
    values = rng.normal(size=shape) / np.sqrt(max(1.0, n_in * density))
    return (values * (rng.random(shape) < density)).astype(np.float32)


def perceptron(
    rng: np.random.Generator, widths: tuple[int, ...], density: float, activation: str = "relu"
) -> Case:
    operations: list[Operation] = []
    tensors = {}
    for k, (n_in, n_out) in enumerate(pairwise(widths)):
        n = len(operations)
        tensors[f"w{k}"] = sparse(rng, (n_out, n_in), density)
        tensors[f"b{k}"] = rng.normal(size=n_out).astype(np.float32)
        names = {"weight": f"w{k}", "bias": f"b{k}"}
        operations.append(Operation("linear", (n,), n + 1, names))
        if k < len(widths) - 2:
            parameters = {
                "leaky_relu": {"slope": 0.1}, "elu": {"alpha": 1.5},
                "clip": {"low": -0.5, "high": 0.25},
            }.get(activation, {})  # fmt: skip
            options = {"name": activation, **parameters}
            operations.append(Operation("activation", (n + 1,), n + 2, options=options))
    return Program((widths[0],), tuple(operations), len(operations)), tensors


def convolutional(rng: np.random.Generator, density: float) -> Case:
    """Strides, padding, dilation, groups, pools, a sum, values side by side, a selection."""
    mask = np.zeros(12, dtype=np.float32)
    mask[[0, 2, 3, 5, 11]] = 1.0
    tensors = {
        "c1": sparse(rng, (6, 2, 3, 3), density),
        "b1": rng.normal(size=6).astype(np.float32),
        "c2": sparse(rng, (6, 3, 3, 2), density),
        "scale": rng.normal(size=6).astype(np.float32),
        "shift": rng.normal(size=6).astype(np.float32),
        "mask": mask,
        "c3": sparse(rng, (5, 5, 2, 2), density),
        "w": sparse(rng, (7, 5 * 5 * 3), density),
    }
    pool = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1)}
    options = {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1)}
    second = {"padding": (1, 1), "groups": 2, "dilation": (1, 2)}
    operations = (
        Operation("conv2d", (0,), 1, {"weight": "c1", "bias": "b1"}, options),
        Operation("activation", (1,), 2, options={"name": "relu"}),
        Operation("conv2d", (2,), 3, {"weight": "c2"}, second),
        Operation("affine", (3,), 4, {"scale": "scale", "shift": "shift"}),
        Operation("add", (4, 2, 2), 5),
        Operation("activation", (5,), 6, options={"name": "relu"}),
        Operation("max_pool2d", (6,), 7, options=pool),
        Operation("avg_pool2d", (6,), 8, options={**pool, "counts_padding": False}),
        Operation("avg_pool2d", (7,), 9, options={"kernel": (1, 3), "stride": (1, 1)}),
        Operation("conv2d", (0,), 10, {"weight": "c1"}, {"stride": (2, 4), "padding": (1, 0)}),
        Operation("avg_pool2d", (8,), 11, options={"kernel": (1, 3), "stride": (1, 1)}),
        Operation("add", (9, 11), 12),
        Operation("concatenate", (12, 12), 13),
        Operation("select", (13,), 14, {"mask": "mask"}, {"size": 5}),
        Operation("conv2d", (14,), 15, {"weight": "c3"}, {"padding": (1, 1)}),
        Operation("max_pool2d", (15,), 16, options={"kernel": (2, 2), "stride": (1, 1)}),
        Operation("add", (14, 16), 17),
        Operation("reshape", (17,), 18, options={"shape": (75,)}),
        Operation("linear", (18,), 19, {"weight": "w"}),
        Operation("activation", (19,), 20, options={"name": "tanh"}),
    )
    return Program((2, 9, 8), operations, 20), tensors


def check_outputs(
    made: np.ndarray, program: Program, tensors: dict[str, np.ndarray], X: np.ndarray
) -> None:
    """Within 1e-6 of the largest number on the way, by the definition in double precision."""
    double = {name: t.astype(float) for name, t in tensors.items()}
    values = [
        run_numpy(replace(program, output=k), double, X.astype(float))
        for k in range(len(program.operations) + 1)
    ]
    exact = values[program.output]
    assert made.dtype == np.float32
    assert made.shape == exact.shape
    largest = max(float(np.abs(value).max()) for value in values)
    np.testing.assert_allclose(made, exact, rtol=0, atol=1e-6 * max(1.0, largest))


def selecting(rng: np.random.Generator) -> Case:
    program, tensors = perceptron(rng, (12, 9, 5), 0.5)
    mask = np.zeros(40, dtype=np.float32)
    mask[rng.choice(40, 12, replace=False)] = 1.0
    moved = [
        Operation(op.kind, tuple(k + 1 for k in op.inputs), op.output + 1, op.tensors, op.options)
        for op in program.operations
    ]
    first = Operation("select", (0,), 1, {"mask": "m"}, {"size": 12})
    return Program((40,), (first, *moved), 4), {**tensors, "m": mask}


ACTIVATIONS = (
    *("relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "softplus"),
    "clip",
)
