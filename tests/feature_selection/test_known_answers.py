"""Planted interactions and redundant columns, of which it is known what should be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression

from sksparse.datasets import (
    make_multiplicative_features,
    make_parity_features,
    make_redundant_groups,
    make_ring_features,
    make_xor_features,
)
from sksparse.feature_selection import SparseMLPSelector

PAIRS: dict[str, Callable[..., Any]] = {
    "xor": make_xor_features,
    "multiplicative": make_multiplicative_features,
    "ring": make_ring_features,
}


def finds_all(name: str, seed: int, n_noise: int) -> bool:
    """Whether both columns are found among noise."""
    X, y, informative = PAIRS[name](1000, 2 + n_noise, random_state=seed)
    selector = SparseMLPSelector(max_features=2, random_state=seed).fit(X, y)
    return set(selector.get_support(True).tolist()) == set(informative.tolist())


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_is_found(name: str, seed: int) -> None:
    assert finds_all(name, seed, 20)


# what was found need not be evident in a hundred validation samples
@pytest.mark.filterwarnings("ignore:The network predicts")
@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_pairs_among_much_noise_are_found_by_nearly_all_seeds(name: str) -> None:
    found = [finds_all(name, seed, 100) for seed in range(20)]
    assert sum(found) >= 19


def test_selectors_of_single_columns_and_linear_ones_do_not_see_an_xor(seed: int) -> None:
    found = []
    for number in range(10):
        X, y, informative = make_xor_features(1000, 22, random_state=1000 * seed + number)
        linear = LogisticRegression().fit(X, y).coef_[0]
        single = SelectKBest(f_classif, k=2).fit(X, y).get_support(indices=True)
        found += [set(np.argsort(-np.abs(linear))[:2]) == set(informative)]
        found += [set(single) == set(informative)]
    # chance alone finds a pair of 231
    assert sum(found) <= 2


def test_a_parity_of_three_is_found_with_large_steps_and_all_inputs(seed: int) -> None:
    X, y, informative = make_parity_features(1000, 10, random_state=seed)
    selector = SparseMLPSelector(
        max_features=3, learning_rate_init=1e-2, input_dropout=0.0, random_state=seed
    )
    assert set(selector.fit(X, y).get_support(True)) == set(informative)


@pytest.mark.parametrize("correlation", [1.0, 0.8])
def test_one_column_of_each_redundant_group_is_chosen(correlation: float, seed: int) -> None:
    X, y, groups = make_redundant_groups(1000, 40, correlation=correlation, random_state=seed)
    selector = SparseMLPSelector(max_features=len(groups), random_state=seed).fit(X, y)
    chosen = selector.get_support(True)
    assert [np.isin(group, chosen).sum() for group in groups] == [1] * len(groups)
