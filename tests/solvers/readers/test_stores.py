"""Stores of columns that grow: positions, Gram matrices, and views of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from subset_reference import make_problem, planted

from sksparse.losses import LOSSES
from sksparse.penalties import Blocks, GroupL2, SortedL1, oscar_weights
from sksparse.solvers import (
    BlockDescent,
    CentredDesign,
    Correlations,
    Design,
    GramCache,
    Problem,
    SortedDescent,
    _gram_cache,
)
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers.local_search._working_set import WorkingSet

N, P = 60, 12


def weights_of(n: int) -> np.ndarray:
    return np.full(n, 1.0 / n)


@pytest.mark.parametrize("width", [5, None])
def test_a_store_keeps_rows_where_their_columns_stand(
    width: int | None, rng: np.random.Generator
) -> None:
    store, order = ColumnStore(300, width), rng.permutation(300)
    for part in np.split(order, [1, 4, 140, 150]):
        known = len(store)
        added = store.append(store.missing(part))
        assert added == slice(known, known + len(part))
        store.matrix[added] = part[:, None]
        assert store.missing(part).size == 0
        assert store.matrix.flags.c_contiguous
    np.testing.assert_array_equal(store.features, order)
    np.testing.assert_array_equal(store.features[store.position], np.arange(300))
    np.testing.assert_array_equal(store.rows[:, 0], order)
    assert store.known.all()
    assert len(store.matrix) == 300


def test_a_store_of_some_columns(rng: np.random.Generator) -> None:
    store = ColumnStore(9, 2)
    store.append(np.array([7, 2]))
    np.testing.assert_array_equal(store.missing(np.array([2, 3, 7, 0])), [3, 0])
    np.testing.assert_array_equal(np.flatnonzero(store.known), [2, 7])
    assert len(store) == len(store.rows) == 2


@pytest.mark.parametrize("copied", [0, 2**22])
@pytest.mark.parametrize("form", [np.asarray, sp.csc_array])
def test_scales_and_diagonal_of_a_cache(
    form: Any, copied: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gram_cache, "TUNING", _gram_cache.Tuning(copied=copied))
    X, scales = rng.standard_normal((N, P)) + 1.0, rng.random(P)
    centred = CentredDesign(Design(form(X)), weights_of(N), True)
    cache = GramCache(centred, scales=scales, diagonal=2.0)
    expected = np.cov(X.T, bias=True) * np.outer(scales, scales)
    np.fill_diagonal(expected, 2.0)
    for part in ([3, 1], [5], [1, 8, 0, 3]):
        at = np.array(part)
        np.testing.assert_allclose(cache.matrix(at), expected[np.ix_(at, at)], atol=1e-12)


def test_the_working_set_is_a_view_of_the_cache(rng: np.random.Generator) -> None:
    data = Correlations(make_problem(*planted(rng, N, P)), 0.0)
    working = WorkingSet(data)
    for part in ([4, 2], [2, 7], [0]):
        working.extend(np.array(part))
        assert np.shares_memory(working.gram, data.gram.block(working.features, working.features))
    np.testing.assert_array_equal(working.features, [4, 2, 7, 0])
    np.testing.assert_array_equal(working.positions(np.array([7, 4])), [2, 0])
    # another working set, whose columns came in another order
    other = WorkingSet(data)
    other.extend(np.array([2, 9, 4]))
    np.testing.assert_array_equal(other.gram[:3, :3], data.among(other.features))
    np.testing.assert_array_equal(other.target, data.target[[2, 9, 4]])


def problem_of(X: np.ndarray, y: np.ndarray, kind: str, alpha: float) -> Problem:
    blocks = Blocks.from_labels(np.arange(P) // 3)
    penalties = {
        "group": GroupL2(blocks, np.full(4, 3**0.5)),
        "oscar": SortedL1(oscar_weights(P, 0.5)),
    }
    loss = LOSSES["squared"](y, weights_of(len(y)))
    return Problem(Design(X), loss, penalties[kind], alpha, True)


@pytest.mark.parametrize("kind", ["group", "oscar"])
def test_one_cache_serves_all_strengths_of_one_problem_and_no_other(
    kind: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = planted(rng, N, P)
    solver = BlockDescent if kind == "group" else SortedDescent
    options: dict[str, Any] = {"tol": 1e-10, "max_iter": 200}
    stated = problem_of(X, y, kind, 0.01)
    cache = GramCache(stated.centred)
    shared = solver(gram=cache, **options)
    first = shared.solve(stated)
    # the products of all columns are known now
    cache.matrix(np.arange(P))
    with monkeypatch.context() as patch:
        patch.setattr(GramCache, "_products", None)
        again = shared.solve(Problem(stated.design, stated.loss, stated.penalty, 0.05, True))
    alone = solver(**options).solve(problem_of(X, y, kind, 0.05))
    np.testing.assert_allclose(again.coef, alone.coef, atol=1e-9)
    # other features, with the same solver
    other = problem_of(3.0 * X[:, ::-1], y, kind, 0.05)
    np.testing.assert_allclose(
        shared.solve(other).coef, solver(**options).solve(other).coef, atol=1e-9
    )
    np.testing.assert_allclose(shared.solve(stated).coef, first.coef, atol=1e-9)
