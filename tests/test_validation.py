"""Factors of penalties, weights of samples and warm starts."""

from __future__ import annotations

import numpy as np
import pytest

from sksparse._validation import check_penalty_weights, check_start, check_weights


@pytest.mark.parametrize(
    "weights, message",
    [
        (["a", 1.0], "must be numbers, one per group"),
        ([1.0], r"one factor per group, shape \(2,\); got shape \(1,\)"),
        ([1.0, -1.0], "non-negative; got a smallest of -1.0"),
        ([1.0, np.nan], "finite"),
    ],
)
def test_factors_of_a_penalty(weights: list, message: str) -> None:
    assert check_penalty_weights(None, 2, per="group") is None
    np.testing.assert_array_equal(check_penalty_weights([0, 3], 2, per="group"), [0.0, 3.0])
    with pytest.raises(ValueError, match=message):
        check_penalty_weights(weights, 2, per="group")


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [1.0], [1.0, np.inf]])
def test_weights_of_samples(weights: list) -> None:
    X = np.zeros((2, 1))
    np.testing.assert_array_equal(check_weights(None, X), [1.0, 1.0])
    np.testing.assert_array_equal(check_weights([0, 3], X), [0.0, 3.0])
    with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
        check_weights(weights, X)


def test_a_start_of_another_size_is_not_used() -> None:
    assert check_start(None, 3) is None
    assert check_start(np.ones(2), 3) is None
    np.testing.assert_array_equal(check_start(np.ones(3, dtype=np.float32), 3), np.ones(3))
