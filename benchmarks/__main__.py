"""Run benchmarks: ``python -m benchmarks NAME ... [--data DIR] [--rows ROW ...] [--write]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import (
    certified,
    compression,
    genes,
    groups,
    mnist,
    overheads,
    prediction,
    selection,
    sorted_l1,
    structured,
    subset,
    tabular,
    training,
)
from .report import Report

BENCHMARKS = {
    "overheads": overheads.run,
    "training": training.run,
    "prediction": prediction.run,
    "mnist": mnist.run,
    "tabular": tabular.run,
    "subset": subset.run,
    "certified": certified.run,
    "genes": genes.run,
    "groups": groups.run,
    "sorted_l1": sorted_l1.run,
    "structured": structured.run,
    "selection": selection.run,
    "compression": compression.run,
}
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    """Print the tables, and write them to RESULTS.md on request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--data", type=Path, help="folder of the data sets that are not bundled")
    parser.add_argument(
        "--rows", nargs="*", help="only these rows, by name; none to print those measured before"
    )
    parser.add_argument("--write", action="store_true", help="write the tables to RESULTS.md")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"unknown benchmark {sorted(unknown)}; there is {sorted(BENCHMARKS)}")
    for name in arguments.names or BENCHMARKS:
        report = Report(name, arguments.data, arguments.rows)
        BENCHMARKS[name](report)
        print(report.text())
        if arguments.write:
            report.write(RESULTS)


if __name__ == "__main__":
    main()
