"""Microseconds of a prediction by a perceptron 784-300-100-10, one thread, beside other runtimes.

All are given the same rows of uniform numbers, none of which is zero, and take turns; each time is
the least of many. Zeros are at random places, so that no unit is dead. The compacted network is
given the 266 columns that it reads, or all 784, of which it takes them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks.report import Report
from sksparse.serving import Operation, Predictor, Program, to_onnx

DENSE, COMPACTED = (784, 300, 100, 10), (266, 60, 20, 10)
BATCHES = (1, 100, 10_000)
#: Rounds in which all take turns, and calls of a round.
N_ROUNDS, N_CALLS = {1: 200, 100: 200, 10_000: 40}, {1: 50, 100: 5, 10_000: 1}
#: What the time of onnxruntime for the dense network over ours must reach.
MUST = {
    "95 % zeros": {1: 1.0, 100: 2.2, 10_000: 3.0},
    "compacted": {1: 3.0, 100: 10.0, 10_000: 15.0},
}
OTHERS = ("onnxruntime, dense", "onnxruntime, compacted", "torch, dense", "MLPClassifier.predict")

Call = Callable[[np.ndarray], Any]


def perceptron(widths: tuple[int, ...], density: float) -> Predictor:
    """A perceptron of which so many weights are not zero, at random places."""
    rng = np.random.default_rng(0)
    operations: list[Operation] = []
    tensors = {}
    for k, (n_in, n_out) in enumerate(pairwise(widths)):
        weight = rng.normal(size=(n_out, n_in)) * (rng.random((n_out, n_in)) < density)
        tensors[f"weight{k}"] = weight / np.sqrt(n_in * density)
        tensors[f"bias{k}"] = rng.normal(size=n_out)
        roles = {"weight": f"weight{k}", "bias": f"bias{k}"}
        operations.append(Operation("linear", (2 * k,), 2 * k + 1, roles))
        if k < len(widths) - 2:
            relu = Operation("activation", (2 * k + 1,), 2 * k + 2, options={"name": "relu"})
            operations.append(relu)
    return Predictor(Program(widths[:1], tuple(operations), len(operations)), tensors)


def of_all_columns(network: Predictor, n_columns: int) -> Predictor:
    """The same network, which takes some of the columns."""
    n = network.program.input_shape[0]
    mask = np.zeros(n_columns)
    mask[np.random.default_rng(0).choice(n_columns, n, replace=False)] = 1.0
    moved = [
        replace(op, inputs=tuple(k + 1 for k in op.inputs), output=op.output + 1)
        for op in network.program.operations
    ]
    select = Operation("select", (0,), 1, {"mask": "mask"}, {"size": n})
    program = Program((n_columns,), (select, *moved), network.program.output + 1)
    return Predictor(program, {**network.tensors, "mask": mask})


def in_onnxruntime(network: Predictor) -> Call:
    """The network in onnxruntime, with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(network, Path(folder) / "network.onnx")
        session = onnxruntime.InferenceSession(Path(folder) / "network.onnx", options)
    return lambda X: session.run(None, {"input": X})


def in_torch(network: Predictor) -> Call:
    """The network in torch."""
    layers: list[torch.nn.Module] = []
    for k in range(3):
        weight = torch.from_numpy(network.tensors[f"weight{k}"])
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict(
            {"weight": weight, "bias": torch.from_numpy(network.tensors[f"bias{k}"])}
        )
        layers += [layer, torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers[:-1]).eval()

    def call(X: np.ndarray) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(X))

    return call


def in_sklearn(network: Predictor) -> Call:
    """The network as scikit-learn's classifier."""
    model = MLPClassifier(DENSE[1:-1])
    rows = np.random.default_rng(0).random((20, DENSE[0]), dtype=np.float32)
    model.partial_fit(rows, np.arange(20) % DENSE[-1], classes=np.arange(DENSE[-1]))
    model.coefs_ = [network.tensors[f"weight{k}"].T.copy() for k in range(3)]
    model.intercepts_ = [network.tensors[f"bias{k}"] for k in range(3)]
    return model.predict


def calls() -> dict[str, tuple[Call, int]]:
    """What is measured: a function, and the columns that it takes."""
    dense, compacted = perceptron(DENSE, 1.0), perceptron(COMPACTED, 1.0)
    every, some = DENSE[0], COMPACTED[0]
    return {
        "onnxruntime, dense": (in_onnxruntime(dense), every),
        "onnxruntime, compacted": (in_onnxruntime(compacted), some),
        "torch, dense": (in_torch(dense), every),
        "MLPClassifier.predict": (in_sklearn(dense), every),
        "dense": (dense, every),
        "95 % zeros": (perceptron(DENSE, 0.05), every),
        "98 % zeros": (perceptron(DENSE, 0.02), every),
        "compacted": (compacted, some),
        "compacted, of all columns": (of_all_columns(compacted, every), every),
    }


def measure() -> dict[str, dict[str, float]]:
    """The least microseconds of each, by batch."""
    torch.set_num_threads(1)
    found = calls()
    rng = np.random.default_rng(0)
    least: dict[str, dict[str, float]] = {name: {} for name in found}
    with threadpool_limits(1):
        for n in BATCHES:
            X = rng.random((n, DENSE[0]), dtype=np.float32)
            rows = {width: np.ascontiguousarray(X[:, :width]) for _, width in found.values()}
            times: dict[str, list[float]] = {name: [] for name in found}
            for _ in range(N_ROUNDS[n]):
                for name, (call, width) in found.items():
                    times[name].append(microseconds(call, rows[width], N_CALLS[n]))
            for name, values in times.items():
                least[name][str(n)] = round(min(values), 1)
    return least


def microseconds(call: Call, X: np.ndarray, repeats: int) -> float:
    """Of one of several calls, of the processor: others may use it as well."""
    start = time.thread_time()
    for _ in range(repeats):
        call(X)
    return 1e6 * (time.thread_time() - start) / repeats


def describe(report: Report, kept: Mapping[str, Mapping[str, float]]) -> None:
    """The table of times, with their ratios to the dense network in onnxruntime."""
    report.note(
        f"Predictions of a perceptron {'-'.join(map(str, DENSE))} (compacted: "
        f"{'-'.join(map(str, COMPACTED))}), one thread: microseconds of a batch, and how many "
        "times as long the dense network takes in onnxruntime. Inputs are not sparse. Each is the "
        "least of many, in turn, in time of the processor."
    )
    dense = kept["onnxruntime, dense"]
    lines = []
    for name, times in kept.items():
        must = MUST.get(name)
        ratios = {n: dense[str(n)] / times[str(n)] for n in BATCHES}
        cells = [f"{times[str(n)]:.4g} ({ratios[n]:.1f})" for n in BATCHES]
        asked = "" if must is None else ", ".join(f"{value:g}" for value in must.values())
        holds = "" if must is None else _verdict(ratios, must)
        lines.append([name if name in OTHERS else f"ours, {name}", *cells, asked, holds])
    report.table(["network", *(f"batch {n}" for n in BATCHES), "must reach", "holds"], lines)


def _verdict(ratios: Mapping[int, float], must: Mapping[int, float]) -> str:
    return "yes" if all(ratios[n] >= least for n, least in must.items()) else "no"
