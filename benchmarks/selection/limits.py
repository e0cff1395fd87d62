"""Time and memory of a fit of the network's selector on large tables.

``python limits.py NAME`` fits one, in a process of its own, and prints what it took.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.processes import in_process
from benchmarks.report import Report
from sksparse.feature_selection import SparseMLPSelector


class Limit(NamedTuple):
    """Rows and columns of a table, and the seconds that a fit may take."""

    n_rows: int
    n_columns: int
    seconds: float


LIMITS = {"wide": Limit(200, 20_000, 30), "tall": Limit(100_000, 500, 180)}


def measure_limit(name: str) -> dict[str, float]:
    """Seconds of the processor and further memory, from a process that is stopped in time."""
    done = in_process(sys.executable, "selection/limits.py", name, limit=3600)
    done.check_returncode()
    return json.loads(done.stdout.splitlines()[-1])


def main(name: str) -> None:
    """Print what a fit took."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.standard_normal(LIMITS[name][:2], dtype=np.float32)
    y = (X[:, 0] * X[:, 1] + X[:, 2:5].sum(axis=1) > 0).astype(int)
    # what is loaded and allocated once is no part of it
    SparseMLPSelector(max_features=2).fit(X[:100, :10], y[:100])
    before, start = peak(), time.process_time()
    SparseMLPSelector(max_features=50, random_state=0).fit(X, y)
    seconds, after = time.process_time() - start, peak()
    table = X.nbytes / 2**20
    print(json.dumps({"seconds": round(seconds, 1), "memory": after - before, "table": table}))


def peak() -> float:
    """The most memory so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def describe_limits(report: Report, kept: Mapping[str, Any]) -> None:
    """A line for each table."""
    lines = [
        [
            f"{limit.n_rows} x {limit.n_columns}",
            f"{kept[name]['seconds']:.0f} s",
            f"{limit.seconds:.0f} s",
            f"{kept[name]['memory']:.0f} MB",
            f"{kept[name]['table']:.0f} MB",
            "yes" if kept[name]["seconds"] < limit.seconds else "no",
        ]
        for name, limit in LIMITS.items()
        if name in kept
    ]
    if lines:
        report.note(
            "One fit of the default on large tables of two classes: seconds of the processor on "
            "one thread, and the memory that it takes beside the table, which is in float32:"
        )
        header = ["table", "seconds", "must be below", "further memory", "the table", "holds"]
        report.table(header, lines)


if __name__ == "__main__":
    main(sys.argv[1])
