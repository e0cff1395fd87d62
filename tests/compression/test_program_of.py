"""Modules as programs: the outputs of the program are those of the module."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sksparse.compression import Shift, compact, program_of
from sksparse.serving import Predictor


class LeNet(nn.Module):
    """Takes flat rows, as estimators give them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3)
        self.hidden, self.last = nn.Linear(24, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.first(x.view(-1, 1, 14, 14))), 2)
        x = F.max_pool2d(torch.relu(self.second(x)), 2)
        x = F.dropout(self.hidden(x.view(x.size(0), -1)).relu(), 0.5, self.training)
        return self.last(x)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.inner, self.after = nn.Conv2d(5, 5, 3, padding="same"), nn.BatchNorm2d(5)
        self.strided = nn.Conv2d(5, 6, 3, stride=2, padding=1, groups=1, dilation=1)
        self.last = nn.Linear(11, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(x + self.after(self.inner(x)))
        y = self.strided(x)
        return self.last(torch.cat([y.mean((2, 3)), F.adaptive_avg_pool2d(x, 1).flatten(1)], 1))


class Arithmetic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.table = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(2, 4))
        self.register_buffer("mean", torch.randn(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / 2.0 * self.weight
        y = x.unflatten(1, (2, 2))
        y = 1.0 - y + self.table.view(2, 2, 2)[0] - y * 0.25
        return F.linear(y.flatten(1), self.table).clamp(min=-0.5) - F.linear(x, self.table)


class Shared(nn.Module):
    """One layer called twice, with a normalisation behind one call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(self.norm(self.layer(x))))


class ReadTwice(nn.Module):
    """What a normalisation reads is read again, so that it cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return x + self.norm(x)


def activations() -> nn.Module:
    parts = [
        *(nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(1.5), nn.GELU(), nn.GELU(approximate="tanh")),
        *(nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.Softplus(), nn.Hardtanh(-0.3, 0.4), nn.ReLU6()),
    ]
    return nn.Sequential(*[part for act in parts for part in (nn.Linear(4, 4), act)])


def one_axis() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.BatchNorm1d(4), nn.ELU()),
        *(nn.MaxPool1d(2, 1, 1), nn.AvgPool1d(3, 2, 1, count_include_pad=False)),
        *(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2)),
    )


def two_axes() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 4, (3, 1), dilation=(1, 2), groups=2), nn.BatchNorm2d(4, affine=False)),
        *(nn.LeakyReLU(), nn.AvgPool2d(2, padding=1), nn.MaxPool2d((3, 2), 1, (1, 0))),
        *(Shift(torch.randn(4), 4, 1), nn.AdaptiveMaxPool2d((1, None)), nn.Flatten()),
        *(nn.Identity(), nn.LazyLinear(3)),
    )


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet": (LeNet, (196,)),
    "residual": (Residual, (2, 8, 6)),
    "arithmetic": (Arithmetic, (4,)),
    "shared": (Shared, (4,)),
    "read twice": (ReadTwice, (4,)),
    "activations": (activations, (4,)),
    "one axis": (one_axis, (2, 21)),
    "two axes": (two_axes, (2, 8, 6)),
    "normalised inputs": (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)), (4,)),
    "a layer": (lambda: nn.Linear(4, 2), (4,)),
}


def settled(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """The module with running means and variances as after some training."""
    module(torch.randn(8, *shape))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
            if part.affine:
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
    return module


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_outputs_are_those_of_the_module(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    make, shape = MODULES[name]
    module = settled(make(), shape).to(dtype)
    before = copy.deepcopy(module.state_dict())
    program, tensors = program_of(module, torch.randn(3, *shape, dtype=dtype))
    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    X = torch.randn(20, *shape, dtype=dtype)
    with torch.no_grad():
        outputs = module.eval()(X).numpy()
    for form in ("numpy", "lanes"):
        found = Predictor(program, tensors, form=form)(X.numpy())
        np.testing.assert_allclose(found, outputs, rtol=0, atol=2e-6 * max(1, abs(outputs).max()))


def test_normalisations_become_part_of_products() -> None:
    program, _ = program_of(settled(Residual(), (2, 8, 6)), torch.randn(2, 2, 8, 6))
    assert "affine" not in {operation.kind for operation in program.operations}
    program, tensors = program_of(settled(ReadTwice(), (4,)), torch.randn(2, 4))
    assert [operation.kind for operation in program.operations] == ["linear", "affine", "add"]
    np.testing.assert_array_equal(
        sorted(tensors), ["layer.bias", "layer.weight", "norm.scale", "norm.shift"]
    )


def test_a_layer_that_is_called_twice_is_kept_once() -> None:
    module = nn.Sequential(layer := nn.Linear(4, 4), nn.ReLU(), layer)
    _, tensors = program_of(module, torch.randn(2, 4))
    assert set(tensors) == {"0.weight", "0.bias"}


def test_zeros_stay_zeros() -> None:
    module = settled(nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)), (6,))
    with torch.no_grad():
        module[0].weight[:, ::2] = 0.0
    _, tensors = program_of(module, torch.randn(2, 6))
    np.testing.assert_array_equal(tensors["0.weight"] == 0, module[0].weight.numpy(force=True) == 0)


def test_a_compacted_module() -> None:
    module = nn.Sequential(nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2))
    with torch.no_grad():
        module[0].weight[:3] = 0.0
        module[0].weight[:, 4:] = 0.0
        module[4].weight[:, 2] = 0.0
    result = compact(module, torch.randn(2, 9))
    kept = result.kept_inputs
    program, tensors = program_of(result.module, torch.randn(2, len(kept)))
    assert tensors["0.weight"].shape == (4, 4)
    X = np.random.default_rng(0).normal(size=(8, 9)).astype(np.float32)
    with torch.no_grad():
        outputs = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(Predictor(program, tensors)(X[:, kept]), outputs, atol=1e-6)


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.recurrent = nn.LayerNorm(5), nn.LSTM(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.norm(x), 1) + self.recurrent(x)[0].sum()


def test_all_that_cannot_run_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="cannot run without torch") as raised:
        program_of(Several(), torch.randn(3, 5))
    message = str(raised.value)
    assert "'norm' (LayerNorm)" in message
    assert "'recurrent' (LSTM)" in message
    assert "softmax" not in message.replace("'softmax'", "")
    assert "getitem" not in message


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class OfRows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(-1, 2)


class Product(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    "module, shape, what",
    [
        (Branching(), (4,), "depends on the data"),
        (OfRows(), (4,), "does not keep the axis of rows"),
        (Product(), (4,), "multiplies two values"),
        (Pair(), (4,), "cannot run without torch"),
        (nn.Linear(4, 2), (3, 4), "it reads shape"),
        (nn.Sequential(nn.Linear(4, 2), nn.PReLU()), (4,), r"'1' \(PReLU\)"),
        (nn.Sequential(nn.Linear(4, 2), nn.Softmax(1)), (4,), r"'1' \(Softmax\)"),
        (nn.Softplus(beta=2), (4,), "beta=2"),
        (nn.MaxPool2d(2, ceil_mode=True), (1, 5, 5), "ceil_mode"),
        (nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), (1, 5, 5), "reflect"),
        (nn.AdaptiveAvgPool2d(2), (1, 5, 5), "several sizes"),
        (nn.BatchNorm1d(4, track_running_stats=False), (4,), "running mean"),
        (nn.GRU(4, 2), (4,), r"\(GRU\)"),
    ],
)
def test_what_cannot_run_is_named(module: nn.Module, shape: tuple[int, ...], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        program_of(module, torch.randn(3, *shape))


def test_hooks_are_noticed() -> None:
    module = nn.Sequential(nn.Linear(4, 2))
    module[0].register_forward_hook(lambda layer, inputs, output: 2 * output)
    with pytest.raises(ValueError, match="do not give its outputs"):
        program_of(module, torch.randn(3, 4))


@pytest.mark.parametrize("example", [np.zeros((2, 4)), torch.zeros(4), None])
def test_bad_examples_are_refused(example: object) -> None:
    with pytest.raises(ValueError, match="a few rows of features"):
        program_of(nn.Linear(4, 2), example)
