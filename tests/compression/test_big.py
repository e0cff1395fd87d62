"""Networks of the size that is in use: exact, and in bounded memory."""

from __future__ import annotations

import resource
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksparse.compression import compact
from sksparse.module_graph import ModuleGraph

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


def vgg16() -> nn.Module:
    layers: list[nn.Module] = []
    n_in = 3
    for n_out in VGG16:
        if n_out:
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True)]
            n_in = n_out
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *classifier(49 * 512))


def alexnet() -> nn.Module:
    layers: list[nn.Module] = []
    n_in = 3
    for n_out, size, stride, pools in (
        (64, 11, 4, True),
        *((192, 5, 1, True), (384, 3, 1, False), (256, 3, 1, False), (256, 3, 1, True)),
    ):
        layers += [nn.Conv2d(n_in, n_out, size, stride, 2), nn.ReLU(inplace=True)]
        layers += [nn.MaxPool2d(3, 2)] if pools else []
        n_in = n_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(6), nn.Flatten(), *classifier(36 * 256))


def classifier(n_in: int) -> list[nn.Module]:
    hidden = [nn.Linear(n_in, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
    return [nn.Dropout(), *hidden, nn.Linear(4096, 1000)]


class Bottleneck(nn.Module):
    def __init__(self, n_in: int, n_inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = nn.Conv2d(n_inner, n_inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_inner)
        self.conv3 = nn.Conv2d(n_inner, 4 * n_inner, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * n_inner)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or n_in != 4 * n_inner:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, 4 * n_inner, 1, stride, bias=False), nn.BatchNorm2d(4 * n_inner)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def resnet50() -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)]
    layers += [nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    n_in = 64
    for n_inner, n_blocks, stride in STAGES:
        for number in range(n_blocks):
            layers.append(Bottleneck(n_in, n_inner, 1 if number else stride))
            n_in = 4 * n_inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, 1000))


@pytest.mark.slow
@pytest.mark.parametrize("build", [alexnet, resnet50, vgg16])
def test_half_of_the_channels(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = build().double().eval()
    X = torch.randn(1, 3, 96, 96, dtype=torch.float64)
    make_constant(module, X)
    size = sum(p.numel() * 8 for p in module.parameters())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = compact(module, X)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    with torch.no_grad():
        masked, small = module(X), result.module(X)
    assert (masked - small).abs().max() <= 1e-10 * masked.abs().max()
    assert result.multiply_adds[0] < 0.3 * result.multiply_adds[1]
    # a copy, and what one pass holds of it at a time
    assert grown < 2.5 * size + 3e8


def make_constant(module: nn.Module, X: Tensor) -> None:
    """Half of the units of each layer emit constants that are not zero."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.normal_(part.bias)
    graph = ModuleGraph(module, X)
    rng = np.random.default_rng(0)
    dead = np.zeros(graph.n_units, dtype=bool)
    for layer in graph.layers:
        dead[rng.choice(layer.units, len(layer.units) // 2, replace=False)] = True
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for slot in graph.slots:
            if slot.role != "reads" and slot.tensor.endswith("weight"):
                positions = torch.from_numpy(np.flatnonzero(dead[slot.units]))
                parameters[slot.tensor].index_fill_(slot.axis, positions, 0.0)
