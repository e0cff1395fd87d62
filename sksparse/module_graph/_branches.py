"""Residual branches: layers beside a shortcut, which can be left out as a whole."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn

from sksparse.module_graph._value import Step, Value

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")

#: Functions of one tensor that are zero where it is.
_KEEP_ZERO_LAYERS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Identity, nn.Flatten, nn.Unflatten),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.Upsample),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
)
_KEEP_ZERO = frozenset(
    (
        *("relu", "relu_", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh"),
        *("tanh_", "hardswish", "dropout", "dropout1d", "dropout2d", "dropout3d", "neg"),
        *("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "interpolate", "contiguous"),
        *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "getitem", "permute", "transpose"),
        *("reshape", "view", "flatten", "squeeze", "unsqueeze", "clone", "mean", "sum"),
    )
)
_PRODUCTS = frozenset(("mul", "imul", "mul_", "multiply", "matmul", "bmm"))
#: Layers whose output is zero where all their parameters are.
_ZERO_WITHOUT_WEIGHTS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.LSTM, nn.GRU, nn.RNN, nn.Embedding),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.MultiheadAttention),
)
_ZERO_WITHOUT_SCALES = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)


@dataclass(frozen=True, eq=False)
class Branch:
    """Layers between a split and a sum, beside a shortcut without parameters.

    With all its parameters zero the branch adds zeros: the sum is then the shortcut alone.

    Parameters
    ----------
    layers : tuple of str
        Names of its layers, in the order of the calls.
    parameters : tuple of str
        Names of its parameters, which nothing else uses.
    addition : torch.fx.Node
        The call that adds the branch to the shortcut.
    end : torch.fx.Node
        The last call of the branch, which enters the addition.
    shortcut : torch.fx.Node
        The other call that enters the addition.
    value : Value
        The tensor of the shortcut.
    """

    layers: tuple[str, ...]
    parameters: tuple[str, ...]
    addition: fx.Node
    end: fx.Node
    shortcut: fx.Node
    value: Value


def find_branches(steps: tuple[Step, ...], names: dict[str, str]) -> tuple[Branch, ...]:
    """The residual branches of a module, in the order of their sums.

    Those that hold others are left out, so that no parameter is in two of them.

    Parameters
    ----------
    steps : tuple of Step
        The calls of the module.
    names : dict of str to str
        For each name of a parameter its first one.
    """
    search = _Search(steps, names)
    found = [branch for step in steps for branch in search.at(step)]
    inner: list[Branch] = []
    for branch in sorted(found, key=lambda b: len(b.parameters)):
        if not any(set(other.parameters) <= set(branch.parameters) for other in inner):
            inner.append(branch)
    return tuple(branch for branch in found if branch in inner)


class _Search:
    """Looks for the two sides of a sum."""

    def __init__(self, steps: tuple[Step, ...], names: dict[str, str]) -> None:
        self._steps = {step.node: step for step in steps}
        self._names = names
        # items of several results that the code does not look at
        self._unread: set[fx.Node] = set()
        for step in reversed(steps):
            if step.node.target is operator.getitem and self._unread.issuperset(step.node.users):
                self._unread.add(step.node)
        self._used: dict[str, set[fx.Node]] = {}
        for step in steps:
            for name in self._parameters_of(step.node):
                self._used.setdefault(name, set()).add(step.node)

    def at(self, step: Step) -> Iterator[Branch]:
        """The branch that a call adds, if it does."""
        nodes = step.node.args[:2]
        if step.node.target not in ADDITIONS or len(nodes) < 2:
            return
        for shortcut, end in (nodes, nodes[::-1]):
            if isinstance(shortcut, fx.Node) and isinstance(end, fx.Node) and shortcut is not end:
                branch = self._branch(step, shortcut, end)
                if branch is not None:
                    yield branch
                    return

    def _branch(self, step: Step, shortcut: fx.Node, end: fx.Node) -> Branch | None:
        value = self._value(step, shortcut)
        if value is None or value.shape != tuple(end.meta["shape"]):
            return None
        for split in self._without_parameters(shortcut):
            inside = self._between(split, end)
            if inside is None:
                continue
            calls = [node for node in self._steps if node in inside]
            parameters = [name for node in calls for name in self._parameters_of(node)]
            is_own = all(self._used[name] <= inside for name in parameters)
            readers = {user for node in calls for user in node.users} - self._unread
            leaves = not readers <= inside | {step.node}
            if not parameters or not is_own or leaves or not self._ends_in_zero(end, inside):
                return None
            layers = [self._steps[n].name for n in calls if n.op == "call_module"]
            layers = [n for n in dict.fromkeys(layers) if any(p.startswith(n) for p in parameters)]
            unique = tuple(dict.fromkeys(parameters))
            return Branch(tuple(layers), unique, step.node, end, shortcut, value)
        return None

    @staticmethod
    def _value(step: Step, node: fx.Node) -> Value | None:
        found = step.inputs[list(step.node.args).index(node)]
        return found if isinstance(found, Value) else None

    def _without_parameters(self, node: fx.Node) -> Iterator[fx.Node]:
        """A call and those before it, up to one with parameters or several inputs."""
        yield node
        while node in self._steps and not self._parameters_of(node):
            if len(node.all_input_nodes) != 1:
                return
            node = node.all_input_nodes[0]
            yield node

    def _between(self, split: fx.Node, end: fx.Node) -> set[fx.Node] | None:
        """The calls that lead from one call to another; None where something else enters."""
        inside: set[fx.Node] = set()
        open_ = [end]
        while open_:
            node = open_.pop()
            if node is split or node in inside or node.op == "get_attr":
                continue
            if node not in self._steps:
                return None  # features, which are before the split
            inside.add(node)
            open_ += node.all_input_nodes
        reaches = any(split in node.all_input_nodes for node in inside)
        return inside if reaches else None

    def _parameters_of(self, node: fx.Node) -> list[str]:
        """The parameters that a call uses."""
        names = [str(n.target) for n in node.all_input_nodes if n.op == "get_attr"]
        step = self._steps[node]
        if step.layer is not None:
            prefix = f"{step.name}." if step.name else ""
            names += [f"{prefix}{name}" for name, _ in step.layer.named_parameters()]
        return [self._names[name] for name in names if name in self._names]

    def _ends_in_zero(self, node: fx.Node, inside: set[fx.Node]) -> bool:
        """Whether a call returns zeros where all parameters of the branch are zero."""
        if node.op == "get_attr":
            return str(node.target) in self._names
        if node not in inside:
            return False
        layer = self._steps[node].layer
        if isinstance(layer, _ZERO_WITHOUT_WEIGHTS):
            return True
        if isinstance(layer, _ZERO_WITHOUT_SCALES):
            return layer.weight is not None
        target = node.target
        name = target if isinstance(target, str) else getattr(target, "__name__", "")
        inputs = [self._ends_in_zero(n, inside) for n in node.all_input_nodes]
        if layer is None and name in _PRODUCTS:
            return any(inputs)
        keeps = (
            isinstance(layer, _KEEP_ZERO_LAYERS)
            if layer is not None
            else (name in _KEEP_ZERO or target in ADDITIONS or name in ("cat", "linear"))
        )
        return keeps and all(inputs)
