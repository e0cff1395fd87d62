"""Gates of units in convolutions, residual and recurrent networks, whatever method has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from attached import NO_PROBE, attach
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from sksparse.neural_network import SparseMLPClassifier, SparseNetClassifier
from sksparse.sparsifiers import (
    BayesianGroups,
    FlatParameters,
    HardConcrete,
    LearnedGates,
    TargetedDropout,
)
from sksparse.sparsifiers.stochastic._expected_size import expected_share, expected_weights
from sksparse.sparsifiers.stochastic._gate_groups import GateGroups

pytestmark = pytest.mark.usefixtures("untraced")


class Convolutions(nn.Module):
    """Two convolutions with batch normalisation, flattened into two linear layers."""

    example = (1, 10, 10)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Conv2d(4, 3, 3)
        self.hidden = nn.Linear(12, 5)
        self.out = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.second(self.stem(x))).flatten(1)
        return self.out(torch.relu(self.hidden(h)))


class Residual(nn.Module):
    """A branch with a depthwise convolution beside a shortcut."""

    example = (2, 6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.wide = nn.Conv2d(4, 6, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm = nn.BatchNorm2d(6)
        self.narrow = nn.Conv2d(6, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        h = h + self.narrow(torch.relu(self.norm(self.depthwise(self.wide(h)))))
        return self.head(torch.relu(h).mean((2, 3)))


class Recurrent(nn.Module):
    """Two recurrent layers and a linear one."""

    example = (5, 3)

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


MODULES = [Convolutions, Residual, Recurrent]
#: A weight whose reading unit has no gate is in use in any case.
METHODS = [
    HardConcrete(granularity="unit"),
    LearnedGates(granularity="unit"),
    BayesianGroups(granularity="unit"),
    TargetedDropout(granularity="unit"),
]


def make(kind: Any) -> tuple[nn.Module, Tensor]:
    """A module with parameters and statistics that are not those of a fresh one, and data."""
    module = kind().double()
    for p in module.parameters():
        nn.init.normal_(p, std=0.5)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return module, torch.randn(6, *kind.example, dtype=torch.float64)


def set_open(run: Any, is_open: Tensor) -> None:
    """Open some gates of a run and close the others, whatever the method calls them."""
    if isinstance(run._options, HardConcrete):
        run.log_alpha.data.copy_(torch.where(is_open, 1.0, -4.0))
    elif isinstance(run._options, LearnedGates):
        run.gates.data.copy_(torch.where(is_open, 0.8, 0.3))
    elif isinstance(run._options, BayesianGroups):
        run.scales.values.data[0] = 0.9
        run.scales.values.data[1] = torch.where(is_open, -9.0, 5.0).to(run.weights)


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("sparsifier", METHODS[:3])
def test_a_closed_gate_leaves_no_parameter_and_no_change(kind: Any, sparsifier: Any) -> None:
    module, X = make(kind)
    run = attach(module, sparsifier, alpha=0.1, example=X)
    is_open = torch.ones(run.units.n_units, dtype=torch.bool)
    for units in run.units.by_layer():
        is_open[units[1:3]] = False
    set_open(run, is_open)
    module.eval()
    run.before_evaluation()
    gated = module(X)
    assert run.density() == pytest.approx(run.units.left(is_open, "weights"))
    mask = run.units.mask(is_open)
    run.begin_phase(run.phases[-1], NO_PROBE)
    torch.testing.assert_close(module(X), gated, rtol=1e-12, atol=1e-12)
    values = run.parameters.values
    assert not values[~mask].any()
    assert (values[mask] != 0).all()
    run.finalize()
    torch.testing.assert_close(module(X), gated, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", MODULES)
def test_gradients_by_gates_and_weights_are_those_of_the_objective(kind: Any) -> None:
    """Against autograd through the module, whose weights are products with the same gates."""
    module, X = make(kind)
    decay, alpha = 0.1, 0.03
    run = attach(
        module, HardConcrete(granularity="unit"), alpha=alpha, weight_decay=decay, example=X
    )
    run.log_alpha.data.normal_()
    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        module(X).square().mean().backward()
    run.after_backward()

    with torch.enable_grad():
        w = run.latent.detach().clone().requires_grad_()
        z = run._z.clone().requires_grad_()
        level = run.log_alpha.detach().clone().requires_grad_()
        named = run.parameters.by_tensor(w * run._gates.spread(z))
        loss = torch.func.functional_call(module, named, (X,)).square().mean()
        by_gate, by_weight = torch.autograd.grad(loss, [z, w])
        s = run._s.clone().requires_grad_()
        (by_s,) = torch.autograd.grad(((1.2 * s - 0.1).clamp(0, 1) * by_gate).sum(), s)
        p = run._distribution.probability_nonzero(level.clone())
        left = torch.tensor(0.0)
        for name, tensor in run.tensors.items():
            share = torch.tensor(1.0)
            for place in {(t, a): u for t, a, u in run.units.places() if t == name}.values():
                share = share * torch.cat([p, p.new_ones(1)])[place].mean()
            left = left + share * tensor.numel()
        squares = (run._gates.spread(p) * run.latent.detach().square()).sum()
        (alpha * left + 0.5 * decay * squares).backward()
    expected = by_s * (s * (1 - s)).detach() * 1.5 + level.grad
    torch.testing.assert_close(run.log_alpha.grad, expected)
    decayed = decay * run._gates.spread(p.detach()) * run.latent.detach()
    torch.testing.assert_close(run.latent.grad, by_weight + decayed)


@pytest.mark.parametrize(
    "kind, samples",
    [(Convolutions, "local"), (Convolutions, "shared"), (Residual, "local"), (Recurrent, "local")],
)
def test_scales_of_units_have_the_gradients_of_the_draws(kind: Any, samples: str) -> None:
    """Without noise of weights: against autograd through the module with multiplied weights."""
    module, X = make(kind)
    sparsifier = BayesianGroups(granularity="unit", warmup_fraction=0, conv_samples=samples)
    run = attach(module, sparsifier, alpha=0.0, example=X)
    assert len(run._noise.shared) == {Convolutions: 2 * (samples == "shared")}.get(
        kind, len(run._noise.shared)
    )
    # so little noise that only the scales matter, but for 1e-4 that is added for the root
    run.log_variance.data.fill_(-200.0)
    z = run.scales.values.data[0].normal_().clone().requires_grad_()
    run.scales.values.data[1] = -200.0
    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        module(X).square().mean().backward()
    run.after_backward()
    run._noise.remove()
    with torch.enable_grad():
        w = run.latent.detach().clone().requires_grad_()
        named = run.parameters.by_tensor(w * run._gates.spread(z))
        loss = torch.func.functional_call(module, named, (X,)).square().mean()
        by_scale, by_weight = torch.autograd.grad(loss, [z, w])
    torch.testing.assert_close(run.scales.values.grad[0], by_scale, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(run.latent.grad, by_weight, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("sparsifier", METHODS)
@pytest.mark.parametrize(
    "target", [{"target_units": 0.5}, {"target_flops": 0.6}, {"target_sparsity": 0.5}]
)
def test_targets_are_met_by_whole_units(kind: Any, sparsifier: Any, target: Any) -> None:
    module, X = make(kind)
    run = attach(module, sparsifier, alpha=None, example=X, **target)
    if isinstance(sparsifier, HardConcrete):
        run.log_alpha.data.normal_()
    units, goal = run.units, run.task.target
    run.begin_phase(run.phases[-1], NO_PROBE)
    keep = units.in_use(run.parameters.values)
    assert units.left(keep, goal.measure) <= goal.left + 1e-12
    assert all(bool(keep[of_layer].any()) for of_layer in units.by_layer())
    assert torch.equal(units.mask(keep), run.parameters.values != 0)
    assert run.share_left() == pytest.approx(units.left(keep, goal.measure))


@pytest.mark.parametrize("sparsifier", METHODS)
def test_targets_that_cannot_be_met_are_refused_before_training(sparsifier: Any) -> None:
    module, X = make(Convolutions)
    with pytest.raises(ValueError, match=r"target_units=0\.1 cannot be met"):
        attach(module, sparsifier, alpha=None, target_units=0.1, example=X)
    of_inputs = sparsifier.with_granularity("input")
    module, X = make(Convolutions)
    with pytest.raises(ValueError, match=r"target_units=0\.5 counts units"):
        attach(module, of_inputs, alpha=None, target_units=0.5, example=X)


@pytest.mark.parametrize("sparsifier", METHODS[:3])
def test_a_layer_is_never_emptied(sparsifier: Any) -> None:
    module, X = make(Convolutions)
    run = attach(module, sparsifier, alpha=1.0, example=X)
    is_open = torch.ones(run.units.n_units, dtype=torch.bool)
    is_open[run.units.by_layer()[1]] = False
    set_open(run, is_open)
    with pytest.warns(ConvergenceWarning, match="At this strength no unit of 'second'"):
        run.begin_phase(run.phases[-1], NO_PROBE)
    assert int(module.second.weight.flatten(1).any(1).sum()) == 1


@pytest.mark.parametrize("measure", ["weights", "flops", "units"])
@pytest.mark.parametrize("granularity", ["input", "unit"])
def test_expected_size_is_what_is_left_of_certain_gates(measure: str, granularity: str) -> None:
    if (measure, granularity) == ("units", "input"):
        return
    module, X = make(Convolutions)
    run = attach(module, HardConcrete(), example=X)
    gates = GateGroups(run.parameters, granularity, run.units)
    size = expected_share(gates, measure, run.units)
    keep = torch.rand(gates.n_groups) < 0.6
    probability = keep.double()
    found = float(size.expected(probability))
    if granularity == "unit":
        assert found == pytest.approx(run.units.left(keep, measure))
    else:
        # rows of unread units are not known to be gone, nor that others read what a column reads
        assert found == pytest.approx(run.columns().left(keep, measure), abs=0.3)
    probability = torch.rand(gates.n_groups, dtype=torch.float64)
    slope = size.slope(probability)
    for i in range(0, gates.n_groups, 3):
        moved = probability.clone()
        moved[i] += 1e-6
        rise = (size.expected(moved) - size.expected(probability)) / 1e-6
        assert float(rise) == pytest.approx(float(slope[i]), abs=1e-7)


def test_factors_and_sums_of_groups_are_those_of_their_columns() -> None:
    module, X = make(Recurrent)
    run = attach(module, HardConcrete(), example=X)
    gates = GateGroups(run.parameters, "unit", run.units)
    assert gates.n_groups == 8
    names = list(run.tensors)
    # the first layer reads features; the states of a layer are read by itself and the next
    assert sorted(gates.axes) == sorted(n for n in names if n != "lstm.weight_ih_l0")
    factors = torch.rand(8, dtype=torch.float64)
    out = torch.empty_like(run.weights)
    gates.multiply(gates.views(run.weights), factors, out=gates.views(out))
    torch.testing.assert_close(out, run.weights * gates.spread(factors))
    before, after = (run.parameters.by_tensor(flat) for flat in (run.weights, out))
    first, second = factors.split(4)
    torch.testing.assert_close(after["lstm.weight_hh_l0"], before["lstm.weight_hh_l0"] * first)
    torch.testing.assert_close(after["lstm.weight_ih_l1"], before["lstm.weight_ih_l1"] * first)
    torch.testing.assert_close(after["head.weight"], before["head.weight"] * second)
    assert torch.equal(after["lstm.weight_ih_l0"], before["lstm.weight_ih_l0"])
    sums = gates.sums(gates.views(run.weights))
    expected = before["lstm.weight_hh_l0"].sum(0) + before["lstm.weight_ih_l1"].sum(0)
    torch.testing.assert_close(sums[:4], expected)
    assert gates.sizes.tolist() == [32.0] * 4 + [18.0] * 4


def test_inputs_take_the_filters_that_nothing_reads() -> None:
    """All positions of a filter are closed: it goes, with its bias and normalisation."""
    module, X = make(Convolutions)
    run = attach(module, HardConcrete(granularity="input"), alpha=0.1, example=X)
    level = torch.ones(run._gates.n_groups)
    # inputs: 1 image, 4 channels, 12 positions of 3 filters, 5 hidden
    level[1 + 2] = level[1 + 4 : 1 + 4 + 4] = level[-1] = -5.0
    run.log_alpha.data.copy_(level)
    module.eval()
    run.before_evaluation()
    gated = module(X)
    run.begin_phase(run.phases[-1], NO_PROBE)
    torch.testing.assert_close(module(X), gated, rtol=1e-12, atol=1e-12)
    conv, norm = module.stem[0], module.stem[1]
    for tensor in (conv.weight, conv.bias, norm.weight, norm.bias):
        assert tensor.flatten(1).any(1).tolist() if tensor.ndim > 1 else True
        assert (tensor[2] == 0).all()
    assert not module.second.weight[0].any()
    assert float(module.second.bias[0]) == 0
    assert not module.hidden.weight[4].any()
    assert float(run.density()) == pytest.approx(
        run._removal.density(run.log_alpha.data > -2.4), abs=1e-12
    )


def test_local_gates_of_units_share_one_draw_between_readers() -> None:
    module, X = make(Convolutions)
    run = attach(module, HardConcrete(granularity="unit", gate_samples="local"), example=X)
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Tensor]) -> None:
            seen[name] = args[0].detach()

        return hook

    # hooks of the run came first, so that these see what has been gated
    module.second.register_forward_pre_hook(note("second"))
    module.hidden.register_forward_pre_hook(note("hidden"))
    run.log_alpha.data.fill_(0.0)
    module.train()
    run.before_batch()
    module(X)
    factors = run._local._factors
    drawn = factors._drawn[len(X), True].detach()
    h = module.stem(X)
    gated = h * drawn[:, :4, None, None]
    torch.testing.assert_close(seen["second"], gated)
    of_filters = drawn[:, 4:7].repeat_interleave(4, dim=1)
    assert ((seen["hidden"] == 0) == (of_filters == 0)).all()


def test_without_units_a_module_is_told_so() -> None:
    with pytest.raises(ValueError, match="no units between its layers"):
        attach(nn.Linear(3, 2), HardConcrete(granularity="unit"), example=torch.rand(2, 3))


def test_columns_alone_are_removed_where_a_module_cannot_be_followed() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x) if float(x.sum()) > 0 else -self.a(x))

    module = Hidden()
    run = attach(module, HardConcrete(granularity="input"), alpha=0.1, example=torch.rand(2, 3))
    assert not run.graph.is_known
    run.log_alpha.data.fill_(1.0)
    run.log_alpha.data[3] = -5.0
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert not module.b.weight[:, 0].any()
    assert module.a.weight[0].any()
    with pytest.raises(ValueError, match="Hidden"):
        attach(Hidden(), HardConcrete(granularity="unit"), example=torch.rand(2, 3))


def test_factors_of_tensors_count_in_the_expected_weights() -> None:
    module, X = make(Convolutions)
    run = attach(module, HardConcrete(), example=X)
    parameters: FlatParameters = run.parameters
    gates = GateGroups(parameters, "unit", run.units)
    factors = torch.tensor([0.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    size = expected_weights(gates, run.units, factors)
    ones = torch.ones(gates.n_groups, dtype=torch.float64)
    assert float(size.expected(ones)) == pytest.approx(2 * 4 * 3 * 9 + 5 * 2)


@pytest.mark.filterwarnings("ignore:The objective still fell")
@pytest.mark.parametrize("granularity", ["input", "unit"])
@pytest.mark.parametrize("name", ["l0", "gates", "bayesian", "targeted"])
def test_networks_take_granularities_and_targets(name: str, granularity: str) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = (X[:300] / 8 - 1).astype(np.float32), y[:300]
    options: dict[str, Any] = {
        "sparsifier": name,
        "granularity": granularity,
        "max_iter": 8 if name == "bayesian" else 4,
        "random_state": 0,
        "device": "cpu",
    }
    net = SparseMLPClassifier((20,), target_sparsity=0.6, **options).fit(X, y)
    assert 0.6 - 1e-3 <= net.sparsity_ <= (0.601 if granularity == "input" else 0.65)
    assert net.history_[-1]["sparsity"] == pytest.approx(net.sparsity_, abs=1e-6)
    images = SparseNetClassifier(Digits(), target_flops=0.5, **options)
    images.fit(X.reshape(-1, 1, 8, 8), y)
    module = images.module_
    kept = module.conv.weight.flatten(1).any(1)
    flops = 36 * int(torch.count_nonzero(module.conv.weight))
    flops += int(torch.count_nonzero(module.out.weight))
    assert flops <= 0.5 * (36 * 6 * 9 + 6 * 9 * 10)
    assert 0 < int(kept.sum()) < 6


class Digits(nn.Module):
    """A convolution and a linear layer for images of 8 by 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 6, 3), nn.Linear(6 * 9, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.max_pool2d(torch.relu(self.conv(x)), 2).flatten(1))
