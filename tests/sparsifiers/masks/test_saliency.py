"""Scores against their definitions: gradients row by row, and curvatures by autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from sksparse.sparsifiers.masks._saliency import (
    CRITERIA,
    gauss_newton_diagonal,
    input_sizes,
    mean_absolute_gradients,
    obd,
    taylor,
)
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.parameters._probe import Probe

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def sum_of_squares(output: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
    losses = (output - y).square().sum(1)
    return losses.mean() if weight is None else (losses * weight).mean()


def log_loss(output: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
    losses = F.cross_entropy(output, y, reduction="none")
    return losses.mean() if weight is None else (losses * weight).mean()


def make_probe(
    module: nn.Module, X: Tensor, y: Tensor, loss: Loss, *, weight: Tensor | None = None
) -> Probe:
    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        for rows in torch.arange(len(X)).split(4):
            yield X[rows], y[rows], None if weight is None else weight[rows]

    return Probe(module, batches, loss)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def make_mlp() -> nn.Module:
    layers = [nn.Linear(5, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 3)]
    return nn.Sequential(*layers).double()


def make_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6, 3)
    ).double()


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(1, 3, batch_first=True)

    def forward(self, X: Tensor) -> Tensor:
        return self.memory(X[..., None])[0][:, -1]


def make_lstm() -> nn.Module:
    return Recurrent().double()


MODULES = [make_mlp, make_cnn, make_lstm]


@pytest.mark.parametrize("make_module", MODULES)
@pytest.mark.parametrize("weighted", [False, True])
def test_absolute_gradients_are_taken_row_by_row(
    make_module: Callable[[], nn.Module], weighted: bool
) -> None:
    module = make_module()
    X, y = torch.randn(10, 5).double(), torch.arange(10) % 3
    weight = torch.rand(10).double() if weighted else None
    parameters = FlatParameters(module)
    got = mean_absolute_gradients(make_probe(module, X, y, log_loss, weight=weight), parameters)
    module.eval()
    expected = torch.zeros_like(got)
    for i in range(10):
        parameters.zero_grad()
        row = slice(i, i + 1)
        log_loss(module(X[row]), y[row], None if weight is None else weight[row]).backward()
        expected += parameters.weight_gradient.abs() / 10
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("make_module", MODULES)
@pytest.mark.parametrize("loss", [log_loss, sum_of_squares])
def test_gauss_newton_diagonal_by_its_definition(
    make_module: Callable[[], nn.Module], loss: Loss
) -> None:
    module = make_module()
    X = torch.randn(6, 5).double()
    y = torch.arange(6) % 3 if loss is log_loss else torch.randn(6, 3).double()
    parameters = FlatParameters(module)
    got = gauss_newton_diagonal(make_probe(module, X, y, loss), parameters)
    module.eval()
    expected = torch.zeros_like(got)
    for i in range(6):
        row = slice(i, i + 1)
        output = module(X[row])
        jacobian = []
        for j in range(3):
            parameters.zero_grad()
            output[0, j].backward(retain_graph=True)
            jacobian.append(parameters.weight_gradient.clone())
        J = torch.stack(jacobian)
        H = torch.autograd.functional.hessian(
            lambda z, row=row: loss(z, y[row], None), output.detach()
        ).view(3, 3)
        expected += (J * (H @ J)).sum(0) / 6
    torch.testing.assert_close(got, expected)


def test_curvature_of_a_linear_model() -> None:
    module = nn.Linear(4, 1, bias=False).double()
    X, y = torch.randn(30, 4).double(), torch.randn(30, 1).double()
    h = gauss_newton_diagonal(make_probe(module, X, y, sum_of_squares), FlatParameters(module))
    torch.testing.assert_close(h, 2 * X.square().mean(0))


def test_saliency_is_the_true_change_at_a_minimum_without_correlation() -> None:
    X = torch.linalg.qr(torch.randn(30, 4).double())[0] * torch.tensor([1.0, 2.0, 3.0, 4.0])
    y = torch.randn(30, 1).double()
    module = nn.Linear(4, 1, bias=False).double()
    w = torch.linalg.lstsq(X, y).solution.T
    module.weight.data.copy_(w)
    parameters = FlatParameters(module)
    saliency = obd(
        parameters.weights,
        gauss_newton_diagonal(make_probe(module, X, y, sum_of_squares), parameters),
    )
    before = sum_of_squares(X @ w.T, y, None)
    for j in range(4):
        without = w.clone()
        without[0, j] = 0
        change = sum_of_squares(X @ without.T, y, None) - before
        assert saliency[j].item() == pytest.approx(change.item(), rel=1e-9)


def test_curvature_is_that_of_the_hessian_where_outputs_are_linear_in_each_weight() -> None:
    module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    X, y = torch.randn(12, 5).double(), torch.arange(12) % 3
    parameters = FlatParameters(module)
    got = gauss_newton_diagonal(make_probe(module, X, y, log_loss), parameters)
    first, second = (w.detach() for w in parameters.tensors.values())
    biases = [module[0].bias.detach(), module[2].bias.detach()]

    def objective(flat: Tensor) -> Tensor:
        a, b = flat.split([20, 12])
        h = torch.relu(X @ a.view(4, 5).T + biases[0])
        return log_loss(h @ b.view(3, 4).T + biases[1], y, None)

    flat = torch.cat([first.flatten(), second.flatten()])
    hessian = torch.autograd.functional.hessian(objective, flat)
    torch.testing.assert_close(got, hessian.diagonal())


def test_obd_ranks_otherwise_than_magnitude_where_scales_differ() -> None:
    # column 0 is a hundred times as large, its weight a hundredth, and twice as important
    X = torch.randn(50, 2).double() * torch.tensor([100.0, 1.0])
    module = nn.Linear(2, 1, bias=False).double()
    module.weight.data.copy_(torch.tensor([[0.02, 1.0]]))
    y = module(X).detach()
    parameters = FlatParameters(module)
    probe = make_probe(module, X, y, sum_of_squares)
    saliency = obd(parameters.weights, gauss_newton_diagonal(probe, parameters))
    assert parameters.weights[0] < parameters.weights[1]
    assert saliency[0] > saliency[1]


def test_taylor_score_is_exact_for_a_linear_loss() -> None:
    module = nn.Linear(4, 1, bias=False).double()
    X = torch.randn(9, 4).double()

    def loss(output: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        return (output[:, 0] * y).mean()

    y = torch.randn(9).double()
    parameters = FlatParameters(module)
    slope = mean_absolute_gradients(make_probe(module, X, y, loss), parameters)
    score = taylor(parameters.weights, slope)
    # zeroing w_j changes the loss of row i by -y_i w_j x_ij
    expected = (y[:, None] * X * parameters.weights).abs().mean(0)
    torch.testing.assert_close(score, expected)


def test_input_size_is_a_root_mean_square() -> None:
    module = make_mlp()
    X = torch.randn(10, 5).double()
    sizes = input_sizes(
        make_probe(module, X, torch.arange(10) % 3, log_loss), FlatParameters(module)
    )
    first, second = sizes.split([20, 12])
    hidden = torch.tanh(module[0](X)).detach()
    torch.testing.assert_close(first.view(4, 5), X.square().mean(0).sqrt().expand(4, 5))
    torch.testing.assert_close(second.view(3, 4), hidden.square().mean(0).sqrt().expand(3, 4))


def test_input_size_of_convolutions_is_that_of_their_channels() -> None:
    module = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6, 2)).double()
    X = torch.randn(8, 4, 3, 3).double()
    sizes = input_sizes(
        make_probe(module, X, torch.arange(8) % 2, log_loss), FlatParameters(module)
    )
    channels = X.square().mean((0, 2, 3)).sqrt()
    got = sizes[: 6 * 2 * 9].view(6, 2, 3, 3)
    torch.testing.assert_close(got[:3], channels[None, :2, None, None].expand(3, 2, 3, 3))
    torch.testing.assert_close(got[3:], channels[None, 2:, None, None].expand(3, 2, 3, 3))


def test_input_sizes_of_a_recurrent_layer_are_refused() -> None:
    module = make_lstm()
    probe = make_probe(module, torch.randn(4, 5).double(), torch.zeros(4).long(), log_loss)
    with pytest.raises(ValueError, match="criterion='activation'"):
        input_sizes(probe, FlatParameters(module))


def test_statistics_leave_the_module_as_it_was() -> None:
    module = make_mlp()
    X, y = torch.randn(10, 5).double(), torch.arange(10) % 3
    parameters = FlatParameters(module)
    before = parameters.weights.clone()
    for criterion in CRITERIA.values():
        if criterion.statistic is not None:
            criterion.statistic(make_probe(module, X, y, log_loss), parameters)
    assert module.training
    assert not parameters.weight_gradient.any()
    assert torch.equal(parameters.weights, before)
    assert not module[0]._forward_hooks


def test_taylor_and_curvature_follow_the_true_change_better_than_magnitude() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = torch.tensor(X[:500] / 16.0), torch.tensor(y[:500])
    module = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)).double()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        log_loss(module(X), y, None).backward()
        optimizer.step()
    parameters = FlatParameters(module)
    probe = make_probe(module, X, y, log_loss)
    statistics = {
        name: c.statistic(probe, parameters) if c.statistic else torch.empty(0)
        for name, c in CRITERIA.items()
    }
    oracle = []
    with torch.no_grad():
        base = log_loss(module(X), y, None)
        for i in range(parameters.n_weights):
            value = parameters.weights[i].clone()
            parameters.weights[i] = 0
            oracle.append(float((log_loss(module(X), y, None) - base).abs()))
            parameters.weights[i] = value
    rank = {
        name: spearmanr(c.score(parameters.weights, statistics[name]).numpy(), np.array(oracle))[0]
        for name, c in CRITERIA.items()
    }
    assert rank["taylor"] > rank["magnitude"]
    assert rank["obd"] > rank["magnitude"]
    assert rank["activation"] > rank["magnitude"]
