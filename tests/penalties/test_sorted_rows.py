"""The sorted L1 norm of several outputs, and its optimality conditions."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest

from sksparse.penalties import Blocks, GroupL2, SortedL1, cluster_labels, oscar_weights

M, P = 3, 8
WEIGHTS = {
    "oscar": oscar_weights(P, 0.7),
    "equal": np.ones(P),
    "few ranks": oscar_weights(P, 0.9, 3),
    "largest only": np.eye(P)[0],
}


@pytest.fixture(params=sorted(WEIGHTS))
def penalty(request: pytest.FixtureRequest) -> SortedL1:
    return SortedL1(WEIGHTS[request.param])


def norms(coef: np.ndarray) -> np.ndarray:
    return np.linalg.norm(coef, axis=0)


def test_value_and_prox_are_those_of_the_norms(penalty: SortedL1, rng: np.random.Generator) -> None:
    for _ in range(20):
        v = rng.standard_normal((M, P))
        assert penalty.value(v) == pytest.approx(penalty.value(norms(v)), rel=1e-14)
        w = penalty.prox(v, 0.5)
        np.testing.assert_allclose(norms(w), penalty.prox(norms(v), 0.5), rtol=1e-14, atol=1e-15)
        # directions stay
        np.testing.assert_allclose(w * norms(v), v * norms(w), atol=1e-14)


def test_prox_beats_every_perturbation(penalty: SortedL1, rng: np.random.Generator) -> None:
    def objective(w: np.ndarray, v: np.ndarray) -> float:
        return 0.5 * float(np.sum((w - v) ** 2)) + 0.4 * penalty.value(w)

    for _ in range(10):
        v = rng.standard_normal((M, P))
        w = penalty.prox(v, 0.4)
        for scale in (1e-3, 1e-1):
            for _ in range(20):
                trial = w + scale * rng.standard_normal((M, P)) * (rng.random(P) < 0.5)
                assert objective(trial, v) >= objective(w, v) - 1e-12


def test_moreau_identity_and_dual_norm(penalty: SortedL1, rng: np.random.Generator) -> None:
    for _ in range(20):
        v = rng.standard_normal((M, P))
        w = penalty.prox(v, 0.3)
        assert penalty.dual_norm(v - w) <= 0.3 + 1e-12
        assert np.sum((v - w) * w) == pytest.approx(0.3 * penalty.value(w), abs=1e-12)
        bound = penalty.dual_norm(v)
        assert not penalty.prox(v, bound * (1 + 1e-9)).any()
        assert penalty.prox(v, bound * (1 - 1e-6)).any()
        other = rng.standard_normal((M, P))
        moved = penalty.prox(v, 0.3) - penalty.prox(other, 0.3)
        assert np.linalg.norm(moved) <= np.linalg.norm(v - other) + 1e-12


def test_one_output_in_two_dimensions(penalty: SortedL1, rng: np.random.Generator) -> None:
    v, gradient, scales = rng.standard_normal((3, P))
    w = penalty.prox(v, 0.3)
    scales = np.abs(scales)
    np.testing.assert_allclose(penalty.prox(v[None], 0.3)[0], w, rtol=1e-14)
    assert penalty.value(v[None]) == pytest.approx(penalty.value(v), rel=1e-15)
    assert penalty.dual_norm(v[None]) == pytest.approx(penalty.dual_norm(v), rel=1e-15)
    np.testing.assert_array_equal(cluster_labels(w[None]), cluster_labels(w))
    np.testing.assert_allclose(
        penalty.violations(w[None], gradient[None], 0.2, scales),
        penalty.violations(w, gradient, 0.2, scales),
        atol=1e-13,
    )


def test_violations_vanish_exactly_at_the_prox(penalty: SortedL1, rng: np.random.Generator) -> None:
    for _ in range(20):
        v = rng.standard_normal((M, P))
        w = penalty.prox(v, 0.4)
        assert penalty.violations(w, w - v, 0.4).max() < 1e-13
        assert penalty.violations(w, 1.01 * (w - v), 0.4).max() > 1e-4
        # a pull across the coefficients violates optimality as much as it is long
        across = rng.standard_normal((M, P))
        used = norms(w) > 0
        unit = w[:, used] / norms(w)[used]
        across[:, ~used] = 0.0
        across[:, used] -= unit * np.sum(unit * across[:, used], axis=0)
        found = penalty.violations(w, w - v + 0.1 * across, 0.4)
        np.testing.assert_allclose(found, 0.1 * norms(across), atol=1e-13)


def test_equal_weights_have_the_violations_of_the_group_lasso(rng: np.random.Generator) -> None:
    sorted_l1, group = SortedL1(np.ones(P)), GroupL2(Blocks.from_labels(np.arange(P)), np.ones(P))
    scales = 0.5 + rng.random(P)
    for _ in range(20):
        w = rng.standard_normal((M, P)) * (rng.random(P) < 0.5)
        gradient = rng.standard_normal((M, P))
        ours = sorted_l1.violations(w, gradient, 0.4, scales)
        theirs = group.violations(w, gradient, 0.4, scales)
        used = w.any(axis=0)
        np.testing.assert_allclose(ours[used], theirs[used], rtol=1e-12)
        # what enters first has the largest
        largest = group.violations(w, gradient, 0.4)[~used].max(initial=0.0)
        found = sorted_l1.violations(w, gradient, 0.4)[~used].max(initial=0.0)
        assert found == pytest.approx(largest, rel=1e-12)


@pytest.mark.parametrize("outputs", [None, M])
def test_violations_are_those_of_the_worst_subset(
    outputs: int | None, penalty: SortedL1, rng: np.random.Generator
) -> None:
    shape = P if outputs is None else (outputs, P)
    for _ in range(10):
        w = penalty.prox(rng.standard_normal(shape), 0.4)
        gradient = 0.3 * rng.standard_normal(shape)
        if outputs is not None:
            # along the coefficients only
            unit = np.divide(w, norms(w), out=np.zeros_like(w), where=norms(w) > 0)
            along = unit * np.sum(unit * gradient, axis=0)
            gradient = np.where(norms(w) > 0, along, gradient)
        found = penalty.violations(w, gradient, 0.3)
        labels = cluster_labels(w)
        rows = np.atleast_2d(w), np.atleast_2d(gradient)
        sizes, rank = norms(rows[0]), 0
        pull = np.where(
            sizes > 0,
            -np.sum(rows[0] * rows[1], axis=0) / np.where(sizes > 0, sizes, 1.0),
            norms(rows[1]),
        )
        for k in [*range(labels.max() + 1), -1]:
            members = np.flatnonzero(labels == k)
            own = 0.3 * penalty.weights[rank : rank + len(members)]
            rank += len(members)
            subsets = chain.from_iterable(
                combinations(members, size) for size in range(1, len(members) + 1)
            )
            excess = [np.mean(pull[list(s)]) - np.mean(own[: len(s)]) for s in subsets]
            if k >= 0:
                excess.append(abs(np.mean(pull[members]) - np.mean(own)))
            worst = found[members].max(initial=0.0)
            assert worst == pytest.approx(max(excess, default=0.0), abs=1e-13) or (
                worst == 0.0 and max(excess) <= 0.0
            )


def test_rows_that_the_prox_ties_are_one_cluster(rng: np.random.Generator) -> None:
    penalty = SortedL1(oscar_weights(200, 1.0))
    for n_outputs in (2, 10, 300):
        v = rng.standard_normal((n_outputs, 200)) * np.geomspace(1.0, 1e-3, 200)
        expected = cluster_labels(penalty.prox(norms(v), 0.05))
        assert expected.max() < np.count_nonzero(expected >= 0) - 1
        w = penalty.prox(v, 0.05)
        np.testing.assert_array_equal(cluster_labels(w), expected)
        tied = [expected == k for k in np.flatnonzero(np.bincount(expected[expected >= 0]) > 1)]
        rounded = cluster_labels(w.astype(np.float32))
        assert all(len(np.unique(rounded[members])) == 1 for members in tied)


def test_norms_that_differ_are_several_clusters() -> None:
    w = np.array([[3.0, 0.0, 0.0, -3.0], [4.0, 5.0, 0.0, 4.0]])
    np.testing.assert_array_equal(cluster_labels(w), [0, 0, -1, 0])
    w[:, 1] *= 1.0 - 1e-12
    np.testing.assert_array_equal(cluster_labels(w), [0, 1, -1, 0])
    np.testing.assert_array_equal(
        cluster_labels(np.array([1.0, -1.0, 0.0, 1.0 + 1e-15])), [1, 1, -1, 0]
    )
    assert cluster_labels(np.zeros((2, 3))).tolist() == [-1, -1, -1]


def test_weights_that_increase_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights must not increase; got 1\.0 followed by 2\.0"):
        SortedL1(np.array([3.0, 1.0, 2.0]))


def test_without_any_weight_nothing_is_penalised() -> None:
    np.testing.assert_array_equal(SortedL1(np.zeros(3)).unpenalised(), [0, 1, 2])
    assert SortedL1(np.array([1.0, 0.0])).unpenalised().size == 0


def test_a_working_set_may_be_empty() -> None:
    nothing = np.zeros((M, 0))
    assert SortedL1(np.ones(0)).violations(nothing, nothing, 1.0).shape == (0,)
