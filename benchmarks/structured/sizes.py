"""What is left of a network after compaction: widths, FLOPs, time, and that it is the same."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sksparse.compression import CompactResult, compact

from .rows import Row, Run

N_TIMES = 7
BATCHES = (100, 1)


def sizes_of(row: Row, model: Any, dense: nn.Module, X: np.ndarray) -> Run:
    """Widths, shares of FLOPs and units, the speed-up, and how far outputs are from the masked."""
    rows = torch.from_numpy(X[:256])
    result = compact(model.module_, rows[:2], inputs=False)
    small = result.module.eval()
    whole = compact(dense, rows[:2], inputs=False)
    with torch.no_grad():
        off = float((small(rows) - model.module_(rows)).abs().max())
    widths = [kept for kept, _ in result.widths.values()]
    return {
        "widths": widths if row.widths is None else list(row.widths(small)),
        "flops": round(flops_of(result, rows[:1]) / flops_of(whole, rows[:1]), 4),
        "units": round(units_of(result) / units_of(whole), 4),
        "off": float(f"{off:.1e}"),
        **{f"speedup_{n}": round(speed_up(dense, small, rows[:n]), 2) for n in BATCHES},
    }


def dense_of(row: Row, model: Any) -> nn.Module:
    """The network before anything is removed."""
    if row.dense is not None:
        return row.dense().eval()
    module = model.module
    return (module if isinstance(module, nn.Module) else module()).eval()


def units_of(result: CompactResult) -> int:
    """Units that are left."""
    return sum(kept for kept, _ in result.widths.values())


def flops_of(result: CompactResult, row: Tensor) -> float:
    """FLOPs of one row, by the counter of torch where it knows all layers."""
    if any(isinstance(part, nn.RNNBase) for part in result.module.modules()):
        # the counter does not see into recurrent layers
        return 2 * result.multiply_adds[0]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        result.module(row)
    return float(counter.get_total_flops())


def speed_up(dense: nn.Module, small: nn.Module, X: Tensor) -> float:
    """How many times faster the small network is: the median of pairs timed in turn."""
    repeats = max(1, 50 // len(X))
    ratios = []
    with torch.inference_mode():
        for _ in range(N_TIMES):
            times = []
            for module in (dense, small):
                module(X)
                start = time.process_time()
                for _ in range(repeats):
                    module(X)
                times.append(time.process_time() - start)
            ratios.append(times[0] / times[1])
    return median(ratios)
