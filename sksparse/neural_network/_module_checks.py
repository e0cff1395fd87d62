"""What a module must be to be trained sparse, asked before any training."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import UninitializedBuffer
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def call_factory(factory: Any, n_features: int, n_outputs: int) -> nn.Module:
    """The module that a function or class of the user makes.

    It is called with the arguments ``n_features`` and ``n_outputs`` where it has them by name, with
    both numbers where it needs arguments of other names, and with none where it needs none. What
    it returns is copied, since a function may return the same module each time.

    Parameters
    ----------
    factory : callable
        What was given as `module`.
    n_features, n_outputs : int
        Numbers of features and of outputs.

    Returns
    -------
    module : torch.nn.Module
        What it returned.

    Raises
    ------
    ValueError
        Where it takes other arguments, or returned something else.
    """
    args, named = _arguments(factory, {"n_features": n_features, "n_outputs": n_outputs})
    module = factory(*args, **named)
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"module={factory!r} returned {module!r} for {n_features} features and "
            f"{n_outputs} outputs; it must return a torch.nn.Module."
        )
    check_parameters(module)
    if _lazy_buffers(module):
        # torch cannot copy these before they have their shapes
        return module
    return copy.deepcopy(module)


def copy_module(module: nn.Module) -> nn.Module:
    """A module of the user, copied, so that the fit leaves it as it is.

    Raises
    ------
    ValueError
        Where torch cannot copy it.
    """
    lazy = _lazy_buffers(module)
    if lazy:
        raise ValueError(
            f"The module {type(module).__name__} has lazy layers that torch cannot copy before "
            f"they have their shapes ({', '.join(lazy)}, of a LazyBatchNorm for example): give a "
            "function or class that makes the module, or layers with their sizes."
        )
    return copy.deepcopy(module)


def _lazy_buffers(module: nn.Module) -> list[str]:
    buffers = module.named_buffers()
    return [name for name, buffer in buffers if isinstance(buffer, UninitializedBuffer)]


def _arguments(factory: Any, sizes: Mapping[str, int]) -> tuple[tuple[int, ...], dict[str, int]]:
    both = tuple(sizes.values())
    try:
        signature = inspect.signature(factory)
    except ValueError:
        # some callables have no signature to look at
        return both, {}
    parameters = signature.parameters
    fixed = factory.keywords if isinstance(factory, functools.partial) else {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    any_names = {p.kind for p in parameters.values()} == {inspect.Parameter.VAR_KEYWORD}
    named = {
        n: size for n, size in sizes.items() if (n in parameters or any_names) and n not in fixed
    }
    needs = any(p.default is p.empty and p.kind not in variadic for p in parameters.values())
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    ways: list[tuple[tuple[int, ...], dict[str, int]]] = [((), named)] if named else []
    if needs or takes_any:
        ways.append((both, {}))
    ways.append(((), {}))
    for args, keywords in ways:
        try:
            signature.bind(*args, **keywords)
        except TypeError as error:
            reason = error
        else:
            return args, keywords
    raise ValueError(
        f"module={factory!r} cannot be called with the numbers of features and of outputs, "
        f"module(n_features, n_outputs), and not without arguments, module(): {reason}. Give a "
        "function or class of one of these forms, or a torch.nn.Module."
    ) from reason


def check_parameters(module: nn.Module) -> None:
    """Refuse weights that are no parameters of their own, or not in the precision of training.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.

    Raises
    ------
    ValueError
        It names the layer, the cause and what to call.
    """
    for layer_name, layer in module.named_modules():
        for tool, tensor_name, remedy in _rewritten(layer):
            raise ValueError(
                f"The weights of the module cannot be set to zero: before each call {tool} "
                f"computes {tensor_name!r} of the layer {layer_name or 'module'!r} "
                f"({type(layer).__name__}) from other tensors. Call {remedy}(layer, "
                f"{tensor_name!r}), which leaves the values as they are, and give the result."
            )
    for name, parameter in module.named_parameters():
        if parameter.dtype != torch.float32 and (
            parameter.is_floating_point() or parameter.is_complex()
        ):
            raise ValueError(
                f"The parameter {name!r} of the module is of {parameter.dtype}, but networks are "
                "trained in torch.float32; convert the module, with module.float()."
            )


def _rewritten(layer: nn.Module) -> Iterator[tuple[str, str, str]]:
    """What computes tensors of a layer from others, which tensors, and what undoes it."""
    if is_parametrized(layer):
        tool = "torch.nn.utils.parametrize"
        for name in layer.parametrizations:  # type: ignore[union-attr]
            yield f"{tool} (parametrised)", name, f"{tool}.remove_parametrizations"
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod):
            yield "torch.nn.utils.prune", hook._tensor_name, "torch.nn.utils.prune.remove"
        elif isinstance(hook, WeightNorm):
            tool = "torch.nn.utils.weight_norm"
            yield tool, hook.name, "torch.nn.utils.remove_weight_norm"
        elif isinstance(hook, SpectralNorm):
            tool = "torch.nn.utils.spectral_norm"
            yield tool, hook.name, "torch.nn.utils.remove_spectral_norm"


def check_batch_size(module: nn.Module, batch_size: int, given: Any) -> None:
    """Refuse to normalise batches of one row."""
    normalises = any(isinstance(layer, _BatchNorm) for layer in module.modules())
    if normalises and batch_size == 1:
        raise ValueError(
            "Batch normalisation needs at least 2 rows in a batch, but there is 1 sample: give "
            f"more distinct rows, a larger batch_size than {given!r}, or no batch normalisation."
        )


def check_outputs(module: nn.Module, X: Tensor, n_outputs: int) -> None:
    """Refuse a module that does not fit the data, and give lazy layers their shapes.

    Parameters
    ----------
    module : torch.nn.Module
        Put into evaluation mode.
    X : torch.Tensor of shape (n_rows, ...)
        A few rows of features.
    n_outputs : int
        Outputs that are needed for each.

    Raises
    ------
    ValueError
        It says what the module returned.
    """
    name = type(module).__name__
    try:
        with torch.no_grad():
            output = module.eval()(X)
    except (RuntimeError, AttributeError) as error:
        raise ValueError(
            f"The module {name} cannot be called with rows of shape {tuple(X.shape[1:])} of "
            f"{X.dtype}: {error}. Give a module for such rows{_of_other_types(module)}."
        ) from error
    if not isinstance(output, Tensor):
        raise ValueError(
            f"The module {name} returns {_kind(output)}, but one tensor of shape "
            f"{(len(X), n_outputs)} is needed; wrap it in a module that returns the one that "
            "predicts."
        )
    if tuple(output.shape) != (len(X), n_outputs):
        raise ValueError(
            f"The module {name} returns {tuple(output.shape)} for {len(X)} rows, but "
            f"{(len(X), n_outputs)} is needed: one output for each class, or for each target "
            "of a regression. Change its last layer."
        )
    if output.dtype != X.dtype:
        raise ValueError(
            f"The module {name} returns {output.dtype} for features of {X.dtype}; let it return "
            f"these in {X.dtype}{_of_other_types(module)}."
        )


def _kind(output: Any) -> str:
    if isinstance(output, tuple | list):
        parts = ", ".join(type(part).__name__ for part in output)
        return f"a {type(output).__name__} of {len(output)} ({parts})"
    return f"an object of type {type(output).__name__}"


def _of_other_types(module: nn.Module) -> str:
    """A hint at the buffers that are not in float32, where there are some."""
    names = [
        f"{name!r} ({buffer.dtype})"
        for name, buffer in module.named_buffers()
        if buffer.is_floating_point() and buffer.dtype != torch.float32
    ]
    return f"; its buffers {', '.join(names)} are not in torch.float32" if names else ""
