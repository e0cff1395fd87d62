"""Predictors: all forms against the definition in double precision, threads, pickles."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable

import numpy as np
import pytest

from sksparse.serving import Operation, Predictor, Program
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
    for k, (n_in, n_out) in enumerate(zip(widths, widths[1:], strict=False)):
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
    mask = np.zeros(9, dtype=np.float32)
    mask[[0, 2, 3, 5, 8]] = 1.0
    tensors = {
        "c1": sparse(rng, (6, 2, 3, 3), density),
        "b1": rng.normal(size=6).astype(np.float32),
        "c2": sparse(rng, (6, 3, 3, 2), density),
        "scale": rng.normal(size=6).astype(np.float32),
        "shift": rng.normal(size=6).astype(np.float32),
        "mask": mask,
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
        Operation("max_pool2d", (13,), 14, options={"kernel": (1, 1), "stride": (1, 1)}),
        Operation("activation", (14,), 15, options={"name": "tanh"}),
    )
    return Program((2, 9, 8), operations, 15), tensors


def close(made: np.ndarray, program: Program, tensors: dict[str, np.ndarray], X: np.ndarray) -> None:
    exact = run_numpy(program, {name: t.astype(float) for name, t in tensors.items()}, X)
    assert made.dtype == np.float32
    assert made.shape == exact.shape
    np.testing.assert_allclose(made, exact, rtol=0, atol=1e-6 * (1.0 + np.abs(exact).max()))


@pytest.mark.parametrize("form", ["numpy", "lanes", "rows"])
@pytest.mark.parametrize("n", [1, 3, 16, 63, 64, 100, 300])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_a_perceptron_in_all_forms(
    rng: np.random.Generator, form: str, n: int, density: float
) -> None:
    program, tensors = perceptron(rng, (37, 30, 18, 5), density)
    X = rng.normal(size=(n, 37)).astype(np.float32)
    predictor = Predictor(program, tensors, form=form)
    for _ in range(2):
        close(predictor(X), program, tensors, X)


def test_conv(rng):
    program, tensors = convolutional(rng, .5)
    print(program.value_shapes({k:v.shape for k,v in tensors.items()}))
