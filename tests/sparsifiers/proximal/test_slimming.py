"""Network slimming: scales of batch normalisation, global thresholds, passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach
from sklearn.datasets import load_digits
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.neural_network.training._smaller import take_out
from sksparse.sparsifiers import NetworkSlimming
from sksparse.sparsifiers.proximal._slimming import keep_above_percentile, keep_layers_wide

pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = torch.randn(6, 1, 6, 6, dtype=torch.float64)
PLAIN = {"is_adaptive": False, "momentum": 0.0}


def network() -> nn.Module:
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(24, 3)),
    ).double()
    for i in (1, 4):
        nn.init.uniform_(net[i].weight, 0.1, 1.0)
        nn.init.uniform_(net[i].bias, -0.5, 1.0)
        nn.init.uniform_(net[i].running_mean, -0.5, 0.5)
    return net


def run_of(module: nn.Module, options: NetworkSlimming | None = None, **changes: Any) -> Any:
    return attach(module, options or NetworkSlimming(), example=IMAGES, **{**PLAIN, **changes})


@pytest.mark.parametrize("share", [1.0, 0.7, 0.5, 0.3])
def test_threshold_is_an_element_of_the_sorted_scales(share: float) -> None:
    scores = torch.rand(10)
    keep = keep_above_percentile(scores, share)
    if share == 1:
        assert keep.all()
        return
    threshold = sorted(scores.tolist())[int(10 * (1 - share) + 1e-9)]
    assert keep.tolist() == [score > threshold for score in scores.tolist()]


def test_threshold_is_global_and_channels_are_removed_with_all_that_belongs_to_them() -> None:
    module = network()
    scales = torch.cat([module[1].weight, module[4].weight])
    run = run_of(module, NetworkSlimming(min_layer_share=0.0), target_units=0.5)
    run.begin_phase(run.phases[-1], NO_PROBE)
    kept = scales > scales.sort().values[5]
    assert [int((module[i].weight != 0).sum()) for i in (1, 4)] == [
        int(kept[:4].sum()),
        int(kept[4:].sum()),
    ]
    for conv, norm, units in ((0, 1, kept[:4]), (3, 4, kept[4:])):
        for tensor in (module[conv].weight, module[conv].bias, module[norm].bias):
            assert not tensor[~units].any()
    assert not module[3].weight[:, ~kept[:4]].any()
    assert not module[7].weight.view(3, 6, 4)[:, ~kept[4:]].any()


def test_no_layer_is_emptied() -> None:
    module = network()
    module[1].weight.mul_(1e-3)
    largest = int(module[1].weight.argmax())
    run = run_of(module, NetworkSlimming(min_layer_share=0.0), target_units=0.5)
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert (module[1].weight != 0).nonzero().squeeze(1).tolist() == [largest]


@pytest.mark.parametrize(
    "target, share, least",
    [
        ({"target_units": 0.7}, 0.5, 2),
        ({"target_units": 0.7}, 0.2, 1),
        ({"target_flops": 0.5}, 0.5, 1),
    ],
)
def test_a_share_of_each_layer_goes_last(
    target: dict[str, float], share: float, least: int
) -> None:
    module = network()
    module[1].weight.mul_(1e-3)
    order = module[1].weight.argsort(descending=True)
    run = run_of(module, NetworkSlimming(min_layer_share=share), **target)
    run.begin_phase(run.phases[-1], NO_PROBE)
    # the share times the target times 4 channels, rounded up
    assert (module[1].weight[order] != 0).tolist() == [i < least for i in range(4)]
    assert run.share_left() <= next(iter(target.values())) + 1e-9


def test_scores_are_raised_in_layers() -> None:
    scores = torch.tensor([0.0, 0.0, 0.2, 5.0, torch.inf, 4.0])
    layers = [torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])]
    raised = keep_layers_wide(scores, layers, [1, 2])
    assert raised.argsort(descending=True)[:3].tolist() == [4, 3, 2]
    assert raised[[0, 1, 5]].tolist() == [0.0, 0.0, 4.0]


def test_channels_of_scale_zero_and_a_shift_leave_their_constant() -> None:
    module = network().eval()
    module[1].weight[1] = 0.0
    module[1].bias[1] = 0.7
    module[4].weight[2] = 0.0
    module[4].bias[2] = 0.3
    before = module(IMAGES)
    run = run_of(module)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    assert module[1].bias[1] == module[4].bias[2] == 0
    assert not module[3].weight[:, 1].any()
    torch.testing.assert_close(module(IMAGES), before, atol=1e-12, rtol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_prox_thresholds_scales_by_the_step_of_gradient_descent(momentum: float) -> None:
    module = network()
    run = run_of(module, alpha=2.0, momentum=momentum)
    before = module[1].weight.clone()
    run.begin_phase(run.phases[0], NO_PROBE)
    run.rate = 0.02
    run.after_step()
    expected = (before - 0.04 / (1 - momentum)).clamp(min=0)
    torch.testing.assert_close(module[1].weight.detach(), expected)
    total = float(module[1].weight.sum() + module[4].weight.sum())
    assert run.penalty() == pytest.approx(2 * total)


def test_subgradient_adds_the_sign() -> None:
    module = network()
    run = run_of(module, NetworkSlimming(solver="subgradient"), alpha=0.3)
    module[1].weight[2] = -1.0
    run.parameters.zero_grad()
    run.begin_phase(run.phases[0], NO_PROBE)
    run.after_backward()
    assert module[1].weight.grad.tolist() == [0.3, 0.3, -0.3, 0.3]
    assert not module[1].bias.grad.any()
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.parameters.zero_grad()
    run.after_backward()
    assert not module[1].weight.grad.any()


def test_passes_remove_equal_shares() -> None:
    module = network()
    run = run_of(module, NetworkSlimming(n_passes=2), target_units=0.49)
    names = [phase.name for phase in run.phases]
    assert names == ["shrink 1", "retrain 1", "shrink 2", "retrain 2"]
    assert sum(phase.epochs for phase in run.phases) == 20
    left = []
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
        if phase.name.startswith("retrain"):
            left.append(sum(int((module[i].weight != 0).sum()) for i in (1, 4)))
    assert left == [6, 4]


def test_passes_go_on_in_a_smaller_module() -> None:
    module = network()
    run = run_of(module, NetworkSlimming(n_passes=2), target_units=0.49, alpha=1.0)
    run.begin_phase(run.phases[1], NO_PROBE)
    assert take_out(run) is not None
    run.begin_phase(run.phases[2], NO_PROBE)
    before = module[1].weight.clone()
    run.rate = 0.01
    run.after_step()
    torch.testing.assert_close(module[1].weight.detach(), before - 0.01)
    run.begin_phase(run.phases[3], NO_PROBE)
    assert sum(int((module[i].weight != 0).sum()) for i in (1, 4)) == 4


def test_scales_begin_as_asked() -> None:
    module = network()
    run_of(module, NetworkSlimming(scale_init=0.5))
    assert module[1].weight.tolist() == [0.5] * 4


def test_what_has_no_scales_is_refused() -> None:
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="Sequential has none"):
        attach(plain, NetworkSlimming(), example=torch.zeros(2, 3))
    partly = nn.Sequential(
        *(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()), *(nn.Linear(4, 9), nn.Linear(9, 2))
    )
    with pytest.raises(ValueError, match=r"target_units=0.7\d* at least"):
        attach(partly, NetworkSlimming(), example=torch.zeros(2, 3), target_units=0.5)


@pytest.mark.filterwarnings("ignore:The objective still fell")
def test_a_perceptron_gets_narrower() -> None:
    X, y = load_digits(return_X_y=True)
    model = SparseMLPClassifier(
        (40, 20),
        batch_norm=True,
        sparsifier="slimming",
        target_flops=0.4,
        max_iter=15,
        random_state=0,
    )
    with torch.enable_grad():
        model.fit(X[:600] / 16, y[:600])
    assert model.score(X[:600] / 16, y[:600]) > 0.8
    assert sum(model.architecture_[1:-1]) < 45
