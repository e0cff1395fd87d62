"""Rows to validate with: given by the user, set aside by groups, routed through pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from small_networks import classifier, regressor
from torch import nn

from sksparse.neural_network import SparseMLPClassifier, SparseNetClassifier, SparseNetRegressor

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")

OPTIONS: dict[str, Any] = {"early_stopping": True, "max_iter": 5}


class Seen(Callback):  # type: ignore[misc]
    """Keeps the features of the rows that a training had."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    def on_epoch_begin(self, net: Any, **datasets: Any) -> None:
        for name, dataset in datasets.items():
            self.kept[name] = np.asarray(dataset.X), np.asarray(dataset.y)


def networks() -> list[Any]:
    def build(n_features: int, n_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(n_features, 8), nn.Tanh(), nn.Linear(8, n_outputs))

    return [
        classifier(**OPTIONS),
        regressor(**{**OPTIONS, "hidden_layer_sizes": (8,)}),
        SparseNetClassifier(build, random_state=0, **OPTIONS),
        SparseNetRegressor(build, random_state=0, **OPTIONS),
    ]


@pytest.mark.parametrize("model", networks(), ids=lambda m: type(m).__name__)
def test_rows_of_the_user_decide(model: Any, digits: Any) -> None:
    X, y = digits
    X = X + 1e5 * (np.arange(64) == 3)  # a column that has to be standardised inside
    kept: dict[str, Any] = {}
    model.set_params(callbacks=[Seen(kept)])
    model.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    assert len(kept["dataset_train"][0]) == 400
    rows, truth = kept["dataset_valid"]
    assert len(rows) == 200
    np.testing.assert_allclose(np.sort(truth.ravel()), np.sort(y[400:]), atol=1e-5)
    standardised = ((X - model.input_shift_) / model.input_scale_)[400:]
    np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(standardised, axis=0), atol=1e-6)
    # the weights that score best on them are returned, and the score is the one on them
    best = max(
        e["valid_score"] for e in model.history_ if e["phase"] == model.history_[-1]["phase"]
    )
    assert model.score(X[400:], y[400:]) == pytest.approx(best, abs=1e-4)


def test_weights_of_the_rows_count(digits: Any) -> None:
    X, y = digits
    weight = np.r_[np.full(100, 3.0), np.zeros(100)]
    weighted = classifier(**OPTIONS).fit(
        X[:400], y[:400], X_val=X[400:], y_val=y[400:], sample_weight_val=weight
    )
    fewer = classifier(**OPTIONS).fit(X[:400], y[:400], X_val=X[400:500], y_val=y[400:500])
    assert weighted.history_[-1]["valid_loss"] == fewer.history_[-1]["valid_loss"]
    np.testing.assert_array_equal(weighted.predict_proba(X), fewer.predict_proba(X))


def test_classes_weigh_alike_in_both_sets(digits: Any) -> None:
    X, y = digits
    given = classifier(class_weight={0: 0.0}, **OPTIONS)
    given.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    without = classifier(class_weight={0: 0.0}, **OPTIONS)
    rest = np.flatnonzero(y[400:] != 0) + 400
    without.fit(X[:400], y[:400], X_val=X[rest], y_val=y[rest])
    assert given.history_[-1]["valid_loss"] == without.history_[-1]["valid_loss"]


def test_sparse_rows_are_taken(digits: Any) -> None:
    X, y = digits
    dense, csr = (
        classifier(**OPTIONS).fit(X[:400], y[:400], X_val=kind(X[400:]), y_val=y[400:])
        for kind in (np.asarray, sparse.csr_matrix)
    )
    np.testing.assert_array_equal(dense.predict_proba(X), csr.predict_proba(X))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"y_val": None}, "X_val is given without y_val"),
        ({"X_val": None}, "y_val is given without X_val"),
        ({"X_val": np.zeros((2, 3)), "y_val": [0, 1]}, "X_val and y_val do not go.*3 features"),
        ({"y_val": np.full(200, 77)}, r"y_val holds \[77\], which are not among the classes"),
        ({"y_val": np.zeros(3)}, "X_val and y_val do not go with X and y.*inconsistent"),
        ({"groups": np.zeros(400)}, "give one or the other"),
        ({"sample_weight_val": np.full(200, -1.0)}, "weights must be"),
    ],
)
def test_what_does_not_go_together_is_named(digits: Any, changes: Any, words: str) -> None:
    X, y = digits
    model = classifier(**OPTIONS)
    with pytest.raises(ValueError, match=words):
        model.fit(X[:400], y[:400], **{"X_val": X[400:], "y_val": y[400:], **changes})
    assert not hasattr(model, "module_")


@pytest.mark.parametrize("words", ["X_val", "groups"])
def test_rows_without_early_stopping_are_refused(digits: Any, words: str) -> None:
    X, y = digits
    options = {"X_val": X, "y_val": y} if words == "X_val" else {"groups": y}
    with pytest.raises(ValueError, match=f"{words}.* given, but early_stopping=False"):
        classifier().fit(X, y, **options)


def test_targets_of_another_number_are_named(diabetes: Any) -> None:
    X, y = diabetes
    with pytest.raises(ValueError, match="y_val has 2 targets, but y has 1"):
        regressor(**OPTIONS).fit(X, y, X_val=X, y_val=np.c_[y, y])


@pytest.mark.parametrize("make", [classifier, regressor])
def test_groups_are_not_split(digits: Any, make: Any) -> None:
    X, y = digits
    groups = np.arange(600) // 20
    X = np.c_[X, groups]
    kept: dict[str, Any] = {}
    model = make(callbacks=[Seen(kept)], validation_fraction=0.25, **OPTIONS)
    model.fit(X, y, groups=groups.astype(str))
    learnt, checked = (set(np.unique(kept[f"dataset_{n}"][0][:, -1])) for n in ("train", "valid"))
    assert not learnt & checked
    assert len(checked) == 8
    order = np.random.default_rng(0).permutation(600)
    again = make(validation_fraction=0.25, **OPTIONS).fit(
        X[order], y[order], groups=groups.astype(str)[order]
    )
    np.testing.assert_array_equal(again.coefs_[0], model.coefs_[0])


def test_groups_that_cannot_be_split_are_named(digits: Any) -> None:
    X, y = digits
    with pytest.raises(ValueError, match="cannot set any of 1 groups aside"):
        classifier(**OPTIONS).fit(X, y, groups=np.zeros(600))
    with pytest.raises(ValueError, match="none leaves samples of every class"):
        classifier(**OPTIONS).fit(X, y, groups=y)
    with pytest.raises(ValueError, match="inconsistent"):
        classifier(**OPTIONS).fit(X, y, groups=y[1:])


@pytest.fixture
def routing() -> Any:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_rows_are_routed_and_transformed_in_a_pipeline(digits: Any, routing: None) -> None:
    X, y = digits
    net = classifier(**OPTIONS).set_fit_request(X_val=True, y_val=True)
    model = make_pipeline(StandardScaler(), net, transform_input=["X_val"])
    model.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    scaler = StandardScaler().fit(X[:400])
    alone = classifier(**OPTIONS).fit(
        scaler.transform(X[:400]), y[:400], X_val=scaler.transform(X[400:]), y_val=y[400:]
    )
    np.testing.assert_array_equal(model.predict_proba(X), alone.predict_proba(scaler.transform(X)))


def test_groups_are_routed_through_a_search(digits: Any, routing: None) -> None:
    X, y = digits
    groups = np.arange(600) // 20
    net = classifier(**OPTIONS).set_fit_request(groups=True)
    model = make_pipeline(StandardScaler(), net)
    search = GridSearchCV(
        model, {"sparsemlpclassifier__alpha": [1e-3]}, cv=GroupKFold(2), error_score="raise"
    )
    search.fit(X, y, groups=groups)
    scores = cross_validate(model, X, y, params={"groups": groups}, cv=GroupKFold(2))
    assert np.isfinite(scores["test_score"]).all()


def test_several_labels_need_rows_of_the_same_labels(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 4)).astype(np.float32)
    y = (X[:, :3] > 0).astype(int)
    net = SparseMLPClassifier((8,), max_iter=5, tol=1e9, early_stopping=True, random_state=0)
    net.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    assert all("valid_score" in epoch for epoch in net.history_)
    with pytest.raises(ValueError, match="y_val of shape"):
        net.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:, :2])
    with pytest.raises(ValueError, match="y_val of shape"):
        net.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:, 0])
