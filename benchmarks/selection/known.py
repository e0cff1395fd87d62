"""Tables of which it is known what columns matter: interactions among noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.report import Report
from sksparse.datasets import (
    make_multiplicative_features,
    make_parity_features,
    make_ring_features,
    make_xor_features,
)

from .choosing import Task
from .measuring import CHOOSERS, choose
from .ours import NETWORKS

N_ROWS, N_NOISE = 1000, 100
#: Seeds, and how many of them must be solved.
N_KNOWN_SEEDS, N_SOLVED = 20, 19
#: What is run on them: others see nothing in single columns, or take too long for so many seeds.
KNOWN_CHOOSERS = (*NETWORKS, "random forest", "L1")


@dataclass(frozen=True)
class Known:
    """A generator, and how many columns its targets depend on."""

    make: Callable[..., tuple[Any, Any, Any]]
    number: int
    is_regression: bool = False


KNOWN = {
    "xor": Known(make_xor_features, 2),
    "parity of three": Known(make_parity_features, 3),
    "multiplicative": Known(make_multiplicative_features, 2, is_regression=True),
    "ring": Known(make_ring_features, 2),
}


def measure_known(name: str, chooser: str, seed: int) -> dict[str, Any]:
    """How many of the columns are found among as many that are chosen, and the seconds."""
    known = KNOWN[name]
    X, y, informative = known.make(N_ROWS, known.number + N_NOISE, random_state=seed)
    task = Task((known.number,), known.is_regression, seed)
    targets = (y - y.mean()) / y.std() if known.is_regression else y
    start = time.process_time()
    chosen = choose(chooser, X.astype(np.float32), targets, task)[known.number]
    return {
        "seconds": round(time.process_time() - start, 2),
        "found": len(set(chosen.tolist()) & set(informative.tolist())),
    }


def describe_known(report: Report, kept: Mapping[str, Any]) -> None:
    """How often all columns are found."""
    lines = []
    for chooser in (name for name in CHOOSERS if name in KNOWN_CHOOSERS):
        rows = {name: list(kept.get(f"{name}, {chooser}", {}).values()) for name in KNOWN}
        if any(rows.values()):
            lines.append([chooser, *(solved(KNOWN[name], runs) for name, runs in rows.items())])
    if lines:
        report.note(
            f"How often all columns of an interaction are found among {N_NOISE} of noise, with "
            f"{N_ROWS} rows; it must be {N_SOLVED} of {N_KNOWN_SEEDS} seeds:"
        )
        report.table(["selector", *KNOWN], lines)


def solved(known: Known, runs: list[dict[str, Any]]) -> str:
    """How many runs found everything, and their seconds."""
    if not runs:
        return "not run"
    n_solved = sum(run["found"] == known.number for run in runs)
    seconds = sum(run["seconds"] for run in runs) / len(runs)
    return f"{n_solved} of {len(runs)} ({seconds:.1f} s)"
