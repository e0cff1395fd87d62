"""Numbers of features and of clusters that are asked for in place of a strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sksparse.linear_model import OSCAR, SLOPE, GrOWL, OSCARClassifier, SLOPEClassifier, slope_path


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((100, 12))
    return X, X[:, :6] @ [3.0, -2.5, 2.0, 1.5, 1.0, 0.5] + 0.5 * rng.standard_normal(100)


MODELS: list[Any] = [
    OSCAR(pairwise=0.02),
    SLOPE(loss="poisson", lambdas="lasso"),
    OSCARClassifier(pairwise=0.1),
    GrOWL(lambdas="lasso"),
]


def targets_for(model: Any, z: np.ndarray) -> Any:
    if isinstance(model, GrOWL):
        return np.c_[z, np.sin(z)]
    if isinstance(model, OSCARClassifier):
        return z > 0
    return np.floor(np.exp(0.3 * z)) if "poisson" in repr(model) else z


@pytest.mark.parametrize("name", ["max_features", "max_clusters"])
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_size_asked_for_is_met_at_the_strength_told(
    model: Any, name: str, problem: Any
) -> None:
    X, y = problem[0], targets_for(model, problem[1])
    model = clone(model).set_params(tol=1e-9)
    for size in (1, 3):
        sized = clone(model).set_params(**{name: size}).fit(X, y)
        found = sized.n_features_ if name == "max_features" else sized.n_clusters_
        assert found == size
        # alpha is not used, and alpha_ gives the same fit
        other = clone(sized).set_params(alpha=1e3).fit(X, y)
        np.testing.assert_array_equal(other.coef_, sized.coef_)
        again = clone(model).set_params(alpha=sized.alpha_).fit(X, y)
        np.testing.assert_allclose(again.coef_, sized.coef_, atol=1e-4)


def test_the_strength_is_the_first_with_the_size(problem: Any) -> None:
    X, y = problem
    model = SLOPE(max_features=4).fit(X, y)
    above = slope_path(X, y, alphas=np.geomspace(1.08, 20, 30) * model.alpha_)
    assert above.n_features.max() < 4


def test_a_size_does_not_depend_on_what_else_was_asked_for(problem: Any) -> None:
    X, y = problem
    model = OSCAR(pairwise=0.02, warm_start=True)
    path = [model.set_params(max_features=k).fit(X, y).coef_ for k in (1, 2, 3)]
    for k, coef in zip((1, 2, 3), path, strict=True):
        np.testing.assert_array_equal(OSCAR(pairwise=0.02, max_features=k).fit(X, y).coef_, coef)


def test_copies_enter_together_and_that_is_said(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 4))
    X = np.c_[X, X[:, 0], -X[:, 0]]
    y = X[:, 0] + 0.3 * X[:, 1] + 0.1 * rng.standard_normal(50)
    with pytest.warns(UserWarning, match=r"No strength keeps exactly max_features=2.*0 are.*3 at"):
        model = SLOPE(max_features=2).fit(X, y)
    assert model.n_features_ == 0
    assert SLOPE(max_features=3).fit(X, y).n_features_ == 3
    assert SLOPE(max_clusters=1).fit(X, y).n_clusters_ == 1


def test_more_than_there_are_stand_for_all(problem: Any) -> None:
    X, y = problem
    with pytest.warns(UserWarning, match="max_features=13 is more than X has, n_features=12"):
        every = SLOPE(max_features=13).fit(X, y)
    assert every.n_features_ == 12
    X = np.c_[X, np.ones(100)]
    with pytest.warns(UserWarning, match="Only 12 of max_features=13 features are kept at any"):
        assert SLOPE(max_features=13).fit(X, y).n_features_ == 12
    with pytest.warns(UserWarning, match="Only 0 of max_clusters=1"):
        nothing = SLOPE(max_clusters=1).fit(X, np.ones(100))
    assert not nothing.coef_.any()


def test_both_sizes_are_refused_before_any_work(problem: Any) -> None:
    model = SLOPEClassifier(max_features=2, max_clusters=2)
    with pytest.raises(ValueError, match="both ask for a size; give one of them"):
        model.fit(problem[0], problem[1] > 0)
    assert not hasattr(model, "coef_")


def test_sizes_are_searched(problem: Any) -> None:
    X, y = problem
    search = GridSearchCV(SLOPE(lambdas="lasso"), {"max_features": [1, 3, 6]}, cv=3).fit(X, y)
    assert search.best_params_ == {"max_features": 6}
