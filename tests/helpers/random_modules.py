"""Random modules with all kinds of layers and connections, small and in double precision.

Each is a chain of parts. A part maps rows of one kind (a vector, a map, a sequence, tokens) to rows
of the same or another kind. Weights, biases and the statistics of normalisations are random, so
that nothing is zero by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["vector", "map", "sequence", "tokens"]

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.LeakyReLU, nn.Softplus)


@dataclass
class Case:
    """A random module.

    Parameters
    ----------
    name : str
        The parts, for messages.
    module : nn.Module
        In double precision and evaluation mode.
    example : Tensor of shape (n_rows, ...)
        Features; integers for tokens.
    """

    name: str
    module: nn.Module
    example: Tensor


class Lambda(nn.Module):
    """A function of layers that are its children."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


class Residual(nn.Module):
    def __init__(self, inner: nn.Module, in_place: bool) -> None:
        super().__init__()
        self.inner = inner
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        if self.in_place:
            y += x
            return y
        return x + y


class Scaled(nn.Module):
    """A scale and a shift for each unit, a parameter and a buffer."""

    def __init__(self, width: int, n_positions: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.register_buffer("shift", torch.ones(1, width, *[1] * n_positions))
        self.n_positions = n_positions

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.view(1, -1, *[1] * self.n_positions) - self.shift


class Tied(nn.Module):
    """An autoencoder whose decoder has the weights of the encoder, transposed."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(width, hidden)
        self.back = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.sigmoid(self.encoder(x))
        return functional.linear(h, self.encoder.weight.t(), self.back)


class Squeeze(nn.Module):
    """Squeeze and excitation: a factor for each channel from the means of all."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, hidden, 1), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.relu(self.first(x.mean((2, 3), keepdim=True)))
        gate = torch.sigmoid(self.second(pooled.flatten(1)))
        return x * gate[:, :, None, None]


class Recurrent(nn.Module):
    """A recurrent layer and what is done with its outputs or states."""

    def __init__(self, layer: nn.RNNBase, use: str) -> None:
        super().__init__()
        self.layer, self.use = layer, use

    def forward(self, x: Tensor) -> Tensor:
        if not self.layer.batch_first:
            x = x.transpose(0, 1)
        out, state = self.layer(x)
        h = state[0] if isinstance(self.layer, nn.LSTM) else state
        if self.use == "outputs":
            return out if self.layer.batch_first else out.permute(1, 0, 2)
        if self.use == "state":
            return torch.cat([h[-2], h[-1]], dim=1) if self.layer.bidirectional else h[-1]
        return out[:, -1] if self.layer.batch_first else out[-1]


class Steps(nn.Module):
    """A recurrent cell in a loop of the code."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for t in range(x.size(1)):
            state = self.cell(x[:, t], state)
        return state[0] if isinstance(state, tuple) else state


class _Maker:
    """Draws parts that fit behind each other."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.names: list[str] = []

    def pick(self, *items: Any) -> Any:
        return items[self.rng.integers(len(items))]

    def width(self) -> int:
        return int(self.rng.integers(2, 5)) * 2

    def act(self) -> nn.Module:
        return self.pick(*ACTIVATIONS)()

    def part(self, kind: Kind, width: int) -> tuple[nn.Module, int]:
        """A part that keeps the kind of rows."""
        name = self.pick(*_PARTS[kind])
        self.names.append(name)
        return getattr(self, f"_{name}")(width)

    # vectors

    def _dense(self, width: int) -> tuple[nn.Module, int]:
        new = self.width()
        layers = [nn.Linear(width, new, bias=self.pick(True, False)), self.act()]
        if self.pick(True, False):
            layers.insert(self.pick(1, 2), nn.BatchNorm1d(new))
        return nn.Sequential(*layers, nn.Dropout(0.5)), new

    def _residual_dense(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        inner = nn.Sequential(nn.Linear(width, h), self.act(), nn.Linear(h, width))
        return Residual(inner, self.pick(True, False)), width

    def _twice(self, width: int) -> tuple[nn.Module, int]:
        layers = nn.Linear(width, width), self.act()
        return Lambda(lambda x, a, b: b(a(b(a(x)))), *layers), width

    def _tied(self, width: int) -> tuple[nn.Module, int]:
        return Tied(width, self.width()), width

    def _scaled_dense(self, width: int) -> tuple[nn.Module, int]:
        return Scaled(width, 0), width

    def _wide(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        parts = nn.Linear(width, h), nn.Sequential(nn.Linear(width, 3), nn.PReLU(3))
        return Lambda(lambda x, a, b: torch.cat([x, a(x), b(x)], 1), *parts), width + h + 3

    def _gated(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        parts = nn.Linear(width, h), nn.Linear(width, h)
        return Lambda(lambda x, a, b: torch.tanh(a(x)) * b(x).sigmoid() / 2 + 1, *parts), h

    # maps

    def _conv(self, width: int) -> tuple[nn.Module, int]:
        new = self.width()
        conv = nn.Conv2d(
            width, new, 3, self.pick(1, 2), self.pick(1, 2), bias=self.pick(True, False)
        )
        layers = [conv, self.act()]
        if self.pick(True, False):
            layers.insert(self.pick(1, 2), nn.BatchNorm2d(new))
        return nn.Sequential(*layers), new

    def _residual_conv(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        inner = nn.Sequential(
            *(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, h, 3, padding=1, bias=False)),
            *(nn.BatchNorm2d(h), self.act(), nn.Conv2d(h, width, 1), nn.BatchNorm2d(width)),
        )
        return Residual(inner, self.pick(True, False)), width

    def _projected(self, width: int) -> tuple[nn.Module, int]:
        new = self.width()
        parts = nn.Conv2d(width, new, 3, padding=1), nn.Conv2d(width, new, 1, bias=False)
        return Lambda(lambda x, a, b: torch.relu(a(x)) + b(x), *parts), new

    def _dense_maps(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        parts = nn.Conv2d(width, h, 1), nn.Conv2d(width + h, 2, 3, padding=1)

        def join(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
            y = torch.cat((x, functional.relu(a(x))), dim=1)
            return torch.cat([y, b(y)], dim=-3)

        return Lambda(join, *parts), width + h + 2

    def _depthwise(self, width: int) -> tuple[nn.Module, int]:
        m, new = self.pick(1, 2), self.width()
        depth = nn.Conv2d(width, m * width, 3, padding=1, groups=width)
        return nn.Sequential(depth, self.act(), nn.Conv2d(m * width, new, 1)), new

    def _grouped(self, width: int) -> tuple[nn.Module, int]:
        new = 4 * self.width()
        grouped = nn.Conv2d(8, new, 3, padding=1, groups=self.pick(2, 4), dilation=1)
        return nn.Sequential(nn.Conv2d(width, 8, 1), nn.ReLU(), grouped, self.act()), new

    def _group_norm(self, width: int) -> tuple[nn.Module, int]:
        norm = nn.GroupNorm(4, 8)
        return nn.Sequential(nn.Conv2d(width, 8, 1), norm, self.act()), 8

    def _instance_norm(self, width: int) -> tuple[nn.Module, int]:
        return nn.Sequential(nn.InstanceNorm2d(width, affine=True), self.act()), width

    def _squeeze(self, width: int) -> tuple[nn.Module, int]:
        return Squeeze(width, self.width()), width

    def _upsampled(self, width: int) -> tuple[nn.Module, int]:
        new = self.width()
        return nn.Sequential(
            nn.ConvTranspose2d(width, new, 2, stride=2), nn.AvgPool2d(2), self.act()
        ), new

    def _scaled_map(self, width: int) -> tuple[nn.Module, int]:
        return Scaled(width, 2), width

    def _pooled(self, width: int) -> tuple[nn.Module, int]:
        return self.pick(nn.MaxPool2d(2, 1), nn.AvgPool2d(3, 1, 1), nn.AdaptiveMaxPool2d(3)), width

    def _shuffled(self, width: int) -> tuple[nn.Module, int]:
        def shuffle(x: Tensor, a: nn.Module) -> Tensor:
            x = a(x)
            n, _, h, w = x.shape
            return x.view(n, 2, -1, h, w).transpose(1, 2).flatten(1, 2)

        return Lambda(shuffle, nn.Conv2d(width, 8, 1)), 8

    # sequences

    def _recurrent(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        layer = self.pick(nn.LSTM, nn.GRU, nn.RNN)(
            width,
            h,
            num_layers=self.pick(1, 2),
            bidirectional=self.pick(True, False),
            batch_first=self.pick(True, False),
            bias=self.pick(True, False),
        )
        return Recurrent(layer, "outputs"), h * (1 + layer.bidirectional)

    def _by_step(self, width: int) -> tuple[nn.Module, int]:
        new = self.width()
        return nn.Sequential(nn.Linear(width, new), self.act()), new

    def _over_time(self, width: int) -> tuple[nn.Module, int]:
        new = self.width()
        conv = nn.Conv1d(width, new, 3, padding=1)
        return Lambda(lambda x, a: torch.relu(a(x.transpose(1, 2))).mT, conv), new

    def _normalised(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, h), nn.GELU())
        return Residual(nn.Sequential(inner, nn.Linear(h, width)), False), width

    def _attention(self, width: int) -> tuple[nn.Module, int]:
        h = self.width()
        parts = nn.Linear(width, h), nn.Linear(width, h), nn.Linear(width, h)

        def attend(x: Tensor, q: nn.Module, k: nn.Module, v: nn.Module) -> Tensor:
            weights = torch.softmax(q(x) @ k(x).transpose(-2, -1) / 2, dim=-1)
            return weights @ v(x)

        return Lambda(attend, *parts), h

    # from one kind to another

    def to_vector(self, kind: Kind, width: int, shape: torch.Size) -> tuple[nn.Module, int]:
        if kind == "map":
            n = shape[2] * shape[3]
            function, new = self.pick(
                (lambda x: x.flatten(1), width * n),
                (lambda x: torch.flatten(x, 1), width * n),
                (lambda x: x.view(x.size(0), -1), width * n),
                (lambda x: x.reshape(x.shape[0], x.shape[1] * x.shape[2] * x.shape[3]), width * n),
                (lambda x: x.mean((2, 3)), width),
                (lambda x: functional.adaptive_avg_pool2d(x, 1)[:, :, 0, 0], width),
                (lambda x: functional.max_pool2d(x, x.shape[-1]).amax(dim=(-2, -1)), width),
            )
            return Lambda(function), new
        if self.pick(True, False):
            cell = self.pick(nn.LSTMCell, nn.GRUCell, nn.RNNCell)(width, 4)
            self.names.append("steps")
            return Steps(cell), 4
        layer = self.pick(nn.LSTM, nn.GRU)(
            width, 4, num_layers=self.pick(1, 2), bidirectional=self.pick(True, False)
        )
        layer.batch_first = self.pick(True, False)
        self.names.append("states")
        return Recurrent(layer, self.pick("state", "last")), 4 * (1 + layer.bidirectional)


_PARTS: dict[str, tuple[str, ...]] = {
    "vector": ("dense", "residual_dense", "twice", "tied", "scaled_dense", "wide", "gated"),
    "map": (
        *("conv", "residual_conv", "projected", "dense_maps", "depthwise", "grouped", "shuffled"),
        *("group_norm", "instance_norm", "squeeze", "upsampled", "scaled_map", "pooled"),
    ),
    "sequence": ("recurrent", "by_step", "over_time", "normalised", "attention"),
}


def random_module(seed: int, kind: Kind | None = None, n_parts: int = 3) -> Case:
    """A random module.

    Parameters
    ----------
    seed : int
        The same seed makes the same module.
    kind : {"vector", "map", "sequence", "tokens"} or None
        What a row is; None draws it.
    n_parts : int, default=3
        Parts before rows become vectors; half as many follow.

    Returns
    -------
    case : Case
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        maker = _Maker(seed)
        kind = maker.pick("vector", "map", "sequence", "tokens") if kind is None else kind
        return _made(maker, kind, n_parts)


def _made(maker: _Maker, kind: Kind, n_parts: int) -> Case:
    example, parts, width = _features(maker, kind)
    inner: Kind = "sequence" if kind == "tokens" else kind
    for _ in range(n_parts):
        part, width = maker.part(inner, width)
        parts.append(part)
    if inner != "vector":
        with torch.no_grad():
            shape = (
                nn.Sequential(*parts).eval()(example.float() if kind != "tokens" else example).shape
            )
        part, width = maker.to_vector(inner, width, shape)
        parts.append(part)
        for _ in range(n_parts // 2):
            part, width = maker.part("vector", width)
            parts.append(part)
    module = nn.Sequential(*parts, nn.Linear(width, 3)).double().eval()
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -0.6, 0.6)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5) if "var" in name else buffer.uniform_(-0.5, 0.5)
    return Case(f"{kind}: {', '.join(maker.names)}", module, example)


def _features(maker: _Maker, kind: Kind) -> tuple[Tensor, list[nn.Module], int]:
    if kind == "tokens":
        width = maker.width()
        return torch.randint(0, 9, (3, 4)), [nn.Embedding(9, width)], width
    shape = {"vector": (3, 5), "map": (3, 2, 6, 6), "sequence": (3, 4, 5)}[kind]
    example = torch.randn(shape).double()
    if kind == "vector":
        width = maker.width()
        return example, [nn.Linear(5, width)], width
    return example, [], shape[1] if kind == "map" else shape[2]
