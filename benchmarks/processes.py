"""Files of this folder, run as scripts, and code in fresh interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

_REPEATED = """
import time
seconds = []
for _ in range(8):
    start = time.perf_counter()
    {fit}
    seconds.append(time.perf_counter() - start)
print(seconds[0] - sorted(seconds[1:])[3])
"""


def in_process(
    python: str, file: str, *arguments: str, limit: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a file of this folder, on one thread, with the package at hand."""
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    paths = {"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    command = [python, "-W", "ignore", str(Path(__file__).parent / file), *arguments]
    environment = os.environ | threads | paths
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=limit, env=environment
    )


def outcomes(
    python: str, file: str, solver: str, cases: Sequence[str], limit: float = 600
) -> dict[str, str]:
    """What a file prints of a solver's cases, one line each: ``case: outcome``.

    They run in one process, or in a further one for those after its death.
    """
    found: dict[str, str] = {}
    while left := [case for case in cases if case not in found]:
        try:
            done = in_process(python, file, solver, *left, limit=limit)
            printed, end = done.stdout, f"the process dies ({done.returncode})"
        except subprocess.TimeoutExpired as stopped:
            printed, end = (stopped.stdout or b"").decode(), f"does not end in {limit:.0f} s"
        pairs = (line.partition(": ") for line in printed.splitlines())
        found |= {case: result for case, _, result in pairs if case in left}
        if len(found) < len(cases):
            found[next(case for case in left if case not in found)] = end
    return found


def seconds_of(code: str) -> float:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def extra_of_first(setup: str, fit: str, times: int) -> dict[str, float]:
    """Seconds that the first fit of a process costs more than the median of the next seven.

    Median and largest of several processes, after one that fills the caches on disk.
    """
    code = setup + _REPEATED.format(fit=fit)
    seconds_of(code)
    extra = [seconds_of(code) for _ in range(times)]
    return {"median": round(median(extra), 3), "largest": round(max(extra), 3)}
