"""The partial likelihood against direct sums, its conjugate against a general optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from sksparse.losses import Cox
from sksparse.penalties import Blocks, GroupL2
from sksparse.solvers import BlockDescent, Design, Problem, Status

TIES = ("breslow", "efron")


def survival(
    rng: np.random.Generator, n: int, *, n_times: int | None = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Times, of which there are few, with events, and weights of which some are zero."""
    times = rng.random(n) if n_times is None else rng.integers(0, n_times, n)
    y = np.column_stack((times, rng.random(n) < 0.7)).astype(float)
    y[0, 1] = 1.0
    weights = np.where(rng.random(n) < 0.2, 0.0, rng.random(n))
    weights[0] = 0.5
    return y, weights / weights.sum()


def direct(y: np.ndarray, weights: np.ndarray, z: np.ndarray, ties: str) -> float:
    """Half the deviance, summed up risk set by risk set."""
    times, events = y[:, 0], (y[:, 1] > 0) & (weights > 0)
    total = 0.0
    for time in np.unique(times[events]):
        tied, at_risk = events & (times == time), times >= time
        d, m = weights[tied].sum(), np.count_nonzero(tied)
        risk, own = weights[at_risk] @ np.exp(z[at_risk]), weights[tied] @ np.exp(z[tied])
        for before in range(m):
            share = before / m if ties == "efron" else 0.0
            total += d / m * (np.log(risk - share * own) - np.log(d * (1.0 - share)))
        total -= weights[tied] @ z[tied]
    return float(total)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("n_times", [1, 5, 40, None])
def test_value_and_derivatives_are_those_of_direct_sums(
    rng: np.random.Generator, ties: str, n_times: int | None
) -> None:
    for _ in range(5):
        y, weights = survival(rng, 15, n_times=n_times)
        loss, z = Cox(y, weights, ties), 2.0 * rng.standard_normal(15)
        assert loss.value(z) == pytest.approx(direct(y, weights, z, ties), abs=1e-13)
        numeric = approx_fprime(z, lambda z: direct(y, weights, z, ties), 1e-7)  # noqa: B023
        np.testing.assert_allclose(loss.gradient(z), numeric, atol=1e-6)
        assert abs(loss.gradient(z).sum()) <= 1e-15
        assert loss.value(z + 7.0) == pytest.approx(loss.value(z), abs=1e-13)


@pytest.mark.parametrize("ties", TIES)
def test_curvatures_are_the_diagonal_of_the_second_derivatives(
    rng: np.random.Generator, ties: str
) -> None:
    y, weights = survival(rng, 15)
    loss, z = Cox(y, weights, ties), rng.standard_normal(15)
    hessian = np.array([loss.gradient(z + e) - loss.gradient(z - e) for e in 1e-5 * np.eye(15)])
    np.testing.assert_allclose(loss.curvature(z), np.diag(hessian) / 2e-5, atol=1e-9)
    # twice as much is nowhere below all second derivatives
    slack = 2.0 * np.diag(loss.curvature(z)) - hessian / 2e-5
    assert np.linalg.eigvalsh(slack).min() >= -1e-9


def test_the_two_forms_are_one_without_ties(rng: np.random.Generator) -> None:
    y, weights = survival(rng, 20, n_times=None)
    z = rng.standard_normal(20)
    first, second = (Cox(y, weights, ties) for ties in TIES)
    assert first.value(z) == pytest.approx(second.value(z), abs=1e-14)
    np.testing.assert_allclose(first.gradient(z), second.gradient(z), atol=1e-15)
    u = 0.7 * first.gradient(z)
    assert first.conjugate(u) == pytest.approx(second.conjugate(u), abs=1e-13)


def test_one_risk_set_is_the_log_loss_of_several_classes(rng: np.random.Generator) -> None:
    z = rng.standard_normal(6)
    y = np.column_stack((np.r_[1.0, np.full(5, 2.0)], np.eye(6)[0]))
    share = np.exp(z[0]) / np.exp(z).sum()
    assert Cox(y, np.full(6, 1 / 6)).value(z) == pytest.approx(-np.log(share) / 6)


def test_breslow_weights_are_repetitions(rng: np.random.Generator) -> None:
    y, _ = survival(rng, 12)
    counts, z = rng.integers(0, 4, 12), rng.standard_normal(12)
    counts[0] = 2
    weighted = Cox(y, counts / counts.sum())
    repeated = Cox(np.repeat(y, counts, axis=0), np.full(counts.sum(), 1.0 / counts.sum()))
    assert weighted.value(z) == pytest.approx(repeated.value(np.repeat(z, counts)))
    sums = np.zeros(12)
    np.add.at(sums, np.repeat(np.arange(12), counts), repeated.gradient(np.repeat(z, counts)))
    np.testing.assert_allclose(weighted.gradient(z), sums, atol=1e-15)


@pytest.mark.parametrize("ties", TIES)
def test_weights_have_no_unit_and_zero_leaves_a_sample_out(
    rng: np.random.Generator, ties: str
) -> None:
    y, weights = survival(rng, 12)
    z, used = rng.standard_normal(12), weights > 0
    loss, rest = Cox(y, weights, ties), Cox(y[used], weights[used], ties)
    assert rest.value(z[used]) == loss.value(z)
    # with all weights doubled the objective, per unit of weight, is the same
    double = loss.with_weights(2.0 * weights)
    assert double.value(z) == pytest.approx(2.0 * loss.value(z))
    equal = np.full(12, 1 / 12)
    other = loss.with_weights(equal)
    assert other.ties == ties
    assert other.value(z) == Cox(y, equal, ties).value(z)


def test_samples_censored_before_the_first_event_change_nothing(rng: np.random.Generator) -> None:
    y = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [2.0, 0.0]])
    loss, z = Cox(y, np.full(4, 0.25)), rng.standard_normal(4)
    assert loss.gradient(z)[0] == loss.curvature(z)[0] == 0.0
    # censored at the time of the event: still at risk
    assert loss.gradient(z)[3] > 0.0


@pytest.mark.parametrize("ties", TIES)
def test_the_conjugate_is_the_supremum(rng: np.random.Generator, ties: str) -> None:
    for n_times in (2, 6, None):
        y, weights = survival(rng, 12, n_times=n_times)
        loss, z = Cox(y, weights, ties), 2.0 * rng.standard_normal(12)
        for shrink in (1.0, 1.2, 30.0):
            u = loss.gradient(z) / shrink

            def excess(z: np.ndarray) -> tuple[float, np.ndarray]:
                return loss.value(z) - float(z @ u), loss.gradient(z) - u  # noqa: B023

            options = {"maxiter": 20000, "ftol": 1e-16, "gtol": 1e-12}
            least = minimize(excess, z, jac=True, method="L-BFGS-B", options=options).fun
            assert loss.conjugate(u) == pytest.approx(-least, abs=1e-10)
            other = rng.standard_normal(12)
            gap = loss.value(other) + loss.conjugate(u) - other @ u
            assert loss.fenchel_gap(other, u) == pytest.approx(gap, abs=1e-13)
            assert gap >= 0.0
        assert abs(loss.fenchel_gap(z, loss.gradient(z))) <= 1e-14
        assert loss.conjugate(np.zeros(12)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("ties", TIES)
def test_small_gaps_keep_their_digits(rng: np.random.Generator, ties: str) -> None:
    """Close to a predictor the gap is half a squared distance in the second derivatives."""
    y, weights = survival(rng, 200, n_times=50)
    loss, z = Cox(y, weights, ties), rng.standard_normal(200)
    move = 1e-5 * rng.standard_normal(200)
    bend = loss.gradient(z + move) - loss.gradient(z - move)
    expected = 0.25 * float(move @ bend)
    assert loss.fenchel_gap(z + move, loss.gradient(z)) == pytest.approx(expected, rel=1e-3)


def test_the_conjugate_is_infinite_outside_its_domain() -> None:
    y = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 0.0]])
    loss = Cox(y, np.array([0.4, 0.6, 0.0]))
    for u in ([0.1, 0.0, 0.0], [0.1, -0.1, 0.0], [-0.5, 0.5, 0.0], [-0.1, 0.0, 0.1]):
        assert loss.conjugate(np.array(u)) == np.inf
        assert loss.fenchel_gap(np.zeros(3), np.array(u)) == np.inf
    assert np.isfinite(loss.conjugate(np.array([-0.4, 0.4, 0.0])))


@pytest.mark.parametrize("ties", TIES)
def test_far_predictors_neither_overflow_nor_vanish(rng: np.random.Generator, ties: str) -> None:
    y, weights = survival(rng, 30)
    loss = Cox(y, weights, ties)
    for scale in (100.0, 1e4, 1e8):
        z = scale * rng.standard_normal(30)
        gradient = loss.gradient(z)
        assert np.isfinite(loss.value(z))
        assert np.isfinite(gradient).all()
        assert abs(gradient.sum()) <= 1e-14 * max(scale, 1.0)
        # the loss is all but linear out there
        slope = (loss.value(z * 1.0001) - loss.value(z)) / 1e-4
        assert slope == pytest.approx(float(gradient @ z), rel=1e-3)
    in_order = -1e4 * y[:, 0]
    tied = y[:, 1] > 0
    assert loss.value(np.where(tied, in_order, in_order - 5e3)) == pytest.approx(0.0, abs=1e-12)
    assert loss.is_saturated(np.where(tied, in_order, in_order - 5e3))
    assert not loss.is_saturated(np.zeros(30))


def test_without_an_event_there_is_nothing_to_fit() -> None:
    y = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    loss = Cox(y, np.array([0.5, 0.0, 0.5]))
    assert loss.value(np.arange(3.0)) == 0.0
    assert not loss.gradient(np.arange(3.0)).any()
    with pytest.raises(ValueError, match="No sample with a positive weight has an event"):
        loss.best_constant()


@pytest.mark.parametrize(
    "y, remedy",
    [
        (np.arange(3.0), r"shape \(n_samples, 2\).*got shape \(3,\)"),
        (np.ones((3, 3)), r"shape \(n_samples, 2\).*got shape \(3, 3\)"),
        (np.array([[np.nan, 1.0]]), "finite times"),
        (np.array([[1.0, 2.0]]), "1 for an event and 0 for censoring.*from 2 to 2"),
    ],
)
def test_targets_outside_the_domain_are_refused(y: np.ndarray, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Cox(y, np.full(len(y), 1.0 / len(y)))


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ties='exact' must be one of 'breslow', 'efron'"):
        Cox(np.ones((2, 2)), np.full(2, 0.5), ties="exact")


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_group_lasso_fits_are_proved_by_their_gap(
    rng: np.random.Generator, ties: str, offset: float
) -> None:
    X = rng.standard_normal((150, 20))
    times = np.ceil(20.0 * rng.exponential(np.exp(X[:, 0] - X[:, 7])))
    y = np.column_stack((times, rng.random(150) < 0.7)).astype(float)
    weights = rng.random(150)
    loss = Cox(y, weights / weights.sum(), ties)
    penalty = GroupL2(Blocks.from_labels(np.arange(20) // 4), np.full(5, 2.0))
    null = Problem(Design(X + offset), loss, penalty, 0.0, True)
    alpha = 0.1 * penalty.dual_norm(null.null_gradient)
    problem = Problem(Design(X + offset), loss, penalty, alpha, True)
    solution = BlockDescent(tol=1e-9, max_iter=100).solve(problem)
    assert solution.status is Status.CONVERGED
    assert np.flatnonzero(penalty.blocks.norms(solution.coef))[:2].tolist() == [0, 1]
    z = X @ solution.coef
    # optimality, from direct sums
    gradient = approx_fprime(z, lambda z: direct(y, loss.weights, z, ties), 1e-7) @ X
    for group in range(5):
        w, g = solution.coef[4 * group : 4 * group + 4], gradient[4 * group : 4 * group + 4]
        unit = w / np.linalg.norm(w) if w.any() else -g / max(np.linalg.norm(g), 2.0 * alpha)
        np.testing.assert_allclose(g, -2.0 * alpha * unit, atol=1e-5)
    objective = loss.value(z) + alpha * penalty.value(solution.coef)
    assert -1e-12 <= solution.gap <= 1e-7 * objective
