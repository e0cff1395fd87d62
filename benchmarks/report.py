"""Tables of results, with the machine and the versions that they belong to."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

PACKAGES = ("sksparse", "numpy", "scipy", "scikit-learn", "numba", "torch", "skorch")
HEADING = "# Results\n\nEach section is written by the command that it names.\n"


class Report:
    """One section of RESULTS.md.

    Parameters
    ----------
    name : str
        Name of the benchmark, which is also the heading.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: list[str] = []

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
        head = (
            f"## {self.name}\n\n`python -m benchmarks {self.name} --write`\n\n{machine}; {versions}"
        )
        return "\n\n".join([head, *self.parts]) + "\n"

    def write(self, path: Path) -> None:
        """Replace this section of a file, or add it."""
        old = path.read_text() if path.exists() else HEADING
        section = re.compile(rf"^## {re.escape(self.name)}\n.*?(?=^## |\Z)", re.M | re.S)
        rest = section.sub("", old).rstrip()
        path.write_text(f"{rest}\n\n{self.text()}")
