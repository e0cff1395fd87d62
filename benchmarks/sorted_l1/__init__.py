"""Sorted L1 norms against sortedl1 and skglm: time to the same accuracy."""

from __future__ import annotations

import warnings

from threadpoolctl import threadpool_limits

from benchmarks.report import Report

from .limits import LIMITS, describe_limits
from .races import RACES, describe_races, race, warm_up


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all; those on files need the data folder."""
    every = [*RACES, *LIMITS]
    rows = every if report.rows is None else report.rows
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if any(row in RACES for row in rows):
            warm_up()
        for row in rows:
            if report.rows is None and report.data is None and row in RACES and RACES[row].file:
                print(f"{row}: skipped without --data", flush=True)
                continue
            result = race(RACES[row], report) if row in RACES else LIMITS[row]()
            print(row, result, flush=True)
            # kept at once: the whole run takes a quarter of an hour
            report.merge({row: result}, every)
    merged = report.merge({}, every)
    describe_races(report, {row: merged[row] for row in RACES if row in merged})
    describe_limits(report, {row: merged[row] for row in LIMITS if row in merged})
