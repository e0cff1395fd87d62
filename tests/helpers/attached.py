"""Sparsifiers attached to a module by hand, for tests that play the trainer themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sksparse.sparsifiers import Sparsifier, Task

#: For phases that look at no data: what asks the probe anyway fails.
NO_PROBE: Any = None


def make_task(**changes: object) -> Task:
    options = {
        "alpha": None,
        "target_sparsity": None,
        "weight_decay": 0.0,
        "learning_rate": 1e-2,
        "max_iter": 20,
        "steps_per_epoch": 10,
        "n_samples": 100,
    }
    return Task(**{**options, **changes})  # type: ignore[arg-type]


def attach(module: nn.Module, sparsifier: Sparsifier, **changes: object) -> Any:
    options = {"example": example_of(module), **changes}
    return sparsifier.attach(module, make_task(**options))


def example_of(module: nn.Module) -> torch.Tensor | None:
    """Rows of features for a module that begins with a linear layer; None for others."""
    layers = [part for part in module.modules() if isinstance(part, nn.Linear | nn.Conv1d)]
    if not layers or not isinstance(layers[0], nn.Linear):
        return None
    return torch.zeros(2, layers[0].in_features, dtype=layers[0].weight.dtype)


def attach_with_unit_squares(module: nn.Module, sparsifier: Sparsifier, **changes: object) -> Any:
    run = attach(module, sparsifier, **changes)
    # gradients of mean square 1 make the step in the metric of Adam the step itself
    run.metric._sums.fill_(1.0)
    run.metric._share_seen = 1.0
    return run


def backward(run: Any, module: nn.Module, X: torch.Tensor) -> None:
    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        module(X).square().mean().backward()
    run.after_backward()
