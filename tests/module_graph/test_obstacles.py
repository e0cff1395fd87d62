"""What cannot be followed is refused by naming the part of the module and the line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from sksparse.module_graph import ModuleGraph
from tests.helpers.graph_checks import Code, check
from tests.helpers.random_modules import random_module

ROWS = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
STEPS = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))


class FirstThree(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x[:, :3]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        raise NotImplementedError


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        raise NotImplementedError


@fx.wrap
def mixes(x: Tensor) -> Tensor:
    return x.roll(1, 1)


def branch(h: Tensor) -> Tensor:
    return h if h.sum() > 0 else -h


CODE: dict[str, tuple[Callable[[Tensor], Tensor], int, str]] = {
    "a branch on the data": (branch, 6, "depends on the data"),
    "a number from the data": (lambda h: h * h.max().item(), 6, "'item' takes a value out of"),
    "a view in numbers": (lambda h: h.view(-1, 2, 3).flatten(1), 6, "the number of units in the"),
    "a reshape of rows": (lambda h: torch.reshape(h, (3, 6)), 6, "the number of units in the code"),
    "chunks": (lambda h: torch.mul(*h.chunk(2, dim=1)), 3, "'chunk' picks units by their position"),
    "slices": (lambda h: h[:, :3] + h[:, 3:], 3, "'getitem' picks units by their position"),
    "all of them by number": (lambda h: h.narrow(1, 0, 6), 6, "'narrow' picks units by their posi"),
    "a roll": (lambda h: h.roll(1, 1), 6, "'roll' picks units by their position"),
    "a gated half": (lambda h: functional.glu(h), 3, "'glu' picks units by their position"),
    "an assignment": (lambda h: _assigned(h), 6, "item assignment"),
    "an autograd function": (FirstThree.apply, 3, "picks units by their position"),
    "a wrapped function": (lambda h: mixes(h), 6, "'mixes' does something unknown with units"),
    "a function without a rule": (
        lambda h: torch.logcumsumexp(h, 1),
        6,
        "'logcumsumexp' does something unknown with units",
    ),
}


def _assigned(h: Tensor) -> Tensor:
    h[:, 0] = 1.0
    return h


@pytest.mark.parametrize("name", CODE)
def test_code_is_refused_with_its_line(name: str) -> None:
    code, width, why = CODE[name]
    layers = nn.Linear(5, 6), nn.Linear(width, 2)
    graph = ModuleGraph(Code(lambda x, a, b: b(code(a(x))), *layers), ROWS)
    assert not graph.is_followed
    message = str(graph.obstacles[0])
    assert why in message
    assert "(test_obstacles.py, line " in message
    with pytest.raises(ValueError, match=r"^granularity='unit' needs .* of Code .* Use weights"):
        graph.require_followed("granularity='unit'", "Use weights.")


def test_the_part_of_the_module_is_named() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    class Chunked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.mul(*x.chunk(2, 1))

    body = nn.Sequential(nn.Linear(5, 6), nn.Sequential(nn.ReLU(), Odd()), nn.Linear(6, 2))
    (obstacle,) = ModuleGraph(nn.Sequential(body), ROWS).obstacles
    assert obstacle.what.startswith("its part '0.1.1' cannot be traced")
    assert obstacle.line.endswith("in forward")
    body = nn.Sequential(nn.Linear(5, 6), Chunked(), nn.Linear(3, 2))
    (obstacle,) = ModuleGraph(nn.Sequential(body), ROWS).obstacles
    assert obstacle.what == "in '0.1' 'chunk' picks units by their position"


def test_functions_of_autograd_are_followed_in_what_they_compute() -> None:
    layers = nn.Linear(5, 6), nn.Linear(6, 2)
    check(Code(lambda x, a, b: b(Sign.apply(a(x))), *layers), ROWS, 6)


def test_a_layer_of_an_unknown_type_is_named() -> None:
    class Leaf(nn.Bilinear):
        pass

    Leaf.__module__ = "torch.nn.own"  # as a compiled or patched layer looks
    layers = nn.Linear(5, 6), Leaf(6, 6, 4), nn.Linear(4, 2)
    graph = ModuleGraph(Code(lambda x, a, b, c: c(b(a(x), a(x))), *layers), ROWS)
    assert "'layers.1', a layer of type Leaf, does something unknown" in str(graph.obstacles[0])


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrised_weights(norm: Callable[[nn.Module], nn.Module]) -> None:
    graph = ModuleGraph(nn.Sequential(norm(nn.Linear(5, 6)), nn.Linear(6, 2)), ROWS)
    assert "'0', a layer of type ParametrizedLinear, has parametrised weights" in str(
        graph.obstacles[0]
    )


def test_hooks() -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 2))
    handle = module[0].register_forward_hook(lambda layer, args, out: out.flip(1))
    assert "'0', a layer of type Linear, has hooks" in str(ModuleGraph(module, ROWS).obstacles[0])
    handle.remove()
    assert ModuleGraph(module, ROWS).is_followed
    module.register_forward_pre_hook(lambda layer, args: None)
    assert "Sequential has hooks" in str(ModuleGraph(module, ROWS).obstacles[0])


def test_hooks_of_containers_are_followed() -> None:
    inner = nn.Sequential(nn.Linear(5, 6))
    inner.register_forward_hook(lambda layer, args, out: out.relu())
    check(nn.Sequential(inner, nn.Linear(6, 2)), ROWS, 6)


def test_a_forward_method_of_one_layer() -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 2))
    module[0].forward = lambda x: functional.linear(x, module[0].weight).flip(1)
    assert "has a forward method of its own" in str(ModuleGraph(module, ROWS).obstacles[0])


def test_projected_states() -> None:
    def code(x: Tensor, rnn: nn.Module, end: nn.Module) -> Tensor:
        return end(rnn(x)[0][:, -1])

    module = Code(code, nn.LSTM(5, 6, batch_first=True, proj_size=3), nn.Linear(3, 2))
    assert "'layers.0' projects its states (proj_size)" in str(
        ModuleGraph(module, STEPS).obstacles[0]
    )


def test_states_to_start_from_that_have_a_width() -> None:
    def code(x: Tensor, rnn: nn.Module, end: nn.Module) -> Tensor:
        start = torch.zeros(1, x.size(0), 6)
        return end(rnn(x, (start, start))[0][:, -1])

    module = Code(code, nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 2))
    (first, *_) = ModuleGraph(module, STEPS).obstacles
    assert "'layers.0' starts from states of fixed width" in str(first)


def test_weights_that_are_computed() -> None:
    def code(x: Tensor, end: nn.Module, w: Tensor) -> Tensor:
        return end(functional.linear(x, w.exp()))

    module = Code(code, nn.Linear(6, 2), w=nn.Parameter(torch.ones(6, 5)))
    assert "'linear' has weights that are computed" in str(ModuleGraph(module, ROWS).obstacles[0])


def test_what_touches_no_unit_is_no_obstacle() -> None:
    """Unknown functions of features or of outputs leave the units between alone."""

    def code(x: Tensor, a: nn.Module, b: nn.Module) -> Tensor:
        y = b(torch.relu(a(torch.fft.rfft(x).real)))
        return torch.log_softmax(y, 1).view(-1, 2)

    check(Code(code, nn.Linear(3, 6), nn.Linear(6, 2)), ROWS, 6)


def test_modes_of_parts_are_left_as_they_are() -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.Dropout(), nn.Linear(6, 2)).train()
    module[1].eval()
    for broken in (False, True):
        if broken:
            module.append(Code(branch))
        modes = [part.training for part in module.modules()]
        ModuleGraph(module, ROWS)
        assert [part.training for part in module.modules()] == modes


def test_a_module_that_fails_on_the_example() -> None:
    graph = ModuleGraph(nn.Sequential(nn.Linear(4, 6)), ROWS)
    assert "its part '0' cannot be traced" in str(graph.obstacles[0])


def test_other_threads_use_their_modules_meanwhile() -> None:
    """fx replaces methods of nn.Module while it traces."""
    case = random_module(3)
    expected = case.module(case.example)
    failed: list[Exception] = []
    stop = threading.Event()

    def predict() -> None:
        while not stop.is_set():
            try:
                assert torch.equal(case.module(case.example), expected)
            except Exception as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    graphs = [
        ModuleGraph(random_module(seed).module, random_module(seed).example) for seed in (1, 2)
    ]
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert all(graph.is_followed for graph in graphs)
