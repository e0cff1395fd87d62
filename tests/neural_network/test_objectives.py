"""Losses and scores against their definitions, and what distillation promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from sksparse.neural_network.training._objectives import (
    DistilledCrossEntropy,
    DistilledSquaredError,
    WeightedCrossEntropy,
    WeightedSquaredError,
    soften,
    weighted_r2,
)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.randint(4, (9,), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def teacher() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    # logits of zero mean: high temperatures compare those up to a constant
    values = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    return values - values.mean(dim=1, keepdim=True)


def taught(labels: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    teacher_targets = soften(teacher.softmax(dim=1), temperature)
    return torch.cat([labels[:, None].double(), teacher_targets], dim=1)


def test_softening_is_division_of_the_logits(teacher: torch.Tensor) -> None:
    expected = (teacher / 3.5).softmax(dim=1)
    torch.testing.assert_close(soften(teacher.softmax(dim=1), 3.5), expected)


def test_no_share_of_the_teacher_is_the_log_loss(
    logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor
) -> None:
    weight = torch.rand(9, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    got = DistilledCrossEntropy(2.0, 0.0)(logits, taught(labels, teacher, 2.0), weight)
    torch.testing.assert_close(got, WeightedCrossEntropy()(logits, labels, weight))


def test_at_temperature_one_it_is_the_cross_entropy_up_to_the_entropy(
    logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor
) -> None:
    q = teacher.softmax(dim=1)
    cross = -(q * logits.log_softmax(dim=1)).sum(dim=1)
    entropy = -(q * q.log()).sum(dim=1)
    got = DistilledCrossEntropy(1.0, 1.0)(logits, taught(labels, teacher, 1.0), None)
    torch.testing.assert_close(got, (cross - entropy).mean())


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(
    labels: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> None:
    loss = DistilledCrossEntropy(temperature, 1.0)(
        teacher, taught(labels, teacher, temperature), None
    )
    assert loss.item() == pytest.approx(0.0, abs=1e-12)


def test_high_temperatures_match_logits(
    logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor
) -> None:
    student = (logits - logits.mean(dim=1, keepdim=True)).requires_grad_()
    DistilledCrossEntropy(200.0, 1.0)(student, taught(labels, teacher, 200.0), None).backward()
    matching = (student.detach() - teacher) / (4 * 9)
    assert (student.grad - matching).norm() < 0.01 * matching.norm()


def test_weights_count_rows_in_distillation(
    logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor
) -> None:
    y = taught(labels, teacher, 2.0)
    weight = torch.tensor([0.0, 2.0, *[1.0] * 7], dtype=torch.float64)
    repeated = torch.tensor([1, 1, *range(2, 9)])
    criterion = DistilledCrossEntropy(2.0, 0.5)
    torch.testing.assert_close(
        criterion(logits, y, weight), criterion(logits[repeated], y[repeated], None)
    )


def test_squared_errors() -> None:
    output, truth = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [2.0, 0.0]])
    weight = torch.tensor([1.0, 3.0])
    # rows: (1 + 0) / 4 and (4 + 0) / 4
    assert WeightedSquaredError()(output, truth, None).item() == pytest.approx(0.625)
    assert WeightedSquaredError()(output, truth, weight).item() == pytest.approx(1.625)
    both = torch.cat([truth, output], dim=1)
    assert DistilledSquaredError(0.25)(output, both, None).item() == pytest.approx(0.75 * 0.625)


def test_r2_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y, output = rng.normal(size=(2, 20, 3))
    weight = rng.uniform(size=20)
    got = weighted_r2(torch.tensor(output), torch.tensor(y), torch.tensor(weight))
    assert got == pytest.approx(r2_score(y, output, sample_weight=weight))
