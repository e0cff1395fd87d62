"""Selection of features: what models reach on the columns that selectors choose.

For each seed, columns are chosen on 80 % of the rows, scaled to [0, 1], and models are trained on
these columns and scored on the other rows. ``--rows`` takes names of tables, of selectors, or of
both with a comma between. ``SELECTION_SEEDS="0 1"`` measures these seeds only and leaves the others
as they were kept; ``SELECTION_MISSING=1`` measures only what is not kept yet.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Iterator
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.report import Report

from .data import TABLES, split
from .describing import describe
from .known import KNOWN, KNOWN_CHOOSERS, N_KNOWN_SEEDS, measure_known
from .limits import LIMITS, measure_limit
from .measuring import ALL, CHOOSERS, measure, warm_up
from .rivals import PACKAGES

#: With it set to numbers with spaces between, only these seeds are run.
SEEDS = "SELECTION_SEEDS"
#: With it set, what was kept is not measured again.
MISSING = "SELECTION_MISSING"
N_SEEDS = 5
#: Rows by name, as table and selector.
ROWS = {
    **{f"{table}, {name}": (table, name) for table in TABLES for name in (*CHOOSERS, ALL)},
    **{f"{table}, {name}": (table, name) for table in KNOWN for name in KNOWN_CHOOSERS},
}
EVERY = (*ROWS, *LIMITS)


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all, and keep each seed at once: it takes hours."""
    torch.set_num_threads(1)
    absent = {name for name, package in PACKAGES.items() if not importlib.util.find_spec(package)}
    rows = rows_of(report.rows)
    pairs = [ROWS[row] for row in rows if row in ROWS and ROWS[row][1] not in absent]
    with threadpool_limits(1):
        warm_up({chooser for _, chooser in pairs})
        for table in dict.fromkeys(table for table, _ in pairs):
            choosers = [chooser for name, chooser in pairs if name == table]
            work = of_known if table in KNOWN else of_table
            for chooser, seed, result in work(report, table, choosers):
                row = f"{table}, {chooser}"
                print(row, f"seed {seed}", result, flush=True)
                report.merge({row: {**kept_of(report, row), str(seed): result}}, EVERY)
    for name in LIMITS:
        if name in rows and not is_kept(report, name):
            report.merge({name: measure_limit(name)}, EVERY)
    describe(report, report.merge({}, EVERY), absent)


def rows_of(names: Collection[str] | None) -> list[str]:
    """Rows of the tables, selectors and pairs that are named; all rows for None."""
    if names is None:
        return list(EVERY)
    known = {*EVERY, *TABLES, *KNOWN, *CHOOSERS, ALL}
    if unknown := set(names) - known:
        raise SystemExit(f"no table, selector or row {sorted(unknown)}; there is {sorted(known)}")
    return [row for row in EVERY if {row, *ROWS.get(row, ())} & set(names)]


def of_table(
    report: Report, name: str, choosers: list[str]
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Measure selectors on a table, seed by seed, so that they can be compared early."""
    table = TABLES[name]
    X, y = table.load(report)
    for seed in seeds_of(N_SEEDS):
        data = split(X, y, table.is_regression, seed)
        for chooser in choosers:
            if not is_kept(report, f"{name}, {chooser}", seed):
                yield chooser, seed, measure(chooser, table, data, seed)


def of_known(
    report: Report, name: str, choosers: list[str]
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Measure selectors where it is known what they should find."""
    for seed in seeds_of(N_KNOWN_SEEDS):
        for chooser in choosers:
            if not is_kept(report, f"{name}, {chooser}", seed):
                yield chooser, seed, measure_known(name, chooser, seed)


def seeds_of(n_seeds: int) -> list[int]:
    """The seeds that are to be run."""
    asked = os.environ.get(SEEDS)
    return list(range(n_seeds)) if asked is None else [int(seed) for seed in asked.split()]


def kept_of(report: Report, row: str) -> dict[str, Any]:
    """What is kept of a row."""
    return report.merge({}, EVERY).get(row, {})


def is_kept(report: Report, row: str, seed: int | None = None) -> bool:
    """Whether this was measured before and need not be again."""
    if MISSING not in os.environ:
        return False
    kept = kept_of(report, row)
    return bool(kept) if seed is None else str(seed) in kept
