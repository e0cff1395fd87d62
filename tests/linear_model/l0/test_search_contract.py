"""The searches along limits and strengths: data of every form, refusals, interruptions."""

from __future__ import annotations

import dataclasses
import pickle
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.linear_model import (
    L0ClassifierCV,
    L0RegressorCV,
)
from sksparse.linear_model.l0._task import SubsetTask
from sksparse.solvers import Solution, Status, SubsetDescent

FOLDS = KFold(4, shuffle=True, random_state=0)


# One check makes folds of a class with two samples.
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@parametrize_with_checks(
    [
        L0RegressorCV(),
        L0RegressorCV(alphas=3, cv=3, selection="1se", scoring="r2"),
        L0ClassifierCV(max_features=2),
        L0ClassifierCV(max_features=2, cv=3),
        L0ClassifierCV(max_features=2, cv=2, scoring="accuracy"),
    ]
)
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_sklearn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_sparse_single_and_frames(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    X = np.where(np.abs(X) > 0.5, X, 0.0)
    reference = L0RegressorCV(max_features=5, cv=FOLDS).fit(X, y)
    for make in (sp.csr_array, sp.csc_matrix):
        model = clone(reference).fit(make(X), y)
        np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-9)
        np.testing.assert_allclose(model.mse_path_, reference.mse_path_, rtol=1e-9)
    single = np.asfortranarray(X, dtype=np.float32)
    single.flags.writeable = False
    model = clone(reference).fit(single, y)
    assert model.coef_.dtype == model.coef_path_.dtype == np.float32
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-3)
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(30)])
    model = clone(reference).fit(frame, y)
    assert set(model.get_feature_names_out()) == {f"x{j}" for j in np.flatnonzero(model.coef_)}


def test_pipelines_pickles_and_jobs(classes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = classes
    pipeline = make_pipeline(StandardScaler(), L0ClassifierCV(max_features=3, cv=3, n_jobs=2))
    with parallel_config("threading"):
        pipeline.fit(X, y)
    alone = clone(pipeline).set_params(l0classifiercv__n_jobs=None).fit(X, y)
    np.testing.assert_array_equal(pipeline[-1].score_path_, alone[-1].score_path_)
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict_proba(X), pipeline.predict_proba(X))


def test_another_search_leaves_nothing_of_the_last(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    model = L0RegressorCV(max_features=2, cv=FOLDS).fit(X, y)
    assert not hasattr(model, "criterion_path_")
    model.set_params(cv=None, max_features=None, alphas=[0.1]).fit(X, y)
    assert not hasattr(model, "mse_path_")
    assert not hasattr(model, "sizes_")
    np.testing.assert_array_equal(model.alphas_, [0.1])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_features": [-1]}, r"max_features=\[-1\].*not negative"),
        ({"max_features": [1.5]}, r"max_features=\[1.5\].*integers"),
        ({"max_features": 3, "alphas": 4}, "exclude each other"),
        ({"alphas": [-1.0]}, r"alphas=\[-1.0\].*non-negative"),
        ({"alphas": ["a"]}, "must be numbers"),
        ({"selection": "1se"}, "cv is None: give cv"),
        ({"criterion": "cp"}, "'criterion'"),
        ({"l2": -1.0}, "'l2'"),
        ({"penalty_weights": [1.0]}, "one factor per feature"),
        ({"positive": [True]}, "positive must be"),
        ({"cv": [(np.arange(40), np.array([], int))]}, "fold 1/1 has no test sample"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    problem: tuple[np.ndarray, np.ndarray], options: dict[str, Any], message: str
) -> None:
    X, y = problem
    model = L0RegressorCV(max_features=1).fit(X[:, :9], y)
    before = model.predict(X[:, :9])
    with pytest.raises(ValueError, match=message):
        model.set_params(**{"max_features": None, **options}).fit(X, y)
    np.testing.assert_array_equal(model.predict(X[:, :9]), before)


def test_bad_requests_of_classifiers(classes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = classes
    with pytest.raises(ValueError, match=r"scoring='accuracy'.*cv is None"):
        L0ClassifierCV(scoring="accuracy").fit(X, y)
    order = np.argsort(y)
    half = [(order[:30], order[30:])]
    with pytest.raises(ValueError, match=r"fold 1/1 has no training sample of the classes \['yes'"):
        L0ClassifierCV(cv=half).fit(X, y)
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="positive=True is for two classes, and y has 3"):
        L0ClassifierCV(positive=True).fit(X, y)


def test_progress_is_printed_when_asked(
    problem: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = problem
    L0RegressorCV(max_features=2, cv=3).fit(X, y)
    assert capsys.readouterr().out == ""
    L0RegressorCV(max_features=2, cv=3, verbose=2).fit(X, y)
    out = capsys.readouterr().out.splitlines()
    lines = [line for line in out if line.startswith("[L0RegressorCV]")]
    assert len(lines) == 5
    assert re.match(r".* fold 3/3, .* s: max_features 0 to 2, least mean squared error", lines[3])
    assert "chose" in lines[4]


def test_fits_that_do_not_converge_warn_once(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 3000)) + 3 * rng.standard_normal((100, 1))
    y = X @ rng.standard_normal(3000)
    with pytest.warns(ConvergenceWarning, match="increase max_iter=1") as caught:
        L0RegressorCV(alphas=[1e-4 * y.var()], max_iter=1, cv=2).fit(X, y)
    assert len(caught) == 1


def test_an_interruption_leaves_the_earlier_fit(
    problem: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = problem
    model = L0RegressorCV(alphas=[1.0, 0.1], cv=3).fit(X, y)
    before = model.coef_.copy()

    def step(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SubsetDescent, "step", step)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(cv=None).fit(X, y)
    np.testing.assert_array_equal(model.coef_, before)
    assert model.mse_path_.shape == (2, 3)


def test_no_splits_are_refused() -> None:
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match=r"cv=\[\] has no splits"):
        L0RegressorCV(cv=[]).fit(X, y)


@pytest.mark.filterwarnings("ignore:The last fit was interrupted")
def test_an_interrupted_last_fit_leaves_the_answer_of_the_path(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.standard_normal((60, 12))
    y = X[:, :3].sum(axis=1) + 0.3 * rng.standard_normal(60)
    whole = L0RegressorCV().fit(X, y)
    fit = SubsetTask.fit

    def half_grown(task: SubsetTask, **options: Any) -> Solution:
        found = fit(task, **options)
        return dataclasses.replace(
            found, coef=np.zeros(12), status=Status.INTERRUPTED, message="interrupted"
        )

    monkeypatch.setattr(SubsetTask, "fit", half_grown)
    model = L0RegressorCV().fit(X, y)
    assert model.n_features_ == whole.n_features_ == 3
    np.testing.assert_allclose(model.coef_, whole.coef_, atol=1e-8)
