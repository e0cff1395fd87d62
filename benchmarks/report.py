"""Tables of results, with the machine and the versions that they belong to."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

#: Measurements row by row, so that one row can be measured again.
KEPT = Path(__file__).parent / "kept"
PACKAGES = ("sksparse", "numpy", "scipy", "scikit-learn", "numba", "torch", "skorch")
HEADING = "# Results\n\nEach section is written by the command that it names.\n"


class Report:
    """One section of RESULTS.md.

    Parameters
    ----------
    name : str
        Name of the benchmark, which is also the heading.
    data : Path, default=None
        Folder of the data sets that are not bundled with scikit-learn.
    rows : list of str, default=None
        Only these rows are to be measured.
    """

    def __init__(self, name: str, data: Path | None = None, rows: list[str] | None = None) -> None:
        self.name = name
        self.data = data
        self.rows = rows
        self.parts: list[str] = []

    def load(self, file: str) -> Any:
        """The arrays of a file in the data folder."""
        if self.data is None or not (self.data / file).exists():
            raise SystemExit(f"{self.name} needs {file}: name its folder with --data DIR")
        return np.load(self.data / file)

    def merge(self, results: dict[str, Any], order: Iterable[str]) -> dict[str, Any]:
        """Results of this run and, for the rows not run, those kept from earlier runs."""
        kept = KEPT / f"{self.name}.json"
        known = json.loads(kept.read_text()) if kept.exists() else {}
        known |= results
        merged = {name: known[name] for name in order if name in known}
        KEPT.mkdir(exist_ok=True)
        kept.write_text(json.dumps(merged, indent=1) + "\n")
        return merged

    def note(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(text)

    def table(self, header: list[str], rows: list[list[str]]) -> None:
        """Add a table."""
        lines = [header, ["---"] * len(header), *rows]
        self.parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def text(self) -> str:
        """The whole section."""
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
        machine = (
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        data = " --data DIR" if self.data else ""
        command = f"`python -m benchmarks {self.name}{data} --write`"
        head = f"## {self.name}\n\n{command}\n\n{machine}; {versions}"
        return "\n\n".join([head, *self.parts]) + "\n"

    def write(self, path: Path) -> None:
        """Replace this section of a file, or add it."""
        old = path.read_text() if path.exists() else HEADING
        section = re.compile(rf"^## {re.escape(self.name)}\n.*?(?=^## |\Z)", re.M | re.S)
        rest = section.sub("", old).rstrip()
        path.write_text(f"{rest}\n\n{self.text()}")
