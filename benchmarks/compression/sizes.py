"""Bytes of the files of pruned networks, and the test error of what they hold; on MNIST.

Networks are those of the rows with the same compression of ``mnist`` and ``structured``. All
numbers of bits that are tried are reported.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import mnist
from benchmarks.mnist_rows import ROWS as PERCEPTRONS
from benchmarks.report import Report
from benchmarks.structured import data
from benchmarks.structured.lenet_rows import surgery
from sksparse.compression import compress

#: Bits of a level; levels are trained on all training images.
BITS = (2, 3, 4, 5)


@dataclass(frozen=True)
class Row:
    """A network.

    Parameters
    ----------
    make : callable
        Returns the estimator.
    is_convolutional : bool
        Whether it takes images rather than rows of pixels.
    goal : str
        What a file must reach.
    published : str
        Published bytes and test error.
    """

    make: Callable[[], Any]
    is_convolutional: bool
    goal: str
    published: str = ""


def _perceptron(ratio: int, goal: str, published: str = "") -> Row:
    return Row(lambda: PERCEPTRONS[f"magnitude, {ratio}x"].make(0), False, goal, published)


def _lenet(ratio: int, goal: str, published: str = "") -> Row:
    return Row(lambda: surgery(0, ratio), True, goal, published)


ROWS = {
    "LeNet-300-100, 12x": _perceptron(12, "20.5 KB at 1.55 %", "27 KB at 1.58 %"),
    "LeNet-300-100, 100x": _perceptron(100, "6 KB at 1.8 %", "17 KB at 1.94 %"),
    "LeNet-5, 12x": _lenet(12, "15 KB at .74 %", "44 KB at .74 %"),
    "LeNet-5, 30x": _lenet(30, ""),
    "LeNet-5, 100x": _lenet(100, "5.2 KB at .80 %", "10.6 KB at .97 %"),
    "LeNet-5, 200x": _lenet(200, "3.1 KB at .95 %", "2.2 KB at 1.0 %; 1.5 KB at .96 %"),
}


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all, and add their table to a report."""
    kept = Report("compression_sizes", report.data)
    for name, row in ROWS.items():
        if report.rows is None or name in report.rows:
            arrays = load(row, report)
            with warnings.catch_warnings():
                # the schedules run to their end, which need not be convergence
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = row.make().fit(*arrays[:2])
            result = measure(model, *arrays)
            print(name, result, flush=True)
            kept.merge({name: result}, ROWS)
    describe(report, kept.merge({}, ROWS))


def load(row: Row, report: Report) -> tuple[np.ndarray, ...]:
    """Rows to train on and their classes, rows to test and theirs."""
    if row.is_convolutional:
        split = data.load("mnist", report)
        return split.X_train, split.y_train, split.X_test, split.y_test
    raw = report.load("mnist.npz")
    return (
        mnist.images(raw["X_train"]),
        raw["y_train"],
        mnist.images(raw["X_test"]),
        raw["y_test"],
    )


def measure(
    model: Any, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray
) -> dict[str, Any]:
    """Files of a fitted network: bytes and test error by the bits of a level."""

    def error(predictor: Any) -> float:
        return round(100 * float((predictor.predict(X_test) != y_test).mean()), 2)

    files = {}
    for bits in BITS:
        file = compress(model, X, y, bits=bits)
        files[str(bits)] = {"bytes": file.nbytes, "error": error(file)}
    huffman = compress(model, X, y, bits=BITS[-1], coding="huffman")
    return {
        "error": error(model),
        "dense": file.dense_nbytes,
        "files": files,
        "huffman": huffman.nbytes,
    }


def describe(report: Report, kept: dict[str, Any]) -> None:
    """The table."""
    report.note(
        "Files of pruned networks, one seed, trained with the settings of the rows of the same "
        "compression of `mnist` and `structured`: test error of the network; bytes and test error "
        f"of files with levels of {BITS[0]} to {BITS[-1]} bits, trained for five epochs; bytes "
        f"with Huffman codes at {BITS[-1]} bits. Published are Deep Compression, soft weight "
        "sharing, and for the last row Bayesian compression and MIRACLE."
    )
    report.table(
        [
            "row",
            "error",
            "dense",
            *(f"{bits} bits" for bits in BITS),
            "Huffman",
            "must",
            "published",
        ],
        [
            [name, *cells(kept[name]), row.goal, row.published]
            for name, row in ROWS.items()
            if name in kept
        ],
    )


def cells(result: dict[str, Any]) -> list[str]:
    """What the table shows of a result."""
    dense = result["dense"]
    files = [
        f"{file['bytes'] / 1000:.2f} KB ({dense / file['bytes']:.0f}x), {file['error']:.2f} %"
        for file in result["files"].values()
    ]
    return [
        f"{result['error']:.2f} %",
        f"{dense / 1000:.0f} KB",
        *files,
        f"{result['huffman'] / 1000:.2f} KB",
    ]
