"""The operations that layers of torch stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import nn

from sksparse._typing import Array
from sksparse.compression.programs._writer import CannotRunError, ProgramWriter, as_array
from sksparse.layers._hashed_linear import HashedLinear
from sksparse.layers._low_rank_linear import LowRankLinear
from sksparse.serving._kinds import Shape


def pair(value: Any, n: int = 2) -> tuple[int, int]:
    """An option for height and width; maps of one axis have a height of one."""
    values = (value,) * n if isinstance(value, int) else tuple(value)
    if len(values) != n:
        raise CannotRunError(f"it has the option {value!r}")
    return (1, int(values[0])) if n == 1 else (int(values[0]), int(values[1]))


def margins(value: Any, n_axes: int) -> tuple[int, int]:
    """Padding for height and width; maps of one axis have none above."""
    values = pair(value, n_axes)
    return (0, values[1]) if n_axes == 1 else values


def as_maps(writer: ProgramWriter, number: int, n_axes: int) -> int:
    """A value as maps of two axes."""
    shape = writer.shape(number)
    if len(shape) != n_axes + 1:
        raise CannotRunError(f"it reads rows of shape {shape}")
    return number if n_axes == 2 else writer.reshape(number, (shape[0], 1, shape[1]))


def from_maps(writer: ProgramWriter, number: int, n_axes: int) -> int:
    """Maps of two axes as those of so many."""
    shape = writer.shape(number)
    return number if n_axes == 2 else writer.reshape(number, (shape[0], shape[2]))


def pool(
    writer: ProgramWriter,
    number: int,
    kind: str,
    n_axes: int,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    **options: Any,
) -> int:
    """The largest or the mean of windows."""
    windows: dict[str, Any] = {
        "kernel": pair(kernel, n_axes),
        "stride": pair(kernel if stride is None or stride == () else stride, n_axes),
        "padding": margins(padding, n_axes),
    }
    made = writer.add(kind, (as_maps(writer, number, n_axes),), **windows, **options)
    return from_maps(writer, made, n_axes)


def adaptive_pool(writer: ProgramWriter, number: int, kind: str, n_axes: int, size: Any) -> int:
    """The largest or the mean of so many equal windows."""
    maps = as_maps(writer, number, n_axes)
    shape = writer.shape(maps)[1:]
    asked = (size,) * n_axes if size is None or isinstance(size, int) else tuple(size)
    asked = (1, *asked) if n_axes == 1 else asked
    sizes = [n if want is None else int(want) for want, n in zip(asked, shape, strict=True)]
    if any(n % want for n, want in zip(shape, sizes, strict=True)):
        raise CannotRunError(f"it divides maps of {shape} into windows of several sizes")
    kernel = tuple(n // want for n, want in zip(shape, sizes, strict=True))
    return from_maps(writer, writer.add(kind, (maps,), kernel=kernel, stride=kernel), n_axes)


def linear(writer: ProgramWriter, number: int, name: str, weight: Array, bias: Array | None) -> int:
    """A linear map of rows without further axes."""
    tensors = {"weight": (f"{name}.weight", weight)}
    if bias is not None:
        tensors["bias"] = (f"{name}.bias", bias)
    return writer.add("linear", (number,), tensors)


def convolution(
    writer: ProgramWriter,
    number: int,
    name: str,
    weight: Array,
    bias: Array | None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> int:
    """A convolution of maps with one or two axes."""
    n_axes = weight.ndim - 2
    tensors = {"weight": (f"{name}.weight", weight if n_axes == 2 else weight[:, :, None])}
    if bias is not None:
        tensors["bias"] = (f"{name}.bias", bias)
    steps = pair(dilation, n_axes)
    if isinstance(padding, str):
        padded = same_padding(tensors["weight"][1].shape[2:], steps, padding)
    else:
        padded = margins(padding, n_axes)
    maps = as_maps(writer, number, n_axes)
    made = writer.add(
        *("conv2d", (maps,), tensors),
        stride=pair(stride, n_axes),
        padding=padded,
        dilation=steps,
        groups=int(groups),
    )
    return from_maps(writer, made, n_axes)


def same_padding(kernel: Shape, dilation: Sequence[int], padding: str) -> tuple[int, int]:
    """What the words of torch for padding mean."""
    if padding == "valid":
        return (0, 0)
    whole = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if any(n % 2 for n in whole):
        raise CannotRunError("it pads more on one side than on the other")
    return whole[0] // 2, whole[1] // 2


def activation(writer: ProgramWriter, number: int, name: str, **parameters: float) -> int:
    """A function of single numbers."""
    options: dict[str, Any] = {key: float(value) for key, value in parameters.items()}
    return writer.add("activation", (number,), name=name, **options)


def softplus(writer: ProgramWriter, number: int, beta: float = 1, threshold: float = 20) -> int:
    """Softplus in the one form that is run."""
    if beta != 1 or threshold < 15:
        raise CannotRunError(f"it has beta={beta} and threshold={threshold}")
    return activation(writer, number, "softplus")


def gelu(writer: ProgramWriter, number: int, approximate: str = "none") -> int:
    """GELU, or the form of it that takes tanh."""
    return activation(writer, number, "gelu" if approximate == "none" else "gelu_tanh")


def normalise(
    writer: ProgramWriter, number: int, name: str, layer: Any, is_only_reader: bool
) -> int:
    """A batch normalisation in evaluation: part of the product before it where there is one."""
    if layer.running_mean is None or layer.running_var is None:
        raise CannotRunError("it keeps no running mean and variance")
    scale = 1.0 / np.sqrt(as_array(layer.running_var) + layer.eps)
    shift = -as_array(layer.running_mean) * scale
    if layer.affine:
        weight = as_array(layer.weight)
        scale, shift = scale * weight, shift * weight + as_array(layer.bias)
    if is_only_reader and writer.fold(number, scale, shift):
        return number
    tensors = {"scale": (f"{name}.scale", scale), "shift": (f"{name}.shift", shift)}
    return writer.add("affine", (number,), tensors)


def _flat(writer: ProgramWriter, number: int, layer: nn.Flatten) -> int:
    shape = writer.shape(number)
    if layer.start_dim != 1 or layer.end_dim not in (-1, len(shape)):
        raise CannotRunError("it flattens some of the axes")
    return writer.reshape(number, (int(np.prod(shape)),))


def _unchanged(layer: Any) -> bool:
    return layer.ceil_mode is False and getattr(layer, "divisor_override", None) is None


def _largest(n_axes: int) -> Callable[..., int]:
    def rule(writer: ProgramWriter, number: int, layer: Any, name: str) -> int:
        if not _unchanged(layer) or pair(layer.dilation, n_axes) not in ((1, 1),):
            raise CannotRunError("it has ceil_mode or dilation")
        sizes = layer.kernel_size, layer.stride, layer.padding
        return pool(writer, number, "max_pool2d", n_axes, *sizes)

    return rule


def _mean(n_axes: int) -> Callable[..., int]:
    def rule(writer: ProgramWriter, number: int, layer: Any, name: str) -> int:
        if not _unchanged(layer):
            raise CannotRunError("it has ceil_mode or divisor_override")
        sizes = layer.kernel_size, layer.stride, layer.padding
        counts = bool(layer.count_include_pad)
        return pool(writer, number, "avg_pool2d", n_axes, *sizes, counts_padding=counts)

    return rule


def _convolution(writer: ProgramWriter, number: int, layer: Any, name: str) -> int:
    if layer.padding_mode != "zeros":
        raise CannotRunError(f"it pads with padding_mode={layer.padding_mode!r}")
    bias = None if layer.bias is None else as_array(layer.bias)
    options = layer.stride, layer.padding, layer.dilation, layer.groups
    return convolution(writer, number, name, as_array(layer.weight), bias, *options)


def _linear(writer: ProgramWriter, number: int, layer: nn.Linear, name: str) -> int:
    bias = None if layer.bias is None else as_array(layer.bias)
    return linear(writer, number, name, as_array(layer.weight), bias)


def _hashed(writer: ProgramWriter, number: int, layer: HashedLinear, name: str) -> int:
    _need_rows(writer, number)
    tensors = {"values": (f"{name}.values", as_array(layer.values))}
    return writer.add("hashed_linear", (number,), tensors, size=layer.out_features, seed=layer.seed)


def _low_rank(writer: ProgramWriter, number: int, layer: LowRankLinear, name: str) -> int:
    _need_rows(writer, number)
    n_columns = len(layer.basis)
    parts = [array.tensor_split(n_columns) for array in (layer.values, layer.bias)]
    made = []
    for k, (basis, values, bias) in enumerate(zip(layer.basis, *parts, strict=True)):
        base = name if n_columns == 1 else f"{name}.{k}"
        tensors = {"weight": (f"{base}.basis", as_array(basis.T))}
        factors = writer.add("linear", (number,), tensors)
        tensors = {
            "weight": (f"{base}.values", as_array(values)),
            "bias": (f"{base}.bias", as_array(bias)),
        }
        made.append(writer.add("linear", (factors,), tensors))
    return made[0] if n_columns == 1 else writer.add("concatenate", tuple(made))


def _need_rows(writer: ProgramWriter, number: int) -> None:
    shape = writer.shape(number)
    if len(shape) != 1:
        raise CannotRunError(f"it reads rows of shape {shape}")


def _function(name: str, **attributes: str) -> Callable[..., int]:
    """A rule for a function whose parameters are attributes of the layer."""

    def rule(writer: ProgramWriter, number: int, layer: Any, _: str) -> int:
        values = {key: getattr(layer, attribute) for key, attribute in attributes.items()}
        return activation(writer, number, name, **values)

    return rule


def _nothing(writer: ProgramWriter, number: int, layer: nn.Module, name: str) -> int:
    return number


#: Takes the writer, the value, the layer and its name; returns the value that is made.
LAYERS: dict[type[nn.Module], Callable[..., int]] = {
    nn.Linear: _linear,
    HashedLinear: _hashed,
    LowRankLinear: _low_rank,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.MaxPool1d: _largest(1),
    nn.MaxPool2d: _largest(2),
    nn.AvgPool1d: _mean(1),
    nn.AvgPool2d: _mean(2),
    nn.AdaptiveAvgPool1d: lambda w, k, m, _: adaptive_pool(w, k, "avg_pool2d", 1, m.output_size),
    nn.AdaptiveAvgPool2d: lambda w, k, m, _: adaptive_pool(w, k, "avg_pool2d", 2, m.output_size),
    nn.AdaptiveMaxPool1d: lambda w, k, m, _: adaptive_pool(w, k, "max_pool2d", 1, m.output_size),
    nn.AdaptiveMaxPool2d: lambda w, k, m, _: adaptive_pool(w, k, "max_pool2d", 2, m.output_size),
    nn.Flatten: lambda w, k, m, _: _flat(w, k, m),
    nn.ReLU: _function("relu"),
    nn.ReLU6: _function("clip", low="min_val", high="max_val"),
    nn.Hardtanh: _function("clip", low="min_val", high="max_val"),
    nn.LeakyReLU: _function("leaky_relu", slope="negative_slope"),
    nn.ELU: _function("elu", alpha="alpha"),
    nn.GELU: lambda w, k, m, _: gelu(w, k, m.approximate),
    nn.SiLU: _function("silu"),
    nn.Sigmoid: _function("sigmoid"),
    nn.Tanh: _function("tanh"),
    nn.Softplus: lambda w, k, m, _: softplus(w, k, m.beta, m.threshold),
    **{
        kind: _nothing
        for kind in (
            *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
            *(nn.AlphaDropout, nn.FeatureAlphaDropout),
        )
    },
}

#: Normalisations, which are folded where they can be.
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)
