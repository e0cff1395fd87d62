"""Folds that lack a class, and what classes may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, LeaveOneGroupOut

from sksparse.linear_model import L0Classifier, L0ClassifierCV, l0_path

FEW = "ignore:The least populated class:UserWarning"


def make(rng: np.random.Generator, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Classes of given sizes, in a random order."""
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    X = rng.standard_normal((len(y), 7))
    X[np.arange(len(y)), y] += 1.5
    return X, np.array(["ash", "beech", "cedar", "elm"])[y]


@pytest.mark.filterwarnings(FEW)
@pytest.mark.parametrize("scoring", [None, "accuracy", "neg_log_loss", "f1_macro"])
@pytest.mark.parametrize("counts", [[30, 30, 30, 1], [40, 25, 2], [40, 1, 1]])
def test_rare_classes_are_left_to_the_folds_that_know_them(
    rng: np.random.Generator, counts: list[int], scoring: str | None
) -> None:
    X, y = make(rng, counts)
    single = [name for name in np.unique(y) if np.sum(y == name) == 1]
    model = L0ClassifierCV(max_features=2, cv=4, scoring=scoring)
    if single:
        with pytest.warns(UserWarning, match="has no training sample of the classes"):
            model.fit(X, y)
    else:
        model.fit(X, y)
    assert np.isfinite(model.score_path_).all()
    assert model.score_path_.shape[1] == 4
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.predict_proba(X).shape == (len(y), len(counts))


def test_such_a_fold_is_that_of_a_fit_on_the_classes_it_knows(rng: np.random.Generator) -> None:
    X, y = make(rng, [30, 30, 30, 12])
    groups = np.where(y == "elm", 3, np.arange(len(y)) % 3)
    splits = list(LeaveOneGroupOut().split(X, y, groups))
    # the last fold holds a class out: no sample of it can be scored
    mixed = splits[-1][1], np.concatenate((splits[-1][1], splits[0][1][:9]))
    rest = np.setdiff1d(np.arange(len(y)), mixed[1])
    splits = [*splits[:-1], (rest, mixed[1])]
    with pytest.warns(UserWarning, match=r"fold 4/4 has no training sample of the classes \['elm'"):
        model = L0ClassifierCV(max_features=[2], cv=splits, l2=0.01).fit(X, y)
    train, test = splits[-1]
    test = test[y[test] != "elm"]
    path = l0_path(X[train], y[train], loss="log", max_features=[2], l2=0.01)
    z = X[test] @ path.coefs[..., 0].T + path.intercepts[:, 0]
    p = np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None])
    expected = -log_loss(y[test], p, labels=["ash", "beech", "cedar"])
    assert model.score_path_[0, 3] == pytest.approx(expected, rel=1e-6)


def test_folds_that_can_judge_nothing_are_left_out(rng: np.random.Generator) -> None:
    X, y = make(rng, [20, 20, 10])
    groups = np.where(y == "cedar", 2, np.arange(50) % 2)
    with pytest.warns(UserWarning, match=r"\['cedar'\] and is left out"):
        model = L0ClassifierCV(max_features=2, cv=list(LeaveOneGroupOut().split(X, y, groups))).fit(
            X, y
        )
    assert model.score_path_.shape == (3, 2)
    X, y = make(rng, [30, 1])
    with pytest.warns(UserWarning, match="left out"):
        model = L0ClassifierCV(max_features=1, cv=KFold(3)).fit(X, y)
    assert model.score_path_.shape == (2, 2)


def test_no_fold_left_is_refused_before_any_work(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = make(rng, [20, 20])
    order = np.argsort(y)
    X, y = X[order], y[order]
    model = L0ClassifierCV(max_features=1).fit(X, y)
    before = model.coef_.copy()
    monkeypatch.setattr(L0ClassifierCV, "_search", None)
    message = r"fold 1/2 has no training sample of the classes \['ash'\].*stratified"
    with pytest.raises(ValueError, match=message):
        model.set_params(cv=KFold(2)).fit(X, y)
    np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.filterwarnings(FEW)
def test_a_score_that_is_undefined_on_a_fold_is_refused_before_any_work(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = make(rng, [40, 2])
    monkeypatch.setattr(L0ClassifierCV, "_search", None)
    with pytest.raises(ValueError, match=r"roc_auc.*not defined on the test samples of fold"):
        L0ClassifierCV(max_features=1, cv=4, scoring="roc_auc").fit(X, y)


@pytest.mark.parametrize(
    "names",
    [
        np.array([False, True]),
        np.array([1.0, 2.0]),
        np.array([3, 7]),
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([-1, 1], dtype=np.int8),
        np.array([1.0, 2.0, 5.0]),
        np.array([30, 10, 20]),
        np.array(["c", "a", "b"]),
    ],
)
def test_classes_are_names_whatever_their_type(rng: np.random.Generator, names: Any) -> None:
    X, _ = make(rng, [40, 40, 40])
    codes = np.argmax(X[:, : len(names)] + rng.gumbel(size=(120, len(names))), axis=1)
    y, plain = names[codes], np.sort(names).tolist().index
    reference = np.array([plain(name) for name in y])
    for model in (
        L0Classifier(max_features=2),
        L0ClassifierCV(max_features=2),
        L0ClassifierCV(max_features=2, cv=3),
    ):
        fitted = model.fit(X, y)
        assert fitted.predict(X).dtype == y.dtype
        np.testing.assert_array_equal(fitted.classes_, np.sort(names))
        coef = fitted.coef_.copy()
        np.testing.assert_allclose(model.fit(X, reference).coef_, coef, rtol=1e-9)
    path = l0_path(X, y, loss="log", max_features=[2])
    np.testing.assert_allclose(
        path.coefs, l0_path(X, reference, loss="log", max_features=[2]).coefs, rtol=1e-9
    )


def test_numbers_are_not_classes(rng: np.random.Generator) -> None:
    X, _ = make(rng, [20, 20])
    y = rng.standard_normal(40)
    for fit in (
        L0Classifier().fit,
        L0ClassifierCV().fit,
        lambda X, y: l0_path(X, y, loss="log"),
    ):
        with pytest.raises(ValueError, match="continuous"):
            fit(X, y)


def test_a_class_without_weight_is_none_of_a_path(rng: np.random.Generator) -> None:
    X, y = make(rng, [30, 30, 10])
    weights = (y != "cedar").astype(float)
    path = l0_path(X, y, loss="log", max_features=2, sample_weight=weights)
    model = L0Classifier(max_features=2).fit(X, y, weights)
    assert path.coefs.shape == (7, 3)
    np.testing.assert_allclose(path.coefs[:, 2], model.coef_[0], rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("order", ["C", "F"])
def test_samples_without_weight_do_not_matter(
    rng: np.random.Generator, n_classes: int, order: str
) -> None:
    X, y = make(rng, [30] * n_classes)
    reference = L0Classifier(max_features=3).fit(X, y)
    far = np.full((2, 7), 1e12)
    padded = np.asarray(np.vstack((far, X, -far)), order=order)
    names = np.concatenate((y[:2], y, y[:2]))
    weights = np.repeat([0.0, 1.0, 0.0], [2, len(y), 2])
    model = L0Classifier(max_features=3).fit(padded, names, weights)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-6)
    constant = np.column_stack((padded, np.where(weights > 0, 1.7e18, 3.0)))
    again = L0Classifier(max_features=8).fit(constant, names, weights)
    assert not again.coef_[:, 7].any()
