"""Residual branches that are dead: their layers go, and the shortcut stays.

The part of the module in whose code the sum stands is replaced by the calls that are left of it: by
nothing, by an ``nn.Sequential``, or where neither can be, by a ``torch.fx.GraphModule``.
"""

from __future__ import annotations

import inspect
import operator
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from sksparse.compression._shift import Shift
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._branches import ADDITIONS
from sksparse.module_graph._constants import Constants, Sum

_WITH_BIAS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
)
_RELU = (torch.relu, functional.relu, "relu")


def remove_dead_branches(
    module: nn.Module, graph: ModuleGraph, example: Tensor
) -> tuple[nn.Module, ModuleGraph]:
    """Remove, in place, the branches beside shortcuts that emit constants.

    The constants are added to the biases on the other side where that has some, and by a ``Shift``
    elsewhere. Branches stay whose part of the module is called several times, or whose code
    depends on the mode of training or uses parameters beside layers.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    graph : ModuleGraph
        Its picture, which must have been followed.
    example : torch.Tensor
        A few rows of features.

    Returns
    -------
    module : torch.nn.Module
        The module; another one only where the sum stands in its own code.
    graph : ModuleGraph
        Its picture now.
    """
    while any(step.node.target in ADDITIONS for step in graph.steps):
        for made in _attempts(module, graph):
            module, graph = made, ModuleGraph(made, example)
            break
        else:
            break
    return module, graph


def _attempts(module: nn.Module, graph: ModuleGraph) -> Iterator[nn.Module]:
    """The module without the first dead branch that can be removed."""
    for sum_ in Constants(graph).sums:
        for dead in range(2):
            constants, other = sum_.constants[dead], sum_.constants[1 - dead]
            if constants is None or other is None or sum_.step.options:
                continue
            if (
                constants.shape == other.shape
                and constants.isfinite().all()
                and other.isnan().any()
            ):
                made = _without(module, graph, sum_, dead, constants)
                if made is not None:
                    yield made


def _without(
    module: nn.Module, graph: ModuleGraph, sum_: Sum, dead: int, constants: Tensor
) -> nn.Module | None:
    """The module without one side of a sum; None where that cannot be."""
    node = sum_.step.node
    shapes = [value.shape for value in sum_.step.inputs]
    if shapes[0] != shapes[1]:
        return None
    keys = list(node.meta.get("nn_module_stack", {}))
    key = keys[-1] if keys else ""
    path = node.meta["nn_module_stack"][key][0] if keys else ""
    part = _Part(module.get_submodule(path), path, key, graph)
    if not part.is_alone or not part.cut(node, dead):
        return None
    part.shift(node, 1 - dead, constants, sum_.step.output.axis)
    made = part.build()
    if not path:
        return made
    owner, _, name = path.rpartition(".")
    setattr(module.get_submodule(owner), name, made)
    return module


class _Part:
    """The calls inside a part of a module, as a graph of their own.

    Parameters
    ----------
    part : torch.nn.Module
        The part.
    path : str
        Its name in the module.
    key : str
        What stands for it in the ``nn_module_stack`` of its calls; empty for the whole module.
    graph : ModuleGraph
        The picture of the module.
    """

    def __init__(self, part: nn.Module, path: str, key: str, graph: ModuleGraph) -> None:
        self._part = part
        self._prefix = f"{path}." if path else ""
        self._steps = {step.node: step for step in graph.steps}
        self._calls = Counter(id(step.layer) for step in graph.steps)
        nodes = next(iter(self._steps)).graph.nodes
        stacks = {n: n.meta.get("nn_module_stack", {}) for n in nodes}
        self._inside = [n for n in self._steps if not key or key in stacks[n]]
        inside = set(self._inside)
        outside = {a for n in self._inside for a in n.all_input_nodes if a not in inside}
        ends = [n for n in self._inside if any(u not in inside for u in n.users)]
        calls = {k for stack in stacks.values() for k, (name, _) in stack.items() if name == path}
        layers = {str(n.target) for n in self._inside if n.op == "call_module"}
        inlined = {name for n in self._inside for name, _ in stacks[n].values()} - layers
        inlined = {name for name in inlined if f"{name}.".startswith(self._prefix)}
        codes = [part, *(part.get_submodule(name[len(self._prefix) :]) for name in inlined)]
        #: Whether it takes and returns one tensor, in one call, and is made of layers.
        self.is_alone = (
            len(outside) == len(ends) == 1
            and all(n.op != "get_attr" for n in outside)
            and len(calls) < 2
            and not any(map(_asks_for_mode, codes))
            and all(name.startswith(self._prefix) for name in layers)
        )
        self._outside, self._ends = outside, ends
        self._shifts: dict[str, Shift] = {}

    def cut(self, node: fx.Node, dead: int) -> bool:
        """Copy the calls without those of the dead side; False where that changes others."""
        first = next(iter(self._outside))
        self._graph = fx.Graph()
        self._copies: dict[fx.Node, fx.Node] = {first: self._graph.placeholder("input")}
        for old in self._inside:
            new = self._graph.node_copy(old, lambda n: self._copies[n])
            if old.op == "call_module":
                new.target = str(old.target).removeprefix(self._prefix)
            self._copies[old] = new
        result = self._graph.output(self._copies[self._ends[0]])
        self._sum = self._copies[node]
        kept = self._sum.args[1 - dead]
        assert isinstance(kept, fx.Node)
        users = list(self._sum.users)
        self._sum.replace_all_uses_with(kept)
        originals = {new: old for old, new in self._copies.items()}
        changed = [n for n in self._graph.nodes if n is not result and not n.users]
        removed: set[fx.Node] = set()
        while changed:
            gone = changed.pop()
            if gone.op == "placeholder":
                continue
            arguments = gone.all_input_nodes
            removed.add(originals[gone])
            self._graph.erase_node(gone)
            changed += [a for a in arguments if not a.users]
        if any(self._changes_others(old, removed) for old in removed):
            return False
        return self._own_memory(users, originals)

    def _changes_others(self, old: fx.Node, removed: set[fx.Node]) -> bool:
        """Whether a removed call changes in place what others read."""
        if old not in self._steps or not self._is_in_place(old):
            return False
        changed = old.args[0]
        return changed not in removed

    def _is_in_place(self, old: fx.Node) -> bool:
        if getattr(self._steps[old].layer, "inplace", False) or old.kwargs.get("inplace"):
            return True
        name = old.target if isinstance(old.target, str) else getattr(old.target, "__name__", "")
        return old.op != "call_module" and (name.endswith("_") or old.target is operator.iadd)

    def _own_memory(self, users: list[fx.Node], originals: dict[fx.Node, fx.Node]) -> bool:
        """Calls that changed the sum in place would change the shortcut now: they no longer do."""
        for user in users:
            if user.op == "output" or not self._is_in_place(originals[user]):
                continue
            layer = self._steps[originals[user]].layer
            if layer is None:
                return False
            layer.inplace = False  # type: ignore[assignment]
        return True

    def shift(self, node: fx.Node, side: int, constants: Tensor, axis: int) -> None:
        """Add constants to the side that stays."""
        if not constants.any():
            return
        other: Any = node.args[side]
        step = self._steps.get(other)
        layer = None if step is None else step.layer
        copied = self._copies[other]
        is_own = self._calls[id(layer)] == 1 and list(other.users) == [node]
        if is_own and isinstance(layer, _WITH_BIAS) and _add_to_bias(layer, constants):
            return
        name = f"shift{len(self._shifts)}"
        self._shifts[name] = Shift(constants, ndim=len(node.meta["shape"]), axis=axis)
        self._shifts[name].to(next(self._part.parameters()))
        with self._graph.inserting_after(copied):
            shifted = self._graph.call_module(name, (copied,))
        copied.replace_all_uses_with(shifted, delete_user_cb=lambda user: user is not shifted)

    def build(self) -> nn.Module:
        """What is left, as plain as it can be."""
        part = self._part
        for name, shift in self._shifts.items():
            part.add_module(name, shift.train(part.training))
        calls = [n for n in self._graph.nodes if n.op not in ("placeholder", "output")]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = next(iter(self._graph.nodes))
        for number, call in enumerate(calls):
            name = str(call.target)
            is_chain = call.all_input_nodes == [before] and len(call.args) == 1
            before = call
            if call.target in _RELU and is_chain:
                layers[f"relu{number}"] = nn.ReLU().train(part.training)
            elif call.op == "call_module" and is_chain and "." not in name and name not in layers:
                layers[name] = part.get_submodule(name)
            else:
                whole = fx.GraphModule(part, self._graph, type(part).__name__)
                whole.training = part.training
                return whole
        chain = nn.Sequential(layers) if layers else nn.Identity()
        chain.training = part.training
        return chain


def _asks_for_mode(module: nn.Module) -> bool:
    """Whether the code of a module does something else in training; what was traced does not."""
    forward = inspect.unwrap(type(module).forward)
    return "training" in forward.__code__.co_names


def _add_to_bias(layer: Any, constants: Tensor) -> bool:
    """Add constants to the outputs of a layer, if it has a bias."""
    if layer.bias is None:
        return False
    with torch.no_grad():
        shift = constants.to(layer.bias.device)
        layer.bias.copy_(layer.bias.double() + shift)
    return True
