"""Importance that is carried backwards, against products of matrices written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from attached import attach
from torch import Tensor, nn
from unit_networks import Recurrent, Residual, chain, drawn, probe_of

from sksparse._infinite_selection import infinite_scores, unsupervised_graph
from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers import NISP
from sksparse.sparsifiers.units._calls import response_readers
from sksparse.sparsifiers.units._propagation import Propagation

pytestmark = pytest.mark.usefixtures("untraced")


def propagated(net: nn.Module, example: Tensor, response: Tensor) -> dict[str, Tensor]:
    """Scores of all layers whose units can be removed, for given ones of the last response."""
    graph = ModuleGraph(net, example)
    (last,) = response_readers(graph)
    start = torch.zeros(graph.n_units, dtype=torch.float64)
    start.index_add_(0, torch.from_numpy(graph.units_of(last.inputs[0])), response)
    scores = Propagation(graph).scores({last.node: start})
    return {layer.name: scores[torch.from_numpy(layer.units)] for layer in graph.layers}


def perceptron() -> nn.Module:
    return drawn(
        nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    )


def test_an_identity_leaves_scores_and_columns_scale_them() -> None:
    net, s = perceptron(), torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    weight = net[2].weight  # type: ignore[index]
    x = torch.zeros(2, 2, dtype=torch.float64)
    weight.copy_(torch.eye(3))
    found = propagated(net, x, s)
    torch.testing.assert_close(found["2"], s)
    torch.testing.assert_close(found["0"], s)
    weight.normal_()
    torch.testing.assert_close(propagated(net, x, s)["0"], weight.abs().T @ s)
    sums = propagated(net, x, torch.ones(3, dtype=torch.float64))["0"].sum()
    torch.testing.assert_close(sums, weight.abs().sum(0).sum())


def test_units_that_nothing_reads_have_score_0_and_go_first() -> None:
    net = perceptron()
    net[2].weight[:, 1] = 0  # type: ignore[index, union-attr, operator]
    X, y = torch.randn(40, 2, dtype=torch.float64), torch.randint(2, (40,))
    options: dict[str, Any] = {"train_fraction": 0.0}
    run = attach(net, NISP(**options), example=X[:2], target_units=5 / 6)
    run.begin_phase(run.phases[-1], probe_of(net, X, y))
    assert float(run.scores(run._probe)[1]) == 0.0
    assert run.alive.tolist() == [True, False, True, True, True, True]


def test_kernels_scales_and_positions_are_summed() -> None:
    net = drawn(chain())
    conv, norm, inner, flat = net[0], net[1], net[3], net[6]  # type: ignore[index]
    s = torch.rand(7, dtype=torch.float64)
    found = propagated(net, torch.zeros(2, 1, 8, 8, dtype=torch.float64), s)
    maps = (flat.weight.abs().T @ s).view(6, 16).sum(1)  # type: ignore[operator, union-attr]
    torch.testing.assert_close(found["3"], maps)
    kernels = inner.weight.abs().sum((2, 3)).T @ maps  # type: ignore[operator, union-attr]
    torch.testing.assert_close(found["0"], kernels)
    assert conv.weight.shape[0] == len(norm.weight) == 4  # type: ignore[arg-type, union-attr, index]


def test_scales_of_a_normalisation_before_a_layer_are_absorbed() -> None:
    net = drawn(
        nn.Sequential(
            *(nn.Linear(2, 3), nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU()),
            nn.Linear(4, 2),
        )
    )
    norm = net[2]  # type: ignore[index]
    s = torch.rand(4, dtype=torch.float64)
    scale = norm.weight.abs() / (norm.running_var + norm.eps).sqrt()  # type: ignore[operator, union-attr]
    found = propagated(net, torch.zeros(2, 2, dtype=torch.float64), s)
    torch.testing.assert_close(found["1"], s)
    torch.testing.assert_close(found["0"], net[1].weight.abs().T @ (scale * s))  # type: ignore[index, union-attr, operator]


def test_shortcuts_are_sums_over_all_that_reads_a_unit() -> None:
    net = drawn(Residual())
    s = torch.rand(8, dtype=torch.float64)
    found = propagated(net, torch.zeros(2, 1, 8, 8, dtype=torch.float64), s)

    def back(conv: Any, scores: Tensor) -> Tensor:
        sizes = conv.weight.abs().sum((2, 3))
        return sizes.T @ scores

    def scale(norm: Any) -> Tensor:
        return norm.weight.abs() / (norm.running_var + norm.eps).sqrt()

    inner = back(net.second[2], scale(net.second[3]) * s)  # type: ignore[index]
    torch.testing.assert_close(found["second.0"], inner)
    after_first = back(net.second[0], inner) + back(net.shortcut, s)  # type: ignore[index]
    within = back(net.first[3], scale(net.first[4]) * after_first)  # type: ignore[index]
    torch.testing.assert_close(found["first.0"], within)
    # read behind the first block and inside of it
    read = after_first + back(net.first[0], scale(net.first[1]) * within)  # type: ignore[index]
    torch.testing.assert_close(found["stem"], read)


def test_a_recurrent_layer_is_gone_through_for_one_step() -> None:
    net = drawn(Recurrent())
    s = torch.rand(6, dtype=torch.float64)
    found = propagated(net, torch.zeros(2, 5, 3, dtype=torch.float64), s)
    gates = s.repeat(4)
    expected = s + net.lstm.weight_hh_l0.abs().T @ gates  # type: ignore[union-attr, operator]
    torch.testing.assert_close(found["lstm"], expected)


def test_the_response_is_ranked_by_infinite_selection_of_what_enters_the_last_layer() -> None:
    net = perceptron()
    X, y = torch.randn(40, 2, dtype=torch.float64), torch.randint(2, (40,))
    options: dict[str, Any] = {"train_fraction": 0.0, "mixing": 0.3}
    run = attach(net, NISP(**options), example=X[:2], target_units=1.0)
    run.begin_updates(probe_of(net, X, y))
    responses = net[:4](X).numpy()  # type: ignore[index, operator]
    expected = infinite_scores(unsupervised_graph(responses, 0.3))
    np.testing.assert_allclose(run.scores(None)[3:].numpy(), expected, rtol=1e-10)
    assert not net[4]._forward_pre_hooks  # type: ignore[index]


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.weight = nn.Parameter(torch.ones(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(torch.relu(self.first(x)), self.weight)


def test_a_last_layer_that_is_a_function_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"function 'linear' \(test_nisp.py.*make it a layer"):
        attach(Functional(), NISP(), example=torch.zeros(2, 2), target_units=0.5)
