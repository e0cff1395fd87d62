"""Tables with a known answer: it determines the target, and no single column shows it."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from sksparse.datasets import (
    make_multiplicative_features,
    make_parity_features,
    make_redundant_groups,
    make_ring_features,
    make_xor_features,
)

INTERACTIONS = [
    make_xor_features,
    make_parity_features,
    make_multiplicative_features,
    make_ring_features,
]
EVERY = [*INTERACTIONS, make_redundant_groups]
# Six standard errors: one test in 10^8 fails by chance.
FAR = 6.0

interactions = pytest.mark.parametrize("make", INTERACTIONS)
every = pytest.mark.parametrize("make", EVERY)


def columns_of(informative: Any) -> np.ndarray:
    return np.ravel(informative)


@every
def test_shapes_and_columns(make: Any, seed: int) -> None:
    X, y, informative = make(50, 12, random_state=seed)
    assert X.shape == (50, 12)
    assert y.shape == (50,)
    columns = columns_of(informative)
    assert len(set(columns)) == len(columns)
    assert 0 <= columns.min() <= columns.max() < 12


@every
def test_a_seed_gives_the_same_table_again(make: Any) -> None:
    first, second, other = make(random_state=3), make(random_state=3), make(random_state=4)
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


@every
def test_shuffling_moves_columns_alone(make: Any, seed: int) -> None:
    X, y, informative = make(30, 40, shuffle=False, random_state=seed)
    moved, same_y, places = make(30, 40, random_state=seed)
    np.testing.assert_array_equal(y, same_y)
    np.testing.assert_array_equal(columns_of(informative), np.arange(columns_of(places).size))
    np.testing.assert_array_equal(moved[:, columns_of(places)], X[:, columns_of(informative)])
    np.testing.assert_array_equal(np.sort(moved, axis=1), np.sort(X, axis=1))
    assert not np.array_equal(columns_of(places), columns_of(informative))


@interactions
def test_no_column_is_correlated_with_the_target(make: Any, seed: int) -> None:
    n = 4000
    X, y, _ = make(n, 10, random_state=seed)
    centred = y - y.mean()
    products = (X - X.mean(axis=0)) * centred[:, None]
    scores = products.mean(axis=0) / products.std(axis=0) * np.sqrt(n)
    assert np.abs(scores).max() < FAR
    # nor is any linear function of them, as far as ten coefficients can fit noise
    explained = LinearRegression().fit(X, y).score(X, y)
    assert explained < (10 + FAR * np.sqrt(2 * 10)) / n * 3


@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_parity_is_independent_of_fewer_columns(order: int, seed: int) -> None:
    n = 4000
    X, y, informative = make_parity_features(n, 6, order=order, random_state=seed)
    negative = X[:, informative] < 0
    for some in combinations(range(order), order - 1):
        cells = negative[:, some] @ (2 ** np.arange(order - 1))
        table = np.array([np.bincount(cells[y == c], minlength=2 ** (order - 1)) for c in (0, 1)])
        assert stats.chi2_contingency(table).pvalue > 1e-8
    np.testing.assert_array_equal(negative.sum(axis=1) % 2, y)


def test_an_xor_is_the_parity_of_two(seed: int) -> None:
    for one, two in zip(
        make_xor_features(flip_y=0.2, random_state=seed),
        make_parity_features(order=2, flip_y=0.2, random_state=seed),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)


def test_products_determine_the_target(seed: int) -> None:
    X, y, informative = make_multiplicative_features(
        60, 9, n_products=2, order=3, random_state=seed
    )
    a, b, c, d, e, f = X[:, informative].T
    np.testing.assert_allclose(a * b * c + d * e * f, y)


def test_the_radius_determines_the_class(seed: int) -> None:
    X, y, informative = make_ring_features(2000, 5, random_state=seed)
    order = np.argsort((X[:, informative] ** 2).sum(axis=1))
    # out, in, out again
    assert np.count_nonzero(np.diff(y[order])) == 2
    assert y[order[0]] == y[order[-1]] == 0
    assert abs(y.mean() - 0.5) < FAR * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize("make", [make_xor_features, make_parity_features, make_ring_features])
def test_a_share_of_the_classes_is_drawn_by_lot(make: Any, seed: int) -> None:
    n = 4000
    clean, noisy = (make(n, 5, flip_y=flip, random_state=seed)[1] for flip in (0.0, 0.3))
    wrong = np.mean(clean != noisy)
    assert abs(wrong - 0.15) < FAR * np.sqrt(0.15 * 0.85 / n)
    assert set(np.unique(noisy)) == {0, 1}


@pytest.mark.parametrize("make", [make_multiplicative_features, make_redundant_groups])
def test_noise_has_the_deviation_that_was_asked_for(make: Any, seed: int) -> None:
    n = 4000
    clean, noisy = (make(n, noise=noise, random_state=seed)[1] for noise in (0.0, 0.5))
    assert abs(np.std(noisy - clean) - 0.5) < FAR * 0.5 / np.sqrt(2 * n)


def test_copies_are_interchangeable(rng: np.random.Generator, seed: int) -> None:
    X, y, informative = make_redundant_groups(80, 15, n_groups=4, random_state=seed)
    for group in informative:
        np.testing.assert_array_equal(X[:, group], X[:, group[:1]] * np.ones(3))
    for _ in range(5):
        chosen = [rng.choice(group) for group in informative]
        np.testing.assert_allclose(X[:, chosen].sum(axis=1), y)
    # three of the four do not
    assert r2_score(y, X[:, chosen[1:]].sum(axis=1)) < 1.0 - 1e-3


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_columns_of_a_group_have_the_correlation_that_was_asked_for(
    correlation: float, seed: int
) -> None:
    n = 5000
    X, y, informative = make_redundant_groups(
        n, 12, correlation=correlation, random_state=seed, noise=0.1
    )
    expected = np.eye(12)
    for group in informative:
        expected[np.ix_(group, group)] = correlation
    np.fill_diagonal(expected, 1.0)
    errors = np.abs(np.corrcoef(X.T) - expected)
    assert errors.max() < FAR / np.sqrt(n)
    np.testing.assert_allclose(X.std(axis=0), 1.0, atol=FAR / np.sqrt(2 * n))
    with_target = [np.corrcoef(x, y)[0, 1] for x in X[:, columns_of(informative)].T]
    np.testing.assert_allclose(
        with_target, np.sqrt(correlation / (3 + 0.01)), atol=FAR / np.sqrt(n)
    )


@pytest.mark.parametrize(
    "make, options, message",
    [
        (make_xor_features, {"n_features": 1}, "n_features=1 has no room for the 2 columns"),
        (make_parity_features, {"n_features": 3, "order": 4}, "no room for the 4 columns"),
        (make_multiplicative_features, {"n_features": 5, "n_products": 3}, "the 6 columns"),
        (make_ring_features, {"n_features": 1}, "no room for the 2 columns"),
        (make_redundant_groups, {"n_features": 8}, "no room for the 9 columns"),
        (make_redundant_groups, {"correlation": 0.0}, "'correlation'.*Got 0.0"),
        (make_xor_features, {"flip_y": 1.5}, "'flip_y'.*Got 1.5"),
        (make_ring_features, {"n_samples": 0}, "'n_samples'.*Got 0"),
        (make_multiplicative_features, {"noise": -1.0}, "'noise'.*Got -1.0"),
        (make_parity_features, {"order": 0}, "'order'.*Got 0"),
    ],
)
def test_bad_arguments_are_refused(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make(**options)
    assert re.search(r"\d", str(caught.value))
