"""Readers of the feature matrix: the same numbers from wherever the rows are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from subset_reference import planted, run

from sksparse.losses import LOSSES
from sksparse.penalties import L0, Blocks, GroupL2, SortedL1, oscar_weights
from sksparse.solvers import (
    BackwardElimination,
    BlockDescent,
    BranchAndBound,
    CentredDesign,
    CoordinateDescentL0,
    DenseDesign,
    Design,
    ForwardSelection,
    IterativeHardThresholding,
    MappedDesign,
    Problem,
    SortedDescent,
    SparseDesign,
    Splicing,
    StepwiseNewton,
    SubsetDescent,
    SubsetNewton,
    _dense_design,
    _design,
)

N, P = 700, 9


class Table:
    """Rows that are made when they are asked for; there is no matrix."""

    def __init__(self, X: np.ndarray, height: int) -> None:
        self.shape, self.dtype, self.height = X.shape, X.dtype, height
        self.make: Callable[[int], np.ndarray] = [row.copy() for row in X].__getitem__
        self.passes = 0


class TableDesign(Design):
    """The one method that a stream of rows has to provide: how they are read."""

    @classmethod
    def reads(cls, X: Any) -> bool:
        return isinstance(X, Table)

    def row_blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        table, n = self._X, self.n_samples
        table.passes += 1
        for start in range(0, n, table.height):
            stop = min(start + table.height, n)
            yield slice(start, stop), np.array([table.make(i) for i in range(start, stop)])


class OnDisk:
    """An array that hands out blocks of rows and no more."""

    def __init__(self, X: np.ndarray, most: int) -> None:
        self._held, self.most, self.largest = X, most, 0
        self.shape, self.dtype = X.shape, X.dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        assert isinstance(rows, slice), "only rows are read"
        block = self._held[rows]
        assert len(block) <= self.most, "too many rows are read at once"
        self.largest = max(self.largest, len(block))
        return block.copy()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the array is read whole")


def mapped(X: np.ndarray, folder: Path, order: Any) -> np.ndarray:
    on_disk = np.memmap(folder / f"X{order}", dtype=X.dtype, mode="w+", shape=X.shape, order=order)
    on_disk[:] = X
    # what validation makes of a memory map
    return np.asarray(on_disk)


def forms(X: np.ndarray, folder: Path) -> dict[str, tuple[Any, type[Design]]]:
    return {
        "C": (np.ascontiguousarray(X), DenseDesign),
        "Fortran": (np.asfortranarray(X), DenseDesign),
        "CSC": (sp.csc_array(X), SparseDesign),
        "CSR": (sp.csr_array(X), SparseDesign),
        "memory map": (mapped(X, folder, "C"), MappedDesign),
        "memory map, Fortran": (mapped(X, folder, "F"), MappedDesign),
        "rows": (Table(X, 64), TableDesign),
    }


FORMS = ["C", "Fortran", "CSC", "CSR", "memory map", "memory map, Fortran", "rows"]


def make_data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features of different scales and means, some zeros among them, one constant; weights."""
    X = rng.standard_normal((N, P)) * 10.0 ** rng.integers(-2, 3, P) + rng.standard_normal(P)
    X[rng.random((N, P)) < 0.3] = 0.0
    X[:, 4] = 1.0
    weights = rng.random(N) * (rng.random(N) < 0.9)
    return X, weights / weights.sum()


def dense(columns: Any) -> np.ndarray:
    return columns.toarray() if sp.issparse(columns) else np.asarray(columns)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_read_is_the_matrix(
    form: str, dtype: Any, rng: np.random.Generator, tmp_path: Path
) -> None:
    X, weights = make_data(rng)
    X = X.astype(dtype)
    given, kind = forms(X, tmp_path)[form]
    design = Design(given)
    assert type(design) is kind
    assert (design.n_samples, design.n_features, design.dtype) == (N, P, dtype)
    rows = {"rtol": 1e-10, "atol": 1e-10} if dtype is np.float64 else {"rtol": 1e-4, "atol": 1e-3}
    v, coef, left = rng.standard_normal(N), rng.standard_normal(P), rng.standard_normal((3, N))
    few = np.where(np.arange(P) == 3, coef, 0.0)
    at, exact = np.array([5, 1, 7]), X.astype(np.float64)
    means = weights @ exact
    np.testing.assert_allclose(design.matvec(coef), exact @ coef, **rows)
    np.testing.assert_allclose(design.matvec(few), exact @ few, **rows)
    np.testing.assert_allclose(design.rmatvec(v), exact.T @ v, **rows)
    for block, product in design.products(left):
        np.testing.assert_allclose(product, left @ exact[:, block], **rows)
    # around given means nothing is done in float32
    centred = exact - means
    np.testing.assert_allclose(design.matvec(coef, means), centred @ coef, atol=1e-9)
    np.testing.assert_allclose(design.matvec(few, means), centred @ few, atol=1e-9)
    np.testing.assert_allclose(design.rmatvec(v, means), centred.T @ v, atol=1e-7)
    for block, product in design.products(left, means):
        np.testing.assert_allclose(product, left @ centred[:, block], atol=1e-7)
    columns = design.columns(at)
    assert columns.dtype == np.float64
    np.testing.assert_array_equal(dense(columns), exact[:, at])
    part = design.select(at)
    assert part.dtype == dtype
    np.testing.assert_array_equal(dense(part.columns(np.arange(3))), exact[:, at])
    np.testing.assert_array_equal(dense(design.head(100, at)), X[:100, at])
    some = np.sort(rng.choice(N, 350, replace=False))
    for selected in (some, np.arange(N)):
        found = np.vstack([dense(block) for _, block in design.rows(selected, 4)])
        np.testing.assert_array_equal(found, X[selected, :4])


@pytest.mark.parametrize("centre", [True, False])
def test_what_is_measured(
    form: str, centre: bool, rng: np.random.Generator, tmp_path: Path
) -> None:
    X, weights = make_data(rng)
    design, target = Design(forms(X, tmp_path)[form][0]), rng.standard_normal(N)
    means = weights @ X if centre else np.zeros(P)
    around = X - means
    found = design.moments(weights, target, centre)
    variances = weights @ around**2
    np.testing.assert_allclose(found[0], means, atol=1e-12)
    np.testing.assert_allclose(found[1], variances, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[2], (weights * target) @ around, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(design.variances(weights, means), variances, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(design.largest_magnitudes(), np.abs(X).max(axis=0))
    known, new = np.array([2, 0]), np.array([8, 5, 6])
    scales = rng.random(P) + 0.5
    cross, corner = design.gram_growth(known, new, weights, means, scales)
    full = (around * scales).T @ (weights[:, None] * around * scales)
    np.testing.assert_allclose(cross, full[np.ix_(known, new)], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(corner, full[np.ix_(new, new)], rtol=1e-9, atol=1e-10)


def test_powers_of_two_change_no_digit(form: str, rng: np.random.Generator, tmp_path: Path) -> None:
    X = make_data(rng)[0]
    design, exponents = Design(forms(X, tmp_path)[form][0]), rng.integers(-9, 9, P)
    for powers in (exponents, -3):
        scaled = design.times_powers_of_two(powers).columns(np.arange(P))
        np.testing.assert_array_equal(dense(scaled), np.ldexp(X, powers))
    largest = np.abs(X).max()
    assert 0.5 <= np.ldexp(largest, -design.exponent(constants=True)) < 1.0


def test_a_constant_of_huge_scale_sets_no_exponent(rng: np.random.Generator) -> None:
    X = rng.uniform(-0.9, 0.9, (N, P))
    X[0, 0], X[:, 3] = 0.9, 1e200
    for given in (X, Table(X, 64)):
        assert Design(given).exponent(constants=False) == 0
        assert Design(given).exponent(constants=True) > 600


def test_columns_far_from_zero_are_centred_before_they_are_multiplied(
    form: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    noise, weights = rng.standard_normal((N, P)), np.full(N, 1.0 / N)
    X = noise + np.where(np.arange(P) < 4, 1e7, 0.0)
    centred = CentredDesign(Design(forms(X, tmp_path)[form][0]), weights, centre=True)
    exact = X - X.mean(axis=0)
    v = rng.standard_normal(N)
    coef, v = rng.standard_normal(P), v - v.mean()
    np.testing.assert_allclose(centred.matvec(coef), exact @ coef, atol=1e-7)
    np.testing.assert_allclose(centred.rmatvec(v), exact.T @ v, atol=1e-5)
    np.testing.assert_allclose(centred.variances, exact.var(axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        centred.gram(np.arange(P)), exact.T @ exact / N, rtol=1e-6, atol=1e-7
    )
    for block, product in centred.weighted_products(np.array([0, 8])):
        np.testing.assert_allclose(product, exact[:, [0, 8]].T @ exact[:, block] / N, atol=1e-7)


def test_products_with_constant_columns_are_zero(
    form: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    # the weights do not sum to one exactly, so a mean is not quite the constant
    X, weights = rng.standard_normal((N, P)), rng.integers(1, 9, N).astype(float)
    X[:, 3] = -3.1e7
    design = Design(forms(X, tmp_path)[form][0])
    centred = CentredDesign(design, weights / weights.sum(), centre=True)
    products = np.full((2, P), np.nan)
    for block, product in centred.weighted_products(np.array([0, 8])):
        products[:, block] = product
    assert np.all(products[:, 3] == 0.0)
    assert np.all(np.delete(products, 3, axis=1) != 0.0)


def groups(p: int) -> Any:
    blocks = Blocks.from_labels(np.arange(p) // 3)
    return GroupL2(blocks, np.full(blocks.sizes.size, 3**0.5))


def by_blocks(X: Any, y: np.ndarray, name: str) -> Any:
    penalty = groups(X.shape[1])
    targets = y if name == "squared" else (y > 0).astype(float)
    loss = LOSSES[name](targets, np.full(len(y), 1.0 / len(y)))
    problem = Problem(Design(X), loss, penalty, 0.1, True)
    return BlockDescent(tol=1e-9, max_iter=100).solve(problem)


def by_order(X: Any, y: np.ndarray) -> Any:
    penalty = SortedL1(oscar_weights(X.shape[1], 0.5))
    loss = LOSSES["squared"](y, np.full(len(y), 1.0 / len(y)))
    problem = Problem(Design(X), loss, penalty, 0.1, True)
    return SortedDescent(tol=1e-9, max_iter=100).solve(problem)


def by_newton(solver: Any, X: Any, y: np.ndarray, **options: Any) -> Any:
    loss = LOSSES["logistic"]((y > 0).astype(float), np.full(len(y), 1.0 / len(y)))
    problem = Problem(Design(X), loss, L0(l2=0.01), 0.02, True)
    return solver(tol=1e-8, max_iter=50, **options).solve(problem)


def exactly(X: Any, y: np.ndarray) -> Any:
    loss = LOSSES["squared"](y, np.full(len(y), 1.0 / len(y)))
    problem = Problem(Design(X), loss, L0(max_features=4, l2=0.1), 0.0, True)
    return BranchAndBound().solve(problem)


SOLVES: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "block descent": lambda X, y: by_blocks(X, y, "squared"),
    "block descent, logistic": lambda X, y: by_blocks(X, y, "logistic"),
    "sorted descent": by_order,
    "subset descent": lambda X, y: run(SubsetDescent, X, y, max_features=5)[1],
    "subset descent, penalised": lambda X, y: run(SubsetDescent, X, y, 0.02)[1],
    "forward": lambda X, y: run(ForwardSelection, X, y, max_features=5)[1],
    "backward": lambda X, y: run(BackwardElimination, X, y, max_features=5)[1],
    "splicing": lambda X, y: run(Splicing, X, y, max_features=5)[1],
    "coordinates": lambda X, y: run(CoordinateDescentL0, X, y, 0.05)[1],
    "thresholds": lambda X, y: run(IterativeHardThresholding, X, y, 0.05)[1],
    "newton": lambda X, y: by_newton(SubsetNewton, X, y),
    "newton, stepwise": lambda X, y: by_newton(StepwiseNewton, X, y, backward=True),
    "branch and bound": exactly,
}


@pytest.mark.parametrize("solve", SOLVES)
def test_no_solver_needs_the_matrix_in_memory(
    solve: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_design, _dense_design):
        monkeypatch.setattr(module, "TUNING", _design.Tuning(block=1, least_rows=50))
    X, y = planted(rng, 400, 12)
    wanted = SOLVES[solve](X, y)
    table, disk = Table(X, 37), OnDisk(X, 50)
    monkeypatch.setattr(MappedDesign, "reads", classmethod(lambda cls, X: isinstance(X, OnDisk)))
    for given in (table, disk):
        found = SOLVES[solve](given, y)
        np.testing.assert_array_equal(found.coef != 0.0, wanted.coef != 0.0)
        np.testing.assert_allclose(found.coef, wanted.coef, rtol=1e-7, atol=1e-9)
        assert found.intercept == pytest.approx(wanted.intercept, abs=1e-7)
        assert found.status is wanted.status
    assert table.passes > 0
    assert disk.largest == 50


def test_a_pass_over_rows_measures_everything(rng: np.random.Generator) -> None:
    table, weights = Table(rng.standard_normal((N, P)), 64), np.full(N, 1.0 / N)
    centred = CentredDesign(Design(table), weights, True, target=rng.standard_normal(N))
    assert table.passes == 1
    centred.rmatvec(rng.standard_normal(N))
    list(centred.weighted_products(np.array([1, 2])))
    # chosen columns are read, then their products with all
    assert table.passes == 4
    centred.gram_growth(np.array([1, 2]), np.array([3, 5]))
    assert table.passes == 5
