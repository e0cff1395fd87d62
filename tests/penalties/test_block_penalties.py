"""Block penalties with bounds, a ridge and several outputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from sksparse.penalties import L1, BlockPenalty, Blocks, GroupL2, SparseGroup

LABELS = np.array([2, 0, 1, 0, 2, 2, 1, 0, 0, 3])
P, BLOCKS = len(LABELS), Blocks.from_labels(LABELS)
WEIGHTS = np.array([1.0, 2.0, 0.5, 0.0])
BOUNDS = {
    "free": {},
    "positive": {"lower": np.zeros(P)},
    "box": {"lower": np.full(P, -0.4), "upper": np.linspace(0.0, 0.9, P)},
    "mixed": {"lower": np.where(LABELS == 2, 0.0, -np.inf), "upper": np.full(P, 0.7)},
}


def make(kind: str, bounds: str, labels: np.ndarray = LABELS, copies: int = 1) -> BlockPenalty:
    more = {name: np.tile(bound, copies) for name, bound in BOUNDS[bounds].items()}
    blocks = Blocks.from_labels(labels)
    if kind == "l1":
        return L1(np.tile(np.linspace(0.5, 2.0, P), copies), **more)
    if kind == "group":
        return GroupL2(blocks, WEIGHTS, **more)
    return SparseGroup(blocks, WEIGHTS, 0.4, **more)


KINDS = ["l1", "group", "sparse group"]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_prox_within_bounds(kind: str, bounds: str, rng: np.random.Generator) -> None:
    penalty = make(kind, bounds)
    box = [np.broadcast_to(bound, P) for bound in penalty.bounds]
    for _ in range(5):
        v = rng.standard_normal(P)
        w = penalty.prox(v, 0.3)
        assert (w >= box[0]).all()
        assert (w <= box[1]).all()
        assert penalty.violations(w, w - v, 0.3).max() < 1e-13

        # split into positive and negative parts, the problem is smooth but for groups at zero
        def objective(parts: np.ndarray, v: np.ndarray = v) -> float:
            trial = parts[:P] - parts[P:]
            norms = np.sqrt(np.bincount(penalty.blocks.labels, trial**2) + 1e-18)
            norm = penalty.l1 @ (parts[:P] + parts[P:]) + penalty.l2 @ norms
            return 0.5 * float((trial - v) @ (trial - v)) + 0.3 * norm

        limits = [(0.0, max(b, 0.0)) for b in box[1]] + [(0.0, max(-b, 0.0)) for b in box[0]]
        start = np.concatenate((np.clip(v, 0, box[1]), np.clip(-v, 0, -box[0])))
        found = minimize(objective, start, method="L-BFGS-B", bounds=limits, tol=1e-14)
        value = 0.5 * float((w - v) @ (w - v)) + 0.3 * penalty.value(w)
        assert value <= found.fun + 1e-9
        assert value == pytest.approx(found.fun, rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_that_nothing_reaches_change_nothing(kind: str, rng: np.random.Generator) -> None:
    v = rng.standard_normal(P)
    free = make(kind, "free")
    wide = BlockPenalty(BLOCKS, free.l1, free.l2, lower=np.full(P, -9.0)) if kind != "l1" else None
    wide = wide or L1(free.l1, lower=np.full(P, -9.0))
    np.testing.assert_allclose(wide.prox(v, 0.3), free.prox(v, 0.3), atol=1e-15)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_dual_norm_is_where_everything_leaves(
    kind: str, bounds: str, rng: np.random.Generator
) -> None:
    penalty = make(kind, bounds)
    penalised = np.setdiff1d(np.arange(P), penalty.unpenalised())
    gradient = rng.standard_normal(P)
    norms, nothing = penalty.group_dual_norms(gradient), np.zeros(P)
    assert penalty.dual_norm(gradient) == norms.max()
    above = penalty.prox(-gradient, norms.max() * (1.0 + 1e-9))
    below = penalty.prox(-gradient, norms.max() * (1.0 - 1e-6))
    assert not above[penalised].any()
    assert below[penalised].any()
    for group, norm in enumerate(norms):
        if norm > 0.0:
            for share, violated in ((1.0 + 1e-9, False), (1.0 - 1e-9, True)):
                left = penalty.violations(nothing, gradient, share * norm)
                assert (left[group] > 0.0) == violated


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("kind", ["group", "sparse group"])
def test_outputs_are_more_features_of_a_group(
    kind: str, bounds: str, rng: np.random.Generator
) -> None:
    flat, penalty = make(kind, bounds, np.tile(LABELS, 3), copies=3), make(kind, bounds)
    gradient, scales = rng.standard_normal((3, P)), rng.random(P)
    coef = penalty.prox(gradient, 0.8)
    assert coef.any()
    np.testing.assert_allclose(
        coef.ravel(), flat.prox(gradient.ravel(), 0.8), rtol=1e-14, atol=1e-15
    )
    assert penalty.value(coef) == pytest.approx(flat.value(coef.ravel()), rel=1e-14)
    np.testing.assert_allclose(
        penalty.group_dual_norms(gradient), flat.group_dual_norms(gradient.ravel()), rtol=1e-14
    )
    np.testing.assert_allclose(
        penalty.violations(coef, gradient, 0.3, scales),
        flat.violations(coef.ravel(), gradient.ravel(), 0.3, np.tile(scales, 3)),
        rtol=1e-13,
    )


def test_dual_norms_of_groups_of_any_size(rng: np.random.Generator) -> None:
    labels = rng.permutation(np.repeat(np.arange(6), [1, 2, 3, 50, 1, 400]))
    blocks = Blocks.from_labels(labels)
    weights = np.sqrt(blocks.sizes)
    gradient = rng.standard_normal(len(labels)) * 10.0 ** rng.uniform(-8, 2, len(labels))
    for l1_ratio in (1e-9, 0.01, 0.5, 1.0 - 1e-9):
        penalty = SparseGroup(blocks, weights, l1_ratio)
        for group, t in enumerate(penalty.group_dual_norms(gradient)):
            rest = np.maximum(np.abs(gradient[labels == group]) - t * l1_ratio, 0.0)
            goal = t * (1.0 - l1_ratio) * weights[group]
            assert np.linalg.norm(rest) == pytest.approx(goal, rel=1e-5, abs=1e-14 * t)


def test_ridge_is_a_cost_at_any_strength(rng: np.random.Generator) -> None:
    w = rng.standard_normal((2, P))
    penalty = GroupL2(BLOCKS, WEIGHTS, ridge=0.3)
    ridge = 0.15 * float((w * w).sum())
    for alpha in (0.0, 2.0):
        assert penalty.cost(w, alpha) == pytest.approx(alpha * penalty.value(w) + ridge, rel=1e-14)


def test_rescaled_penalties_cost_the_same(rng: np.random.Generator) -> None:
    penalty = GroupL2(BLOCKS, WEIGHTS, ridge=0.3, lower=np.full(P, -0.5), upper=np.ones(P))
    w = penalty.feasible(rng.standard_normal(P))
    other, larger = penalty.rescaled(3), 8.0 * w
    np.testing.assert_array_equal(other.feasible(larger), larger)
    assert (np.abs(larger) == 8.0 * np.abs(penalty.feasible(9.0 * w))).any()
    assert other.cost(larger, 0.125) == pytest.approx(penalty.cost(w, 1.0), rel=1e-14)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"lower": np.full(P, 0.1)}, "lower must be <= 0 for every feature"),
        ({"upper": np.where(np.arange(P) == 2, -1.0, 1.0)}, "got -1.0 for feature 2"),
        ({"upper": np.full(P, np.nan)}, "upper must be >= 0"),
        ({"ridge": -1.0}, "ridge must be finite and not negative"),
    ],
)
def test_bad_ridge_and_bounds(more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupL2(BLOCKS, WEIGHTS, **more)


def test_bounds_of_other_features() -> None:
    with pytest.raises(ValueError, match=r"lower must have shape \(10,\)"):
        GroupL2(BLOCKS, WEIGHTS, lower=np.zeros(P + 1)).check_features(P)
