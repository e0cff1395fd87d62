"""The picture of clusters shows what a model ties, and how its features correlate."""

from __future__ import annotations

import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sksparse.inspection import ClusterDisplay
from sksparse.linear_model import OSCAR, OSCARCV, GrOWL, OSCARClassifier, SLOPEClassifier

COEF = np.array([0.0, 2.0, -1.0, 2.0, 1.0, -0.5])
CLUSTERS = [np.array([1, 3]), np.array([2, 4]), np.array([5])]


@pytest.fixture(scope="module")
def cells() -> tuple[pd.DataFrame, pd.Series]:
    data = load_breast_cancer(as_frame=True).data
    return data.filter(regex="^mean"), data["worst perimeter"]


def correlation(n: int = 6, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.corrcoef(rng.standard_normal((30, n)) + rng.standard_normal((30, 1)), rowvar=False)


def rows(display: ClusterDisplay) -> list[str]:
    return [text.get_text() for text in display.ax_.get_yticklabels()]


def test_features_stand_by_cluster_with_their_signs_aligned() -> None:
    given = correlation()
    display = ClusterDisplay(COEF, given, CLUSTERS, feature_names=list("abcdef")).plot()
    order = display.order_
    assert [sorted(order[:2]), sorted(order[2:4]), list(order[4:])] == [[1, 3], [2, 4], [5]]
    signs = np.sign(COEF[order])
    np.testing.assert_allclose(display.matrix_, signs[:, None] * given[order][:, order] * signs)
    np.testing.assert_array_equal(display.image_.get_array(), display.matrix_)
    assert rows(display) == [("−" if COEF[j] < 0 else "") + "abcdef"[j] for j in order]


def test_frames_bars_and_sizes_are_those_of_the_clusters() -> None:
    display = ClusterDisplay(COEF, correlation(), CLUSTERS).plot()
    assert [bar.get_width() for bar in display.bars_] == [2.0, 1.0, 0.5]
    assert [bar.get_height() for bar in display.bars_] == [2, 2, 1]
    assert [bar.get_y() for bar in display.bars_] == [-0.5, 1.5, 3.5]
    # a feature alone has no frame
    assert [frame.get_xy() for frame in display.frames_] == [(-0.5, -0.5), (1.5, 1.5)]
    assert [frame.get_width() for frame in display.frames_] == [2, 2]
    assert [text.get_text() for text in display.text_] == ["2 tied", "2 tied"]
    assert display.bar_ax_.get_ylim() == display.ax_.get_ylim()
    assert display.figure_ is display.ax_.figure is display.bar_ax_.figure


def test_magnitudes_of_correlations_on_demand() -> None:
    given = correlation()
    display = ClusterDisplay(COEF, given, CLUSTERS).plot(absolute=True, cmap="viridis")
    expected = np.abs(given)[np.ix_(display.order_, display.order_)]
    np.testing.assert_array_equal(display.matrix_, expected)
    assert display.image_.get_clim() == (0.0, 1.0)
    assert display.image_.get_cmap().name == "viridis"


def test_of_several_outputs_norms_and_inner_products_count() -> None:
    coef = np.array([[3.0, -4.0, 0.0], [4.0, -3.0, 1.0]])
    given = correlation(3)
    display = ClusterDisplay(coef, given, [[0, 1], [2]]).plot()
    assert [bar.get_width() for bar in display.bars_] == pytest.approx([5.0, 1.0])
    products = np.sign(coef.T @ coef)
    expected = (given * products)[np.ix_(display.order_, display.order_)]
    np.testing.assert_allclose(display.matrix_, expected)
    assert sorted(rows(display)) == ["x0", "x1", "x2"]
    assert display.bar_ax_.get_xlabel() == "norm"


def test_within_a_cluster_what_correlates_is_next_to_each_other() -> None:
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((200, 3))
    mixed = rng.permutation(np.repeat([0, 1, 2], 4))
    signs = rng.choice([-1.0, 1.0], 12)
    X = causes[:, mixed] * signs + 0.3 * rng.standard_normal((200, 12))
    display = ClusterDisplay(signs, np.corrcoef(X.T), [range(12)]).plot()
    assert np.count_nonzero(np.diff(mixed[display.order_])) == 2


def test_a_fitted_estimator_in_a_pipeline_and_a_search(
    cells: tuple[pd.DataFrame, pd.Series],
) -> None:
    X, y = cells
    pipeline = make_pipeline(StandardScaler(), OSCAR(pairwise=0.8))
    search = GridSearchCV(pipeline, {"oscar__alpha": [1.0]}, cv=2).fit(X, y)
    display = ClusterDisplay.from_estimator(search, X)
    model = search.best_estimator_[-1]
    used = np.concatenate(model.clusters_)
    names = X.columns[used][display.order_]
    assert [name.lstrip("−") for name in rows(display)] == list(names)
    signs = np.sign(model.coef_[used][display.order_])
    expected = X[names].corr().to_numpy() * np.outer(signs, signs)
    np.testing.assert_allclose(display.matrix_, expected)
    shared = [abs(model.coef_[cluster[0]]) for cluster in model.clusters_]
    np.testing.assert_allclose([bar.get_width() for bar in display.bars_], shared)
    # names of the user govern
    letters = list("abcdefghij")
    display = ClusterDisplay.from_estimator(search, X, feature_names=letters)
    assert {name.lstrip("−") for name in rows(display)} == {letters[j] for j in used}


def test_classes_and_several_targets(cells: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = cells
    X = (X - X.mean()) / X.std()
    grades = np.digitize(y, [90, 130])
    binary = OSCARClassifier(0.05, pairwise=0.9).fit(X, grades > 0)
    several = SLOPEClassifier(0.02, lambdas="oscar", pairwise=0.9).fit(X, grades)
    targets = GrOWL(0.2, pairwise=0.9).fit(X, X.iloc[:, :2] + y.to_numpy()[:, None] / 30)
    for model in (binary, several, targets):
        display = ClusterDisplay.from_estimator(model, X)
        used = np.concatenate(model.clusters_)
        np.testing.assert_allclose([bar.get_width() for bar in display.bars_], model.cluster_coef_)
        coef = model.coef_[:, used][:, display.order_]
        expected = np.corrcoef(X.to_numpy()[:, used][:, display.order_].T)
        np.testing.assert_allclose(
            display.matrix_, expected * np.where(coef.T @ coef < 0, -1, 1), atol=1e-12
        )
        assert max(map(len, model.clusters_)) > 1
    dense = ClusterDisplay.from_estimator(binary, X).matrix_
    display = ClusterDisplay.from_estimator(binary.sparsify(), X)
    np.testing.assert_array_equal(display.matrix_, dense)


def test_a_search_along_the_path(cells: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = cells
    model = OSCARCV(alphas=10, cv=3).fit(X.to_numpy(), y)
    display = ClusterDisplay.from_estimator(model, X.to_numpy())
    assert len(display.order_) == model.n_features_
    assert len(display.bars_) == len(model.clusters_)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array, np.float32])
def test_sparse_and_single_precision_features(
    cells: tuple[pd.DataFrame, pd.Series], kind: Any
) -> None:
    X = StandardScaler().fit_transform(cells[0])
    X[:, 3] = X[:, 3] > 1.0
    model = OSCAR(alpha=0.5, pairwise=0.8).fit(X, cells[1])
    weights = np.arange(1.0, len(X) + 1.0)
    display = ClusterDisplay.from_estimator(model, kind(X), sample_weight=weights)
    used = np.concatenate(model.clusters_)[display.order_]
    covariance = np.cov(X[:, used], rowvar=False, aweights=weights)
    scale = np.sign(model.coef_[used]) / np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(display.matrix_, covariance * np.outer(scale, scale), atol=1e-5)


def test_a_constant_column_and_enormous_ones_have_correlations() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    model = OSCAR(alpha=0.0).fit(X, X.sum(axis=1))
    X[:, 1] = 7.0
    X[:, 2] *= 1e200
    for given in (X, sparse.csc_array(X)):
        display = ClusterDisplay.from_estimator(model, given)
        place = list(display.order_)
        original = np.concatenate(model.clusters_)[place]
        constant = list(original).index(1)
        assert not np.any(display.matrix_[constant])
        rest = np.delete(np.arange(4), constant)
        expected = np.corrcoef(
            X[:, original[rest]] / np.abs(X[:, original[rest]]).max(axis=0), rowvar=False
        )
        np.testing.assert_allclose(display.matrix_[np.ix_(rest, rest)], expected)


def test_nothing_in_use_is_said_in_the_picture(cells: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = cells
    display = ClusterDisplay.from_estimator(OSCAR(alpha=1e6).fit(X, y), X)
    assert [text.get_text() for text in display.text_] == [
        "No feature is in use: there are no clusters."
    ]
    assert display.image_ is None
    assert display.frames_ == display.bars_ == []
    assert display.matrix_.shape == (0, 0)


def test_one_cluster_and_one_feature() -> None:
    display = ClusterDisplay(np.ones(6), correlation(), [range(6)]).plot()
    assert [text.get_text() for text in display.text_] == ["6 tied"]
    assert len(display.frames_) == 1
    display = ClusterDisplay([3.0], [[1.0]], [[0]]).plot()
    assert rows(display) == ["x0"]


def test_of_many_features_the_largest_are_drawn_and_some_named() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 400))
    magnitudes = np.repeat(np.arange(200.0, 0.0, -1.0), 2)
    model = OSCAR(alpha=0.0, max_iter=1).fit(X[:, :1], X[:, 0])
    # a model whose coefficients are known
    model.coef_, model.n_features_in_ = magnitudes, 400
    model.clusters_ = list(np.arange(400).reshape(200, 2))
    display = ClusterDisplay.from_estimator(model, X, n_features=301)
    assert len(display.order_) == 301
    assert display.ax_.get_title() == "301 of 400 features in use"
    # the last cluster is cut
    assert [bar.get_height() for bar in display.bars_[-2:]] == [2, 1]
    assert 10 < len(rows(display)) < 60
    assert display.text_ == []
    whole = ClusterDisplay.from_estimator(model, X)
    assert len(whole.order_) == 400
    assert whole.ax_.get_title() == ""


def test_it_is_drawn_where_asked() -> None:
    axes = plt.subplots(1, 2)[1]
    display = ClusterDisplay(COEF, correlation(), CLUSTERS).plot(axes)
    assert [display.ax_, display.bar_ax_] == list(axes)
    _, (left, right) = plt.subplots(1, 2)
    display.plot(left)
    assert display.figure_ is right.figure
    with pytest.raises(ValueError, match="ax holds 3 axes, but 2 panels"):
        display.plot(plt.subplots(3)[1])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"correlation": np.eye(5)}, r"coef of shape \(6,\) and correlation of shape \(5, 5\)"),
        ({"coef": 3.0}, "a row and a column for each column of coef"),
        ({"clusters": [[1, 3], [3]]}, "each at most once"),
        ({"clusters": [[1, 6]]}, "got 1 clusters of 2 positions for 6 features"),
        ({"clusters": [[1], []]}, "at least one in a cluster"),
        ({"feature_names": ["a"]}, "feature_names has 1 names"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    arrays = {"coef": COEF, "correlation": correlation(), "clusters": CLUSTERS, **options}
    with pytest.raises(ValueError, match=message):
        ClusterDisplay(**arrays).plot()


def test_what_has_no_clusters_or_other_features_is_refused(
    cells: tuple[pd.DataFrame, pd.Series],
) -> None:
    X, y = cells
    with pytest.raises(TypeError, match="Ridge has no clusters_: give a fitted OSCAR, SLOPE or"):
        ClusterDisplay.from_estimator(make_pipeline(Ridge()).fit(X, y), X)
    model = OSCAR().fit(X.to_numpy(), y)
    with pytest.raises(ValueError, match="X has 9 features, but OSCAR is expecting 10"):
        ClusterDisplay.from_estimator(model, X.to_numpy()[:, 1:])
    with pytest.raises(ValueError, match="n_features=0 must be at least 1"):
        ClusterDisplay.from_estimator(model, X.to_numpy(), n_features=0)
    with pytest.raises(ValueError, match="sample_weight is zero for every sample"):
        ClusterDisplay.from_estimator(model, X.to_numpy(), sample_weight=np.zeros(len(X)))


def test_a_pipeline_of_one_step_and_names_that_are_lost(
    cells: tuple[pd.DataFrame, pd.Series],
) -> None:
    X, y = cells
    display = ClusterDisplay.from_estimator(make_pipeline(OSCAR(4.0)).fit(X, y), X)
    assert {name.lstrip("−") for name in rows(display)} <= set(X.columns)
    unnamed = make_pipeline(FunctionTransformer(np.asarray), OSCAR(4.0)).fit(X.to_numpy(), y)
    display = ClusterDisplay.from_estimator(unnamed, X.to_numpy())
    assert {name.lstrip("−") for name in rows(display)} <= {f"x{j}" for j in range(10)}


def test_a_missing_matplotlib_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match=r"ClusterDisplay.plot requires matplotlib"):
            ClusterDisplay(COEF, correlation(), CLUSTERS).plot()
