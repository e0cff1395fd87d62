"""So many groups asked for: kept at a strength that depends on the data and the number alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.feature_selection import GroupLassoSelector

GROUPS = np.arange(24) // 3


# Checks have features that enter together, and fewer groups than that.
@pytest.mark.filterwarnings("ignore:.*max_groups:UserWarning")
@parametrize_with_checks([GroupLassoSelector(loss="squared", max_groups=1)])
def test_sklearn_contract(estimator: GroupLassoSelector, check: Any) -> None:
    check(estimator)


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Eight groups of three whose effects fall."""
    X = rng.standard_normal((120, 24)) + 0.3 * rng.standard_normal((120, 1))
    effects = np.repeat(0.7 ** np.arange(8), 3)
    return X, X @ effects + rng.standard_normal(120)


def targets(y: np.ndarray, loss: str, rng: np.random.Generator) -> Any:
    """The same dependence as each loss takes it."""
    z = y / y.std()
    kinds = {
        "squared": z,
        "huber": z,
        "logistic": z > 0,
        "multinomial": np.digitize(z, [-0.5, 0.5]),
        "poisson": rng.poisson(np.exp(0.5 * z)),
        "cox": np.column_stack((np.exp(-z), rng.random(len(z)) > 0.2)),
    }
    return kinds[loss]


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "multinomial", "poisson", "cox"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_the_number_asked_for_is_kept(
    data: tuple[np.ndarray, np.ndarray], loss: str, l1_ratio: float, rng: np.random.Generator
) -> None:
    X, y = data[0], targets(data[1], loss, rng)
    strengths = []
    for k in (1, 3, 6, 8):
        model = GroupLassoSelector(max_groups=k, groups=GROUPS, loss=loss, l1_ratio=l1_ratio)
        model.fit(X, y)
        assert len(model.selected_groups_) == k
        assert np.count_nonzero(model.group_norms_) == k
        strengths.append(model.alpha_)
        # the same fit at that strength, from no start at all
        model.set_params(tol=1e-8).fit(X, y)
        single = GroupLassoSelector(
            model.alpha_, groups=GROUPS, loss=loss, l1_ratio=l1_ratio, tol=1e-8
        ).fit(X, y)
        assert single.alpha_ == model.alpha_
        np.testing.assert_array_equal(single.selected_groups_, model.selected_groups_)
        np.testing.assert_allclose(single.coef_, model.coef_, atol=1e-3)
    assert strengths == sorted(strengths, reverse=True)


def test_groups_that_enter_together_are_told(rng: np.random.Generator) -> None:
    base = rng.standard_normal((60, 4))
    X = np.column_stack((base[:, :2], base[:, :2], base[:, 2:]))
    y = 2.0 * base[:, 0] + base[:, 1] + 0.5 * base[:, 2] + 0.1 * rng.standard_normal(60)
    groups = ["pair", "pair", "copy", "copy", "c", "d"]
    with pytest.warns(UserWarning, match=r"No strength keeps exactly max_groups=1 groups: 0 are"):
        model = GroupLassoSelector(max_groups=1, groups=groups, l2=0.1, min_features=1).fit(X, y)
    # the ridge shares between copies; min_features answers
    assert model.get_support().sum() == 2
    two = GroupLassoSelector(max_groups=2, groups=groups, l2=0.1).fit(X, y)
    assert set(two.selected_groups_) == {"pair", "copy"}


def test_more_groups_than_there_are_stand_for_all(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    with pytest.warns(UserWarning, match="max_groups=9 is more than the 8 groups that X has"):
        model = GroupLassoSelector(max_groups=9, groups=GROUPS).fit(X, y)
    assert len(model.selected_groups_) == 8
    X = np.column_stack((X, np.ones(len(X))))
    with pytest.warns(UserWarning, match="Only 8 of max_groups=9 groups are kept at any strength"):
        model = GroupLassoSelector(max_groups=9, groups=[*GROUPS, 8]).fit(X, y)
    assert model.selected_groups_.tolist() == list(range(8))
    with pytest.warns(UserWarning, match="Only 0 of max_groups=1"):
        GroupLassoSelector(max_groups=1, loss="squared").fit(X, np.ones(len(X)))


def test_groups_of_weight_zero_count(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    params: dict[str, Any] = {"groups": GROUPS, "penalty_weights": [1, 1, 1, 1, 1, 1, 0, 0]}
    three = GroupLassoSelector(max_groups=3, **params).fit(X, y)
    # the one that says most of what those leave
    free = np.column_stack((np.ones(len(X)), X[:, 18:]))
    left = y - free @ np.linalg.lstsq(free, y, rcond=None)[0]
    most = np.linalg.norm((X[:, :18].T @ left).reshape(6, 3), axis=1).argmax()
    assert three.selected_groups_.tolist() == [most, 6, 7]
    two = GroupLassoSelector(max_groups=2, **params).fit(X, y)
    assert two.selected_groups_.tolist() == [6, 7]
    with pytest.raises(ValueError, match="max_groups=1 is less than the 2 groups with"):
        two.set_params(max_groups=1).fit(X, y)
    # the earlier fit is as it was
    assert two.selected_groups_.tolist() == [6, 7]


def test_numbers_of_groups_are_searched(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = pd.DataFrame(data[0]).add_prefix("c"), data[1]
    model = make_pipeline(GroupLassoSelector(groups=GROUPS), LinearRegression())
    grid = {"grouplassoselector__max_groups": [1, 4, 8]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    best = search.best_estimator_[0]
    assert len(best.selected_groups_) == search.best_params_["grouplassoselector__max_groups"] > 1


def test_copies_of_a_number_do_not_depend_on_warm_starts(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = data
    model = GroupLassoSelector(max_groups=3, groups=GROUPS, warm_start=True).fit(X, y)
    before = model.coef_.copy()
    model.set_params(max_groups=7).fit(X, y)
    model.set_params(max_groups=3).fit(X, y)
    np.testing.assert_array_equal(model.coef_, before)
