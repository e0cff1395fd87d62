"""The process around a training: its device, its random state and its threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

#: Weights times batch rows from which a second thread was faster when measured.
_WORTH_THREADS = 2**25

#: torch has one random state and one thread count in a process: fits take turns.
_TRAINING = RLock()


def resolve_device(device: str) -> torch.device:
    """The torch device of a name; "auto" takes CUDA where there is one."""
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ValueError(
            "device='cuda' was asked for, but torch finds no CUDA device; use device='auto' "
            "or device='cpu'."
        )
    return torch.device("cuda" if has_cuda and device != "cpu" else "cpu")


def draw_seed(random_state: Any) -> int:
    """An integer from a random state, which alone is advanced."""
    # check_random_state(None) is numpy's global state, which a fit must leave alone
    rng = np.random.RandomState() if random_state is None else check_random_state(random_state)
    return int(rng.randint(np.iinfo(np.int32).max))


@contextmanager
def training(seed: int, device: torch.device) -> Iterator[Callable[[int, nn.Module], None]]:
    """Isolate torch's random state and number of threads, and restore them afterwards.

    Parameters
    ----------
    seed : int
        Seed of everything random inside the block.
    device : torch.device
        Where the training runs.

    Yields
    ------
    use_threads : callable
        Called with the number of rows of a batch and the module: small batches are computed on
        one thread, where starting a second takes longer than it saves.
    """
    n_threads = torch.get_num_threads()

    def use_threads(n_rows: int, module: nn.Module) -> None:
        work = n_rows * sum(p.numel() for p in module.parameters())
        torch.set_num_threads(1 if work < _WORTH_THREADS else n_threads)

    with _TRAINING, _isolated_random_state(seed, device):
        try:
            yield use_threads
        finally:
            torch.set_num_threads(n_threads)


@contextmanager
def _isolated_random_state(seed: int, device: torch.device) -> Iterator[None]:
    is_cpu = device.type == "cpu"
    with torch.random.fork_rng(devices=[] if is_cpu else [torch.cuda.current_device()]):
        if is_cpu:
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield
