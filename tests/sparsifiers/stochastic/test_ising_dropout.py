"""The solver of Ising dropout against all states, the ranking of units, and what a fit gives."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from attached import attach
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import IsingDropout, Probe, prunable_tensors
from sksparse.sparsifiers.stochastic._ising_model import descend, energy, removal_scores, solve

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def module() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def probe_of(module: nn.Module) -> Probe:
    X = torch.randn(40, 6)
    return Probe(module, lambda: iter([(X, X[:, 0], None)]), nn.MSELoss())


def random_model(signed: bool) -> tuple[list[Tensor], list[Tensor]]:
    sizes = [4, 5, 3]
    couplings = [torch.randn(4, 5), torch.randn(5, 3)]
    fields = [torch.randn(n) for n in sizes]
    if not signed:
        # as in a network: couplings favour equal states, against a penalty
        couplings = [c.abs() for c in couplings]
        fields = [b - 2.0 for b in fields]
    return couplings, fields


def all_states(sizes: list[int]) -> Iterator[list[Tensor]]:
    for bits in product([0.0, 1.0], repeat=sum(sizes)):
        yield list(torch.tensor(bits).split(sizes))


@pytest.mark.parametrize("signed", [False, True])
def test_solver_against_all_states(signed: bool) -> None:
    n_equal, n_models = 0, 8
    for _ in range(n_models):
        couplings, fields = random_model(signed)
        best = min(energy(s, couplings, fields) for s in all_states([4, 5, 3]))
        found = energy(solve(couplings, fields, n_random=20), couplings, fields)
        assert found >= best - 1e-5
        n_equal += found == pytest.approx(best, abs=1e-5)
    assert n_equal >= n_models - 1


def test_energy_never_rises_and_no_flip_improves_the_end() -> None:
    for _ in range(20):
        couplings, fields = random_model(signed=True)
        start = [torch.rand_like(b).round() for b in fields]
        end = descend(start, couplings, fields)
        reached = energy(end, couplings, fields)
        assert reached <= energy(start, couplings, fields) + 1e-6
        for layer in end:
            for i in range(len(layer)):
                layer[i] = 1 - layer[i]
                assert energy(end, couplings, fields) >= reached - 1e-5
                layer[i] = 1 - layer[i]


def test_without_coupling_a_state_is_the_sign_of_its_field() -> None:
    couplings, fields = random_model(signed=True)
    found = solve([0 * c for c in couplings], fields)
    for state, field in zip(found, fields, strict=True):
        assert torch.equal(state > 0, field > 0)


def test_units_are_ranked_by_the_penalty_at_which_they_are_dropped() -> None:
    couplings, fields = [torch.zeros(4, 2)], [torch.tensor([0.1, 2.0, 1.0, 0.9]), torch.zeros(2)]
    assert removal_scores(couplings, fields).argsort().tolist() == [1, 2, 3, 0]
    # the score of a unit that feeds the others is above its own field
    couplings[0][0] = 5.0
    assert removal_scores(couplings, fields).argsort().tolist() == [0, 1, 2, 3]


def test_a_unit_that_passes_on_a_constant_goes_first(module: nn.Module) -> None:
    X = torch.randn(40, 6)
    X[:, 3] = 7.0
    run = attach(module, IsingDropout(), target_sparsity=0.3, example=X)
    module[0].bias[1] = -100.0
    run.before_batch()
    module(X)
    run._solve(1.0)
    first, second = run.parameters.by_tensor(run._passes).values()
    assert first[:, 3].sum() == 0
    assert first[1].sum() == second[:, 1].sum() == 0


def test_dropped_weights_get_no_gradient_between_solutions(module: nn.Module) -> None:
    sparsifier = IsingDropout(solve_every=5, ramp_fraction=0.0)
    run = attach(module, sparsifier, target_sparsity=0.6)
    X = torch.randn(40, 6)
    for batch in range(5):
        run.before_batch()
        run.parameters.zero_grad()
        with torch.enable_grad():
            module(X).square().mean().backward()
        run.after_backward()
        dropped = run._passes == 0
        assert dropped.sum() == 27
        if batch == 0:
            assert torch.count_nonzero(run.weights[dropped])
            assert torch.count_nonzero(run.latent.grad[dropped])
        else:
            assert not torch.count_nonzero(run.weights[dropped])
            assert not torch.count_nonzero(run.latent.grad[dropped])


@pytest.mark.parametrize("target", [0.0, 0.7, 0.99])
def test_target_is_met_to_one_weight(module: nn.Module, target: float) -> None:
    run = attach(module, IsingDropout(), target_sparsity=target)
    run.begin_phase(run.phases[-1], probe_of(module))
    run.finalize()
    kept = sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values())
    assert kept == 45 - round(target * 45)


def test_hooks_are_gone_at_the_end(module: nn.Module) -> None:
    run = attach(module, IsingDropout(), alpha=0.5)
    assert module[0]._forward_pre_hooks
    run.begin_phase(run.phases[-1], probe_of(module))
    run.finalize()
    assert not module[0]._forward_pre_hooks
    assert not module[2]._forward_pre_hooks


@pytest.mark.parametrize(
    "other",
    [
        nn.LSTM(3, 4),
        nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
    ],
)
def test_other_modules_are_refused(other: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"IsingDropout .*linear layers"):
        attach(other, IsingDropout(), alpha=0.5)


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.filterwarnings("ignore:At this strength no input")
def test_digits_at_a_target_and_a_grid_of_penalties() -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    net = SparseMLPClassifier(
        (50,), sparsifier="ising", target_sparsity=0.6, tol=1e-2, random_state=0
    )
    net.fit(X_train, y_train)
    assert net.sparsity_ == pytest.approx(0.6, abs=0.5 / 3700)
    assert net.score(X_test, y_test) > 0.94
    sparsity = []
    for alpha in (0.0, 0.7, 2.0):
        net.set_params(alpha=alpha, target_sparsity=None, max_iter=40)
        sparsity.append(net.fit(X_train, y_train).sparsity_)
    assert sparsity == sorted(sparsity)
    assert sparsity[0] == 0
    assert sparsity[-1] > 0.9
