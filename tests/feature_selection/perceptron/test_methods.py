"""What every method that scores inputs must do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from input_methods import keep_inputs, loss_of, method_of
from scipy.sparse import csr_array

from sksparse.feature_selection import SparseMLPSelector
from sksparse.feature_selection.perceptron._methods import METHODS

PENALISED = sorted(name for name, kind in METHODS.items() if kind.default_strength is not None)


def planted(seed: int, n_samples: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Three classes from features 3, 8 and 15 of 20."""
    X = np.random.default_rng(seed).standard_normal((n_samples, 20))
    return X, (X[:, 3] + X[:, 8] > 0).astype(int) + (X[:, 8] + X[:, 15] > 0)


def selected(method: str, seed: int, **options: Any) -> SparseMLPSelector:
    X, y = planted(seed)
    options = {
        "max_features": 3,
        "max_iter": 30,
        "hidden_layer_sizes": (32,),
        "learning_rate_init": 0.01,
        **options,
    }
    return SparseMLPSelector(method=method, random_state=seed, **options).fit(X, y)


@pytest.mark.parametrize("method", METHODS)
def test_planted_features_are_found(method: str, seed: int) -> None:
    fitted = selected(method, seed)
    assert fitted.get_support(indices=True).tolist() == [3, 8, 15]
    assert sorted(fitted.ranking_) == [1, 1, 1, *range(2, 19)]


@pytest.mark.parametrize("method", METHODS)
def test_groups_leave_together_and_what_costs_nothing_stays(method: str) -> None:
    groups, costs = np.arange(20) // 2, np.ones(10)
    costs[0] = 0.0
    fitted = selected(method, 0, max_features=8, groups=groups, penalty_weights=costs)
    assert fitted.get_support(indices=True).tolist() == [0, 1, 2, 3, 8, 9, 14, 15]
    assert (fitted.ranking_[::2] == fitted.ranking_[1::2]).all()
    assert fitted.feature_importances_[0] == 1


@pytest.mark.parametrize("method", METHODS)
def test_an_input_that_leaves_is_one_that_is_zero(method: str) -> None:
    made = method_of(METHODS[method], [0, 1, 1, 2, 3], [1.0, 2.0, 2.0, 1.0, 0.0], n_updates=10)
    X, y = torch.randn(30, 5).double(), torch.randn(30, 2).double()
    optimizer = torch.optim.AdamW([*made.network.parameters(), *made.column_parameters()], lr=0.01)
    for _ in range(10):
        optimizer.zero_grad()
        loss_of(made, X, y).backward()
        with torch.no_grad():
            made.after_backward()
            optimizer.step()
            made.after_step(0.01)
    kept = torch.tensor([1, 2, 4])
    made.network.eval()
    zeroed = torch.zeros_like(X).index_copy(1, kept, X[:, kept])
    before, scores = made.forward(zeroed), made.scores()[kept]
    keep_inputs(made, kept)
    torch.testing.assert_close(made.forward(X[:, kept]), before)
    assert (made.scores() == scores).all()
    assert made.costs.tolist() == [2.0, 0.0]
    assert all(p.shape[-1] == 3 for p in made.column_parameters())
    # the strength on a group grows as others leave
    assert made.strengths.tolist() == [made.strength, 0.0]


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(PENALISED)))
def test_strengths_of_what_has_no_penalty_are_refused(method: str) -> None:
    with pytest.raises(ValueError, match=r"strength=0\.1 .* strength=None"):
        selected(method, 0, strength=0.1)


# the strongest penalty leaves nothing to predict with
@pytest.mark.filterwarnings("ignore:The network predicts")
@pytest.mark.parametrize("method", PENALISED)
def test_strengths_are_used(method: str) -> None:
    weak, same, strong = (
        selected(method, 0, strength=s, max_iter=10).scores_path_ for s in (1e-3, 1e-3, 10.0)
    )
    assert (weak == same).all()
    assert (weak != strong).any()


@pytest.mark.parametrize("method", METHODS)
def test_numbers_of_several_outputs_and_sparse_tables(method: str) -> None:
    rng = np.random.default_rng(0)
    X = np.where(rng.random((300, 10)) < 0.5, rng.standard_normal((300, 10)), 0.0)
    y = np.column_stack([X[:, 2] + X[:, 4], X[:, 4] - X[:, 2]])
    for table in (X, csr_array(X)):
        selector = SparseMLPSelector(
            2,
            method=method,
            max_iter=40,
            hidden_layer_sizes=(16,),
            learning_rate_init=0.01,
            random_state=0,
        )
        assert selector.fit(table, y).get_support(indices=True).tolist() == [2, 4]
