"""Samples that belong together: what a search hands to its splitter, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    PredefinedSplit,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse import OSCARCV, L0ClassifierCV, L0PoissonRegressorCV, L0RegressorCV

SEARCHES: dict[str, Any] = {
    "L0RegressorCV": L0RegressorCV(max_features=2),
    "L0ClassifierCV": L0ClassifierCV(max_features=2),
    "L0PoissonRegressorCV": L0PoissonRegressorCV(max_features=2),
    "OSCARCV": OSCARCV(alphas=4),
}
Samples = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(params=sorted(SEARCHES))
def search(request: pytest.FixtureRequest) -> Any:
    return clone(SEARCHES[request.param])


@pytest.fixture
def samples(rng: np.random.Generator) -> Samples:
    """Features, counts that are classes as well, and six groups with an effect of their own."""
    groups = rng.permutation(np.repeat(list("abcdef"), 12))
    X = rng.standard_normal((72, 5)) + (groups == "a")[:, None]
    y = np.minimum(rng.poisson(np.exp(0.2 + 0.6 * X[:, 1])), 1)
    return X, y, groups


@pytest.fixture(params=["enabled", "disabled"])
def routing(request: pytest.FixtureRequest) -> Iterator[bool]:
    with config_context(enable_metadata_routing=request.param == "enabled"):
        yield request.param == "enabled"


def path_of(model: Any) -> np.ndarray:
    """The errors or scores of the folds."""
    names = ("mse_path_", "deviance_path_", "score_path_")
    return next(vars(model)[name] for name in names if name in vars(model))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GroupKFold(3),
        lambda: StratifiedGroupKFold(3),
        lambda: LeaveOneGroupOut(),
        lambda: LeavePGroupsOut(5),
        lambda: GroupShuffleSplit(2, random_state=0),
    ],
)
@pytest.mark.usefixtures("routing")
def test_groups_are_kept_together_as_by_the_splits_themselves(
    search: Any, samples: Samples, make: Callable[[], Any]
) -> None:
    X, y, groups = samples
    splits = list(make().split(X, y, groups))
    expected = clone(search).set_params(cv=splits).fit(X, y)
    for labels in (groups, groups.tolist(), pd.Series(groups, name="patient")):
        model = clone(search).set_params(cv=make()).fit(X, y, groups=labels)
        np.testing.assert_array_equal(path_of(model), path_of(expected))
        np.testing.assert_array_equal(model.coef_, expected.coef_)


@pytest.mark.usefixtures("routing")
def test_splits_may_come_from_anywhere(search: Any, samples: Samples) -> None:
    X, y, groups = samples
    fold_of = np.searchsorted(list("abcdef"), groups) // 2
    expected = clone(search).set_params(cv=GroupKFold(3)).fit(X, y, groups=fold_of)
    assigned = PredefinedSplit(fold_of)
    masks = [(fold_of != k, fold_of == k) for k in range(3)]
    for cv in (assigned, assigned.split(), masks, (pair for pair in masks)):
        model = search.set_params(cv=cv).fit(X, y)
        np.testing.assert_allclose(
            np.sort(path_of(model), axis=1), np.sort(path_of(expected), axis=1), rtol=1e-9
        )
    # a generator is used up
    with pytest.raises(ValueError, match="has no splits"):
        search.fit(X, y)


@pytest.mark.parametrize("cv", [GroupKFold(3), LeaveOneGroupOut(), StratifiedGroupKFold(3)])
def test_missing_groups_are_named_with_a_remedy(
    search: Any, samples: Samples, cv: Any, routing: bool
) -> None:
    X, y, groups = samples
    search.set_params(cv=cv).fit(X, y, groups=groups)
    before = search.coef_.copy()
    remedy = "outermost" if routing else "enable_metadata_routing=True"
    with pytest.raises(ValueError, match=rf"cv={type(cv).__name__}\(.*needs groups.*{remedy}"):
        search.fit(X, y)
    np.testing.assert_array_equal(search.coef_, before)


@pytest.mark.usefixtures("routing")
def test_groups_that_do_not_fit_are_refused(search: Any, samples: Samples) -> None:
    X, y, groups = samples
    search.set_params(cv=GroupKFold(3))
    with pytest.raises(ValueError, match=r"groups must have a label for each of the 72 samples"):
        search.fit(X, y, groups=groups[:-1])
    with pytest.raises(ValueError, match="n_splits=9 greater than the number of groups: 6"):
        search.set_params(cv=GroupKFold(9)).fit(X, y, groups=groups)


def test_a_splitter_of_any_kind_may_need_groups(samples: Samples) -> None:
    class Halves:
        def split(self, X: Any, y: Any, groups: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            yield np.flatnonzero(groups < "d"), np.flatnonzero(groups >= "d")

        def get_n_splits(self, *_: Any) -> int:
            return 1

    X, y, groups = samples
    model = L0RegressorCV(max_features=2, cv=Halves())
    assert model.fit(X, y, groups=groups).mse_path_.shape == (3, 1)
    with pytest.raises(ValueError, match="needs groups, and fit got none"):
        model.fit(X, y)


def test_groups_that_nothing_takes_are_not_ignored_in_silence(
    search: Any, samples: Samples
) -> None:
    X, y, groups = samples
    for cv in (3, KFold(3), list(KFold(3).split(X)), KFold(3).split(X)):
        with pytest.warns(UserWarning, match="groups parameter is ignored"):
            clone(search).set_params(cv=cv).fit(X, y, groups=groups)
        if not hasattr(cv, "__next__"):
            with (
                config_context(enable_metadata_routing=True),
                pytest.raises(TypeError, match=r"unexpected argument.*groups"),
            ):
                search.set_params(cv=cv).fit(X, y, groups=groups)
    if hasattr(search, "criterion"):
        with pytest.raises(ValueError, match=r"groups tell a splitter.*cv is None"):
            search.set_params(cv=None).fit(X, y, groups=groups)


def test_other_metadata_needs_routing(search: Any, samples: Samples) -> None:
    X, y, groups = samples
    search.set_params(cv=GroupKFold(3))
    with pytest.raises(ValueError, match=r"enable_metadata_routing=True.*weekday"):
        search.fit(X, y, groups=groups, weekday=y)
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(TypeError, match=r"unexpected argument.*weekday"),
    ):
        search.fit(X, y, groups=groups, weekday=y)
    # as if it were not there
    search.fit(X, y, groups=groups, weekday=None)


class Recorded(GroupKFold):
    """Keeps what it is asked to split."""

    asked: list[tuple[np.ndarray, Any]] = []

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        self.asked.append((np.asarray(X), groups))
        return super().split(X, y, groups)


def label_of(X: np.ndarray, rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The groups of some rows of X, found by their last column."""
    order = np.argsort(X[:, -1])
    return groups[order][np.searchsorted(X[order, -1], rows[:, -1])]


def nested(search: Any, name: str) -> Any:
    pipeline = make_pipeline(StandardScaler(with_mean=False, with_std=False), search)
    grid = {f"{type(search).__name__.lower()}__tol": [1e-4, 1e-6]}
    if name == "grid":
        return GridSearchCV(pipeline, grid, cv=Recorded(2), error_score="raise")
    if name == "random":
        return RandomizedSearchCV(
            pipeline, grid, n_iter=2, random_state=0, cv=Recorded(2), error_score="raise"
        )
    return SelectFromModel(search) if name == "selector" else pipeline


@pytest.mark.parametrize("name", ["pipeline", "grid", "random", "selector"])
def test_groups_reach_a_search_inside_of_others(
    search: Any, samples: Samples, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, groups = samples
    asked: list[tuple[np.ndarray, Any]] = []
    monkeypatch.setattr(Recorded, "asked", asked)
    search.set_params(cv=Recorded(2))
    with config_context(enable_metadata_routing=True):
        model = nested(search, name).fit(X, y, groups=groups)
    # two points, each on two outer folds, and a last fit
    assert len(asked) == (1 if name in ("pipeline", "selector") else 1 + 4 + 1)
    for rows, given in asked:
        np.testing.assert_array_equal(given, label_of(X, rows, groups))
    assert model is not None


def test_outer_folds_of_a_search_need_no_routing(search: Any, samples: Samples) -> None:
    X, y, groups = samples
    search.set_params(cv=2)
    name = "alphas" if isinstance(search, OSCARCV) else "max_features"
    outer = GridSearchCV(search, {name: [1, 2]}, cv=GroupKFold(3)).fit(X, y, groups=groups)
    splits = list(GroupKFold(3).split(X, y, groups))
    again = GridSearchCV(search, {name: [1, 2]}, cv=splits).fit(X, y)
    np.testing.assert_array_equal(
        outer.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"]
    )


def test_a_step_of_a_pipeline_gets_groups_without_routing(search: Any, samples: Samples) -> None:
    X, y, groups = samples
    search.set_params(cv=GroupKFold(3))
    alone = clone(search).fit(X, y, groups=groups)
    name = type(search).__name__.lower()
    pipeline = make_pipeline(StandardScaler(with_mean=False, with_std=False), search)
    pipeline.fit(X, y, **{f"{name}__groups": groups})
    np.testing.assert_allclose(pipeline[-1].coef_, alone.coef_, rtol=1e-9)
    outer = GridSearchCV(pipeline, {f"{name}__tol": [1e-6]}, cv=GroupKFold(2))
    outer.fit(X, y, groups=groups, **{f"{name}__groups": groups})
    assert np.isfinite(outer.best_score_)


def test_cross_validation_of_a_search_with_groups(search: Any, samples: Samples) -> None:
    X, y, groups = samples
    search.set_params(cv=GroupKFold(2))
    outer = GroupKFold(3)
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(search, X, y, cv=outer, params={"groups": groups})
        predicted = cross_val_predict(search, X, y, cv=outer, params={"groups": groups})
    for score, (train, test) in zip(scores, outer.split(X, y, groups), strict=True):
        alone = clone(search).fit(X[train], y[train], groups=groups[train])
        assert score == pytest.approx(alone.score(X[test], y[test]))
        np.testing.assert_allclose(predicted[test], alone.predict(X[test]))


def test_requests_are_those_of_searches_of_scikit_learn(search: Any, samples: Samples) -> None:
    X, y, groups = samples
    theirs = LassoCV()
    with config_context(enable_metadata_routing=True):
        for cv in (5, KFold(2), GroupKFold(2), LeaveOneGroupOut(), PredefinedSplit(y)):
            asked = [
                model.set_params(cv=cv)
                .get_metadata_routing()
                .consumes("fit", ["groups", "sample_weight", "weekday"])
                for model in (search, theirs)
            ]
            assert asked[0] == asked[1]
        # a splitter may call them otherwise
        cv = GroupKFold(2).set_split_request(groups="patient")
        model = search.set_params(cv=cv).fit(X, y, patient=groups)
        renamed = path_of(model).copy()
        model.set_params(cv=GroupKFold(2)).fit(X, y, groups=groups)
        np.testing.assert_array_equal(path_of(model), renamed)


def test_groups_weights_and_classes_go_together(samples: Samples) -> None:
    X, y, groups = samples
    names = np.array(["no", "yes"], dtype=object)[y]
    # rare, and in one group alone
    names[np.flatnonzero(groups == "c")[:5]] = "never"
    weights = 1.0 + np.abs(X[:, 0])
    model = L0ClassifierCV(max_features=1, cv=GroupKFold(3), class_weight="balanced")
    with pytest.warns(UserWarning, match=r"has no training sample of the classes \['never'\]"):
        model.fit(X, names, sample_weight=weights, groups=groups)
    splits = list(GroupKFold(3).split(X, names, groups))
    with pytest.warns(UserWarning, match="has no training sample"):
        again = clone(model).set_params(cv=splits).fit(X, names, sample_weight=weights)
    np.testing.assert_array_equal(model.score_path_, again.score_path_)


def test_a_search_in_the_middle_of_a_pipeline_gets_its_groups(
    search: Any, samples: Samples
) -> None:
    X, y, groups = samples
    search.set_params(cv=GroupKFold(3))
    alone = search.fit(X, y, groups=groups)
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(clone(search), LinearRegression()).fit(X, y, groups=groups)
        kept = clone(search).fit_transform(X, y, groups=groups)
    np.testing.assert_array_equal(model[0].get_support(), alone.get_support())
    np.testing.assert_array_equal(kept, X[:, alone.get_support()])
    assert model[1].n_features_in_ == alone.n_features_
