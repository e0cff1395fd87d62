"""Run fuzzers by hand: ``python tests/fuzz/run.py oscar --seeds 5 17`` prints problem and verdict.

``--range 0 1000`` runs many seeds and prints those with a broken claim, ``--slow 5`` also those
whose longest fit took five seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# where pytest finds the references
sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from fuzz_registry import CHECKS, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="*", help=f"of {', '.join(CHECKS)}; all if none is named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[])
    parser.add_argument("--range", nargs=2, type=int, metavar=("FIRST", "END"))
    parser.add_argument("--slow", type=float, default=float("inf"))
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one problem")
    parser.add_argument("--debug", action="store_true", help="with python -i: keep the last report")
    options = parser.parse_args()
    unknown = set(options.checks) - set(CHECKS)
    if unknown:
        parser.error(f"no such checks: {sorted(unknown)}")
    seeds = options.seeds + list(range(*options.range) if options.range else [])
    failed = 0
    for name in options.checks or CHECKS:
        broken = warned = 0
        for seed in seeds:
            report = run(name, seed, options.limit)
            if options.debug:
                globals()["report"] = report
            broken += bool(report.broken)
            warned += bool(report.warned)
            if report.broken or options.seeds or report.seconds > options.slow:
                print(f"[{name}] {report}", flush=True)
        print(f"[{name}] {len(seeds)} problems, {broken} with broken claims, {warned} warned")
        failed += broken
    return int(failed > 0)


if __name__ == "__main__":
    code = main()
    if not sys.flags.interactive:
        raise SystemExit(code)
