"""L0Classifier against refits by scikit-learn, what weights mean, and its contract."""

from __future__ import annotations

import pickle
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.linear_model import L0Classifier, l0_path


@parametrize_with_checks(
    [
        L0Classifier(),
        L0Classifier(max_features=2),
        L0Classifier(warm_start=True, l1=0.01, l2=0.01),
        L0Classifier(solver="swap"),
        L0Classifier(solver="forward"),
        L0Classifier(solver="backward", l2=0.1),
    ]
)
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_sklearn_contract(estimator: L0Classifier, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("solver", ["auto", "swap", "forward", "backward"])
def test_solvers_on_real_data(solver: str) -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = L0Classifier(solver=solver, max_features=4, l2=1e-4)
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), model).fit(X, y)
    assert len(model[-1].get_feature_names_out()) == 4
    assert model.score(X, y) > 0.95
    assert model[-1].optimality_ == pytest.approx(0.0, abs=1e-6)


def make_data(
    rng: np.random.Generator, n: int, p: int, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1))
    z = X[:, ::4] @ rng.standard_normal((len(range(0, p, 4)), n_classes))
    names = np.array(["ash", "beech", "cedar", "elm"])[:n_classes]
    return X, names[np.argmax(z + 0.5 * rng.gumbel(size=z.shape), axis=1)]


def refit(X: np.ndarray, y: np.ndarray, support: Any, weights: Any = None) -> LogisticRegression:
    """Logistic regression without a penalty, to high precision."""
    model = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    return model.fit(X[:, list(support)], y, sample_weight=weights)


def loss_of(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    return float(log_loss(y, model.predict_proba(X)))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_equals_exhaustive_search_with_refits(rng: np.random.Generator, n_classes: int) -> None:
    X, y = make_data(rng, 150, 8, n_classes)
    model = L0Classifier(max_features=2).fit(X, y)
    subsets = {s: loss_of(refit(X, y, s), X[:, s], y) for s in combinations(range(8), 2)}
    assert tuple(model.get_support(indices=True)) == min(subsets, key=subsets.__getitem__)
    assert loss_of(model, X, y) <= min(subsets.values()) * (1 + 1e-9)
    shape = (1, 8) if n_classes == 2 else (3, 8)
    assert model.coef_.shape == shape
    assert model.intercept_.shape == shape[:1]


@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_and_decisions_belong_together(
    rng: np.random.Generator, n_classes: int
) -> None:
    X, y = make_data(rng, 100, 10, n_classes)
    model = L0Classifier(max_features=3).fit(X, y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
    z = X @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.decision_function(X), z[:, 0] if n_classes == 2 else z)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("options", [{"alpha": 0.02}, {"max_features": 3}])
def test_weights_are_repetitions(
    rng: np.random.Generator, options: dict[str, Any], n_classes: int
) -> None:
    X, y = make_data(rng, 120, 8, n_classes)
    counts = rng.integers(0, 4, len(y))
    weighted = L0Classifier(**options).fit(X, y, sample_weight=2.5 * counts)
    repeated = L0Classifier(**options).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert weighted.coef_.any()
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, rtol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_weights_are_sample_weights(rng: np.random.Generator, n_classes: int) -> None:
    X, y = make_data(rng, 120, 8, n_classes)
    names, codes, totals = np.unique(y, return_inverse=True, return_counts=True)
    for class_weight, factors in (
        ("balanced", 1.0 / totals),
        ({names[0]: 3.0}, np.r_[3.0, np.ones(n_classes - 1)]),
    ):
        model = L0Classifier(max_features=3, class_weight=class_weight).fit(X, y)
        same = L0Classifier(max_features=3).fit(X, y, sample_weight=factors[codes])
        np.testing.assert_allclose(model.coef_, same.coef_, rtol=1e-7)


@pytest.mark.parametrize("make", [sp.csc_array, sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sparse_equals_dense(
    rng: np.random.Generator, make: Any, index: type, n_classes: int
) -> None:
    X, y = make_data(rng, 150, 100, n_classes)
    X *= rng.random(X.shape) < 0.3
    S = make(X)
    S.indices, S.indptr = S.indices.astype(index), S.indptr.astype(index)
    dense = L0Classifier(max_features=4).fit(X, y)
    sparse = L0Classifier(max_features=4).fit(S, y)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-6)
    np.testing.assert_allclose(sparse.predict_proba(S), dense.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_float32_stays_and_input_is_left_alone(order: str) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    single = np.asarray(X, dtype=np.float32, order=order)
    single.flags.writeable = False
    model = L0Classifier(max_features=3).fit(single, y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    reference = L0Classifier(max_features=3).fit(X, y)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-3, atol=1e-6)


def test_a_penalty_decides_what_a_feature_must_bring() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    sizes = []
    for alpha in (0.004, 0.01, 0.1, 1.0):
        model = L0Classifier(alpha).fit(X, y)
        used = model.get_support(indices=True)
        sizes.append(len(used))
        for gone in used:
            rest = [j for j in used if j != gone]
            without = (
                loss_of(refit(X, y, rest), X[:, rest], y)
                if rest
                else log_loss(y, np.full(len(y), y.mean()))
            )
            assert without - loss_of(model, X, y) >= alpha - 1e-6
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0


def test_a_frame_a_grid_and_a_pipeline() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), L0Classifier(l2=0.01)).set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"l0classifier__max_features": [1, 2, 3]}, cv=3).fit(X, y)
    model = search.best_estimator_[-1]
    assert search.best_score_ > 0.9
    assert set(model.get_feature_names_out()) <= set(X.columns)
    assert model.get_support().sum() == search.best_params_["l0classifier__max_features"]
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_always_kept_bounded_and_weighted_features(rng: np.random.Generator) -> None:
    X, y = make_data(rng, 150, 8, 2)
    weights = np.ones(8)
    weights[5] = 0.0
    model = L0Classifier(max_features=1, penalty_weights=weights).fit(X, y)
    assert model.get_support()[5]
    assert model.get_support().sum() == 2
    both = L0Classifier(max_features=4, positive=True).fit(X, y)
    assert np.all(both.coef_ >= 0)
    assert both.coef_.any()
    free = L0Classifier(max_features=4).fit(X, y)
    negative = free.coef_[0] < 0
    assert negative.any()
    masked = L0Classifier(max_features=4, positive=negative).fit(X, y)
    assert np.all(masked.coef_[0, negative] >= 0)
    np.testing.assert_allclose(
        L0Classifier(max_features=4, positive=~negative).fit(X, y).coef_, free.coef_, rtol=1e-6
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_warm_start_is_one_more_start(rng: np.random.Generator, n_classes: int) -> None:
    X, y = make_data(rng, 100, 40, n_classes)
    warm = L0Classifier(max_features=3, l2=1e-3, warm_start=True)

    def objective(model: L0Classifier) -> float:
        return loss_of(model, X, y) + 0.5e-3 * float(np.sum(model.coef_**2))

    for k in (3, 8, 2, 5):
        warm.set_params(max_features=k)
        cold = clone(warm).fit(X, y)
        assert objective(warm.fit(X, y)) <= objective(cold) * (1 + 1e-9)
        assert warm.get_support().sum() <= k
    other, labels = make_data(rng, 80, 7, 2)
    warm.set_params(max_features=2).fit(other, labels)
    np.testing.assert_array_equal(warm.coef_, clone(warm).fit(other, labels).coef_)


def test_separable_classes_end_cleanly(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 300))
    y = np.where(X[:, 3] > 0, "yes", "no")
    with pytest.warns(ConvergenceWarning, match="separate the classes"):
        model = L0Classifier(max_features=4, l2=0.0).fit(X, y)
    np.testing.assert_array_equal(model.get_support(indices=True), [3])
    assert model.score(X, y) == 1.0
    ridge = L0Classifier(max_features=4, l2=1e-3).fit(X, y)
    assert ridge.get_support().sum() == 4


@pytest.mark.parametrize(
    "options, message",
    [
        ({"alpha": -1.0}, r"'alpha'.*L0Classifier.*-1\.0"),
        ({"l1": -0.1}, r"'l1'.*-0\.1"),
        ({"max_features": 0}, r"'max_features'.*0"),
        ({"effort": 0}, r"'effort'.*0"),
        ({"solver": "magic"}, r"'solver'.*magic"),
        ({"positive": [True, False]}, r"positive.*\(6,\)"),
        ({"penalty_weights": [1.0]}, r"penalty_weights.*\(6,\)"),
        ({"penalty_weights": [-1.0] * 6}, r"penalty_weights.*non-negative"),
        ({"class_weight": {"ash": 0.0}}, r"class_weight.*positive factor"),
        ({"class_weight": {"oak": 2.0}}, r"not in class_weight"),
    ],
)
def test_bad_parameters_leave_an_earlier_fit_intact(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    X, y = make_data(rng, 40, 6, 2)
    model = L0Classifier(max_features=2).fit(X[:, :5], y)
    before = model.predict(X[:, :5])
    with pytest.raises(ValueError, match=message):
        model.set_params(**options).fit(X, y)
    np.testing.assert_array_equal(model.predict(X[:, :5]), before)


def test_what_cannot_be_is_said(rng: np.random.Generator) -> None:
    X, y = make_data(rng, 60, 6, 3)
    with pytest.raises(ValueError, match=r"positive=True is for two classes, and y has 3"):
        L0Classifier(positive=True).fit(X, y)
    with pytest.raises(ValueError, match=r"at least two classes.*ash"):
        L0Classifier().fit(X, y, sample_weight=(y == "ash").astype(float))
    frame = pd.DataFrame(X, columns=list("abcdef"))
    assert L0Classifier(max_features=1).fit(frame, y).get_feature_names_out()[0] in "abcdef"


def test_too_small_a_budget_warns_with_value_and_remedy(rng: np.random.Generator) -> None:
    X = rng.standard_normal((150, 2000)) + rng.standard_normal((150, 1))
    y = X @ rng.standard_normal(2000) > 0
    with pytest.warns(ConvergenceWarning, match=r"above tol=1e-08.*increase max_iter=1"):
        model = L0Classifier(max_features=5, l2=1e-3, max_iter=1).fit(X, y)
    assert model.optimality_ > 1e-8


def test_nothing_is_printed_unless_verbose(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = make_data(rng, 60, 6, 3)
    L0Classifier(max_features=2).fit(X, y)
    assert capsys.readouterr().out == ""
    L0Classifier(max_features=2, verbose=1).fit(X, y)
    assert "2 features, largest relative gain" in capsys.readouterr().out


def test_a_penalty_of_a_path_is_that_of_the_classifier_to_the_last_digit(
    rng: np.random.Generator,
) -> None:
    # On hard data the last digit of a weight can decide between local optima.
    X = rng.standard_normal((49, 60)) + 0.8 * rng.standard_normal((49, 1))
    y = X[:, :8].sum(axis=1) + rng.standard_normal(49) > 0
    path = l0_path(X, y, alphas=5, loss="log")
    for alpha, coef in zip(path.alphas, path.coefs.T, strict=True):
        np.testing.assert_array_equal(L0Classifier(alpha=alpha).fit(X, y).coef_[0], coef)


@pytest.mark.parametrize("alpha", [0.03, 0.1])
def test_a_penalty_finds_the_best_of_all_subsets_of_a_few_features(alpha: float) -> None:
    # The second feature gains far more than the quadratic model of the fit on one predicts.
    for seed in range(100, 110):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((100, 6))
        y = rng.random(100) < 1 / (1 + np.exp(-X @ (1.5 * rng.standard_normal(6))))
        model = L0Classifier(alpha=alpha).fit(X, y)
        found = log_loss(y, model.predict_proba(X)) + alpha * np.count_nonzero(model.coef_)
        for size in range(1, 6):
            for support in combinations(range(6), size):
                refit = LogisticRegression(C=1e8, tol=1e-8, max_iter=1000).fit(X[:, support], y)
                other = log_loss(y, refit.predict_proba(X[:, support])) + alpha * size
                assert found <= other + 1e-6
