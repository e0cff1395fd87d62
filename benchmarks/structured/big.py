"""Networks at full size without trained weights: half of the channels compacted.

``python big.py NAME`` makes one, in double precision, and prints what it took.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.processes import in_process
from sksparse.compression import compact
from sksparse.module_graph import ModuleGraph


def measure(name: str) -> dict[str, Any]:
    """Seconds, memory and the difference of outputs, in a process of its own."""
    done = in_process(sys.executable, "structured/big.py", name)
    done.check_returncode()
    return json.loads(done.stdout.splitlines()[-1])


def main(name: str) -> None:
    """Print what a network took."""
    from benchmarks.structured.networks import NETWORKS

    torch.set_num_threads(1)
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    module = build().double().eval()
    example = torch.randn(1, *shape, dtype=torch.float64)
    silence(module, example, 0.5)
    before = peak()
    start = time.perf_counter()
    result = compact(module, example, inputs=False)
    seconds = time.perf_counter() - start
    memory = peak()
    with torch.no_grad():
        masked, small = module(example), result.module(example)
    off = float((masked - small).abs().max() / masked.abs().max())
    print(
        json.dumps(
            {
                "seconds": round(seconds, 1),
                "memory": round(memory),
                "before": round(before),
                "off": float(f"{off:.1e}"),
                "parameters": result.parameters,
                "flops": round(result.multiply_adds[0] / result.multiply_adds[1], 4),
                "units": round(
                    sum(kept for kept, _ in result.widths.values())
                    / sum(dense for _, dense in result.widths.values()),
                    4,
                ),
            }
        )
    )


def silence(module: nn.Module, example: Tensor, share: float, seed: int = 0) -> None:
    """Zero all that writes, scales and reads a share of the units of each layer, at random.

    Parameters
    ----------
    module : torch.nn.Module
        The network, which is changed.
    example : torch.Tensor of shape (n_rows, ...)
        A few rows of features.
    share : float
        The share; at least one unit of a layer is left.
    seed : int, default=0
        Seed of the draw.
    """
    graph = ModuleGraph(module, example)
    rng = np.random.default_rng(seed)
    dead = np.zeros(graph.n_units, dtype=bool)
    for layer in graph.layers:
        n_dead = min(round(share * len(layer.units)), len(layer.units) - 1)
        dead[rng.choice(layer.units, n_dead, replace=False)] = True
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for slot in graph.slots:
            # statistics of normalised layers may stay: their scale and shift are zero
            if slot.tensor in parameters:
                positions = torch.from_numpy(np.flatnonzero(dead[slot.units]))
                parameters[slot.tensor].index_fill_(slot.axis, positions, 0.0)


def peak() -> float:
    """The most memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1])
