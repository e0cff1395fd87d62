"""Files of this folder, run as scripts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def in_process(
    python: str, file: str, *arguments: str, limit: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a file beside this one, on one thread, with the package at hand."""
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    paths = {"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    command = [python, "-W", "ignore", str(Path(__file__).parent / file), *arguments]
    environment = os.environ | threads | paths
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=limit, env=environment
    )
