"""Clusters as derived features: transform, names, and the way back."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.linear_model import OSCAR, OSCARCV, SLOPE, GrOWL, OSCARClassifier

NAMES = list("abcdef")


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """a, -b and c measure one thing, d another, e and f are noise."""
    cause, noise = rng.standard_normal((80, 2)), rng.standard_normal((80, 6))
    X = np.c_[cause[:, 0], -cause[:, 0], cause[:, 0], cause[:, 1], np.zeros((80, 2))] + 0.1 * noise
    return X, 3 * cause[:, 0] + 2 * cause[:, 1]


def model_for(kind: Any) -> Any:
    options = {OSCARCV: {"alphas": [0.3, 0.2], "cv": 2}, GrOWL: {"alpha": 1.0}}
    return kind(pairwise=0.8, agglomerate=True, **options.get(kind, {"alpha": 0.2}))


def targets_for(kind: Any, y: np.ndarray) -> Any:
    return np.c_[y, -y] if kind is GrOWL else y > 0 if kind is OSCARClassifier else y


@pytest.mark.parametrize("kind", [OSCAR, OSCARCV, OSCARClassifier, GrOWL])
def test_a_column_is_the_signed_mean_of_its_cluster(kind: Any, problem: Any) -> None:
    X, y = problem
    model = model_for(kind).fit(X, targets_for(kind, y))
    together = next(at for at, members in enumerate(model.clusters_) if 0 in members)
    assert model.clusters_[together].tolist()[:3] == [0, 1, 2]
    means = model.transform(X)
    assert means.shape == (80, model.n_clusters_)
    if model.clusters_[together].tolist() == [0, 1, 2]:
        expected = (X[:, 0] - X[:, 1] + X[:, 2]) / 3
        np.testing.assert_allclose(means[:, together], expected, rtol=1e-12)
        assert model.get_feature_names_out(NAMES)[together] == "mean(a, -b, c)"
        assert model.get_feature_names_out()[together] == "mean(x0, -x1, x2)"
    for at, members in enumerate(model.clusters_):
        if len(members) == 1:
            np.testing.assert_array_equal(means[:, at], X[:, members[0]])
            assert model.get_feature_names_out(NAMES)[at] == NAMES[members[0]]
    assert model.get_support().sum() == model.n_features_ == sum(map(len, model.clusters_))


def test_the_way_back_spreads_the_means(problem: Any) -> None:
    X, y = problem
    model = model_for(OSCAR).fit(X, y)
    means = model.transform(X)
    back = model.inverse_transform(means)
    assert back.shape == X.shape
    assert not back[:, ~model.get_support()].any()
    np.testing.assert_array_equal(back[:, 0], -back[:, 1])
    np.testing.assert_array_equal(back[:, 0], back[:, 2])
    # the mean of what was spread is what was spread
    np.testing.assert_allclose(model.transform(back), means, rtol=1e-12)
    np.testing.assert_allclose(model.predict(back), model.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match=r"X has 6 features, but there are \d clusters"):
        model.inverse_transform(X)


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sparse_data_stay_sparse(form: Any, dtype: Any, problem: Any) -> None:
    X, y = problem
    X = np.where(np.abs(X) > 0.5, X, 0.0).astype(dtype)
    model = model_for(OSCAR).fit(form(X), y)
    means = model.transform(form(X))
    assert sp.issparse(means)
    assert means.dtype == dtype
    np.testing.assert_allclose(means.toarray(), model.transform(X), rtol=1e-5, atol=1e-7)
    back = model.inverse_transform(means)
    assert sp.issparse(back)
    np.testing.assert_allclose(back.toarray(), model.inverse_transform(means.toarray()), rtol=1e-5)


def test_whole_numbers_have_means(problem: Any) -> None:
    X, y = problem
    model = model_for(OSCAR).fit(X, y)
    rows = np.arange(12).reshape(2, 6)
    np.testing.assert_array_equal(model.transform(rows), model.transform(rows.astype(float)))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library: str, problem: Any) -> None:
    pytest.importorskip(library)
    X, y = problem
    frame = pd.DataFrame(X, columns=NAMES)
    model = model_for(OSCAR).set_output(transform=library).fit(frame, y)
    means = model.transform(frame)
    assert type(means).__module__.startswith(library)
    assert list(means.columns) == model.get_feature_names_out().tolist()
    assert "mean(a, -b, c)" in list(means.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[NAMES[::-1]])


def test_in_the_middle_of_a_pipeline(problem: Any) -> None:
    X, y = problem
    model = make_pipeline(StandardScaler(), model_for(OSCAR), LinearRegression()).fit(X, y)
    assert model.score(X, y) > 0.98
    assert len(model[-1].coef_) == model[1].n_clusters_
    same = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(same.predict(X), model.predict(X))


@pytest.mark.filterwarnings("ignore:No features were selected")
def test_nothing_selected_leaves_no_column_and_says_so(problem: Any) -> None:
    X, y = problem
    model = SLOPE(1e6, agglomerate=True).fit(X, y)
    assert model.get_feature_names_out().tolist() == []
    assert model.transform(X).shape == (80, 0)
    assert model.inverse_transform(np.empty((80, 0))).shape == (80, 6)
    with pytest.warns(UserWarning, match="No features were selected: there is no cluster"):
        model.transform(X)


def test_nothing_can_be_asked_before_a_fit() -> None:
    model = SLOPE(agglomerate=True)
    for ask in (model.transform, model.inverse_transform):
        with pytest.raises(NotFittedError):
            ask(np.ones((2, 3)))
    with pytest.raises(NotFittedError):
        model.get_feature_names_out()


def test_coefficients_beyond_the_square_root_of_the_range(problem: Any) -> None:
    X, y = problem
    model = model_for(OSCAR).fit(X, y)
    # of size 2^-600, whose squares are zero
    small = model_for(OSCAR).set_params(alpha=0.2 * 2.0**600).fit(2.0**600 * X, y)
    assert small.get_feature_names_out().tolist() == model.get_feature_names_out().tolist()
