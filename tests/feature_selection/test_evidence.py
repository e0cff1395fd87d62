"""Whether a ranking says anything: a network that is no better than a constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sksparse.datasets import make_ring_features
from sksparse.feature_selection import SparseMLPSelector

QUICK: dict[str, Any] = {"max_iter": 20, "hidden_layer_sizes": (16,), "random_state": 0}


def targets(kind: str, column: np.ndarray) -> np.ndarray:
    """Targets of each kind that follow a column."""
    if kind == "labels":
        return np.column_stack([column > 0, column > 0.5]).astype(int)
    return {
        "numbers": column,
        "classes": np.digitize(column, [-0.5, 0.5]),
        # the share of the larger class leaves accuracy no room
        "rare": column > 2.2,
    }[kind]


@pytest.mark.parametrize("kind", ["numbers", "classes", "labels"])
def test_noise_is_said_to_be_noise(kind: str, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((600, 8)), targets(kind, rng.standard_normal(600))
    loss = {"numbers": "squared", "classes": "multinomial", "labels": "logistic"}[kind]
    with pytest.warns(UserWarning, match="no better than a constant"):
        SparseMLPSelector(2, loss=loss, **QUICK).fit(X, y)


@pytest.mark.parametrize("kind", ["numbers", "classes", "labels", "rare"])
def test_nothing_is_said_where_the_targets_are_predicted(
    kind: str, rng: np.random.Generator
) -> None:
    X = rng.standard_normal((600, 8))
    weight = rng.random(600)
    options = {**QUICK, "max_iter": 60, "learning_rate_init": 1e-2, "input_dropout": 0.0}
    y = targets(kind, X[:, 3])
    SparseMLPSelector(1, **options).fit(X, y, sample_weight=weight)


def test_few_rows_cannot_tell(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((150, 8)), rng.random(150) < 0.5
    SparseMLPSelector(2, **QUICK).fit(X, y)


def test_larger_steps_follow_where_nothing_was_learned(capsys: pytest.CaptureFixture[str]) -> None:
    X, y, informative = make_ring_features(1000, 102, random_state=0)
    large = SparseMLPSelector(2, random_state=0, verbose=1).fit(X, y)
    assert set(large.get_support(True)) == set(informative)
    assert "larger steps" in capsys.readouterr().out
    # nothing is added to a run that was good enough
    SparseMLPSelector(1, random_state=0, verbose=1).fit(X[:300, :4], X[:300, 0] > 0)
    assert "larger steps" not in capsys.readouterr().out
