"""GrOWL: sorted norms of columns, clusters, and weights that stay tied."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from attached import NO_PROBE, attach_with_unit_squares
from sklearn.datasets import load_digits
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.penalties import SortedL1, oscar_weights
from sksparse.sparsifiers import GrOWL, stored_weights
from sksparse.sparsifiers.proximal._growl import cluster_columns

attach = partial(attach_with_unit_squares, alpha=0.01)


pytestmark = pytest.mark.usefixtures("untraced")


def train(run: Any, X: torch.Tensor, y: torch.Tensor, phase: Any, epochs: int, rate: float) -> None:
    """What the trainer does in a phase, with full batches and the mean squared error."""
    run.begin_phase(phase, NO_PROBE)
    optimizer = torch.optim.Adam(run.learned(), lr=rate)
    for epoch in range(epochs):
        run.rate = optimizer.param_groups[0]["lr"] = rate * (1 - epoch / epochs)
        for _ in range(10):
            run.before_batch()
            run.parameters.zero_grad()
            with torch.enable_grad():
                (run.module(X) - y).square().mean().backward()
            run.after_backward()
            optimizer.step()
            run.after_step()
        run.before_evaluation()


def test_prox_keeps_the_direction_and_shrinks_norms_as_in_the_linear_half() -> None:
    module = nn.Linear(6, 4)
    run = attach(module, GrOWL(pairwise=0.6, sorted_fraction=0.5))
    before = module.weight.double().numpy().copy()
    run.shrink(0.2, 0.5)
    after = module.weight.double().numpy()
    norms = np.linalg.norm(before, axis=0)
    expected = SortedL1(2 * oscar_weights(6, 0.6, ranks=3)).prox(norms, 0.1)
    np.testing.assert_allclose(np.linalg.norm(after, axis=0), expected, atol=1e-6)
    np.testing.assert_allclose(after, before * expected / norms, atol=1e-6)


def test_clusters_are_of_similar_vectors() -> None:
    a, b = np.array([1.0, 0.0, 0.5]), np.array([-1.0, 2.0, 0.0])
    labels = cluster_columns(np.stack([a, b, 1.01 * a, b + 0.01, a]), 0.5)
    assert labels[0] == labels[2] == labels[4] != labels[1]
    assert labels[1] == labels[3]
    assert len(set(cluster_columns(np.eye(4), 0.5))) == 4


def test_duplicate_inputs_get_equal_weights_and_one_cluster_that_stays_tied() -> None:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(60, 5, generator=generator)
    X[:, 3] = X[:, 0]
    y = X[:, :2] @ torch.randn(2, 3, generator=generator)
    module = nn.Linear(5, 3)
    nn.init.normal_(module.weight, std=0.3, generator=generator)
    run = attach(module, GrOWL(pairwise=0.8, sorted_fraction=1.0), alpha=0.05)
    run.metric._sums.zero_()
    run.metric._share_seen = 0.0
    shrink, retrain = run.phases
    train(run, X, y, shrink, 300, 0.01)
    norms = module.weight.norm(dim=0).tolist()
    assert norms[0] == pytest.approx(norms[3], rel=1e-3)
    train(run, X, y, retrain, 20, 0.01)
    torch.testing.assert_close(module.weight[:, 0], module.weight[:, 3], rtol=0, atol=0)
    assert not torch.equal(module.weight[:, 0], module.weight[:, 1])
    run.finalize()
    assert stored_weights(module) == {"weight": 4 * 3}


def test_stored_weights_are_clusters_times_outputs() -> None:
    X, y = load_digits(return_X_y=True)
    # every pixel twice: in the network that is found, copies are one input
    X = np.hstack([X[:500, 16:48]] * 2) / 16
    model = SparseMLPClassifier(
        (30,), sparsifier=GrOWL(preference=-1.0), target_sparsity=0.3, max_iter=60, tol=1.0
    )
    with torch.enable_grad():
        model.set_params(random_state=0).fit(X, y[:500])
    first, second = model.coefs_
    n_distinct = [len(np.unique(c[(c != 0).any(axis=1)], axis=0)) for c in (first, second)]
    stored = stored_weights(model.module_)
    assert list(stored.values()) == [n_distinct[0] * 30, n_distinct[1] * 10]
    assert n_distinct[0] < (first != 0).any(axis=1).sum()


@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.9])
def test_target_is_met_to_one_weight(sparsity: float) -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    run = attach(module, GrOWL(), target_sparsity=sparsity)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    left = sum(int(torch.count_nonzero(module[i].weight)) for i in (0, 2))
    assert left == 45 - round(sparsity * 45)


@pytest.mark.parametrize("options", [{"preference": 2}, {"sorted_fraction": -1}, {"pairwise": 2}])
def test_bad_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(nn.Linear(3, 2), GrOWL(**options))
