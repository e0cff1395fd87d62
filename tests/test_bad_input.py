"""One clear error for each kind of bad input, and an earlier fit that survives it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from sksparse import (
    OSCAR,
    SLOPE,
    GroupLassoSelector,
    InfFS,
    L0Regressor,
    SLOPEClassifier,
    SparseMLPClassifier,
)

N, P = 30, 4
GROUPS = [[0, 1], [2, 3]]


def make_data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P))
    return X, (X[:, 0] > 0).astype(int)


ESTIMATORS: dict[str, BaseEstimator] = {
    "L0Regressor": L0Regressor(),
    "OSCAR": OSCAR(),
    "SLOPEClassifier": SLOPEClassifier(),
    "GroupLassoSelector": GroupLassoSelector(groups=GROUPS),
    "InfFS": InfFS(supervised=True),
    "SparseMLPClassifier": SparseMLPClassifier((8,), max_iter=3, random_state=0),
}


def with_nan(X: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    X[1, 2] = np.nan
    return X, y


def with_inf(X: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    X[1, 2] = np.inf
    return X, y


def nan_target(X: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    y = y.astype(float)
    y[3] = np.nan
    return X, y


BAD_DATA = {
    "nan": (with_nan, "NaN"),
    "inf": (with_inf, "infinity"),
    "nan target": (nan_target, "y contains NaN"),
    "no samples": (lambda X, y: (X[:0], y[:0]), "0 sample"),
    "no features": (lambda X, y: (X[:, :0], y), "0 feature"),
    "one-dimensional": (lambda X, y: (X[:, 0], y), "Expected 2D array, got 1D"),
    "lengths differ": (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
    "matrix target": (lambda X, y: (X, np.c_[y, 2 * y]), "y should be a 1d array"),
    "text": (lambda X, y: (np.full(X.shape, "a"), y), "could not convert string to float"),
    "no target": (lambda X, y: (X, None), "requires y to be passed"),
}


@pytest.mark.parametrize("kind", sorted(BAD_DATA))
@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_bad_data_is_refused_and_the_earlier_fit_survives(name: str, kind: str) -> None:
    estimator = ESTIMATORS[name].fit(*make_data())
    before = pickle.dumps(estimator)
    spoil, message = BAD_DATA[kind]
    X, y = spoil(*make_data(seed=1))
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y)
    assert pickle.dumps(estimator) == before


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_a_failed_refit_on_other_columns_leaves_everything(name: str) -> None:
    X, y = make_data()
    frame = pd.DataFrame(X, columns=list("abcd"))
    estimator = ESTIMATORS[name].fit(frame, y)
    before = pickle.dumps(estimator)
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(pd.DataFrame({"other": [1.0, np.nan, 2.0], "names": 1.0}), y[:3])
    assert pickle.dumps(estimator) == before


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.zeros(N), "[Ss]ample.weight"),
        (-np.ones(N), "[Nn]egative|must be zero or positive"),
        (np.ones(N - 1), "[Ss]ample.weight"),
        (np.full(N, np.nan), "NaN"),
    ],
)
@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_bad_weights(name: str, weights: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ESTIMATORS[name].fit(*make_data(), sample_weight=weights)


BAD_PARAMETERS = [
    (L0Regressor, {"alpha": -1.0}, r"'alpha'.*Got -1\.0"),
    (L0Regressor, {"max_features": 0}, r"'?max_features'?.*0"),
    (L0Regressor, {"l2": -0.5}, r"'l2'.*Got -0\.5"),
    (L0Regressor, {"max_iter": 0}, r"'max_iter'.*Got 0"),
    (OSCAR, {"alpha": -1.0}, r"'alpha'.*Got -1\.0"),
    (OSCAR, {"pairwise": 1.5}, r"'pairwise'.*Got 1\.5"),
    (OSCAR, {"tol": "small"}, r"'tol'.*Got 'small'"),
    (OSCAR, {"ranks": 1}, r"'ranks'.*Got 1 instead"),
    (OSCAR, {"max_features": 0}, r"'max_features'.*Got 0"),
    (OSCAR, {"max_features": 2, "max_clusters": 1}, r"max_features=2 and max_clusters=1.*one of"),
    (SLOPE, {"lambdas": "bonferroni"}, r"'lambdas'.*Got 'bonferroni'"),
    (SLOPE, {"lambdas": [2, 1]}, r"lambdas=\[2, 1\] have shape \(2,\).*give 4 weights"),
    (SLOPE, {"lambdas": [1, 1, 2, 1]}, r"lambdas=.*increase from 1 to 2.*give 4 weights"),
    (SLOPE, {"lambdas": [3, 2, 1, -1]}, r"lambdas=.*negative entry, -1.*give 4 weights"),
    (SLOPE, {"lambdas": [3, 2, np.nan, 1]}, r"lambdas=.*not all finite.*give 4 weights"),
    (SLOPE, {"lambdas": [0, 0, 0, 0]}, r"lambdas=.*all zero.*give 4 weights"),
    (SLOPE, {"lambdas": ["a", "b", "c", "d"]}, r"lambdas=.*not numbers.*give 4 weights"),
    (SLOPE, {"q": 0.0}, r"'q'.*Got 0\.0"),
    (SLOPE, {"q": 1.0}, r"'q'.*Got 1\.0"),
    (SLOPEClassifier, {"class_weight": "heavy"}, r"'class_weight'.*Got 'heavy'"),
    (GroupLassoSelector, {"alpha": -1.0}, r"'alpha'.*Got -1\.0"),
    (GroupLassoSelector, {"l1_ratio": 2.0}, r"'l1_ratio'.*Got 2\.0"),
    (GroupLassoSelector, {"loss": "hinge"}, r"'loss'.*Got 'hinge'"),
    (GroupLassoSelector, {"groups": "colour"}, r"'groups'.*Got 'colour'"),
    (GroupLassoSelector, {"groups": [0, 1, 0]}, r"one label per feature \(4\).*3 entries"),
    (GroupLassoSelector, {"groups": [[0, 1], [1, 2, 3]]}, r"overlap: column 1"),
    (GroupLassoSelector, {"groups": [[0, 1], [2]]}, r"incomplete: no group holds column.*\[3\]"),
    (GroupLassoSelector, {"groups": [[0, 1], [2, 3], []]}, r"group 2 is empty"),
    (GroupLassoSelector, {"groups": [[0, 1], [2, 4]]}, r"column 4.*out of range.*0 to 3"),
    (GroupLassoSelector, {"groups": [[0, 1], [2, -1]]}, r"column -1.*out of range"),
    (GroupLassoSelector, {"groups": [[0, 1], [2, 2.5]]}, r"column 2\.5.*neither a position"),
    (GroupLassoSelector, {"groups": {"g": ["a", "b"]}}, r"unknown column 'a'.*no column names"),
    (GroupLassoSelector, {"groups": [0, 0, [1], 1]}, r"one label per feature"),
    (GroupLassoSelector, {"groups": GROUPS, "penalty_weights": [1.0]}, r"shape \(2,\).*\(1,\)"),
    (GroupLassoSelector, {"groups": GROUPS, "penalty_weights": [1, -1]}, r"non-negative.*-1"),
    (GroupLassoSelector, {"groups": GROUPS, "penalty_weights": ["a", 1]}, r"numbers.*'a'"),
    (InfFS, {"max_features": 0}, r"'max_features'.*Got 0"),
    (InfFS, {"mixing": 1.5}, r"mixing.*1\.5"),
    (InfFS, {"mixing": [0.2, 0.8]}, r"mixing=\[0\.2, 0\.8\] must be one share"),
    (InfFS, {"mixing": 0.5, "supervised": True}, r"mixing=0\.5 must be three numbers"),
    (InfFS, {"supervised": "yes"}, r"'supervised'.*Got 'yes'"),
    (SparseMLPClassifier, {"alpha": -1.0}, r"'?alpha'?.*-1\.0"),
    (SparseMLPClassifier, {"target_sparsity": 1.0}, r"'?target_sparsity'?.*1\.0"),
    (SparseMLPClassifier, {"target_sparsity": -0.1}, r"'?target_sparsity'?.*-0\.1"),
    (SparseMLPClassifier, {"target_flops": 0.0}, r"'target_flops'.*0\.0"),
    (SparseMLPClassifier, {"target_units": 1.5}, r"'target_units'.*1\.5"),
    (SparseMLPClassifier, {"granularity": "filter"}, r"granularity='filter'.*'weight'"),
    (SparseMLPClassifier, {"compact": "yes"}, r"'compact'.*yes"),
    (SparseMLPClassifier, {"sparsifier": "magic"}, r"sparsifier.*magic"),
    (SparseMLPClassifier, {"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes.*0"),
    (SparseMLPClassifier, {"max_iter": 0}, r"'?max_iter'?.*0"),
    (SparseMLPClassifier, {"batch_size": -3}, r"'?batch_size'?.*-3"),
    (SparseMLPClassifier, {"device": "abacus"}, r"'?device'?.*abacus"),
]


@pytest.mark.parametrize(
    "cls, params, message", BAD_PARAMETERS, ids=[f"{c.__name__}-{p}" for c, p, _ in BAD_PARAMETERS]
)
def test_bad_parameters_name_argument_and_value(
    cls: type[BaseEstimator], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cls(**params).fit(*make_data())


def test_unknown_column_names_list_what_there_is() -> None:
    X, y = make_data()
    frame = pd.DataFrame(X, columns=["age", "bmi", "sex_f", "sex_m"])
    selector = GroupLassoSelector(groups={"sex": ["sex_f", "sex_x"], "rest": ["age", "bmi"]})
    with pytest.raises(ValueError, match=r"unknown column 'sex_x' in group 'sex'.*'sex_m'"):
        selector.fit(frame, y)
    selector.set_params(groups={"sex": ["sex_f", "sex_m"], "rest": ["age"]})
    with pytest.raises(ValueError, match=r"no group holds column\(s\) \['bmi'\]"):
        selector.fit(frame, y)


@pytest.mark.parametrize("labels", [np.ones(N), np.array(["one"] * N)])
def test_one_class_is_refused(labels: np.ndarray) -> None:
    X, _ = make_data()
    for loss in ("auto", "logistic"):
        with pytest.raises(ValueError, match=r"1 class"):
            GroupLassoSelector(loss=loss).fit(X, labels)
    with pytest.raises(ValueError, match=r"(one|1|single) class"):
        SparseMLPClassifier().fit(X, labels)


def test_three_classes_are_refused_by_losses_of_others() -> None:
    X, _ = make_data()
    labels = np.array(["a", "b", "c"] * 10)
    with pytest.raises(ValueError, match=r"exactly two classes.*Use loss='multinomial'"):
        GroupLassoSelector(loss="logistic").fit(X, labels)
    with pytest.raises(ValueError, match="needs numeric targets"):
        GroupLassoSelector(loss="squared").fit(X, labels)
    with pytest.raises(ValueError, match=r"whole numbers with 30 distinct values are many"):
        GroupLassoSelector().fit(X, np.arange(30))


def test_classes_without_weight_leave_one_class() -> None:
    X, y = make_data()
    with pytest.raises(ValueError, match="1 class"):
        GroupLassoSelector(loss="logistic").fit(X, y, sample_weight=(y == 0).astype(float))


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_predicting_with_other_columns_is_refused(name: str) -> None:
    X, y = make_data()
    estimator = ESTIMATORS[name].fit(X, y)
    method = estimator.transform if name in ("GroupLassoSelector", "InfFS") else estimator.predict
    with pytest.raises(ValueError, match="X has 3 features"):
        method(X[:, :3])
