"""The optimal brain surgeon against exact least squares, and on the MONK's problems."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import Magnitude
from sksparse.sparsifiers.masks._optimal_brain_surgeon import (
    Tuning,
    inverse_hessian,
    low_rank_inverse_diagonal,
    low_rank_update,
    optimal_brain_surgeon,
    saliencies,
    surgery,
)
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.parameters._probe import Probe

pytestmark = pytest.mark.usefixtures("untraced")


def least_squares(X: Tensor, y: Tensor, keep: Tensor) -> Tensor:
    w = torch.zeros(X.shape[1], dtype=X.dtype)
    w[keep] = torch.linalg.lstsq(X[:, keep], y[:, None]).solution[:, 0]
    return w


def half_loss(X: Tensor, y: Tensor, w: Tensor) -> float:
    return float(0.5 * (X @ w - y).square().mean())


def make_regression() -> tuple[Tensor, Tensor]:
    X = torch.randn(60, 8).double() @ torch.randn(8, 8).double()
    return X, torch.randn(60).double()


def test_surgery_is_exact_backward_elimination_of_least_squares() -> None:
    X, y = make_regression()
    w = least_squares(X, y, torch.ones(8, dtype=torch.bool))
    start, kept = w, torch.ones(8, dtype=torch.bool)
    for n_pruned in range(1, 8):
        inverse = torch.linalg.inv((X.T @ X / 60)[kept][:, kept])
        cost = saliencies(w[kept], inverse.diagonal())
        rises = []
        for j in kept.nonzero().flatten().tolist():
            without = kept.clone()
            without[j] = False
            rises.append(half_loss(X, y, least_squares(X, y, without)) - half_loss(X, y, w))
        torch.testing.assert_close(
            cost, torch.tensor(rises, dtype=torch.float64), atol=1e-10, rtol=0
        )
        kept[kept.nonzero().flatten()[cost.argmin()]] = False
        w = surgery(start, torch.linalg.inv(X.T @ X / 60), n_pruned)
        assert torch.equal(w != 0, kept)
        torch.testing.assert_close(w, least_squares(X, y, kept), atol=1e-10, rtol=0)


@pytest.mark.parametrize("n", [1, 40, 200])
def test_recursion_equals_the_inverse(n: int) -> None:
    rows = torch.randn(n, 12).double()
    expected = torch.linalg.inv(1e-4 * torch.eye(12).double() + rows.T @ rows / 70)
    torch.testing.assert_close(inverse_hessian(rows, 70, 1e-4), expected, rtol=1e-7, atol=1e-7)
    diagonal = low_rank_inverse_diagonal(rows, 70, 1e-4)
    torch.testing.assert_close(diagonal, expected.diagonal(), rtol=1e-6, atol=1e-6)


def test_low_rank_update_is_the_constrained_minimum() -> None:
    rows, w = torch.randn(5, 12).double(), torch.randn(12).double()
    pruned = torch.arange(12) % 3 == 0
    H = 1e-3 * torch.eye(12).double() + rows.T @ rows / 7
    got = low_rank_update(w, pruned, rows, 7, 1e-3)
    expected = torch.zeros_like(w)
    kept = ~pruned
    change = torch.linalg.solve(H[kept][:, kept], H[kept][:, pruned] @ w[pruned])
    expected[kept] = w[kept] + change
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("few_weights", [0, 10_000])
def test_surgeon_of_a_network_keeps_the_number_and_beats_plain_zeroing(
    monkeypatch: pytest.MonkeyPatch, few_weights: int
) -> None:
    tuning = Tuning(few_weights=few_weights)
    monkeypatch.setattr("sksparse.sparsifiers.masks._optimal_brain_surgeon.TUNING", tuning)
    X = torch.randn(80, 6) @ torch.randn(6, 6)
    module = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 2))
    y = module(X).clone()

    def loss(output: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        return (output - target).square().mean()

    parameters = FlatParameters(module)
    before = parameters.weights.clone()
    keep = optimal_brain_surgeon(
        Probe(module, lambda: iter([(X, y, None)]), loss), parameters, 60, 0.0
    )
    assert int(keep.sum()) == 60
    assert torch.equal(keep, parameters.weights != 0)
    after = float(loss(module(X), y, None))
    parameters.weights.copy_(before * keep)
    assert after < 0.7 * float(loss(module(X), y, None))


def monks(problem: int) -> tuple[np.ndarray, np.ndarray]:
    """All 432 robots, one-hot, and whether they belong to the class of the problem."""
    levels = [3, 3, 2, 3, 4, 2]
    robots = np.array(list(product(*[range(1, n + 1) for n in levels])))
    a = robots.T
    y = {
        1: (a[0] == a[1]) | (a[4] == 1),
        2: (robots == 1).sum(1) == 2,
    }[problem]
    X = np.column_stack([a[j] == v for j, n in enumerate(levels) for v in range(1, n + 1)])
    return X.astype(np.float32), y.astype(int)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("problem, n_train, n_kept", [(1, 124, 14), (2, 169, 20)])
def test_few_weights_are_left_of_a_network_for_the_monks(
    problem: int, n_train: int, n_kept: int
) -> None:
    """A network of 57 weights still computes the rule with about as few as were published."""
    X, y = monks(problem)
    train = np.random.RandomState(0).permutation(len(X))[:n_train]
    scores = []
    for seed in range(3):
        model = SparseMLPClassifier(
            (3,),
            activation="tanh",
            sparsifier=Magnitude(
                criterion="obs", schedule="iterative", n_rounds=20, train_fraction=0.5
            ),
            target_sparsity=1 - n_kept / 57,
            batch_size=32,
            learning_rate_init=0.01,
            weight_decay=1e-3,
            max_iter=1000,
            n_iter_no_change=1000,
            random_state=seed,
        ).fit(X[train], y[train])
        assert sum(int((w != 0).sum()) for w in model.coefs_) == n_kept
        scores.append(model.score(X, y))
    assert max(scores) == 1.0
