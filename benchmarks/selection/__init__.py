"""Selection of features: what models reach on the columns that selectors choose.

For each seed, columns are chosen on 80 % of the rows, scaled to [0, 1], and models are trained on
these columns and scored on the other rows. ``--rows`` takes names of tables, of selectors, or of
both with a comma between. ``SELECTION_SEEDS="0 1"`` measures these seeds only and leaves the others
as they were kept; ``SELECTION_MISSING=1`` measures only what is not kept yet.
"""

from __future__ import annotations

import importlib.util
import os

import torch
from threadpoolctl import threadpool_limits

from benchmarks.report import Report

from .data import TABLES, split
from .describing import describe
from .measuring import ALL, CHOOSERS, measure, warm_up
from .rivals import PACKAGES

#: With it set to numbers with spaces between, only these seeds are run.
SEEDS = "SELECTION_SEEDS"
#: With it set, seeds of rows that were kept are not run again.
MISSING = "SELECTION_MISSING"
N_SEEDS = 5
#: Rows by name, as table and selector.
ROWS = {f"{table}, {chooser}": (table, chooser) for table in TABLES for chooser in (*CHOOSERS, ALL)}


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all, and keep each seed at once: it takes hours."""
    torch.set_num_threads(1)
    absent = {name for name, package in PACKAGES.items() if not importlib.util.find_spec(package)}
    asked = [row for row in rows_of(report.rows) if ROWS[row][1] not in absent]
    asked_seeds = os.environ.get(SEEDS)
    seeds = range(N_SEEDS) if asked_seeds is None else [int(seed) for seed in asked_seeds.split()]
    with threadpool_limits(1):
        warm_up({ROWS[row][1] for row in asked})
        for name, table in TABLES.items():
            rows = [row for row in asked if ROWS[row][0] == name]
            if not rows:
                continue
            X, y = table.load(report)
            for seed in seeds:
                data = split(X, y, table.is_regression, seed)
                for row in rows:
                    kept = report.merge({}, ROWS).get(row, {})
                    if MISSING in os.environ and str(seed) in kept:
                        continue
                    result = measure(ROWS[row][1], table, data, seed)
                    print(row, f"seed {seed}", result, flush=True)
                    kept = report.merge({}, ROWS).get(row, {})
                    report.merge({row: {**kept, str(seed): result}}, ROWS)
    describe(report, report.merge({}, ROWS), absent)


def rows_of(names: list[str] | None) -> list[str]:
    """Rows of the tables, selectors and pairs that are named; all rows for None."""
    if names is None:
        return list(ROWS)
    known = {*ROWS, *TABLES, *CHOOSERS, ALL}
    if unknown := set(names) - known:
        raise SystemExit(f"no table, selector or row {sorted(unknown)}; there is {sorted(known)}")
    return [row for row, parts in ROWS.items() if {row, *parts} & set(names)]
