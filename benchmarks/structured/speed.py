"""How much faster compacted networks predict, and how long training takes that compacts."""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sksparse.compression import compact

from .data import Split
from .lenet import caffe, lenet5, model
from .sizes import BATCHES, flops_of

#: Filters and hidden units at 8 % of the FLOPs.
WIDTHS = (6, 8, 50)
N_TIMES, N_TRAINED, N_EPOCHS = 31, 10_000, 6
#: What is asked for, by batch.
FASTER = {100: 2.5, 1: 1.5}


def measure(split: Split) -> dict[str, Any]:
    """Times of one thread, the networks in turn."""
    example = torch.from_numpy(split.X_test[:2])
    dense, small = caffe().eval(), compacted(example)
    n_dense, n_small = (
        flops_of(compact(module, example, inputs=False), example[:1]) for module in (dense, small)
    )
    batches = {n: torch.from_numpy(split.X_test[:n]) for n in BATCHES}
    result = {
        "flops": round(n_small / n_dense, 4),
        "torch": {str(n): torch_times(dense, small, X) for n, X in batches.items()},
        "predict": prediction_times(split),
        "training": training_times(split),
    }
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        result["onnxruntime"] = {str(n): onnx_times(dense, small, X) for n, X in batches.items()}
    return result


def compacted(example: torch.Tensor) -> nn.Module:
    """A LeNet-5 of which only some units are alive, without the others."""
    dense = lenet5()
    with torch.no_grad():
        for name, kept in zip(("conv1", "conv2", "fc1"), WIDTHS, strict=True):
            layer = dense.get_submodule(name)
            layer.weight[kept:] = 0.0
            layer.bias[kept:] = 0.0
    return compact(dense, example, inputs=False).module.eval()


def torch_times(dense: nn.Module, small: nn.Module, X: torch.Tensor) -> dict[str, float]:
    """Milliseconds of a call, and the median ratio of pairs."""
    with torch.inference_mode():
        return in_turn(lambda: dense(X), lambda: small(X), max(1, 200 // len(X)))


def onnx_times(dense: nn.Module, small: nn.Module, X: torch.Tensor) -> dict[str, float]:
    """The same in onnxruntime."""
    import io

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = []
    for module in (dense, small):
        file = io.BytesIO()
        torch.onnx.export(module, (X,), file, input_names=["X"], dynamo=False)
        sessions.append(onnxruntime.InferenceSession(file.getvalue(), options))
    rows = {"X": X.numpy()}
    first, second = (lambda s=s: s.run(None, rows) for s in sessions)
    return in_turn(first, second, max(1, 200 // len(X)))


def prediction_times(split: Split) -> dict[str, float]:
    """Prediction of all test rows by the estimator, beside one call of its module."""
    fitted = model(0, sparsifier=None, max_iter=1)
    quietly(lambda: fitted.fit(split.X_train[:1000], split.y_train[:1000]))
    X = torch.from_numpy(split.X_test)

    def one_call() -> None:
        with torch.inference_mode():
            fitted.module_(X)

    return in_turn(one_call, lambda: fitted.predict(split.X_test), 1, n_times=5)


def training_times(split: Split) -> dict[str, float]:
    """Seconds of dense training, and of a group lasso that compacts."""
    X, y = split.X_train[:N_TRAINED], split.y_train[:N_TRAINED]
    options = {"solver": "sgd", "learning_rate_init": 0.02, "max_iter": N_EPOCHS}
    group = {"sparsifier": "group", "granularity": "unit", "compact_during": True}
    times = in_turn(
        lambda: model(0, sparsifier=None, **options).fit(X, y),
        lambda: model(0, target_flops=0.08, **group, **options).fit(X, y),
        1,
        n_times=2,
    )
    return {
        name: round(value / 1e3, 2) if name != "ratio" else value for name, value in times.items()
    }


def in_turn(
    dense: Callable[[], Any], small: Callable[[], Any], repeats: int, n_times: int = N_TIMES
) -> dict[str, float]:
    """Milliseconds of both, and the median over pairs of the first over the second."""
    timed = [[milliseconds(work, repeats) for work in (dense, small)] for _ in range(n_times + 1)][
        1:
    ]
    firsts, seconds = zip(*timed, strict=True)
    return {
        "dense": round(median(firsts), 3),
        "small": round(median(seconds), 3),
        "ratio": round(median(a / b for a, b in timed), 2),
    }


def milliseconds(work: Callable[[], Any], repeats: int) -> float:
    """Milliseconds of one of several calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        quietly(work)
    return 1e3 * (time.perf_counter() - start) / repeats


def quietly(work: Callable[[], Any]) -> None:
    """Time is measured here, not convergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        work()
