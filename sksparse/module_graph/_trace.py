"""A module as a list of calls, with the shapes of their results and the lines that make them.

``torch.fx`` follows the Python code of a module once, with symbols in place of tensors. Each call
is also run on a few rows, so that code may ask for shapes and branch on them. Layers of torch are
not looked into. What cannot be followed, such as a branch that depends on the data, is an obstacle
that names the part of the module and the line.
"""

from __future__ import annotations

import functools
import operator
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from sksparse.layers._base import CompressedLinear

_OWN_FOLDERS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))

#: Methods and functions that ask for something else than the data.
_QUERIES = frozenset(
    (
        *("size", "dim", "ndimension", "numel", "nelement", "stride", "is_floating_point"),
        *("is_contiguous", "is_complex", "get_device", "element_size", "type", "getattr"),
    )
)

#: Layers of torch that call others.
_COMPOSED = (
    *(nn.TransformerEncoderLayer, nn.TransformerEncoder, nn.TransformerDecoderLayer),
    *(nn.TransformerDecoder, nn.Transformer),
)

# fx replaces methods of nn.Module while it traces: one thread at a time
_TRACING = threading.RLock()


@dataclass(frozen=True)
class Obstacle:
    """Something in a module that cannot be followed.

    Parameters
    ----------
    what : str
        The part of the module or the function, and why it cannot be followed.
    line : str
        Where in the code it stands; empty where that is unknown.
    """

    what: str
    line: str

    def __str__(self) -> str:
        return f"{self.what} ({self.line})" if self.line else self.what


class _DependsOnDataError(Exception):
    """The code takes a number out of the data."""


class _Symbol(fx.Proxy):
    """A symbol that also knows what it stands for in the example."""

    tracer: _Tracer

    @property
    def _example(self) -> Any:
        return self.tracer.examples[self.node]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._example, name)
        if callable(found):
            return super().__getattr__(name)
        if isinstance(self._example, tuple):
            number = [item is found for item in self._example].index(True)
            return self.tracer.create_proxy("call_function", operator.getitem, (self, number), {})
        if isinstance(found, Tensor | torch.Size):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return found

    def _number(self) -> Any:
        """The number for which it stands; the code then does not go on with the symbol."""
        if isinstance(self._example, Tensor):
            raise _DependsOnDataError("a branch, loop or number depends on the data")
        self.node.meta["is_fixed"] = True
        return self._example

    def __bool__(self) -> bool:
        return bool(self._number())

    def __index__(self) -> int:
        return int(self._number().__index__())

    def __int__(self) -> int:
        return int(self._number())

    def __float__(self) -> float:
        return float(self._number())

    def __len__(self) -> int:
        return int(self.size(0)) if isinstance(self._example, Tensor) else len(self._example)


class _Tracer(fx.Tracer):
    """Runs each call on the example, and notes shapes and the lines of the user's code."""

    proxy_buffer_attributes = True

    def __init__(self, example: Tensor) -> None:
        super().__init__(autowrap_modules=())  # type: ignore[arg-type]
        self.examples: dict[fx.Node, Any] = {}
        self.failed_part = ""
        self._example = example
        self._constants: dict[str, Tensor] = {}
        self._thread = threading.get_ident()
        self._is_running = False

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """The features stand for the first argument; the others keep their defaults."""
        features = self.create_proxy("placeholder", "features", (), {})
        if self.is_leaf_module(self.root, ""):
            return lambda _, x: self.create_proxy("call_module", "", (x,), {}), [
                self.root,
                features,
            ]
        return root_fn, [self.root, features]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Layers of torch and ours are not looked into, but for those that are made of others."""
        if isinstance(m, CompressedLinear):
            return True
        return not isinstance(m, _COMPOSED) and super().is_leaf_module(m, module_qualified_name)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta["line"] = _line_of_user()
        node.meta["part"] = next(reversed(self.module_stack), "")
        if node.op != "output":
            self.examples[node] = result = self._run(node)
            node.meta["shape"] = _shape_of(result)
        return node

    def proxy(self, node: fx.Node) -> Any:
        """Symbols for tensors and sizes, tuples of symbols; other results are plain values."""
        example = self.examples[node]
        if type(example) in (tuple, list, torch.Size):
            pick = operator.getitem
            items = [
                self.create_proxy("call_function", pick, (_Symbol(node, self), i), {})
                for i in range(len(example))
            ]
            return items if isinstance(example, list) else tuple(items)
        return _Symbol(node, self) if isinstance(example, Tensor | tuple | int) else example

    def create_arg(self, a: Any) -> Any:
        """Constant tensors are not added to the module, as fx would do."""
        if isinstance(a, Tensor) and not isinstance(a, nn.Parameter) and not self._is_held(a):
            name = f"_constant{len(self._constants)}"
            self._constants[name] = a
            node = self.create_node("get_attr", name, (), {})
            node.meta["constant"] = a
            return node
        return super().create_arg(a)

    def _is_held(self, tensor: Tensor) -> bool:
        """Whether a tensor is an attribute of the module or of one of its parts."""
        return tensor in self.tensor_attrs or any(tensor is b for b in self.root.buffers())

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self._is_idle():
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._is_idle():
            return forward(*args, **kwargs)
        if not args and "input" in kwargs:
            args = (kwargs.pop("input"),)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed_part = self.failed_part or self.path_of_module(m)
            raise

    def _is_idle(self) -> bool:
        """Whether a layer runs on the example, or another thread uses its own modules."""
        return self._is_running or threading.get_ident() != self._thread

    @torch.no_grad()
    def _run(self, node: fx.Node) -> Any:
        self._is_running = True
        try:
            return self._result(node)
        finally:
            self._is_running = False

    def _result(self, node: fx.Node) -> Any:
        target: Any = node.target
        if node.op == "placeholder":
            return self._example.clone()
        if node.op == "get_attr":
            return self._attribute(target)
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: self.examples[n])
        if node.op == "call_module":
            return self.root.get_submodule(target)(*args, **kwargs)
        if node.op == "call_method":
            result = getattr(args[0], target)(*args[1:], **kwargs)
        else:
            result = target(*args, **kwargs)
        takes_data = any(isinstance(self.examples[n], Tensor) for n in node.all_input_nodes)
        name = target if isinstance(target, str) else getattr(target, "__name__", "")
        if takes_data and isinstance(result, bool | int | float | str) and name not in _QUERIES:
            raise _DependsOnDataError(f"{name!r} takes a value out of the data")
        return result

    def _attribute(self, name: str) -> Any:
        if name in self._constants:
            return self._constants[name]
        owner, _, attribute = name.rpartition(".")
        found = getattr(self.root.get_submodule(owner), attribute)
        is_buffer = isinstance(found, Tensor) and not isinstance(found, nn.Parameter)
        return found.clone() if is_buffer else found  # the code might change it in place


@contextmanager
def _makers_take_symbols() -> Iterator[None]:
    """Let functions that make tensors take symbols as sizes, which torch refuses in front."""
    originals = {name: getattr(torch, name) for name in ("zeros", "ones", "empty", "rand", "randn")}

    def taking_symbols(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def make(*sizes: Any, **options: Any) -> Any:
            if sizes and isinstance(sizes[0], _Symbol):
                return function(sizes, **options)
            return function(*sizes, **options)

        return make

    try:
        for name, function in originals.items():
            setattr(torch, name, taking_symbols(function))
        yield
    finally:
        for name, function in originals.items():
            setattr(torch, name, function)


def _line_of_user() -> str:
    """The innermost line of the stack that belongs neither to torch nor to this package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_OWN_FOLDERS) and not name.startswith("<"):
            return f"{Path(name).name}, line {frame.f_lineno}, in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


def _line_of_error(error: BaseException) -> str:
    """The innermost line of a traceback that belongs neither to torch nor to this package."""
    found = ""
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith((*_OWN_FOLDERS, "<")):
            found = f"{Path(code.co_filename).name}, line {step.tb_lineno}, in {code.co_name}"
        step = step.tb_next
    return found


def _shape_of(result: Any) -> Any:
    """The shape of a tensor, those of several, or a value that is no tensor."""
    if isinstance(result, Tensor):
        return torch.Size(result.shape)
    if isinstance(result, tuple | list):
        return tuple(_shape_of(item) for item in result)
    return result


def trace(module: nn.Module, example: Tensor) -> tuple[fx.Graph | None, Obstacle | None]:
    """The calls that a module makes in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        Any module; it is left as it is.
    example : torch.Tensor of shape (n_rows, ...)
        A few rows of features.

    Returns
    -------
    graph : torch.fx.Graph or None
        Each node has the shape of its result in ``meta["shape"]`` (a ``torch.Size`` for tensors,
        tuples of them for several tensors, other values as they are), its place in the code in
        ``meta["line"]`` and the part of the module in ``meta["part"]``. Constant tensors of the
        code are ``get_attr`` nodes with the tensor in ``meta["constant"]``. None where the
        module cannot be followed.
    obstacle : Obstacle or None
        Why it cannot.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    with _TRACING, warnings.catch_warnings(), _makers_take_symbols():
        warnings.simplefilter("ignore")  # what layers say comes again when the module runs
        tracer = _Tracer(example)
        try:
            return tracer.trace(module), None
        except Exception as error:
            return None, Obstacle(_reason(module, tracer, error), _line_of_error(error))
        finally:
            for part, mode in modes:
                part.training = mode


def _reason(module: nn.Module, tracer: _Tracer, error: Exception) -> str:
    name = tracer.failed_part
    part = f"its part {name!r}" if name else f"the module {type(module).__name__}"
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return f"{part} cannot be traced: {reason}"
