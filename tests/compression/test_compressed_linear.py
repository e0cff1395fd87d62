"""Compressed linear models: exact, in the room of what is in use."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sksparse import (
    L0Regressor,
)
from sksparse.compression import compress
from tests.helpers.compressed_models import LINEAR, X, X_values, close, frame, linear

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("coding", ["auto", "none", "huffman", "adaptive"])
def test_linear_models_come_back(name: str, coding: str) -> None:
    model = linear(name)
    small = pickle.loads(pickle.dumps(compress(model, coding=coding)))
    features: Any = X if hasattr(model, "classes_") else X_values
    if hasattr(model, "feature_names_in_"):
        features = frame()
        assert small.feature_names_in_.tolist() == model.feature_names_in_.tolist()
        with pytest.raises(ValueError, match="same columns in the same order"):
            small.predict(features.iloc[:, ::-1])
    np.testing.assert_array_equal(small.coef_, np.atleast_2d(model.coef_))
    expected = model.predict(features)
    if hasattr(model, "predict_proba"):
        close(small.predict_proba(features), model.predict_proba(features), 1e-8)
        assert small.predict(features).tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(small.predict(features), expected, rtol=1e-12)
    some = sparse.csr_array(np.asarray(features)[:3])
    assert small.predict(some).tolist() == small.predict(np.asarray(features)[:3]).tolist()


def test_linear_models_with_levels() -> None:
    model = linear("classes")
    small = compress(model, bits=2)
    kept = small.coef_[small.coef_ != 0]
    assert len(np.unique(kept)) <= 4
    np.testing.assert_array_equal(small.coef_ != 0, model.coef_ != 0)


def test_a_wide_linear_model_takes_the_room_of_what_is_in_use(rng: np.random.Generator) -> None:
    features = sparse.random_array((60, 20_000), density=0.01, rng=rng, format="csc")
    target = features[:, [5]].toarray()[:, 0] + rng.standard_normal(60)
    small = compress(L0Regressor(max_features=5).fit(features, target))
    assert small.nbytes < 300
    assert small.predict(features).shape == (60,)
