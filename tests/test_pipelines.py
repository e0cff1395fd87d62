"""The main job: a strength searched inside a pipeline, on a frame with text columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sksparse import OSCAR, GroupLassoSelector, L0Regressor, SLOPEClassifier, SparseMLPClassifier

# Short trainings of networks stop before they converge, and say so; that is not the point here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CITIES = ["Bonn", "Lima", "Oslo"]
GROUPS = {
    "city": [f"city_{name}" for name in CITIES],
    "age": ["age"],
    "height": ["height"],
    "noise": ["noise"],
}


@pytest.fixture
def frame(rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "city": rng.choice(CITIES, 120),
            "age": rng.uniform(18, 80, 120),
            "height": rng.normal(170, 10, 120),
            "noise": rng.standard_normal(120),
        }
    )


@pytest.fixture
def target(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    effect = frame["city"].map({"Bonn": 0.0, "Lima": 1.0, "Oslo": 3.0}) + frame["age"] / 20
    return effect + 0.1 * rng.standard_normal(120)


def make_pipeline(*steps: tuple[str, Any]) -> Pipeline:
    encode = ColumnTransformer(
        [
            ("text", OneHotEncoder(categories=[CITIES], sparse_output=False), ["city"]),
            ("number", StandardScaler(), ["age", "height", "noise"]),
        ],
        verbose_feature_names_out=False,
    )
    return Pipeline([("encode", encode), *steps]).set_output(transform="pandas")


ALPHAS = [0.001, 0.01, 0.1]
REGRESSION: dict[str, tuple[list[tuple[str, BaseEstimator]], str]] = {
    "L0Regressor": ([("model", L0Regressor())], "model__alpha"),
    "OSCAR": ([("model", OSCAR())], "model__alpha"),
    "GroupLassoSelector": (
        [("select", GroupLassoSelector(groups=GROUPS)), ("model", LinearRegression())],
        "select__alpha",
    ),
}
CLASSIFICATION: dict[str, tuple[list[tuple[str, BaseEstimator]], str]] = {
    "GroupLassoSelector": (
        [("select", GroupLassoSelector(groups=GROUPS)), ("model", LogisticRegression())],
        "select__alpha",
    ),
    "SLOPEClassifier": ([("model", SLOPEClassifier())], "model__alpha"),
    "l0": (
        [("model", SparseMLPClassifier((16,), max_iter=30, random_state=0))],
        "model__alpha",
    ),
    "magnitude": (
        [
            (
                "model",
                SparseMLPClassifier((16,), sparsifier="magnitude", max_iter=30, random_state=0),
            )
        ],
        "model__alpha",
    ),
}


@pytest.mark.parametrize("name", sorted(REGRESSION))
def test_strength_is_searched_for_regression(
    name: str, frame: pd.DataFrame, target: pd.Series
) -> None:
    steps, parameter = REGRESSION[name]
    search = GridSearchCV(make_pipeline(*steps), {parameter: ALPHAS}, cv=3, n_jobs=2)
    search.fit(frame, target)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    assert search.score(frame, target) > 0.9
    kept = search.best_estimator_[1].get_feature_names_out()
    assert {"city_Oslo", "age"} <= set(kept)
    assert "noise" not in kept or search.best_params_[parameter] == ALPHAS[0]


@pytest.mark.parametrize("name", sorted(CLASSIFICATION))
def test_strength_is_searched_for_classification(
    name: str, frame: pd.DataFrame, target: pd.Series
) -> None:
    steps, parameter = CLASSIFICATION[name]
    labels = np.where(target > target.median(), "high", "low")
    search = GridSearchCV(make_pipeline(*steps), {parameter: ALPHAS}, cv=3, n_jobs=2)
    search.fit(frame, labels)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    assert search.score(frame, labels) > 0.8
    assert set(search.predict(frame)) == {"high", "low"}


def test_selector_hands_a_frame_to_the_next_step(frame: pd.DataFrame, target: pd.Series) -> None:
    steps, _ = REGRESSION["GroupLassoSelector"]
    pipeline = make_pipeline(*steps).set_params(select__alpha=0.1).fit(frame, target)
    assert pipeline["model"].feature_names_in_.tolist() == [*GROUPS["city"], "age"]


@pytest.mark.parametrize(
    "model",
    [
        L0Regressor(),
        OSCAR(),
        SparseMLPClassifier((16,), target_sparsity=0.5, max_iter=30, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_select_features_for_others(
    model: BaseEstimator, frame: pd.DataFrame, target: pd.Series
) -> None:
    y = (target > target.median()).astype(int) if hasattr(model, "sparsifier") else target
    select = SelectFromModel(model, max_features=2, threshold=-np.inf)
    pipeline = make_pipeline(("select", select)).fit(frame, y)
    kept = pipeline.transform(frame)
    assert isinstance(kept, pd.DataFrame)
    assert kept.shape == (120, 2)
    assert "age" in kept.columns or "city_Oslo" in kept.columns
