"""Pruning of inputs, units, shapes and branches: whole zeros, targets, guards, messages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import make_task
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from sksparse.compression import compact
from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers import (
    SNIP,
    DynamicSurgery,
    LotteryTicket,
    Magnitude,
    Movement,
    RigL,
    Sparsifier,
    SynFlow,
    TopK,
)
from sksparse.sparsifiers.parameters._probe import Probe

METHODS: list[Sparsifier] = [
    Magnitude(),
    Magnitude(schedule="iterative", n_rounds=3),
    Magnitude(schedule="one_shot", criterion="taylor", scope="layer"),
    SNIP(),
    SynFlow(n_rounds=10),
    LotteryTicket(),
    Movement(),
    TopK(),
    DynamicSurgery(),
]
UNIT_TARGETS = [
    ("perceptron", {"target_sparsity": 0.7}),
    ("residual", {"target_flops": 0.3}),
    ("recurrent", {"target_units": 0.4}),
]


class Residual(nn.Module):
    """Convolutions with a branch beside a shortcut, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.branch = nn.Sequential(
            *(nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)),
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.stem(x)))
        h = torch.relu(h + self.branch(h))
        out: Tensor = self.head(h.mean((2, 3)))
        return out


class Recurrent(nn.Module):
    """An LSTM over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 10, batch_first=True), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x[:, 0])
        out: Tensor = self.head(states[:, -1])
        return out


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)
    )


MODULES = {"perceptron": perceptron, "residual": Residual, "recurrent": Recurrent}


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(60, 1, 6, 6, generator=generator)
    return X, X.flatten(1)[:, :3].argmax(1)


def train(sparsifier: Sparsifier, name: str, **options: Any) -> nn.Module:
    """Play the trainer: all phases, four batches an epoch."""
    torch.manual_seed(0)
    module: nn.Module = MODULES[name]()
    X, y = data()
    task = make_task(
        **{"max_iter": 5, "steps_per_epoch": 4, "n_samples": 60, "example": X[:2], **options}
    )
    run = sparsifier.attach(module, task)

    def batches() -> Any:
        for rows in torch.arange(60).split(15):
            yield X[rows], y[rows], None

    def loss(output: Tensor, target: Tensor, _: Any) -> Tensor:
        return functional.cross_entropy(output, target)

    probe = Probe(module, batches, loss)
    with torch.no_grad():
        for phase in run.phases:
            run.begin_phase(phase, probe)
            optimizer = torch.optim.Adam(run.learned(), lr=0.01)
            for _ in range(phase.epochs):
                for rows, labels, weight in batches():
                    run.before_batch()
                    run.parameters.zero_grad()
                    with torch.enable_grad():
                        loss(module(rows), labels, weight).backward()
                    run.after_backward()
                    optimizer.step()
                    run.after_step()
                run.before_evaluation()
                assert 0 <= run.density() <= 1
        run.finalize()
    return module.eval()


def left_of_units(module: nn.Module) -> tuple[dict[str, float], list[bool]]:
    """What is left by counting on the picture, and for each unit whether it is left."""
    graph = ModuleGraph(module, data()[0][:2])
    tensors = dict(module.named_parameters())
    parts: dict[int, list[Tensor]] = {}
    for slot in graph.slots:
        if slot.tensor in tensors:
            moved = tensors[slot.tensor].detach().movedim(slot.axis, 0)
            rows = moved.reshape(len(moved), -1)
            for unit, row in zip(slot.units.tolist(), rows, strict=True):
                parts.setdefault(unit, []).append(row)
    units = graph.removable.nonzero()[0].tolist()
    kept = [any(bool(part.any()) for part in parts[unit]) for unit in units]
    is_left = torch.ones(graph.n_units, dtype=torch.bool)
    is_left[torch.tensor(units)] = torch.tensor(kept)
    shares, total = {"weights": 0.0, "flops": 0.0}, {"weights": 0.0, "flops": 0.0}
    for name, w in tensors.items():
        if w.ndim < 2:
            continue
        mask = torch.ones_like(w)
        for slot in graph.slots:
            if slot.tensor == name:
                shape = [-1 if i == slot.axis else 1 for i in range(w.ndim)]
                mask = mask * is_left[torch.from_numpy(slot.units)].view(shape)
        # a kept unit keeps all its weights, up to zeros of its partners
        assert not w[mask == 0].any()
        for measure, cost in (("weights", 1.0), ("flops", graph.multiply_adds[name])):
            shares[measure] += cost * float(mask.sum())
            total[measure] += cost * w.numel()
    found = {measure: shares[measure] / total[measure] for measure in shares}
    return {**found, "units": sum(kept) / len(kept)}, kept


@pytest.mark.parametrize("sparsifier", METHODS, ids=str)
@pytest.mark.parametrize("name, target", UNIT_TARGETS)
def test_whole_units_are_removed_until_the_target_is_met(
    sparsifier: Sparsifier, name: str, target: dict[str, float]
) -> None:
    module = train(sparsifier.with_granularity("unit"), name, **target)
    (option, share), measure = *target.items(), next(iter(target)).removeprefix("target_")
    if option == "target_sparsity":
        share, measure = 1 - share, "weights"
    left, kept = left_of_units(module)
    assert left[measure] <= share + 1e-12
    assert left[measure] > share - 0.2
    for layer in ModuleGraph(module, data()[0][:2]).layers:
        assert len(layer.units)
    assert 0 < sum(kept) < len(kept)
    assert module(data()[0]).std(0).gt(0).all()


def test_the_compacted_network_has_the_flops_that_were_asked_for() -> None:
    dense, X = Residual().eval(), data()[0]
    module = train(Magnitude(granularity="unit"), "residual", target_flops=0.4)
    small = compact(module, X[:2]).module
    torch.testing.assert_close(small(X), module(X), atol=1e-5, rtol=0)
    flops = []
    for net in (small, dense):
        with FlopCounterMode(display=False) as counter:
            net(X[:1])
        flops.append(counter.get_total_flops())
    assert 0.3 < flops[0] / flops[1] <= 0.4


@pytest.mark.parametrize("sparsifier", METHODS, ids=str)
@pytest.mark.parametrize(
    "granularity, target",
    [
        ("input", {"target_sparsity": 0.6}),
        ("input", {"target_flops": 0.4}),
        ("shape", {"target_sparsity": 0.6}),
    ],
)
def test_columns_are_removed_whole_and_units_that_nothing_reads(
    sparsifier: Sparsifier, granularity: str, target: dict[str, float]
) -> None:
    module = train(sparsifier.with_granularity(granularity), "residual", **target)
    left = total = 0
    for w in module.parameters():
        if w.ndim > 1:
            live = w.detach().flatten(1).any(1)
            assert live.any()
            is_set = (w[live] != 0).transpose(0, 1)
            whole = is_set.flatten(1) if granularity == "input" else is_set.movedim(1, -1)
            assert (whole.any(-1) == whole.all(-1)).all()
            left, total = left + int(w.count_nonzero()), total + w.numel()
    result = compact(module, data()[0][:2])
    small = [w for w in result.module.parameters() if w.ndim > 1]
    # what is dead was zero
    assert sum(int(w.count_nonzero()) for w in small) == left
    share = left / total
    if "target_flops" in target:
        share = result.multiply_adds[0] / result.multiply_adds[1]
    assert 0.25 < share <= 0.4 + 1e-12


@pytest.mark.parametrize("sparsifier", METHODS, ids=str)
def test_a_branch_beside_a_shortcut_is_removed_whole(sparsifier: Sparsifier) -> None:
    module = train(sparsifier.with_granularity("layer"), "residual", target_sparsity=0.8)
    assert not any(bool(p.any()) for p in module.branch.parameters())  # type: ignore[union-attr]
    assert all(bool(p.any()) for p in (module.stem.weight, module.head.weight))  # type: ignore


@pytest.mark.parametrize("sparsifier", METHODS, ids=str)
def test_a_strength_never_empties_a_layer(sparsifier: Sparsifier) -> None:
    with pytest.warns(ConvergenceWarning, match="unit of.*Lower alpha"):
        module = train(sparsifier.with_granularity("unit"), "perceptron", alpha=30.0)
    for layer in (module[1], module[3], module[5]):  # type: ignore[index]
        assert layer.weight.any()


def test_what_cannot_be_met_is_refused_before_training() -> None:
    for sparsifier in METHODS:
        unit = sparsifier.with_granularity("unit")
        with pytest.raises(ValueError, match=r"target_units=0.05 cannot be met.*0\.1 of the units"):
            train(unit, "perceptron", target_units=0.05)
        with pytest.raises(ValueError, match=r"Ask for target_sparsity=0.9"):
            train(unit, "perceptron", target_sparsity=0.999)


def test_targets_and_granularities_without_a_meaning_are_refused() -> None:
    for sparsifier in METHODS:
        with pytest.raises(ValueError, match=r"target_flops=0.5 counts flops.*granularity='unit'"):
            train(sparsifier, "perceptron", target_flops=0.5)
        with pytest.raises(ValueError, match=r"target_units=0.5 counts units.*target_flops or"):
            train(sparsifier.with_granularity("input"), "perceptron", target_units=0.5)
        with pytest.raises(
            ValueError, match=r"'layer' has nothing to remove.* no layers beside a shortcut"
        ):
            train(sparsifier.with_granularity("layer"), "perceptron", target_sparsity=0.5)
        with pytest.raises(ValueError, match="'weight', 'input', 'unit', 'shape', 'layer'"):
            sparsifier.with_granularity("channel")
    with pytest.raises(ValueError, match=r"granularity='unit' has no meaning for RigL.*'weight'"):
        RigL().with_granularity("unit")
    assert isinstance(RigL().with_granularity("weight"), RigL)
    with pytest.raises(ValueError, match=r"criterion='obs'.*single weights"):
        train(Magnitude(granularity="unit", criterion="obs", schedule="one_shot"), "perceptron")  # type: ignore
    with pytest.raises(ValueError, match=r"scope='erdos_renyi'.*numbers of weights"):
        train(Magnitude(granularity="unit", scope="erdos_renyi"), "perceptron")


def test_scores_of_units_are_means_relative_to_their_layer() -> None:
    torch.manual_seed(0)
    module = perceptron()
    first, second = (module[i].weight.detach().abs().mean(1) for i in (1, 3))  # type: ignore
    scores = torch.cat([w / w.square().mean().sqrt() for w in (first, second)])
    run = Magnitude(granularity="unit", schedule="one_shot").attach(
        module, make_task(alpha=1.0, example=torch.zeros(2, 36))
    )
    run.begin_phase(run.phases[1], None)  # type: ignore[arg-type]
    kept = torch.cat([module[i].weight.detach().any(1) for i in (1, 3)])  # type: ignore
    assert torch.equal(kept, scores >= 1.0)
    for number, layer in ((1, first), (3, second)):
        removed = ~(layer / layer.square().mean().sqrt() >= 1.0)
        assert not module[number].bias[removed].any()  # type: ignore[index]
        assert not module[number + 2].weight[:, removed].any()  # type: ignore[index]
