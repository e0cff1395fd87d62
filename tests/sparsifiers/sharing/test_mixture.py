"""The mixture over weights: densities, gradients, and steps that never raise its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from sksparse.sparsifiers.sharing._mixture import WeightMixture


@pytest.fixture
def weights(rng: np.random.Generator) -> torch.Tensor:
    parts = [rng.normal(0, 0.02, 300), rng.normal(0.3, 0.03, 40), rng.normal(-0.4, 0.05, 60)]
    return torch.from_numpy(np.concatenate(parts))


@pytest.fixture
def mixture(weights: torch.Tensor) -> WeightMixture:
    made = WeightMixture(weights, 5, zero_share=0.7, deviation=0.2)
    made.update(weights, torch.empty_like(weights))
    return made


def reference_loss(mixture: WeightMixture, weights: np.ndarray) -> float:
    """From SciPy's densities; those of the precisions up to their constants."""
    deviations = mixture.precisions.numpy() ** -0.5
    logs = np.log(mixture.shares.numpy()) + stats.norm.logpdf(
        weights[:, None], mixture.means.numpy(), deviations
    )
    shape, rate = mixture._shape.numpy(), mixture._rate.numpy()
    precisions = mixture.precisions.numpy()
    prior = stats.gamma.logpdf(precisions, shape, scale=1 / rate)
    constant = stats.gamma.logpdf(shape / rate, shape, scale=1 / rate)
    constant -= (shape - 1) * np.log(shape / rate) - shape
    return float(-logsumexp(logs, axis=1).sum() - (prior - constant).sum())


def test_the_loss_is_that_of_its_densities(mixture: WeightMixture, weights: torch.Tensor) -> None:
    expected = reference_loss(mixture, weights.numpy())
    assert mixture.loss(weights) == pytest.approx(expected, rel=1e-10)


def test_gradients_agree_with_finite_differences(
    mixture: WeightMixture, weights: torch.Tensor
) -> None:
    found = torch.empty_like(weights)
    step = 1e-6
    expected = []
    for k in range(0, 400, 23):
        losses = []
        for sign in (1, -1):
            moved = weights.clone()
            moved[k] += sign * step
            losses.append(reference_loss(mixture, moved.numpy()))
        expected.append((losses[0] - losses[1]) / (2 * step))
    mixture.update(weights, found)
    np.testing.assert_allclose(found[::23].numpy(), expected, rtol=1e-4, atol=1e-3)


def test_steps_never_raise_the_loss_and_end_where_it_is_stationary(
    mixture: WeightMixture, weights: torch.Tensor
) -> None:
    losses = [mixture.loss(weights)]
    for _ in range(400):
        mixture.update(weights, torch.empty_like(weights))
        losses.append(mixture.loss(weights))
    assert (np.diff(losses) < 1e-8 * abs(losses[0])).all()
    # derivatives by means, and by precisions in log space
    means, precisions = mixture.means.clone(), mixture.precisions.clone()
    for j in range(5):
        for name, start in (("means", means), ("precisions", precisions)):
            if name == "means" and j == 0:
                continue
            ends = []
            for sign in (1, -1):
                changed = start.clone()
                if name == "means":
                    changed[j] += sign * 1e-5
                else:
                    changed[j] *= np.exp(sign * 1e-5)
                setattr(mixture, name, changed)
                ends.append(mixture.loss(weights))
                setattr(mixture, name, start)
            assert abs(ends[0] - ends[1]) / 2e-5 < 0.02 * len(weights)


def test_shares_sum_to_one_with_that_of_zero_fixed(
    mixture: WeightMixture, weights: torch.Tensor
) -> None:
    for _ in range(5):
        mixture.update(weights, torch.empty_like(weights))
        assert float(mixture.shares.sum()) == pytest.approx(1.0, abs=1e-12)
        assert float(mixture.shares[0]) == pytest.approx(0.7, abs=1e-12)
        assert float(mixture.means[0]) == 0.0


def test_weights_are_assigned_to_what_is_most_probable(
    mixture: WeightMixture, weights: torch.Tensor
) -> None:
    components, advantages = mixture.assign(weights)
    logs = mixture.log_joint(weights).numpy()
    np.testing.assert_array_equal(components.numpy(), logs[1:].argmax(axis=0) + 1)
    np.testing.assert_allclose(advantages.numpy(), logs[1:].max(axis=0) - logs[0])
    assert (advantages[:300] > 0).float().mean() < 0.05
    assert (advantages[300:] > 0).all()


def test_components_that_are_the_same_are_one(mixture: WeightMixture) -> None:
    assert mixture.merged().tolist() == [0, 1, 2, 3, 4]
    for tensor in (mixture.means, mixture.precisions):
        tensor[3] = tensor[1]
        tensor[4] = tensor[0]
    assert mixture.merged().tolist() == [0, 1, 2, 1, 0]


@pytest.mark.parametrize("weights", [torch.zeros(0), torch.zeros(4), torch.ones(1)])
def test_few_or_equal_weights(weights: torch.Tensor) -> None:
    mixture = WeightMixture(weights, 3, zero_share=0.5, deviation=0.2)
    gradient = torch.empty_like(weights)
    mixture.update(weights, gradient)
    assert bool(torch.isfinite(gradient).all())
    assert np.isfinite(mixture.loss(weights))
