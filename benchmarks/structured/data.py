"""The data of the rows, and what is held out of them to choose settings."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from benchmarks.report import Report

from .sequences import library_text, windows

#: With it set, rows are scored on the held-out part of the training rows and are not kept.
CHOOSING = "STRUCTURED_CHOICE"
N_HELD_OUT = 10_000
#: Pieces of text to train on.
N_PIECES = 60_000


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to score."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def load(name: str, report: Report) -> Split:
    """The data of that name, in float32; the test rows are those held out while choosing."""
    split = LOADERS[name](report)
    if CHOOSING not in os.environ:
        return split
    n = len(split.X_train)
    first = n - min(N_HELD_OUT, n // 6)
    return Split(
        split.X_train[:first],
        split.y_train[:first],
        split.X_train[first:],
        split.y_train[first:],
    )


def mnist(report: Report) -> Split:
    """Images of one channel with pixels in [0, 1]."""
    data = report.load("mnist.npz")
    X_train, X_test = (
        data[name].reshape(-1, 1, 28, 28).astype(np.float32) / 255 for name in ("X_train", "X_test")
    )
    return Split(X_train, data["y_train"], X_test, data["y_test"])


def mnist_rows(report: Report) -> Split:
    """Each image as a sequence of its 28 rows."""
    images = mnist(report)
    return Split(images.X_train[:, 0], images.y_train, images.X_test[:, 0], images.y_test)


def mnist_part(report: Report) -> Split:
    """The first 10 000 training images, and all test images."""
    images = mnist(report)
    return Split(images.X_train[:10_000], images.y_train[:10_000], images.X_test, images.y_test)


def coil20(report: Report) -> Split:
    """20 objects at 32 x 32 pixels, seen from 18 angles; to be predicted are 54 others."""
    data = report.load("coil20.npz")
    X = data["X"].reshape(-1, 1, 32, 32).astype(np.float32)
    X /= X.max()
    train = np.arange(len(X)) % 4 == 0
    # in random order, so that all objects are among those held out
    order = np.random.default_rng(0).permutation(np.flatnonzero(train))
    return Split(X[order], data["y"][order], X[~train], data["y"][~train])


def characters(report: Report) -> Split:
    """Pieces of the standard library's sources and the characters that follow them."""
    train, test = library_text()
    return Split(*windows(train, N_PIECES, 0), *windows(test, N_PIECES // 10, 1))


LOADERS = {
    "mnist": mnist,
    "mnist rows": mnist_rows,
    "mnist part": mnist_part,
    "coil20": coil20,
    "characters": characters,
}
