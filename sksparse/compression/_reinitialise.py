"""The same layers with fresh weights."""

from __future__ import annotations

import copy

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn


def reinitialise(
    module: nn.Module, random_state: int | np.random.RandomState | None = None
) -> nn.Module:
    """A copy of a module with fresh weights: the small network that is trained from scratch.

    What pruning finds may be the weights or only the widths of the layers. A network of the
    same widths that is trained from fresh weights tells which.

    Parameters
    ----------
    module : torch.nn.Module
        Often the small module of ``compact``; it is left as it is.
    random_state : int, RandomState instance or None, default=None
        Seed of the weights. None takes it from the generator of ``numpy.random``.

    Returns
    -------
    module : torch.nn.Module
        A copy whose layers each have drawn their parameters again (``reset_parameters``).

    Raises
    ------
    ValueError
        Where a part of the module has parameters of its own and no ``reset_parameters``.

    References
    ----------
    Liu et al., "Rethinking the value of network pruning", ICLR 2019.

    Examples
    --------
    >>> from torch import nn
    >>> from sksparse.compression import reinitialise
    >>> module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> first, again = reinitialise(module, 0), reinitialise(module, 0)
    >>> bool((first[0].weight == again[0].weight).all())
    True
    >>> bool((first[0].weight == module[0].weight).any())
    False
    """
    fresh = copy.deepcopy(module)
    seed = check_random_state(random_state).randint(2**31 - 1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # parts that draw parameters of their layers otherwise come after these
        for name, part in reversed(list(fresh.named_modules())):
            _draw(name, part)
    return fresh


def _draw(name: str, part: nn.Module) -> None:
    if isinstance(part, nn.MultiheadAttention):
        part._reset_parameters()
    elif any(True for _ in part.parameters(recurse=False)):
        reset = getattr(part, "reset_parameters", None)
        if reset is None:
            raise ValueError(
                f"The part {name!r} of the module, a {type(part).__name__}, has parameters but no "
                "method reset_parameters, so that it is not known how they are drawn; give its "
                "class that method."
            )
        reset()
