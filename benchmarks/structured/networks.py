"""Networks at full size, built from their configurations without weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: Channels of the convolutions of VGG-16; None for a pooling.
VGG16 = (64, 64, None, 128, 128, None, *[256] * 3, None, *[512] * 3, None, *[512] * 3, None)
#: Inner channels, blocks and stride of the stages of ResNet-50, whose blocks write four times as
#: many channels.
RESNET50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
N_CLASSES = 1000


def vgg16() -> nn.Module:
    """VGG-16 with batch normalisation (Simonyan & Zisserman, 2015)."""
    layers: list[nn.Module] = []
    n_in = 3
    for n_out in VGG16:
        if n_out is None:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU()]
        n_in = n_out
    return nn.Sequential(*layers, nn.Flatten(), *classifier(49 * n_in))


def alexnet() -> nn.Module:
    """AlexNet on one device (Krizhevsky, 2014)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        *classifier(36 * 256),
    )


def classifier(n_inputs: int) -> list[nn.Module]:
    """The linear layers of both."""
    return [
        nn.Dropout(),
        nn.Linear(n_inputs, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, N_CLASSES),
    ]


class Bottleneck(nn.Module):
    """Three convolutions, the middle one over few channels, and a shortcut.

    Parameters
    ----------
    n_in : int
        Channels before.
    n_inner : int
        Channels between the convolutions; four times as many are written.
    stride : int
        Of the middle convolution, and of the shortcut.
    """

    def __init__(self, n_in: int, n_inner: int, stride: int) -> None:
        super().__init__()
        n_out = 4 * n_inner
        self.inner = nn.Sequential(
            nn.Conv2d(n_in, n_inner, 1, bias=False),
            nn.BatchNorm2d(n_inner),
            nn.ReLU(),
            nn.Conv2d(n_inner, n_inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_inner),
            nn.ReLU(),
            nn.Conv2d(n_inner, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, X: Tensor) -> Tensor:
        """The value of the block."""
        return torch.relu(self.inner(X) + self.shortcut(X))


def resnet50() -> nn.Module:
    """A network of bottlenecks with the configuration of ResNet-50 (He et al., 2016)."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    n_in = 64
    for n_inner, n_blocks, stride in RESNET50:
        for number in range(n_blocks):
            layers.append(Bottleneck(n_in, n_inner, 1 if number else stride))
            n_in = 4 * n_inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, N_CLASSES))


#: Builder, and the shape of an image.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "VGG-16": (vgg16, (3, 224, 224)),
    "AlexNet": (alexnet, (3, 224, 224)),
    "ResNet-50": (resnet50, (3, 224, 224)),
}
