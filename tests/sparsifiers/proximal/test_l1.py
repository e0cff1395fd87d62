"""Shrinkage: the proximal operator, ISTA on a convex problem, and stable zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from attached import NO_PROBE, attach
from sklearn.linear_model import Lasso
from torch import nn

from sksparse.penalties._operators import soft_threshold
from sksparse.sparsifiers import L1Shrinkage

pytestmark = pytest.mark.usefixtures("untraced")


def lasso_problem() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    X = torch.randn(80, 15, dtype=torch.float64)
    w = torch.zeros(15, dtype=torch.float64)
    w[:4] = torch.tensor([2.0, -1.0, 0.5, 1.0])
    return X, X @ w + 0.3 * torch.randn(80, dtype=torch.float64)


def descend(solver: str, alpha: float, n_steps: int) -> tuple[Any, list[np.ndarray]]:
    """Full-batch gradient steps of 0.2, with the iterates."""
    X, y = lasso_problem()
    module = nn.Linear(15, 1, bias=False).double()
    options = {"solver": solver, "train_fraction": 0.0, "sparsify_fraction": 0.9}
    run = attach(module, L1Shrinkage(**options), alpha=alpha, learning_rate=0.2)  # type: ignore[arg-type]
    run.rate = 0.2
    run.begin_phase(run.phases[1], NO_PROBE)
    optimizer = torch.optim.SGD(run.learned(), lr=0.2)
    path = [run.weights.numpy().copy()]
    for _ in range(n_steps):
        run.parameters.zero_grad()
        with torch.enable_grad():
            (0.5 * (module(X)[:, 0] - y).square().mean()).backward()
        run.after_backward()
        optimizer.step()
        run.after_step()
        path.append(run.weights.numpy().copy())
    return run, path


def test_the_operator_is_soft_thresholding() -> None:
    w = torch.tensor([-3.0, -0.5, -0.2, 0.0, 0.2, 0.5, 3.0])
    assert soft_threshold(w, 0.5).tolist() == [-2.5, 0.0, 0.0, 0.0, 0.0, 0.0, 2.5]


def test_gradient_descent_with_shrinkage_is_ista() -> None:
    _, path = descend("shrinkage", 0.1, 500)
    X, y = (t.numpy() for t in lasso_problem())
    w = path[0]
    for found in path[:50]:
        np.testing.assert_allclose(found, w, atol=1e-12)
        w = w - 0.2 * X.T @ (X @ w - y) / 80
        w = np.sign(w) * np.maximum(np.abs(w) - 0.02, 0)
    lasso = Lasso(alpha=0.1, fit_intercept=False, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(path[-1], lasso.coef_, atol=1e-6)


def test_shrinkage_of_a_convolution_is_the_lasso_over_its_patches() -> None:
    images = torch.randn(12, 2, 7, 7, dtype=torch.float64)
    kernel = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    kernel[0, 0, 1], kernel[0, 1, 2, 0] = torch.tensor([1.0, -2.0, 0.5]), 1.5
    y = nn.functional.conv2d(images, kernel)
    y += 0.3 * torch.randn_like(y)
    module = nn.Conv2d(2, 1, 3, bias=False).double()
    sparsifier = L1Shrinkage(train_fraction=0.0, sparsify_fraction=0.9)
    run = attach(module, sparsifier, alpha=0.1, learning_rate=0.2, is_adaptive=False)
    run.rate = 0.2
    run.begin_phase(run.phases[1], NO_PROBE)
    optimizer = torch.optim.SGD(run.learned(), lr=0.2)
    for _ in range(400):
        run.parameters.zero_grad()
        with torch.enable_grad():
            (0.5 * (module(images) - y).square().mean()).backward()
        run.after_backward()
        optimizer.step()
        run.after_step()
    patches = nn.functional.unfold(images, 3).transpose(1, 2).reshape(-1, 18).numpy()
    lasso = Lasso(alpha=0.1, fit_intercept=False, tol=1e-12).fit(patches, y.flatten().numpy())
    np.testing.assert_allclose(run.weights.numpy(), lasso.coef_, atol=1e-6)
    assert ((run.weights.numpy() == 0) == (lasso.coef_ == 0)).all()


def test_zeros_are_exact_and_stable_under_adam() -> None:
    """Features that say nothing get weights of exactly zero, in all of the last updates."""
    X, signal = torch.randn(400, 20), torch.randn(20)
    signal[5:] = 0.0
    module = nn.Linear(20, 1)
    sparsifier = L1Shrinkage(train_fraction=0.0, sparsify_fraction=0.9)
    run = attach(module, sparsifier, alpha=0.6)
    run.begin_phase(run.phases[1], NO_PROBE)
    optimizer = torch.optim.Adam(run.learned(), lr=0.01)
    seen = []
    for update in range(600):
        rows = torch.randint(400, (50,))
        run.parameters.zero_grad()
        with torch.enable_grad():
            noise = 0.5 * torch.randn(50)
            (module(X[rows])[:, 0] - X[rows] @ signal - noise).square().mean().backward()
        run.after_backward()
        optimizer.step()
        run.after_step()
        if update >= 500:
            seen.append(run.weights == 0)
    assert torch.stack(seen)[:, 5:].float().mean() > 0.98
    assert not torch.stack(seen)[:, :5].any()


def test_subgradients_give_no_exact_zeros_before_the_threshold() -> None:
    run, path = descend("subgradient", 0.1, 500)
    assert all((w != 0).all() for w in path)
    run.begin_phase(run.phases[-1], NO_PROBE)
    # every step shrinks by 0.2 * 0.1, so that closer to zero than that means nothing
    left = path[-1][np.abs(path[-1]) > 0.02]
    assert 0 < torch.count_nonzero(run.weights) == len(left) < 15


def test_a_target_revives_what_was_shrunk_too_far(module: nn.Module) -> None:
    run = attach(module, L1Shrinkage(), target_sparsity=0.5)
    run.weights[10:] = 0.0
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert int(torch.count_nonzero(run.weights)) == 80
    assert (run.weights[:10] != 0).all()


def test_the_strength_follows_the_target(module: nn.Module) -> None:
    run = attach(module, L1Shrinkage(), target_sparsity=0.9)
    run.begin_phase(run.phases[1], NO_PROBE)
    before = run._strength
    run.cut()
    assert run._strength > before
    run.weights[2:] = 0.0
    raised = run._strength
    run.cut()
    assert run._strength < raised


def test_penalty_counts_while_it_shrinks(module: nn.Module) -> None:
    run = attach(module, L1Shrinkage(), alpha=0.25, weight_decay=0.5)
    run.begin_phase(run.phases[1], NO_PROBE)
    w = run.weights
    expected = 0.25 * w.square().sum() + 0.25 * w.abs().sum()
    assert run.penalty() == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("options", [{"solver": "lars"}, {"threshold": -1.0}])
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, L1Shrinkage(**options))
