"""Arguments, rows and models that compression refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from sksparse import (
    GroupLassoSelector,
    SparseMLPClassifier,
    SparseNetClassifier,
)
from sksparse.compression import compress
from tests.helpers.compressed_models import FIT, X, network, y

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize(
    "rows, message",
    [
        (np.zeros((2, 11)), r"X has shape \(2, 11\); the model takes rows of shape \(12,\)"),
        (np.zeros(12), "X has shape"),
        (np.full((2, 12), np.nan), "missing or infinite"),
        (np.full((2, 12), np.inf), "missing or infinite"),
    ],
)
def test_bad_rows(rows: Any, message: str) -> None:
    small = compress(network("classes")[0])
    for method in (small.predict, small.predict_proba, small.outputs):
        with pytest.raises(ValueError, match=message):
            method(rows)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"bits": 0}, "bits=0 must be 1 to 8"),
        ({"bits": 9}, "bits=9"),
        ({"bits": "few"}, "bits='few'"),
        ({"bits": True}, "bits=True"),
        ({"bits": {"0.weight": 1.5}}, "must be 1 to 8"),
        ({"coding": "zip"}, "coding='zip' must be one of 'auto', 'none', 'huffman', 'adaptive'"),
        ({"codebook_dtype": "int8"}, "codebook_dtype='int8'"),
        ({"tolerance": 0}, "tolerance=0 must be a number above 0"),
        ({"init": "best"}, "init='best'"),
        ({"max_iter": -1}, "max_iter=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate_init": float("inf")}, "learning_rate_init=inf"),
        ({"y": y}, "y is given without X"),
        ({"X": X, "y": y[:5]}, "y has 5 rows, but X has 120"),
        ({"X": X, "y": y + 7}, "which the model was not fitted to"),
        ({"X": X[:, :3]}, "takes rows of shape"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    model, _ = network("classes")
    with pytest.raises(ValueError, match=message):
        compress(model, **changes)


def test_models_that_cannot_be_compressed() -> None:
    with pytest.raises(NotFittedError):
        compress(SparseMLPClassifier())
    pipeline = make_pipeline(StandardScaler(), SparseMLPClassifier((5,), **FIT)).fit(X, y)
    with pytest.raises(ValueError, match="model=Pipeline cannot be compressed: compress its last"):
        compress(pipeline)
    assert compress(pipeline[-1]).n_features_in_ == 12
    with pytest.raises(ValueError, match="model=StandardScaler cannot be compressed: give"):
        compress(StandardScaler().fit(X))
    selector = GroupLassoSelector(max_groups=2).fit(X, y)
    with pytest.raises(ValueError, match="model=GroupLassoSelector cannot be compressed"):
        compress(selector)
    recurrent = SparseNetClassifier(Recurrent, **{**FIT, "max_iter": 1}).fit(X, y)
    with pytest.raises(ValueError, match="LSTM"):
        compress(recurrent)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.states, self.out = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.states(x.unflatten(1, (3, 4)))[0][:, -1])
        return out
