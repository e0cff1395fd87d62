"""What SparseMLPClassifier promises: sparsity, reproducibility, kinds of input, composition."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from small_networks import (
    NAMES,
    SPARSE_NAMES,
    assert_global_state,
    assert_same_fit,
    global_state,
    make,
)
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import HardConcrete, Magnitude

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


# --- what a fit leaves behind ---------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.97])
@pytest.mark.parametrize(
    "sparsifier",
    ["l0", "magnitude", HardConcrete(granularity="input")],
    ids=["l0", "magnitude", "l0 input"],
)
def test_target_is_met_to_one_weight(data: Any, sparsifier: Any, sparsity: float) -> None:
    model = make(sparsifier, target_sparsity=sparsity, max_iter=8).fit(*data)
    total = 12 * 16 + 16 * 3
    zeros = sum(int((c == 0).sum()) for c in model.coefs_)
    assert zeros == round(sparsity * total)
    assert model.sparsity_ == zeros / total


def test_target_governs_over_alpha(data: Any) -> None:
    for name in SPARSE_NAMES:
        fits = [make(name, alpha=a, target_sparsity=0.6).fit(*data) for a in (None, 0.0, 10.0)]
        assert_same_fit(fits[0], fits[1])
        assert_same_fit(fits[0], fits[2])


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.parametrize(
    "name, alphas", [("l0", [0.0, 1e-3, 1e-2, 1.0]), ("magnitude", [0.0, 0.5, 1.0, 2.0])]
)
def test_larger_alpha_is_never_denser(data: Any, name: str, alphas: list[float]) -> None:
    sparsities = [make(name, alpha=a, max_iter=30).fit(*data).sparsity_ for a in alphas]
    assert sparsities == sorted(sparsities)
    assert sparsities[-1] > sparsities[0] + 0.3


@pytest.mark.parametrize("name", NAMES)
def test_fitted_module_is_plain_and_attributes_are_numpy_or_python(data: Any, name: Any) -> None:
    model = make(name).fit(*data)
    assert [type(m) for m in model.module_] == [nn.Linear, nn.ReLU, nn.Linear]
    assert list(model.module_.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(type(p) is nn.Parameter for p in model.module_.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module_.modules())
    assert type(model.sparsity_) is float
    assert list(model.density_by_layer_) == ["0.weight", "2.weight"]
    assert all(type(d) is float for d in model.density_by_layer_.values())
    assert all(type(n) is int for n in model.architecture_)
    assert model.feature_importances_.shape == (12,)
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert [e["epoch"] for e in model.history_] == list(range(1, model.n_iter_ + 1))
    assert {"phase", "loss", "sparsity", "seconds"} <= set(model.history_[0])
    assert model.loss_ == model.history_[-1]["loss"]


def test_architecture_counts_units_on_live_paths(data: Any) -> None:
    model = make("magnitude", target_sparsity=0.95).fit(*data)
    first, second = model.coefs_
    joined = [h for h in range(16) if first[:, h].any() and second[h].any()]
    used = [i for i in range(12) if first[i, joined].any()]
    assert model.architecture_ == (len(used), len(joined), 3)
    assert set(np.flatnonzero(model.feature_importances_)) == set(used)


@pytest.mark.parametrize("name", SPARSE_NAMES)
def test_predictions_are_those_of_the_weights(data: Any, name: str) -> None:
    X, y = data
    model = make(name, target_sparsity=0.7).fit(X, y)
    (a, b), (c, d) = model.coefs_, model.intercepts_
    logits = np.maximum(X.astype(np.float32) @ a + c, 0) @ b + d
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), proba, atol=1e-5)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), proba, atol=1e-5)
    np.testing.assert_array_equal(model.predict(X), proba.argmax(axis=1))


# --- reproducibility --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_weights_and_global_state_untouched(data: Any, name: Any) -> None:
    before = global_state()
    first = make(name).fit(*data)
    assert_global_state(before)
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        second = make(name).fit(*data)
    assert_same_fit(first, second)
    third = make(name, random_state=1).fit(*data)
    assert not np.array_equal(first.coefs_[0], third.coefs_[0])


def test_global_state_untouched_without_a_seed_and_when_fit_raises(data: Any) -> None:
    X, y = data
    before = global_state()
    make(random_state=None, max_iter=2).fit(X, y)
    with pytest.raises(FloatingPointError):
        make(max_iter=9, learning_rate_init=1e38).fit(X, y)
    assert_global_state(before)


@pytest.mark.parametrize("name", NAMES)
def test_weights_repetitions_and_order_are_one_fit(data: Any, name: Any) -> None:
    X, y = data
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, len(y))
    order = rng.permutation(len(y))
    options = {"early_stopping": True, "max_iter": 8}
    weighted = make(name, **options).fit(X[order], y[order], sample_weight=weight[order])
    scaled = make(name, **options).fit(X, y, sample_weight=4.0 * weight)
    repeated = make(name, **options).fit(X.repeat(weight, axis=0), y.repeat(weight))
    assert_same_fit(weighted, repeated)
    assert_same_fit(weighted, scaled)


def test_weights_change_what_is_learnt(data: Any) -> None:
    X, y = data
    weight = np.where(y == 2, 1e-6, 1.0)
    assert not (make(max_iter=30).fit(X, y, sample_weight=weight).predict(X) == 2).any()
    by_class = make(max_iter=5, class_weight={0: 1.0, 1: 1.0, 2: 1e-6}).fit(X, y)
    assert_same_fit(by_class, make(max_iter=5).fit(X, y, sample_weight=weight))


def test_balanced_classes_weigh_the_same(data: Any) -> None:
    X, y = data
    few = np.concatenate([np.flatnonzero(y == 0)[:8], np.flatnonzero(y > 0)])
    X, y = X[few], y[few]
    counts = np.bincount(y)
    balanced = make(class_weight="balanced").fit(X, y)
    by_hand = make().fit(X, y, sample_weight=(len(y) / (3 * counts))[y])
    assert_same_fit(balanced, by_hand)


# --- input ------------------------------------------------------------------------------------


def test_kinds_of_input_give_one_fit(data: Any) -> None:
    X, y = data
    X = X.astype(np.float32)
    X[np.abs(X) < 0.3] = 0
    base = make(max_iter=4).fit(X, y)
    frozen = X.copy()
    frozen.setflags(write=False)
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(12)])
    csr = sparse.csr_array(X)
    csr64 = sparse.csr_array(X)
    csr64.indices, csr64.indptr = csr64.indices.astype(np.int64), csr64.indptr.astype(np.int64)
    kinds = [np.asfortranarray(X), X.astype(np.float64), frozen, frame, csr, csr64]
    for kind in [*kinds, sparse.csc_array(X)]:
        model = make(max_iter=4).fit(kind, y)
        assert_same_fit(base, model)
        np.testing.assert_allclose(model.predict_proba(kind), base.predict_proba(X), atol=1e-6)
    assert list(make(max_iter=1).fit(frame, y).feature_names_in_) == list(frame.columns)


def test_fit_does_not_change_its_input(data: Any) -> None:
    X, y = data[0].astype(np.float32), data[1].copy()
    before = X.copy(), y.copy()
    make(max_iter=2).fit(X, y, sample_weight=np.ones(len(y)))
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_any_kind(data: Any, name: Any) -> None:
    X, y = data
    words = np.array(["red", "green", "blue"])[y]
    model = make(name, max_iter=40).fit(X, words)
    assert list(model.classes_) == ["blue", "green", "red"]
    assert model.score(X, words) > 0.7
    two = make(name, max_iter=40).fit(X, y == 1)
    assert two.predict(X).dtype == bool
    assert two.predict_proba(X).shape == (len(y), 2)


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.parametrize("name", NAMES)
def test_small_and_degenerate_data(name: Any) -> None:
    rng = np.random.default_rng(0)
    one_feature = rng.normal(size=(60, 1))
    fit = make(name, max_iter=60).fit(one_feature, one_feature[:, 0] > 0)
    assert fit.score(one_feature, one_feature[:, 0] > 0) > 0.8
    singles = make(name).fit(rng.normal(size=(5, 3)), np.arange(5))
    assert singles.predict_proba(np.zeros((2, 3))).shape == (2, 5)
    constant = make(name).fit(np.ones((10, 2)), [0, 1] * 5)
    np.testing.assert_allclose(constant.predict_proba(np.ones((1, 2))).sum(), 1, rtol=1e-5)


# --- composition ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_pickle_copy_and_clone(data: Any, name: Any, tmp_path: Any) -> None:
    X, y = data
    model = make(name).fit(X, y)
    content = pickle.dumps(model)
    assert b"log_alpha" not in content
    assert b"skorch" not in content
    assert len(content) < 16_000
    joblib.dump(model, tmp_path / "model")
    copies = [pickle.loads(content), copy.deepcopy(model), joblib.load(tmp_path / "model")]
    for other in copies:
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    assert_same_fit(clone(model).fit(X, y), model)


def test_sparsifier_object_is_cloned_and_its_options_are_searchable(data: Any) -> None:
    sparsifier = Magnitude(n_rounds=2)
    model = make(sparsifier).fit(*data)
    assert vars(sparsifier) == vars(Magnitude(n_rounds=2))
    assert len({e["phase"] for e in model.history_}) == 3
    assert clone(model).set_params(sparsifier__n_rounds=3).sparsifier.n_rounds == 3
    assert sparsifier.n_rounds == 2


def test_select_from_model(data: Any) -> None:
    X, y = data
    noise = np.random.default_rng(0).normal(size=(len(y), 8))
    selector = SelectFromModel(make("l0", target_sparsity=0.95, max_iter=60), threshold=1e-8)
    selected = selector.fit(np.hstack([X, noise]), y).get_support()
    importances = selector.estimator_.feature_importances_
    np.testing.assert_array_equal(selected, importances > 1e-8)
    assert importances[:12].sum() > 2 * importances[12:].sum()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_grid_search_in_a_pipeline_with_string_columns(data: Any) -> None:
    X, y = data
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(12)])
    frame["colour"] = np.array(["red", "green", "blue"])[(y + (X[:, 0] > 1)) % 3]
    encoder = ColumnTransformer(
        [("words", OneHotEncoder(sparse_output=False), ["colour"])],
        remainder=StandardScaler(),
    )
    pipeline = make_pipeline(encoder, make(max_iter=5)).set_output(transform="pandas")
    grid = {
        "sparsemlpclassifier__alpha": [1e-4, 1.0],
        "sparsemlpclassifier__sparsifier": ["l0", "magnitude"],
    }
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(frame, y)
    assert search.best_score_ > 0.5
    best = search.best_estimator_[-1]
    assert best.feature_names_in_[0] == "words__colour_blue"


@pytest.mark.slow
@pytest.mark.parametrize("name", SPARSE_NAMES)
def test_ninety_percent_sparse_is_within_a_point_of_dense(name: str) -> None:
    X, y = load_digits(return_X_y=True)
    scores = []
    for seed in range(5):
        parts = train_test_split(X / 16, y, test_size=0.3, stratify=y, random_state=seed)
        X_train, X_test, y_train, y_test = parts
        sparse_model = SparseMLPClassifier(
            sparsifier=name, target_sparsity=0.9, random_state=seed
        ).fit(X_train, y_train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            dense = MLPClassifier((100,), random_state=seed).fit(X_train, y_train)
        scores.append([sparse_model.score(X_test, y_test), dense.score(X_test, y_test)])
    mean_sparse, mean_dense = np.mean(scores, axis=0)
    assert mean_sparse >= mean_dense - 0.01
