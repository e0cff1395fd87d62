"""Sequential attention: weights of inputs, and the order in which they are selected."""

from __future__ import annotations

import numpy as np
import torch
from input_methods import keep_inputs, method_of

from sksparse.feature_selection.perceptron._attention import SequentialAttention


def test_weights_are_one_for_the_selected_and_a_softmax_for_others() -> None:
    method = method_of(SequentialAttention, [0, 1, 1, 2, 3], [1.0, 1.0, 1.0, 1.0, 0.0])
    with torch.no_grad():
        method.logits.copy_(torch.tensor([0.0, 2.0, 2.0, 1.0, 9.0]))
    weights = method.weights().detach()
    # times the root of their number
    expected = np.sqrt(3) * np.exp([0.0, 2.0, 1.0]) / np.exp([0.0, 2.0, 1.0]).sum()
    np.testing.assert_allclose(weights[:3], expected, rtol=1e-12)
    # what costs nothing is selected from the beginning
    assert weights[3] == 1


def test_the_set_grows_geometrically_by_weight_and_cost() -> None:
    n_groups, n_updates = 64, 200
    method = method_of(SequentialAttention, list(range(n_groups)), n_updates=n_updates)
    with torch.no_grad():
        method.logits.copy_(torch.linspace(1, 0, n_groups))
        method.penalty_weights[0] = 9.0
        method._count_groups()
    counts = []
    for _ in range(n_updates):
        method.after_step(0.1)
        counts.append(int(method._place.isfinite().sum()))
    assert counts[18] == 0
    assert counts[19] == 1
    assert counts[59] == 8
    assert counts[99:] == [64] * 101
    # the engine divides by costs
    worth = method.scores() / method.penalty_weights
    order = torch.argsort(worth, descending=True, stable=True).tolist()
    # the first costs too much to be selected early
    assert order == [*range(1, n_groups), 0]


def test_the_first_selected_are_the_last_to_leave() -> None:
    method = method_of(SequentialAttention, [0, 1, 1, 2], n_updates=10)
    with torch.no_grad():
        method.logits.copy_(torch.tensor([0.0, 2.0, 2.0, 1.0]))
    for _ in range(5):
        method.after_step(0.1)
    sums = method.group_sums(method.scores())
    assert sums.argsort().tolist() == [0, 2, 1]
    keep_inputs(method, torch.tensor([1, 2, 3]))
    assert method.group_sums(method.scores()).argsort().tolist() == [1, 0]
    assert method.scores()[0] == method.scores()[1]
