"""Ising models in layers: energy, states of low energy, and which units they drop first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tuning:
    """How fields are scaled and units ranked.

    Parameters
    ----------
    n_levels : int
        Penalties, up to the one at which all units are dropped, at which states are found; units
        that are dropped at the same one are ranked by their fields.
    memory : float
        Weight of the earlier value in averages over batches.
    least_mean : float
        Means are no less where something is divided by them.
    """

    n_levels: int = 16
    memory: float = 0.7
    least_mean: float = 1e-12


TUNING = Tuning()


def energy(
    states: Sequence[Tensor], couplings: Sequence[Tensor], fields: Sequence[Tensor]
) -> float:
    """The energy of states 0 or 1 in layers, with couplings between consecutive layers.

    Parameters
    ----------
    states : sequence of torch.Tensor of shape (n_units,)
        Zeros and ones, one tensor for each layer.
    couplings : sequence of torch.Tensor of shape (n_units, n_units_next)
        Between a layer and the next; one less than there are layers.
    fields : sequence of torch.Tensor of shape (n_units,)
        By how much a state of one lowers the energy by itself.

    Returns
    -------
    energy : float
        Minus the sum of fields and couplings of states that are one.
    """
    total = -sum(s @ b for s, b in zip(states, fields, strict=True))
    for (before, after), coupling in zip(pairwise(states), couplings, strict=True):
        total = total - before @ coupling @ after
    return float(total)


def local_field(
    i: int, states: Sequence[Tensor], couplings: Sequence[Tensor], fields: Sequence[Tensor]
) -> Tensor:
    """By how much the energy of each unit of layer i falls when its state becomes one."""
    field = fields[i]
    if i + 1 < len(states):
        field = field + couplings[i] @ states[i + 1]
    if i:
        field = field + states[i - 1] @ couplings[i - 1]
    return field


def descend(
    states: Sequence[Tensor], couplings: Sequence[Tensor], fields: Sequence[Tensor]
) -> list[Tensor]:
    """Flip states while that lowers the energy: no single flip lowers that of the result.

    Units of one layer are not coupled, so that all of them are flipped at once.
    """
    states = [s.clone() for s in states]
    moved = True
    while moved:
        moved = False
        for i, old in enumerate(states):
            field = local_field(i, states, couplings, fields)
            new = torch.where(field == 0, old, (field > 0).to(old.dtype))
            moved |= not torch.equal(new, old)
            states[i] = new
    return states


def solve(
    couplings: Sequence[Tensor], fields: Sequence[Tensor], *, n_random: int = 8
) -> list[Tensor]:
    """The best state found by descent from all ones, all zeros and random starts."""
    starts = [[torch.ones_like(b) for b in fields], [torch.zeros_like(b) for b in fields]]
    starts += [[torch.rand_like(b).round() for b in fields] for _ in range(n_random)]
    ends = [descend(start, couplings, fields) for start in starts]
    return min(ends, key=lambda states: energy(states, couplings, fields))


def mean_fields(couplings: Sequence[Tensor], fields: Sequence[Tensor]) -> list[Tensor]:
    """The mean local field of each layer while all states are one."""
    states = [torch.ones_like(b) for b in fields]
    return [local_field(i, states, couplings, fields).mean() for i in range(len(fields))]


def penalised_fields(
    fields: Sequence[Tensor], means: Sequence[Tensor], penalty: float
) -> list[Tensor]:
    """Fields less a penalty for each state of one, in units of the means, but for the last layer.

    The states of the last layer are one at any penalty.
    """
    less = [b - penalty * mean for b, mean in zip(fields[:-1], means[:-1], strict=True)]
    return [*less, torch.full_like(fields[-1], torch.inf)]


def removal_scores(couplings: Sequence[Tensor], fields: Sequence[Tensor]) -> Tensor:
    """Rank units: those dropped first as the penalty of a state of one rises score highest.

    Parameters
    ----------
    couplings, fields : sequence of torch.Tensor
        As in ``energy``; the states of the last layer are always one.

    Returns
    -------
    score : torch.Tensor of shape (n_units,)
        Of the units of all layers but the last.
    """
    means = mean_fields(couplings, fields)
    states = [torch.ones_like(b) for b in fields]

    def relative_fields() -> Tensor:
        layers = [local_field(i, states, couplings, fields) for i in range(len(fields) - 1)]
        pairs = zip(layers, means[:-1], strict=True)
        return torch.cat([field / mean.clamp(min=TUNING.least_mean) for field, mean in pairs])

    highest = float(relative_fields().max())
    score = torch.zeros_like(torch.cat(list(fields[:-1])))
    for level in range(1, TUNING.n_levels + 1):
        gains = relative_fields()
        # a share below 1 orders those that are dropped at the same penalty
        rank = -level - gains / (highest + 1)
        score = torch.where(torch.cat(states[:-1]) > 0, rank, score)
        penalised = penalised_fields(fields, means, level / TUNING.n_levels * highest)
        states = descend(states, couplings, penalised)
    return score
