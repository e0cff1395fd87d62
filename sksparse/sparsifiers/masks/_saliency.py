"""Saliencies of weights: scores as functions, and the statistics that they need.

The scores are functions of the flat weights and of one statistic of the training data. The
statistics belong to single rows: at the end of training the gradients of the rows
cancel in the mean, but not in the mean of their absolute values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.parameters._probe import Probe

#: Rows from which statistics are computed where one backward pass serves a whole batch.
MANY_ROWS = 2048

#: Rows where each needs a backward pass of its own.
FEW_ROWS = 128


def magnitude(weights: Tensor, _: Tensor) -> Tensor:
    """``|w|``."""
    return weights.abs()


def activation(weights: Tensor, input_size: Tensor) -> Tensor:
    """``|w|`` times the root mean square of what the weight multiplies."""
    return weights.abs() * input_size


def taylor(weights: Tensor, slope: Tensor) -> Tensor:
    """``|w|`` times the mean over rows of ``|dL/dw|``: how far zeroing it moves their losses."""
    return weights.abs() * slope


def gradient(weights: Tensor, slope: Tensor) -> Tensor:
    """The mean over rows of ``|dL/dw|``."""
    return slope.clone()


def obd(weights: Tensor, curvature: Tensor) -> Tensor:
    """``h w^2 / 2``: what zeroing the weight adds to the loss at a minimum, others fixed."""
    return 0.5 * curvature * weights.square()


@dataclass(frozen=True)
class Criterion:
    """A score and the statistic that it needs.

    Parameters
    ----------
    score : callable
        Takes the flat weights and the statistic, returns scores.
    statistic : callable or None
        Takes a probe and the parameters, returns one number for each weight.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    statistic: Callable[[Probe, FlatParameters], Tensor] | None = None


def input_sizes(probe: Probe, parameters: FlatParameters) -> Tensor:
    """The root mean square, over rows, of the input that each weight multiplies.

    In a convolution the mean goes over the positions of the input channel too.

    Raises
    ------
    ValueError
        When a weight belongs to neither a linear layer nor a convolution.
    """
    owners = _owners(probe.module, parameters, (nn.Linear, _ConvNd))
    if owners is None:
        raise ValueError(
            "criterion='activation' knows the inputs of linear and convolutional layers alone, "
            f"and {type(probe.module).__name__} has other weights; use criterion='magnitude' or "
            "'taylor'."
        )
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(owners, 0)
    for X, _, _ in some_batches(probe, MANY_ROWS):
        with torch.no_grad(), evaluating(probe.module), _observed(owners) as calls:
            probe.module(X)
        for name, layer in owners.items():
            for x, _ in calls[name]:
                axis = -1 if isinstance(layer, nn.Linear) else 1
                rows = x.movedim(axis, -1).flatten(0, -2)
                total = rows.square().sum(0)
                sums[name] = sums[name] + total if name in sums else total
                counts[name] += len(rows)
    spread = {}
    for name, layer in owners.items():
        spread[name] = _at_weights((sums[name] / counts[name]).sqrt(), layer)
    return parameters.flatten(spread)


def mean_absolute_gradients(probe: Probe, parameters: FlatParameters) -> Tensor:
    """The mean over rows of the absolute gradient of the row's loss by each weight."""
    return _mean_over_rows(probe, parameters, torch.abs, _loss_slopes)


def gauss_newton_diagonal(probe: Probe, parameters: FlatParameters) -> Tensor:
    """The diagonal of the Gauss-Newton matrix of the mean loss, exact for the rows used.

    With the Jacobian J of the outputs of a row and the factor S of the Hessian ``S S^T`` of
    its loss by the outputs, this is the mean over rows of the sum of ``(J^T S)^2`` over
    the columns of S. It is the diagonal of the Hessian itself where the outputs are linear in each
    weight alone, as in networks of linear maps and rectifiers.
    """
    return _mean_over_rows(probe, parameters, torch.square, _hessian_factors)


CRITERIA = {
    "magnitude": Criterion(magnitude),
    "activation": Criterion(activation, input_sizes),
    "taylor": Criterion(taylor, mean_absolute_gradients),
    "gradient": Criterion(gradient, mean_absolute_gradients),
    "obd": Criterion(obd, gauss_newton_diagonal),
}


def gauss_newton_rows(probe: Probe, parameters: FlatParameters, n_rows: int) -> Iterator[Tensor]:
    """Vectors g, one a pass, with ``mean over rows of sum(g g^T)`` the Gauss-Newton matrix.

    Parameters
    ----------
    probe : Probe
        The training data and the loss.
    parameters : FlatParameters
        Those of the module; each vector is overwritten by the next.
    n_rows : int
        Training rows at most.

    Yields
    ------
    g : torch.Tensor of shape (n_weights,)
        The columns of ``J^T S`` of one row after the other.
    """
    with evaluating(probe.module):
        yield from _single_gradients(probe, parameters, n_rows, _hessian_factors)


def _loss_slopes(
    probe: Probe, output: Tensor, y: Tensor, weight: Tensor | None
) -> Iterator[Tensor]:
    """The gradient of the loss of each row by its outputs."""
    leaf = output.detach().requires_grad_()
    with torch.enable_grad():
        loss = probe.criterion(leaf, y, weight)
    yield torch.autograd.grad(loss, leaf)[0] * len(output)


def _hessian_factors(
    probe: Probe, output: Tensor, y: Tensor, weight: Tensor | None
) -> Iterator[Tensor]:
    """The columns of S, with S S^T the Hessian of the loss of each row by its outputs."""
    leaf = output.detach().requires_grad_()
    with torch.enable_grad():
        loss = probe.criterion(leaf, y, weight)
        (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
        sums = slope.sum(0).flatten()
        columns = [torch.autograd.grad(s, leaf, retain_graph=True)[0] for s in sums]
    hessian = len(output) * torch.stack([c.flatten(1) for c in columns], dim=1)
    values, vectors = torch.linalg.eigh(hessian)
    factors = vectors * values.clamp(min=0.0).sqrt()[:, None, :]
    for column in factors.unbind(2):
        if column.any():
            yield column.reshape(output.shape)


def _mean_over_rows(
    probe: Probe,
    parameters: FlatParameters,
    power: Callable[[Tensor], Tensor],
    sources: Callable[..., Iterator[Tensor]],
) -> Tensor:
    """The mean over rows of a power of the gradients that start from sources at the outputs."""
    with evaluating(probe.module):
        owners = _owners(probe.module, parameters, (nn.Linear,))
        if owners is not None:
            total = _by_layers(probe, owners, power, sources)
            if total is not None:
                return parameters.flatten(total)
        return _row_by_row(probe, parameters, power, sources)


def _by_layers(
    probe: Probe,
    owners: dict[str, nn.Module],
    power: Callable[[Tensor], Tensor],
    sources: Callable[..., Iterator[Tensor]],
) -> dict[str, Tensor] | None:
    """Whole batches at once: the gradient of a row is an outer product in a linear layer.

    The power of an outer product is that of its factors. None where a layer is not called just
    once, on one vector for each row.
    """
    total: dict[str, Tensor] = {}
    n_rows = 0
    for X, y, weight in some_batches(probe, MANY_ROWS):
        with torch.enable_grad(), _observed(owners) as calls:
            output = probe.module(X)
        if any(len(c) != 1 or c[0][0].ndim != 2 for c in calls.values()):
            return None
        inputs = {name: power(calls[name][0][0].detach()) for name in owners}
        at_outputs = [calls[name][0][1] for name in owners]
        for source in sources(probe, output, y, weight):
            slopes = torch.autograd.grad(output, at_outputs, source, retain_graph=True)
            for name, slope in zip(owners, slopes, strict=True):
                part = power(slope).T @ inputs[name]
                total[name] = total[name] + part if name in total else part
        n_rows += len(X)
    return {name: t.div_(n_rows) for name, t in total.items()}


def _row_by_row(
    probe: Probe,
    parameters: FlatParameters,
    power: Callable[[Tensor], Tensor],
    sources: Callable[..., Iterator[Tensor]],
) -> Tensor:
    """One backward pass for each row, for layers of any kind."""
    total = torch.zeros_like(parameters.weights)
    for row_gradient in _single_gradients(probe, parameters, FEW_ROWS, sources):
        total += power(row_gradient)
    return total / min(FEW_ROWS, _n_rows(probe))


def _single_gradients(
    probe: Probe, parameters: FlatParameters, n_rows: int, sources: Callable[..., Iterator[Tensor]]
) -> Iterator[Tensor]:
    """The gradients that start from the sources of one row after the other."""
    for X, y, weight in _single_rows(some_batches(probe, n_rows)):
        with torch.enable_grad():
            output = probe.module(X)
        for source in sources(probe, output, y, weight):
            parameters.zero_grad()
            output.backward(source, retain_graph=True)
            yield parameters.weight_gradient
    parameters.zero_grad()


def _n_rows(probe: Probe) -> int:
    return sum(len(X) for X, _, _ in probe.batches())


Batch = tuple[Tensor, Tensor, Tensor | None]


def some_batches(probe: Probe, n_rows: int) -> Iterator[Batch]:
    """Batches of at most so many rows; the order of the rows is random already."""
    for X, y, weight in probe.batches():
        n = min(n_rows, len(X))
        yield X[:n], y[:n], None if weight is None else weight[:n]
        n_rows -= n
        if n_rows == 0:
            return


def _single_rows(batches: Iterator[Batch]) -> Iterator[Batch]:
    for X, y, weight in batches:
        for i in range(len(X)):
            row = slice(i, i + 1)
            yield X[row], y[row], None if weight is None else weight[row]


def _owners(
    module: nn.Module, parameters: FlatParameters, kinds: tuple[type[nn.Module], ...]
) -> dict[str, nn.Module] | None:
    """The layer of each prunable tensor, by its name; None where one is of another kind."""
    layers = {f"{n}.weight" if n else "weight": m for n, m in module.named_modules()}
    owners = {name: layers.get(name) for name in parameters.tensors}
    if all(isinstance(layer, kinds) for layer in owners.values()):
        return owners  # type: ignore[return-value]
    return None


def _at_weights(size: Tensor, layer: nn.Module) -> Tensor:
    """One number for each input, at each weight of a linear layer or convolution."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    groups = getattr(layer, "groups", 1)
    rows = size.view(groups, 1, -1).expand(groups, len(weight) // groups, -1)
    rows = rows.reshape(len(weight), -1, *[1] * (weight.ndim - 2))
    return rows.expand_as(weight)


@contextmanager
def _observed(layers: dict[str, nn.Module]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """The inputs and outputs of each call of the layers, in the block."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
    handles = [
        layer.register_forward_hook(lambda _, x, z, name=name: calls[name].append((x[0], z)))
        for name, layer in layers.items()
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module as it predicts, in the block, with gradients where they are asked for."""
    was_training = module.training
    module.eval()
    try:
        # the recurrent layers of cuDNN have no backward pass in evaluation mode
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        module.train(was_training)
