"""Values, proximal operators and dual norms of the penalties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sksparse.penalties import (
    L0,
    L1,
    Blocks,
    ConvexPenalty,
    GroupL2,
    SortedL1,
    SparseGroup,
    oscar_weights,
)
from sksparse.penalties._operators import block_factors, soft_threshold, sorted_magnitudes

P = 9
BLOCKS = Blocks.from_labels(np.array([2, 0, 1, 0, 2, 2, 1, 0, 0]))
CONVEX = {
    "l1": L1(np.linspace(0.5, 2.0, P)),
    "group": GroupL2(BLOCKS, np.array([1.0, 2.0, 0.5])),
    "sparse group": SparseGroup(BLOCKS, np.array([1.0, 2.0, 0.5]), 0.4),
    "sorted l1": SortedL1(np.sort(np.random.default_rng(1).random(P))[::-1]),
    "oscar": SortedL1(oscar_weights(P, 0.7)),
}


@pytest.fixture(params=sorted(CONVEX))
def penalty(request: pytest.FixtureRequest) -> ConvexPenalty:
    return CONVEX[request.param]


def test_blocks_keep_every_feature_once() -> None:
    np.testing.assert_array_equal(np.sort(BLOCKS.order), np.arange(P))
    np.testing.assert_array_equal(BLOCKS.sizes, [4, 2, 3])
    np.testing.assert_array_equal(BLOCKS.members(np.array([1, 0])), [2, 6, 1, 3, 7, 8])
    assert BLOCKS.members(np.empty(0, dtype=np.intp)).size == 0


def test_group_value_is_the_sum_of_norms(rng: np.random.Generator) -> None:
    w = rng.standard_normal(P)
    norms = [np.linalg.norm(w[BLOCKS.labels == g]) for g in range(3)]
    assert CONVEX["group"].value(w) == pytest.approx(norms @ np.array([1.0, 2.0, 0.5]))
    expected = 0.6 * (norms @ np.array([1.0, 2.0, 0.5])) + 0.4 * np.abs(w).sum()
    assert CONVEX["sparse group"].value(w) == pytest.approx(expected)


def test_prox_beats_every_perturbation(penalty: ConvexPenalty, rng: np.random.Generator) -> None:
    def objective(w: np.ndarray, v: np.ndarray) -> float:
        return 0.5 * float((w - v) @ (w - v)) + 0.3 * penalty.value(w)

    for _ in range(20):
        v = 2.0 * rng.standard_normal(P)
        w = penalty.prox(v, 0.3)
        best = objective(w, v)
        for scale in (1e-3, 1e-1):
            for _ in range(20):
                trial = w + scale * rng.standard_normal(P) * (rng.random(P) < 0.5)
                assert objective(trial, v) >= best - 1e-12


def test_moreau_identity(penalty: ConvexPenalty, rng: np.random.Generator) -> None:
    # v - prox(v) is the projection on the dual ball: inside it, and aligned with the prox.
    for _ in range(20):
        v = 2.0 * rng.standard_normal(P)
        w = penalty.prox(v, 0.7)
        rest = v - w
        assert penalty.dual_norm(rest) <= 0.7 + 1e-10
        assert rest @ w == pytest.approx(0.7 * penalty.value(w), abs=1e-10)


def test_prox_is_non_expansive(penalty: ConvexPenalty, rng: np.random.Generator) -> None:
    for _ in range(20):
        a, b = rng.standard_normal((2, P))
        moved = penalty.prox(a, 0.5) - penalty.prox(b, 0.5)
        assert np.linalg.norm(moved) <= np.linalg.norm(a - b) + 1e-12


def test_dual_norm_is_where_the_prox_becomes_zero(
    penalty: ConvexPenalty, rng: np.random.Generator
) -> None:
    v = rng.standard_normal(P)
    bound = penalty.dual_norm(v)
    assert not penalty.prox(v, bound * (1 + 1e-9)).any()
    assert penalty.prox(v, bound * (1 - 1e-6)).any()


def test_violations_vanish_exactly_at_the_prox(
    penalty: ConvexPenalty, rng: np.random.Generator
) -> None:
    # The prox minimises ||w - v||^2 / 2 + step * value, whose gradient part is w - v.
    for _ in range(20):
        v = 2.0 * rng.standard_normal(P)
        w = penalty.prox(v, 0.4)
        assert penalty.violations(w, w - v, 0.4).max() < 1e-12
        assert penalty.violations(w, w - v + 0.1 * rng.standard_normal(P), 0.4).max() > 1e-3
        if w.any():
            assert penalty.violations(w, 1.01 * (w - v), 0.4).max() > 1e-4


def test_features_of_weight_zero_are_unpenalised(rng: np.random.Generator) -> None:
    weights = np.array([1.0, 0.0, 0.5])
    for penalty in (GroupL2(BLOCKS, weights), SparseGroup(BLOCKS, weights, 0.5)):
        free = penalty.unpenalised()
        np.testing.assert_array_equal(free, [2, 6])
        v = rng.standard_normal(P)
        np.testing.assert_array_equal(penalty.prox(v, 1e3)[free], v[free])
        assert np.isfinite(penalty.dual_norm(v))
    np.testing.assert_array_equal(L1(np.array([1.0, 0.0])).unpenalised(), [1])


def test_sorted_l1_with_equal_weights_is_soft_thresholding(rng: np.random.Generator) -> None:
    v = rng.standard_normal(P)
    sorted_l1, l1 = SortedL1(np.ones(P)), L1(np.ones(P))
    np.testing.assert_allclose(sorted_l1.prox(v, 0.4), l1.prox(v, 0.4), atol=1e-15)


def test_l0_prox_keeps_what_lowers_the_objective(rng: np.random.Generator) -> None:
    v = rng.standard_normal(50)
    w = L0().prox(v, 0.3)
    np.testing.assert_array_equal(w, np.where(0.5 * v * v > 0.3, v, 0.0))
    assert L0().value(w) == np.count_nonzero(w)


def test_sparse_group_ends_are_lasso_and_group_lasso(rng: np.random.Generator) -> None:
    v, weights = rng.standard_normal(P), np.array([1.0, 2.0, 0.5])
    almost_group = SparseGroup(BLOCKS, weights, 1e-13)
    almost_lasso = SparseGroup(BLOCKS, weights, 1 - 1e-7)
    group, lasso = GroupL2(BLOCKS, weights), L1(np.ones(P))
    np.testing.assert_allclose(almost_group.prox(v, 0.3), group.prox(v, 0.3), atol=1e-11)
    np.testing.assert_allclose(almost_lasso.prox(v, 0.3), lasso.prox(v, 0.3), atol=1e-6)
    assert almost_group.dual_norm(v) == pytest.approx(group.dual_norm(v), rel=1e-9)
    assert almost_lasso.dual_norm(v) == pytest.approx(lasso.dual_norm(v), rel=1e-6)


@pytest.mark.parametrize("p", [1, 7, 300])
def test_operators_shrink_torch_tensors_as_they_do_arrays(p: int, rng: np.random.Generator) -> None:
    v, thresholds = rng.standard_normal(p), rng.random(p)
    tensor = torch.from_numpy(v)
    for threshold in (0.3, thresholds):
        same = threshold if isinstance(threshold, float) else torch.from_numpy(threshold)
        shrunk = soft_threshold(v, threshold)
        np.testing.assert_array_equal(soft_threshold(tensor, same).numpy(), shrunk)
        assert ((shrunk == 0) == (np.abs(v) <= threshold)).all()
        factors = block_factors(np.abs(v), threshold)
        np.testing.assert_array_equal(block_factors(tensor.abs(), same).numpy(), factors)
        np.testing.assert_allclose(factors * v, shrunk, atol=1e-15)


def test_a_block_of_norm_zero_has_factor_zero() -> None:
    np.testing.assert_array_equal(block_factors(np.zeros(2), np.array([0.0, 1.0])), [0.0, 0.0])


def test_sorted_magnitudes_keep_order_and_type(rng: np.random.Generator) -> None:
    v = rng.random(50).astype(np.float32)
    shrunk = sorted_magnitudes(v, np.linspace(0.5, 0.1, 50))
    assert shrunk.dtype == np.float32
    order = np.argsort(v)
    assert (np.diff(shrunk[order]) >= 0).all()
    assert (shrunk[v <= 0.1] == 0).all()
    assert not len(sorted_magnitudes(v[:0], np.empty(0)))
