"""Group lasso on rows and columns: norms, prox steps, exact zeros and targets."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from attached import NO_PROBE, attach_with_unit_squares
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.penalties import L1, Blocks, GroupL2, SparseGroup
from sksparse.sparsifiers import GroupShrinkage, SparseGroupShrinkage, Sparsifier

attach = partial(attach_with_unit_squares, alpha=0.01, example=torch.zeros(2, 6))
STEP = 0.05


@pytest.fixture
def module() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    for p in net.parameters():
        nn.init.normal_(p, generator=generator)
    return net


pytestmark = pytest.mark.usefixtures("untraced")


def norms(w: torch.Tensor, axis: int) -> list[float]:
    """Norms of the rows (axis 0) or columns (axis 1) of a tensor, times the root of their size."""
    parts = [part.flatten() for part in w.unbind(axis)]
    return [float(part.norm()) * len(part) ** 0.5 for part in parts]


def test_overlapping_penalty_is_the_sum_of_rows_and_columns(module: nn.Module) -> None:
    first, last = (m.weight for m in (module[0], module[2]))
    # the outputs of the network are no units to remove
    rows, columns = sum(norms(first, 0)), sum(norms(first, 1)) + sum(norms(last, 1))
    values = {
        kind: attach(module, GroupShrinkage(granularity=kind)).penalty_value()
        for kind in ("unit", "input", "both")
    }
    assert values == pytest.approx({"unit": rows, "input": columns, "both": rows + columns})
    run = attach(module, SparseGroupShrinkage(l1_ratio=0.3), alpha=0.5, weight_decay=0.2)
    l1 = float(run.weights.abs().sum())
    decay = 0.1 * float(run.weights.square().sum())
    expected = 0.5 * (0.3 * l1 + 0.7 * (rows + columns)) + decay
    assert run.penalty() == pytest.approx(expected, rel=1e-5)


def test_groups_of_a_convolution_are_filters_and_channels() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(4, 2))
    run = attach(
        module, GroupShrinkage(layer_strengths=[1.0, 0.0]), example=torch.zeros(2, 3, 5, 5)
    )
    value = run.penalty_value()
    w = module[0].weight.detach()
    assert value == pytest.approx(sum(norms(w, 0)) + sum(norms(w, 1)), rel=1e-5)


@pytest.mark.parametrize("granularity", ["input", "unit"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.4])
def test_step_is_the_prox_of_the_penalty_of_the_linear_half(
    module: nn.Module, granularity: str, l1_ratio: float
) -> None:
    sparsifier: Sparsifier = GroupShrinkage(granularity=granularity)
    if l1_ratio:
        sparsifier = SparseGroupShrinkage(granularity=granularity, l1_ratio=l1_ratio)
    run = attach(module, sparsifier)
    before = module[0].weight.detach().double().numpy().copy()
    run.shrink(0.6, 0.8)
    n_out, n_in = before.shape
    row, column = np.divmod(np.arange(n_out * n_in), n_in)
    blocks = Blocks.from_labels(row if granularity == "unit" else column)
    roots = np.sqrt(blocks.sizes)
    penalty = SparseGroup(blocks, roots, l1_ratio) if l1_ratio else GroupL2(blocks, roots)
    expected = penalty.prox(before.ravel(), 0.48).reshape(before.shape)
    np.testing.assert_allclose(module[0].weight.numpy(), expected, atol=1e-6)


def test_l1_ratio_1_is_the_lasso(module: nn.Module) -> None:
    run = attach(module, SparseGroupShrinkage(l1_ratio=1.0))
    before = run.weights.double().numpy().copy()
    run.shrink(0.5, 0.8)
    expected = L1(np.ones(len(before))).prox(before, 0.4)
    np.testing.assert_allclose(run.weights.numpy(), expected, atol=1e-6)


def test_rows_are_zero_or_not_as_blocks(module: nn.Module) -> None:
    run = attach(module, GroupShrinkage(granularity="unit"))
    run.weights.mul_(0.2)
    sizes = module[0].weight.norm(dim=1) / 6**0.5
    run.shrink(1.001 * float(sizes.median()), 1.0)
    nonzero = torch.count_nonzero(module[0].weight, dim=1)
    assert sorted(nonzero.tolist()) == [0, 0, 0, 6, 6]
    assert (module[2].weight != 0).all()


def test_steps_are_those_of_proximal_gradient_descent_on_a_convex_problem() -> None:
    """Where gradients have mean square 1 the step is plain, and the limit the group lasso."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    y = X[:, :2] @ torch.tensor([1.0, -2.0], dtype=torch.float64)
    module = nn.Linear(6, 1, bias=False).double()
    run = attach(module, GroupShrinkage(granularity="input"), alpha=0.2)
    for _ in range(2000):
        run.weights.sub_(STEP * (X.T @ (X @ run.weights - y)) / 40)
        run.shrink(0.2, STEP)
    slope = X.T @ (X @ run.weights - y) / 40
    used = run.weights != 0
    assert used.tolist() == [True, True, False, False, False, False]
    torch.testing.assert_close(slope[used], -0.2 * run.weights[used].sign())
    assert (slope[~used].abs() <= 0.2).all()


def test_adam_and_the_prox_settle_where_the_objective_is_stationary() -> None:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(64, 6, generator=generator) * torch.tensor([1.0, 1.0, 1.0, 0.1, 1.0, 1.0])
    y = X[:, :2] @ torch.tensor([1.0, 0.8])
    module = nn.Linear(6, 1, bias=False)
    nn.init.constant_(module.weight, 0.1)
    run = attach(module, GroupShrinkage(granularity="input"), alpha=0.1)
    run.metric._sums.zero_()
    run.metric._share_seen = 0.0
    optimizer = torch.optim.Adam(run.learned(), lr=0.01)
    for epoch in range(300):
        run.rate = optimizer.param_groups[0]["lr"] = 0.01 * (1 - epoch / 300)
        for _ in range(10):
            run.parameters.zero_grad()
            run.parameters.weight_gradient.copy_(X.T @ (X @ run.weights - y) / 64)
            run.after_backward()
            optimizer.step()
            run.after_step()
        run.before_evaluation()
    slope = X.T @ (X @ run.weights - y) / 64
    used = run.weights != 0
    assert used.tolist() == [True, True, False, False, False, False]
    torch.testing.assert_close(slope[used], -0.1 * run.weights[used].sign(), atol=0.02, rtol=0)


def test_weights_without_a_gradient_shrink_by_twice_the_learning_rate(module: nn.Module) -> None:
    run = attach(module, GroupShrinkage(granularity="input"))
    run.metric._sums.zero_()
    before = module[0].weight.norm(dim=0)
    run.shrink(1e-3, 0.01)
    torch.testing.assert_close(
        before - module[0].weight.norm(dim=0), torch.full((6,), 0.02 * 5**0.5)
    )


@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.9])
@pytest.mark.parametrize("granularity", ["both", "input", "shape"])
def test_target_is_met_to_one_weight(module: nn.Module, granularity: str, sparsity: float) -> None:
    run = attach(module, GroupShrinkage(granularity=granularity), target_sparsity=sparsity)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    left = sum(int(torch.count_nonzero(module[i].weight)) for i in (0, 2))
    assert left == 45 - round(sparsity * 45)


def test_least_groups_go_whole(module: nn.Module) -> None:
    module[0].weight[:, [1, 4]] *= 1e-3
    run = attach(module, GroupShrinkage(granularity="input"), target_sparsity=12 / 45)
    run.begin_phase(run.phases[-1], NO_PROBE)
    lost = torch.count_nonzero(module[0].weight == 0, dim=0).tolist()
    assert lost[1] == lost[4] == 5
    assert int(torch.count_nonzero(run.weights == 0)) == 12


def test_constant_pixels_lose_their_columns_and_removal_changes_nothing() -> None:
    X, y = load_digits(return_X_y=True)
    X = X[:600] / 16
    model = SparseMLPClassifier(
        (100, 50), sparsifier="group", target_sparsity=0.8, max_iter=40, random_state=0
    )
    with torch.enable_grad(), pytest.warns(ConvergenceWarning):
        model.fit(X, y[:600])
    constant = X.std(axis=0) == 0
    assert constant[0]
    coefs, biases = model.coefs_, model.intercepts_
    assert not coefs[0][constant].any()
    # the network without its zero rows and columns computes the same
    h, live = X, (coefs[0] != 0).any(axis=1)
    for coef, bias in zip(coefs, biases, strict=True):
        following = (coef[live] != 0).any(axis=0)
        if coef is coefs[-1]:
            following[:] = True
        assert (coef[~live] == 0).all()
        h = h[:, live] @ coef[live] + bias
        if coef is not coefs[-1]:
            h = np.maximum(h, 0)
        live = following
    np.testing.assert_array_equal(h.argmax(axis=1), model.predict(X))
    assert model.architecture_[1] < 100
    assert model.sparsity_ == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"granularity": "weight"},
        {"prox_every": 0},
        {"sparsify_fraction": 0},
        {"min_weight_displacement": -1},
    ],
)
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, GroupShrinkage(**options))


def test_layer_strengths_are_checked(module: nn.Module) -> None:
    with pytest.raises(ValueError, match="layer_strengths"):
        attach(module, GroupShrinkage(layer_strengths=[1.0]))
    with pytest.raises(ValueError, match="l1_ratio"):
        attach(module, SparseGroupShrinkage(l1_ratio=1.5))
