"""Units that no longer take part: found, and removed without a change of the output.

A hidden unit without inputs emits a constant; one without outputs is never heard. Both are
known only where a linear layer feeds the next through functions of single units, in an
``nn.Sequential``; everywhere else all units count as alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters

#: Modules that treat every unit alone, and the same way in every row, in evaluation mode.
_UNITWISE = (
    nn.BatchNorm1d,
    nn.Dropout,
    nn.ELU,
    nn.GELU,
    nn.Hardtanh,
    nn.Identity,
    nn.LeakyReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Tanh,
)


@dataclass(frozen=True)
class Link:
    """Two linear layers, and the functions of single units between them.

    Parameters
    ----------
    first, second : torch.nn.Linear
        The layers; the outputs of the first are the units of the link.
    between : tuple of torch.nn.Module
        What the outputs of the first pass through before they enter the second.
    """

    first: nn.Linear
    second: nn.Linear
    between: tuple[nn.Module, ...]

    def constants(self) -> Tensor:
        """What each unit emits when nothing enters it but its bias."""
        bias = self.first.bias
        value = self.first.weight.new_zeros(1, self.first.out_features)
        if bias is not None:
            value = value + bias.detach()
        for module in self.between:
            was_training = module.training
            value = module.eval()(value)
            module.train(was_training)
        return value[0]


def links(module: nn.Module) -> list[Link]:
    """The links of a module, in the order in which data pass through them.

    Parameters
    ----------
    module : torch.nn.Module
        Any module; only those that are ``nn.Sequential`` all through have links.

    Returns
    -------
    found : list of Link
        Possibly empty.
    """
    found = []
    first: nn.Linear | None = None
    between: list[nn.Module] = []
    stages = list(_stages(module))
    used_once = {id(m) for m in stages if sum(m is other for other in stages) == 1}
    for stage in stages:
        if type(stage) is nn.Linear and id(stage) in used_once and stage.weight.requires_grad:
            if first is not None and first.out_features == stage.in_features:
                found.append(Link(first, stage, tuple(between)))
            first, between = stage, []
        elif isinstance(stage, _UNITWISE) and _is_constant(stage):
            between.append(stage)
        else:
            first = None
    return found


def live_weights(keep: Tensor, parameters: FlatParameters, found: list[Link]) -> Tensor:
    """Those of the kept weights that lie on a path of kept weights through all links.

    Parameters
    ----------
    keep : torch.Tensor of shape (n_weights,)
        Boolean: the weights that are kept.
    parameters : FlatParameters
        Those of the module.
    found : list of Link
        The links of the module.

    Returns
    -------
    live : torch.Tensor of shape (n_weights,)
        Boolean.
    """
    live = keep.clone()
    pairs = _views(live, parameters, found)
    for first, second in pairs:
        second &= first.any(1)
    # what has no outputs after this has no outputs in the end: inputs were dealt with before
    for first, second in reversed(pairs):
        first &= second.any(0)[:, None]
    return live


def keep_alive(scores: Tensor, count: int, parameters: FlatParameters, found: list[Link]) -> Tensor:
    """Keep exactly `count` weights, all on paths through the links where that can be.

    The weights with the largest scores are kept as far as they lie on paths; the next ones
    in the ranking take the places of those that do not. Weights of score 0 are no candidates;
    where too few others lie on paths, the largest scores decide alone.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_weights,)
        The larger, the better.
    count : int
        Number of weights to keep.
    parameters : FlatParameters
        Those of the module.
    found : list of Link
        The links of the module.

    Returns
    -------
    keep : torch.Tensor of shape (n_weights,)
        Boolean.
    """
    order = torch.argsort(scores, descending=True, stable=True)

    def live_of_best(n: int) -> Tensor:
        keep = torch.zeros_like(scores, dtype=torch.bool)
        keep[order[:n]] = True
        return live_weights(keep, parameters, found)

    # live weights grow with the weights kept, so the least sufficient number is bisected
    low, high = count, int((scores > 0).sum())
    if low >= high or int(live_of_best(high).sum()) < count:
        return keep_largest(scores, count)
    while low < high:
        middle = (low + high) // 2
        if int(live_of_best(middle).sum()) < count:
            low = middle + 1
        else:
            high = middle
    keep = live_of_best(low)
    return _trim(keep, scores, int(keep.sum()) - count, parameters, found)


def _trim(
    keep: Tensor, scores: Tensor, excess: int, parameters: FlatParameters, found: list[Link]
) -> Tensor:
    """Give up the weights of least score, first those that leave both their units alive."""
    for _ in range(excess):
        spare = keep & _spare(keep, parameters, found)
        candidates = spare if spare.any() else keep
        least = torch.where(candidates, scores, torch.inf).argmin()
        keep[least] = False
    return keep


def _spare(keep: Tensor, parameters: FlatParameters, found: list[Link]) -> Tensor:
    """The weights without which the units at both their ends are still alive."""
    spare = keep.clone()
    kept, spared = _views(keep, parameters, found), _views(spare, parameters, found)
    for (first, second), (spare_first, spare_second) in zip(kept, spared, strict=True):
        spare_first &= (first.sum(1) > 1)[:, None]
        spare_second &= second.sum(0) > 1
    return spare


def remove_dead_units(module: nn.Module) -> None:
    """Zero the weights of dead units and keep what the network computes in evaluation mode.

    The constant that a unit without inputs emits is added, through its outgoing weights,
    to the biases of the next layer. A unit whose constant has nowhere to go, because the next
    layer has no bias, is left as it is.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; other modules than chains in ``nn.Sequential`` are left alone.
    """
    found = links(module)
    with torch.no_grad():
        for link in found:
            silent = ~link.first.weight.any(1)
            constants = torch.where(silent, link.constants(), 0.0)
            outgoing = link.second.weight
            if link.second.bias is not None:
                link.second.bias.add_(outgoing @ constants)
            else:
                silent &= constants == 0
            outgoing.masked_fill_(silent, 0.0)
        for link in reversed(found):
            link.first.weight.masked_fill_(~link.second.weight.any(0)[:, None], 0.0)


def _stages(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that data pass through one after the other."""
    if type(module) is nn.Sequential:
        yield from chain.from_iterable(map(_stages, module))
    else:
        yield module


def _is_constant(module: nn.Module) -> bool:
    """Whether the function of a unit does not depend on the batch in evaluation mode."""
    return not isinstance(module, nn.BatchNorm1d) or module.track_running_stats


def _views(
    flat: Tensor, parameters: FlatParameters, found: list[Link]
) -> list[tuple[Tensor, Tensor]]:
    """The parts of a flat tensor that belong to the two layers of each link."""
    names = {id(w): name for name, w in parameters.tensors.items()}
    by_tensor = parameters.by_tensor(flat)
    return [
        (by_tensor[names[id(link.first.weight)]], by_tensor[names[id(link.second.weight)]])
        for link in found
    ]
