"""Sparse convolutional and recurrent networks: error against weights, units, FLOPs and time.

Rows are fitted on all training rows and scored on the test rows. ``STRUCTURED_CHOICE=1`` fits and
scores on training rows alone, to choose settings, and keeps nothing. ``STRUCTURED_SEEDS="0 1"``
fits these seeds only and leaves the others as they were kept, and ``STRUCTURED_BASES=DIR`` keeps
the networks that several rows start from.
"""

from __future__ import annotations

import os

import torch

from benchmarks.report import Report

from . import big, oracle, speed
from .data import CHOOSING, load
from .describing import describe
from .fitting import Fits, seeds_of
from .lenet_rows import DENSE, GROUPS, WEIGHTS
from .networks import NETWORKS
from .residual import RESIDUAL
from .rivals import RIVALS
from .rows import Row
from .sequences import SEQUENCES

ROWS: dict[str, Row] = {**DENSE, **WEIGHTS, **GROUPS, **RESIDUAL, **SEQUENCES, **RIVALS}
TABLES = {
    "LeNet-5 (20-50-500), 430 500 weights, single weights removed:": {**DENSE, **WEIGHTS},
    "LeNet-5, whole filters, inputs and units removed; widths are filters, filters, inputs that "
    "the first linear layer reads (of 800), hidden units:": GROUPS,
    "Recurrent networks (an LSTM of 128 units on the 28 rows of an image; two layers of 128 on "
    "the sources of Python's standard library, the next of 96 characters after 32):": SEQUENCES,
    "LeNet-5 beside torch-pruning 1.6, dense for 6 epochs, then 6 epochs of each:": RIVALS,
}
BIG = tuple(f"big, {name}" for name in NETWORKS)
EVERY = (*ROWS, "oracle", "speed", *BIG)


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all."""
    torch.set_num_threads(1)
    fits = Fits(ROWS, report)
    for name in EVERY if report.rows is None else report.rows:
        if name in ROWS:
            measure(name, fits, report)
        elif name == "speed":
            keep(name, speed.measure(load("mnist", report)), report)
        elif name == "oracle":
            keep(name, oracle.measure(fits), report)
        else:
            keep(name, big.measure(name.removeprefix("big, ")), report)
    describe(report, TABLES, report.merge({}, EVERY))


def measure(name: str, fits: Fits, report: Report) -> None:
    """Fit with each seed, and keep each at once: the whole run takes hours."""
    for seed in seeds_of(fits.rows[name]):
        result = fits.measure(name, seed)
        print(name, f"seed {seed}", result, fits.rows[name].must(), flush=True)
        if CHOOSING not in os.environ:
            kept = report.merge({}, EVERY).get(name, {})
            report.merge({name: {**kept, str(seed): result}}, EVERY)


def keep(name: str, result: object, report: Report) -> None:
    """Keep what is no fit."""
    print(name, result, flush=True)
    report.merge({name: result}, EVERY)
