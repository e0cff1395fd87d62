"""The group lasso against adelie, celer, skglm and scikit-learn: time to the same accuracy.

adelie needs numpy < 2, so it runs in an interpreter of its own, named by the environment variable
``ADELIE_PYTHON``; without it the others are measured. ``GROUPS_MEMORY_ROWS`` makes the file of the
memory row shorter than 2.5 million rows.
"""

from __future__ import annotations

import warnings

from threadpoolctl import threadpool_limits

from benchmarks.report import Report

from .limits import LIMITS, describe_limits
from .races import RACES, describe_races, race, warm_up


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all."""
    every = [*RACES, *LIMITS]
    rows = every if report.rows is None else report.rows
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if any(row in RACES for row in rows):
            warm_up()
        for row in rows:
            result = race(RACES[row], report) if row in RACES else LIMITS[row]()
            print(row, result, flush=True)
            # kept at once: the whole run takes half an hour
            report.merge({row: result}, every)
    merged = report.merge({}, every)
    describe_races(report, {row: merged[row] for row in RACES if row in merged})
    describe_limits(report, {row: merged[row] for row in LIMITS if row in merged})
