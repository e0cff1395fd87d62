"""Infinite feature selection: the series, the graphs written out, weights, ties and bad input."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.datasets import load_iris
from sklearn.feature_selection import mutual_info_classif
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse._infinite_selection import (
    N_BINS,
    equal_bins,
    fisher_scores,
    histogram_cutoff,
    infinite_scores,
    mutual_information,
    normalise_edges,
    supervised_graph,
    unsupervised_graph,
    weighted_ranks,
)
from sksparse.feature_selection import InfFS


@parametrize_with_checks([InfFS(), InfFS(max_features=1, supervised=True)])
def test_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
def test_scores_are_the_series_over_all_lengths(
    rng: np.random.Generator, symmetric: bool, size: float
) -> None:
    edges = size * rng.random((12, 12))
    if symmetric:
        edges += edges.T
    normal = edges.copy()
    rate = normalise_edges(normal)
    assert rate * normal.sum(axis=1).max() < 1
    power, total = np.ones(12), np.zeros(12)
    for _ in range(100_000):
        power = rate * (normal @ power)
        total += power
        if power.max() < 1e-18 * total.max():
            break
    np.testing.assert_allclose(infinite_scores(edges.copy()), total, rtol=1e-8)
    inverse = np.linalg.inv(np.eye(12) - rate * normal)
    np.testing.assert_allclose(infinite_scores(edges), (inverse - np.eye(12)).sum(1), rtol=1e-6)


def test_edges_without_targets_are_spreads_and_rank_correlations(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 5)) * [1, 2, 3, 4, 5]
    X[:, 1] += X[:, 0]
    deviation = X.std(axis=0)
    larger = np.array([[max(a, b) for b in deviation] for a in deviation])
    larger = (larger - larger.min()) / (larger.max() - larger.min())
    correlation = np.abs(stats.spearmanr(X).statistic)
    found = unsupervised_graph(X, 0.3)
    np.testing.assert_allclose(found, 0.3 * larger + 0.7 * (1 - correlation), atol=1e-12)


def test_edges_with_targets_are_information_and_fisher_scores(rng: np.random.Generator) -> None:
    X, labels = rng.standard_normal((90, 4)), rng.integers(3, size=90)
    X[:, 0] += labels
    weights = np.ones(90)
    fisher = []
    for x in X.T:
        parts = [x[labels == c] for c in range(3)]
        between = sum(len(p) * (p.mean() - x.mean()) ** 2 for p in parts)
        fisher.append(between / sum(((p - p.mean()) ** 2).sum() for p in parts))
    np.testing.assert_allclose(fisher_scores(X, labels, weights), fisher, rtol=1e-10)
    bins = np.column_stack([equal_bins(x, weights) for x in X.T])
    assert (np.bincount(bins[:, 0]) == 90 // N_BINS).all()
    information = mutual_info_classif(bins, labels, discrete_features=True)
    np.testing.assert_allclose(mutual_information(X, labels, weights), information, atol=1e-12)
    f, m, s = (v / v.max() for v in (np.array(fisher), information, X.std(axis=0)))
    by_hand = np.empty((4, 4))
    for i in range(4):
        for j in range(4):
            pairs = (m[i] + f[j], m[i] + s[j], s[i] + f[j])
            by_hand[i, j] = sum(
                a * pair / 2 for a, pair in zip((0.2, 0.3, 0.5), pairs, strict=True)
            )
    np.testing.assert_allclose(supervised_graph(X, labels, (0.2, 0.3, 0.5)), by_hand, rtol=1e-10)


def test_constant_features_come_last_and_copies_together(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 6))
    X[:, 2], X[:, 4] = 0.1, X[:, 1]
    for supervised in (False, True):
        select = InfFS(3, supervised=supervised).fit(X, rng.integers(2, size=50))
        assert select.scores_[2] == 0
        assert select.ranking_[2] == 6
        assert select.scores_[1] == pytest.approx(select.scores_[4], rel=1e-12)
        assert sorted(select.ranking_) == [1, 2, 3, 4, 5, 6]
        assert select.get_support().sum() == 3 == select.n_features_
        order = np.argsort(-select.scores_, kind="stable")
        assert (select.ranking_[order] == np.arange(1, 7)).all()


@pytest.mark.parametrize("supervised", [False, True])
def test_constant_features_change_nothing_for_others(
    rng: np.random.Generator, supervised: bool
) -> None:
    X, y = rng.random((50, 4)) + 1, rng.integers(2, size=50)
    alone = InfFS(supervised=supervised).fit(X, y)
    beside = InfFS(supervised=supervised).fit(np.column_stack([X, np.zeros((50, 2))]), y)
    np.testing.assert_allclose(beside.scores_[:4], alone.scores_, rtol=1e-12)


@pytest.mark.parametrize("supervised", [False, True])
def test_integer_weights_are_repetitions(rng: np.random.Generator, supervised: bool) -> None:
    X = rng.integers(6, size=(40, 5)).astype(float)
    y, weights = rng.integers(3, size=40), rng.integers(4, size=40)
    weighted = InfFS(supervised=supervised).fit(X, y, sample_weight=weights)
    repeated = InfFS(supervised=supervised).fit(
        np.repeat(X, weights, axis=0), np.repeat(y, weights)
    )
    np.testing.assert_allclose(weighted.scores_, repeated.scores_, rtol=1e-10)


def test_weighted_ranks_are_means_of_the_ranks_that_a_sample_takes(
    rng: np.random.Generator,
) -> None:
    X, weights = rng.integers(5, size=(30, 2)).astype(float), rng.integers(1, 4, size=30)
    ranks = np.repeat(weighted_ranks(X, weights), weights, axis=0)
    np.testing.assert_allclose(ranks, weighted_ranks(np.repeat(X, weights, axis=0)))


def test_the_number_of_features_is_that_of_full_bins() -> None:
    # of 4 bins of width 1 two have more than the mean of 2
    assert histogram_cutoff(np.array([0.0, 0.1, 0.2, 1.1, 2.5, 3.1, 3.5, 4.0])) == 2
    assert histogram_cutoff(np.array([1.0])) == 1
    assert histogram_cutoff(np.ones(8)) == 1


def test_classes_of_any_type_and_quantities(rng: np.random.Generator) -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["ash", "elm", "oak"])[y]
    by_number, by_name = (InfFS(2, supervised=True).fit(X, t) for t in (y, names))
    np.testing.assert_array_equal(by_number.scores_, by_name.scores_)
    assert by_number.get_support(indices=True).tolist() == [2, 3]
    quantity = X[:, 2] + 0.01 * rng.standard_normal(len(X))
    assert InfFS(1, supervised=True).fit(X, quantity).support_[2]


def test_frames_sparse_matrices_and_units(rng: np.random.Generator) -> None:
    X = pd.DataFrame(rng.standard_normal((30, 4)), columns=list("abcd"))
    select = InfFS(2).set_output(transform="pandas").fit(X)
    assert select.transform(X).columns.tolist() == select.get_feature_names_out().tolist()
    for other in (sparse.csr_array(X.to_numpy()), 1e200 * X.to_numpy(), 1e-200 * X.to_numpy()):
        found = InfFS(2).fit(other)
        np.testing.assert_allclose(found.scores_, select.scores_, rtol=1e-8)


def test_it_selects_in_a_pipeline_whose_targets_it_may_ignore(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    kept = make_pipeline(InfFS(2)).fit_transform(X, y)
    assert kept.shape == (30, 2)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_features": 0}, "'max_features'"),
        ({"mixing": 1.5}, "mixing=1.5|'mixing'"),
        ({"mixing": [0.2, 0.3, 0.5]}, "one share with supervised=False"),
        ({"mixing": 0.5, "supervised": True}, "three numbers, at least 0 and not all 0, with"),
        ({"mixing": [1, -1, 1], "supervised": True}, "three numbers"),
        ({"mixing": [0, 0, 0], "supervised": True}, "three numbers"),
        ({"mixing": ["a", "b", "c"], "supervised": True}, "three numbers"),
        ({"supervised": True}, "set supervised=False to select without targets"),
    ],
)
def test_bad_input_is_refused(options: Any, message: str) -> None:
    X = np.arange(12.0).reshape(4, 3)
    with pytest.raises(ValueError, match=message):
        InfFS(**options).fit(X, np.ones(4, dtype=int))


def test_more_features_than_there_are_warn() -> None:
    X = np.arange(12.0).reshape(4, 3) ** [1, 2, 3]
    with pytest.warns(UserWarning, match=re.escape("max_features=9")):
        assert InfFS(9).fit(X).support_.all()
