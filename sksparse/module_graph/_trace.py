"""A module as a list of calls, with the shapes of their results and the lines that make them.

``torch.fx`` follows the Python code of a module once, with symbols in place of tensors. Layers of
torch are not looked into. What it cannot follow, such as a branch that depends on the data, is
an obstacle that names the place in the code.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

_OWN_FOLDERS = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


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


class _Tracer(fx.Tracer):
    """Notes for each call the line of the user's code that makes it."""

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta["line"] = line_of_user()
        return node


def line_of_user() -> str:
    """The innermost line of the stack that belongs neither to torch nor to this package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_OWN_FOLDERS) and not name.startswith("<"):
            return f"{Path(name).name}, line {frame.f_lineno}, in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


class _Shapes(fx.Interpreter):
    """Runs the calls on an example and notes the shapes of all results."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        n.meta["shape"] = _shape_of(result)
        return result


def _shape_of(result: Any) -> Any:
    """The shape of a tensor, those of a tuple of tensors, or a value that is no tensor."""
    if isinstance(result, Tensor):
        return torch.Size(result.shape)
    if type(result) in (tuple, list):
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
        Each node has the shape of its result in ``meta["shape"]`` and its place in the code in
        ``meta["line"]``. None where the module cannot be followed.
    obstacle : Obstacle or None
        Why it cannot.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        graph = _Tracer().trace(module)
        with torch.no_grad():
            _Shapes(fx.GraphModule(module, graph)).run(example)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        what = f"the module {type(module).__name__} cannot be traced: {reason}"
        return None, Obstacle(what, _line_of(error))
    finally:
        for part, mode in modes:
            part.training = mode
    return graph, None


def _line_of(error: BaseException) -> str:
    """The innermost line of a traceback that belongs neither to torch nor to this package."""
    found = ""
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith((*_OWN_FOLDERS, "<")):
            found = f"{Path(code.co_filename).name}, line {step.tb_lineno}, in {code.co_name}"
        step = step.tb_next
    return found
