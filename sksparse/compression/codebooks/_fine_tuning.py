"""Training of codebooks: the gradient by a level is the sum of those of the weights that share it.

Deep Compression (Han, Mao and Dally, ICLR 2016), section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sksparse._interrupts import check
from sksparse._typing import Array
from sksparse.coding._rounding import RoundedArray
from sksparse.compression.codebooks._run_torch import run_torch
from sksparse.serving import Program

#: Rows of a batch where the loss of all rows is computed.
_ROWS = 4096


@dataclass(frozen=True)
class FineTuning:
    """How codebooks are trained.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, ...)
        What the network reads.
    loss : callable
        Takes outputs and the numbers of their rows, and returns the mean loss.
    max_iter : int
        Epochs.
    learning_rate : float
        Of Adam, at first; it falls along half a cosine.
    batch_size : int
        Rows of a batch.
    rng : numpy.random.Generator
        Draws the order of the rows.
    """

    rows: Array
    loss: Callable[[Tensor, Tensor], Tensor]
    max_iter: int
    learning_rate: float
    batch_size: int
    rng: np.random.Generator


def grouped_gradient(gradient: Tensor, labels: Tensor, n_levels: int) -> Tensor:
    """The gradient by levels: the sum over the weights that share each.

    Parameters
    ----------
    gradient : torch.Tensor
        The gradient by the weights.
    labels : torch.Tensor
        The number of the level of each weight, in the same shape.
    n_levels : int
        Number of levels.

    Returns
    -------
    gradient : torch.Tensor of shape (n_levels,)
        That by the levels.
    """
    sums = gradient.new_zeros(n_levels)
    return sums.index_add_(0, labels.reshape(-1), gradient.reshape(-1))


def fine_tune(
    program: Program,
    rounded: Mapping[str, RoundedArray],
    vectors: Mapping[str, NDArray[np.float32]],
    tuning: FineTuning,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Train levels and vectors; which weights share a level does not change.

    Parameters
    ----------
    program : Program
        The network.
    rounded : mapping of str to RoundedArray
        Its weights by name.
    vectors : mapping of str to ndarray
        Its biases and other vectors, which are trained as they are.
    tuning : FineTuning
        Data, loss and schedule.

    Returns
    -------
    levels : dict of str to ndarray
        Levels of each of the weights, zero first. The first ones where training did not lower the
        loss of all rows.
    vectors : dict of str to ndarray
        The vectors.
    """
    labels = {name: torch.from_numpy(r.labels.astype(np.int64)) for name, r in rounded.items()}
    levels = {name: torch.from_numpy(r.levels.copy()) for name, r in rounded.items()}
    trained = {name: torch.from_numpy(v.copy()) for name, v in vectors.items()}
    weights = {name: levels[name][labels[name]].requires_grad_() for name in levels}
    for vector in trained.values():
        vector.requires_grad_()
    optimizer = torch.optim.Adam([*levels.values(), *trained.values()], lr=tuning.learning_rate)
    rows = torch.from_numpy(np.ascontiguousarray(tuning.rows, dtype=np.float32))
    before = _mean_loss(program, {**weights, **trained}, rows, tuning)
    n_batches = math.ceil(len(rows) / tuning.batch_size)
    for step in range(tuning.max_iter * n_batches):
        if step % n_batches == 0:
            order = torch.from_numpy(tuning.rng.permutation(len(rows)))
        check()
        at = step % n_batches * tuning.batch_size
        batch = order[at : at + tuning.batch_size]
        share = step / (tuning.max_iter * n_batches)
        optimizer.param_groups[0]["lr"] = tuning.learning_rate * (1 + math.cos(math.pi * share)) / 2
        optimizer.zero_grad()
        loss = tuning.loss(run_torch(program, {**weights, **trained}, rows[batch]), batch)
        loss.backward()
        for name, weight in weights.items():
            assert weight.grad is not None
            gradient = grouped_gradient(weight.grad, labels[name], len(levels[name]))
            gradient[0] = 0.0  # zeros stay zero
            levels[name].grad, weight.grad = gradient, None
        optimizer.step()
        with torch.no_grad():
            for name, weight in weights.items():
                torch.index_select(
                    levels[name], 0, labels[name].reshape(-1), out=weight.data.view(-1)
                )
    if not _mean_loss(program, {**weights, **trained}, rows, tuning) < before:
        return {name: r.levels for name, r in rounded.items()}, dict(vectors)
    return (
        {name: value.numpy() for name, value in levels.items()},
        {name: value.detach().numpy() for name, value in trained.items()},
    )


def _mean_loss(
    program: Program, tensors: Mapping[str, Tensor], rows: Tensor, tuning: FineTuning
) -> float:
    total = 0.0
    with torch.no_grad():
        for batch in torch.arange(len(rows)).split(_ROWS):
            loss = tuning.loss(run_torch(program, tensors, rows[batch]), batch)
            total += float(loss) * len(batch)
    return total / len(rows)
