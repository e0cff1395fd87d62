"""A fit on a file of float32 features that is larger than the memory it may take.

``python memory.py FILE`` fits it and prints what it took; the file is made by :func:`write`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

N_FEATURES, GROUP, N_ACTIVE = 500, 5, 10
#: Rows that are in memory at a time.
BLOCK = 50_000


def write(folder: Path, n_samples: int) -> tuple[Path, float]:
    """X.npy and y.npy of independent features, and the strength at which they are fitted."""
    rng = np.random.default_rng(0)
    coef = np.zeros(N_FEATURES)
    coef[: N_ACTIVE * GROUP] = rng.standard_normal(N_ACTIVE * GROUP)
    shape = (n_samples, N_FEATURES)
    X = np.lib.format.open_memmap(folder / "X.npy", mode="w+", dtype=np.float32, shape=shape)
    y = np.empty(n_samples)
    for first in range(0, n_samples, BLOCK):
        rows = slice(first, min(first + BLOCK, n_samples))
        block = rng.standard_normal((rows.stop - first, N_FEATURES), dtype=np.float32)
        X[rows] = block
        y[rows] = block @ coef + rng.standard_normal(len(block))
    X.flush()
    np.save(folder / "y.npy", y)
    largest = dual_norm(gradient(X, y - y.mean()))
    return folder / "X.npy", largest / 20


def gradient(X: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """``X.T @ residual / n``, block by block."""
    total = np.zeros(X.shape[1])
    for first in range(0, len(X), BLOCK):
        total += residual[first : first + BLOCK] @ X[first : first + BLOCK].astype(np.float64)
    return total / len(X)


def dual_norm(vector: np.ndarray) -> float:
    """The largest norm of a group, over its factor."""
    return float(np.linalg.norm(vector.reshape(-1, GROUP), axis=1).max() / np.sqrt(GROUP))


def relative_gap(folder: Path, alpha: float, coef: np.ndarray, intercept: float) -> float:
    """The duality gap, over the objective, from the file."""
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    n = len(y)
    fitted = np.empty(n)
    for first in range(0, n, BLOCK):
        fitted[first : first + BLOCK] = X[first : first + BLOCK].astype(np.float64) @ coef
    residual = y - fitted - intercept
    norms = np.linalg.norm(coef.reshape(-1, GROUP), axis=1)
    objective = residual @ residual / (2 * n) + alpha * np.sqrt(GROUP) * norms.sum()
    dual = residual - residual.mean()
    square = dual @ dual
    limit = alpha / dual_norm(gradient(X, dual))
    scale = np.clip(y @ dual / square, -limit, limit)
    return float(1 - (scale * (y @ dual) / n - scale**2 * square / (2 * n)) / objective)


def fit(file: str, alpha: float) -> None:
    """Fit, and print seconds and the most memory that no file stands behind, in MB."""
    from sksparse.linear_model import GroupLassoRegressor

    X, y = np.load(file, mmap_mode="r"), np.load(Path(file).parent / "y.npy")
    groups = np.arange(N_FEATURES) // GROUP
    most, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            most.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    model = GroupLassoRegressor(alpha, groups).fit(X, y)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    np.savez(Path(file).parent / "answer.npz", coef=model.coef_, intercept=model.intercept_)
    print(json.dumps({"seconds": seconds, "memory": max(most), "before": most[0]}))


def anonymous() -> float:
    """Resident memory of this process that is not a file's, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    sizes = dict(line.split(":") for line in status.splitlines() if line.startswith("Rss"))
    return float(sum(int(sizes[kind].split()[0]) for kind in ("RssAnon", "RssShmem"))) / 1024


if __name__ == "__main__":
    fit(sys.argv[1], float(sys.argv[2]))
