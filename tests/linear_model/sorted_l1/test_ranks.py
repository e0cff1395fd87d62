"""Over how many ranks the weights of OSCAR fall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sksparse.linear_model import SLOPE, oscar_path
from sksparse.penalties import oscar_weights
from sksparse.penalties._sorted_weights import steep_oscar_weights


def weights_of(X: np.ndarray, y: np.ndarray, **options: Any) -> np.ndarray:
    return oscar_path(X, y, alphas=[1e6], **options).weights


@pytest.mark.parametrize("shape", [(40, 5), (30, 30), (30, 31), (12, 300), (5, 7)])
def test_auto_is_all_ranks_until_features_outnumber_samples(
    shape: tuple[int, int], rng: np.random.Generator
) -> None:
    n, p = shape
    X, y = rng.standard_normal(shape), rng.standard_normal(n)
    expected = oscar_weights(p, 0.6) if p <= n else steep_oscar_weights(p, 0.6)
    np.testing.assert_array_equal(weights_of(X, y, pairwise=0.6), expected)
    assert np.isclose(expected, oscar_weights(p, 0.6)).all() == (p <= max(n, 21))
    np.testing.assert_array_equal(weights_of(X, y, ranks="all"), oscar_weights(p, 0.5))
    np.testing.assert_array_equal(weights_of(X, y, ranks=3), oscar_weights(p, 0.5, ranks=3))


def test_copies_and_samples_without_weight_do_not_count(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((40, 30)), rng.standard_normal(40)
    all_ranks, few_ranks = oscar_weights(30, 0.5), steep_oscar_weights(30, 0.5)
    used = np.arange(40) < 29
    np.testing.assert_array_equal(weights_of(X, y), all_ranks)
    np.testing.assert_array_equal(weights_of(X, y, sample_weight=1.0 * used), few_ranks)
    copies = np.r_[np.arange(29), np.arange(29)]
    np.testing.assert_array_equal(weights_of(X[copies], y[copies]), few_ranks)


def test_blocks_are_found_where_features_outnumber_samples(rng: np.random.Generator) -> None:
    # five blocks of ten features with correlation .9 among 2000 features, 100 samples
    n, p, n_members = 100, 2000, 50
    found, used, tied = dict.fromkeys(("auto", "all"), 0), 0, dict.fromkeys(("auto", "all"), 0)
    for _ in range(8):
        X = rng.standard_normal((n, p))
        causes = np.repeat(rng.standard_normal((n, 5)), 10, axis=1)
        X[:, :n_members] = np.sqrt(0.9) * causes + np.sqrt(0.1) * X[:, :n_members]
        signal = X[:, :n_members] @ np.repeat([1.5, -1.2, 1.0, -0.8, 0.6], 10)
        y = signal + 0.4 * np.std(signal) * rng.standard_normal(n)
        for ranks in ("auto", "all"):
            alpha = 0.3 * oscar_path(X, y, ranks=ranks, alphas=1).alpha_max
            model = SLOPE(alpha, lambdas="oscar", ranks=ranks).fit(X, y)
            found[ranks] += np.count_nonzero(model.coef_[:n_members])
            tied[ranks] += sum(len(c) for c in model.clusters_ if len(c) > 1 and c.max() < 50)
            used += model.n_features_ * (ranks == "auto")
    assert found["auto"] > 1.5 * found["all"]
    assert tied["auto"] > 3 * tied["all"]
    assert found["auto"] > 0.6 * used
