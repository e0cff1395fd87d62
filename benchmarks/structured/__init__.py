"""Sparse convolutional and recurrent networks: error against weights, units, FLOPs and time.

Rows are fitted on all training rows and scored on the test rows once; their settings were chosen
on training rows held out, which ``STRUCTURED_CHOICE=1`` does again. ``STRUCTURED_SEEDS="0 1"``
fits these seeds only and leaves the others as they were kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch

from benchmarks.report import Report

from .data import CHOOSING, Split, load
from .fitting import fit, seeds_of
from .lenet_rows import DENSE, WEIGHTS
from .rows import Row

ROWS: dict[str, Row] = {**DENSE, **WEIGHTS}


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all."""
    torch.set_num_threads(1)
    splits: dict[str, Split] = {}
    for name in ROWS if report.rows is None else report.rows:
        row = ROWS[name]
        if row.data not in splits:
            splits[row.data] = load(row.data, report)
        measure(name, row, splits[row.data], report)
    merged = report.merge({}, ROWS)


def measure(name: str, row: Row, split: Split, report: Report) -> None:
    """Fit with each seed, and keep each at once: the whole run takes hours."""
    for seed in seeds_of(row):
        result = fit(row, seed, split)
        print(name, f"seed {seed}", result, row.must(), flush=True)
        if CHOOSING not in os.environ:
            kept = report.merge({}, ROWS).get(name, {})
            report.merge({name: {**kept, str(seed): result}}, ROWS)
