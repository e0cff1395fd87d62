"""Paths and cross-validation of the group lasso: against single fits, and loops by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.metrics import mean_poisson_deviance, mean_squared_error
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from sksparse import L0Regressor
from sksparse.linear_model import (
    OSCAR,
    GroupLassoClassifier,
    GroupLassoClassifierCV,
    GroupLassoRegressor,
    GroupLassoRegressorCV,
    alpha_max,
    group_lasso_path,
)
from sksparse.losses import Cox, Huber

LABELS = np.array([2, 0, 1, 2, 1, 0, 2, 1, 3])
LOSSES = ["squared", "huber", "poisson", "cox", "logistic", "multinomial"]
TIGHT: dict[str, Any] = {"tol": 1e-11}


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((90, 9)) + 0.5 * rng.standard_normal((90, 1))


def targets(loss: str, X: np.ndarray, rng: np.random.Generator) -> Any:
    z = X[:, 1] - X[:, 5] + 0.5 * X[:, 8]
    if loss == "poisson":
        return rng.poisson(np.exp(0.5 * z))
    if loss == "cox":
        times, limits = rng.exponential(np.exp(-z)), rng.exponential(2.0, len(X))
        return pd.DataFrame({"event": times <= limits, "time": np.minimum(times, limits)})
    z = z + rng.standard_normal(len(X))
    classes = {"logistic": [0.0], "multinomial": [-1.0, 1.0]}
    return np.digitize(z, classes[loss]) if loss in classes else z


def single(loss: str, alpha: float, **options: Any) -> Any:
    if loss in ("logistic", "multinomial"):
        return GroupLassoClassifier(alpha, LABELS, **options)
    return GroupLassoRegressor(alpha, LABELS, loss=loss, **options)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("options", [{}, {"l1_ratio": 0.4, "l2": 0.01}, {"relax": True}], ids=str)
def test_every_strength_is_the_single_fit(
    features: np.ndarray, rng: np.random.Generator, loss: str, options: dict[str, Any]
) -> None:
    y, weights = targets(loss, features, rng), np.arange(90) % 3
    options = {**options, **TIGHT}
    path = group_lasso_path(
        features, y, LABELS, loss=loss, alphas=4, eps=0.05, sample_weight=weights, **options
    )
    assert path.groups.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(path.labels, LABELS)
    assert path.alphas[0] == path.alpha_max
    np.testing.assert_allclose(path.alphas[-1], 0.05 * path.alpha_max)
    assert path.n_features[0] == 0 < path.n_features[-1]
    for k, alpha in enumerate(path.alphas):
        model = single(loss, alpha, **options).fit(features, y, sample_weight=weights)
        np.testing.assert_allclose(path.coefs[..., k], np.squeeze(model.coef_), atol=1e-4)
        np.testing.assert_allclose(path.group_norms[:, k], model.group_norms_, atol=1e-4)
        assert path.n_features[k] == model.n_features_
        assert 0.0 <= path.dual_gaps[k] <= 1e-8


def test_the_losses_of_a_path_are_those_of_its_fits(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    for loss in ("huber", "cox"):
        y = targets(loss, features, rng)
        path = group_lasso_path(features, y, LABELS, loss=loss, alphas=[0.1, 0.01])
        if loss == "huber":
            term: Any = Huber(y, np.full(90, 1 / 90), epsilon=1.35)
        else:
            term = Cox(y[["time", "event"]].to_numpy(dtype=float), np.full(90, 1 / 90))
        z = features @ path.coefs + path.intercepts
        np.testing.assert_allclose(path.losses, [term.value(c) for c in z.T], rtol=1e-10)


def test_names_of_columns_and_order_of_strengths(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    y = targets("squared", features, rng)
    frame = pd.DataFrame(features, columns=[f"{'abcd'[g]}_{j}" for j, g in enumerate(LABELS)])
    path = group_lasso_path(frame, y, "prefix", alphas=[0.01, 0.3, 0.1])
    assert sorted(path.groups) == list("abcd")
    np.testing.assert_array_equal(path.alphas, [0.3, 0.1, 0.01])
    other = group_lasso_path(features, y, LABELS, alphas=[0.3, 0.1, 0.01])
    np.testing.assert_allclose(path.coefs, other.coefs, atol=1e-10)
    with pytest.raises(ValueError, match="loss='logistic' is for two classes"):
        group_lasso_path(features, np.arange(90) % 3, LABELS, loss="logistic")
    with pytest.raises(ValueError, match="'eps' parameter of group_lasso_path"):
        group_lasso_path(features, y, LABELS, eps=0.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_smallest_strength_that_selects_nothing(
    features: np.ndarray, rng: np.random.Generator, loss: str
) -> None:
    y = targets(loss, features, rng)
    for options in ({"l1_ratio": 0.3}, {"penalty_weights": [1, 2, 0, 1]}, {"positive": True}):
        model = single(loss, 1.0, **options, tol=1e-9)
        highest = alpha_max(model, features, y)
        forced = [] if "penalty_weights" not in options else [2]
        above = clone(model).set_params(alpha=1.0001 * highest).fit(features, y)
        assert above.selected_groups_.tolist() == forced
        below = clone(model).set_params(alpha=0.99 * highest).fit(features, y)
        assert len(below.selected_groups_) > len(forced)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson", "multinomial"])
def test_a_path_starts_with_what_is_never_penalised_alone(
    features: np.ndarray, rng: np.random.Generator, loss: str
) -> None:
    y = targets(loss, features, rng)
    for options in ({"penalty_weights": [0, 1, 1, 2]}, {"adaptive": "ridge", "relax": True}):
        path = group_lasso_path(features, y, LABELS, loss=loss, alphas=2, eps=0.99, **options)
        first = 2 if "penalty_weights" in options else 0
        assert path.n_features[0] == first < path.n_features[1]


def test_groups_that_overlap_along_a_path(features: np.ndarray, rng: np.random.Generator) -> None:
    y = targets("squared", features, rng)
    groups = {"first": range(4), "middle": range(2, 7), "last": range(5, 9)}
    options: dict[str, Any] = {"overlap": "latent", **TIGHT}
    path = group_lasso_path(features, y, groups, alphas=4, **options)
    assert path.coefs.shape == (9, 4)
    assert path.labels.tolist() == [0] * 4 + [1] * 3 + [2] * 2
    for k, alpha in enumerate(path.alphas):
        single = GroupLassoRegressor(alpha, groups, **options).fit(features, y)
        np.testing.assert_allclose(path.coefs[:, k], single.coef_, atol=1e-5)
        assert path.n_features[k] == single.n_features_
    model = GroupLassoRegressorCV(groups, alphas=4, cv=2, scoring=own_score, **options)
    assert model.fit(features, y).coef_path_.shape == (9, 4)
    assert "first" in model.selected_groups_


def test_the_top_of_a_grid_of_oscar_and_what_has_none(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    y = targets("squared", features, rng)
    highest = alpha_max(OSCAR(pairwise=0.3), features, y)
    assert not OSCAR(1.0001 * highest, pairwise=0.3).fit(features, y).coef_.any()
    assert OSCAR(0.99 * highest, pairwise=0.3).fit(features, y).coef_.any()
    for model in (L0Regressor(), LinearRegression()):
        with pytest.raises(ValueError, match="has no strength of a convex penalty"):
            alpha_max(model, features, y)
    with pytest.raises(ValueError, match="'l2'"):
        alpha_max(GroupLassoRegressor(l2=-1.0), features, y)


@pytest.mark.parametrize("selection", ["min", "1se"])
@pytest.mark.parametrize("loss", ["squared", "poisson"])
@pytest.mark.parametrize(
    "options", [{}, {"relax": True}, {"adaptive": "ridge"}, {"l1_ratio": 0.5}], ids=str
)
def test_errors_and_choice_are_those_of_a_loop_by_hand(
    features: np.ndarray,
    rng: np.random.Generator,
    loss: str,
    selection: str,
    options: dict[str, Any],
) -> None:
    X, y, weights = features, targets(loss, features, rng), 1 + np.arange(90) % 3
    folds = KFold(3, shuffle=True, random_state=0)
    options = {"loss": loss, **options, **TIGHT}
    model = GroupLassoRegressorCV(
        LABELS, alphas=5, eps=0.02, cv=folds, selection=selection, **options
    ).fit(X, y, sample_weight=weights)
    errors, counts = np.empty((5, 3)), np.empty(5)
    metric = mean_squared_error if loss == "squared" else mean_poisson_deviance
    for k, alpha in enumerate(model.alphas_):
        one = GroupLassoRegressor(alpha, LABELS, **options)
        counts[k] = clone(one).fit(X, y, weights).n_features_
        for f, (train, test) in enumerate(folds.split(X)):
            if "adaptive" in options:
                # a ridge of a fold has the strength of that of all samples
                norm = group_norms(one, X, y, weights, train)
                fitted = GroupLassoRegressor(
                    alpha, LABELS, penalty_weights=np.sqrt(np.bincount(LABELS)) / norm,
                    loss=loss, **TIGHT,
                ).fit(X[train], y[train], sample_weight=weights[train])  # fmt: skip
            else:
                fitted = one.fit(X[train], y[train], sample_weight=weights[train])
            errors[k, f] = metric(y[test], fitted.predict(X[test]), sample_weight=weights[test])
    found = model.mse_path_ if loss == "squared" else model.deviance_path_
    np.testing.assert_allclose(found, errors, rtol=1e-4)
    means = errors.mean(axis=1)
    best = means.argmin()
    if selection == "1se":
        bound = means[best] + errors[best].std(ddof=1) / np.sqrt(3)
        best = min(np.flatnonzero(means <= bound), key=lambda k: (counts[k], means[k]))
    assert model.alpha_ == model.alphas_[best]
    np.testing.assert_array_equal(model.n_features_path_, counts)
    chosen = GroupLassoRegressor(model.alpha_, LABELS, **options).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.coef_, chosen.coef_, atol=1e-5)
    np.testing.assert_array_equal(model.coef_path_[:, best], model.coef_)
    np.testing.assert_array_equal(model.group_norms_path_[:, best], model.group_norms_)
    np.testing.assert_array_equal(model.selected_groups_, chosen.selected_groups_)
    assert not hasattr(model, "score_path_")


def group_norms(
    model: Any, X: np.ndarray, y: np.ndarray, weights: np.ndarray, train: np.ndarray
) -> np.ndarray:
    """Norms of the coefficients of a ridge pilot of a fold."""
    part = weights[train] / weights[train].sum()
    means = part @ X[train]
    variances = part @ (X[train] - means) ** 2
    strength = variances.mean() * 9 / weights.sum()
    pilot = GroupLassoRegressor(0.0, LABELS, loss=model.loss, l2=strength, **TIGHT)
    pilot.fit(X[train], y[train], sample_weight=weights[train])
    return pilot.group_norms_


def test_groups_of_one_are_the_cross_validated_lasso(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    y = targets("squared", features, rng)
    ours = GroupLassoRegressorCV(alphas=15, tol=1e-9).fit(features, y)
    theirs = LassoCV(alphas=ours.alphas_, cv=5, tol=1e-10, max_iter=100_000).fit(features, y)
    np.testing.assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-4)
    assert ours.alpha_ == theirs.alpha_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


@pytest.mark.parametrize("loss", ["logistic", "multinomial"])
def test_classes_are_cross_validated_by_the_log_loss(
    features: np.ndarray, rng: np.random.Generator, loss: str
) -> None:
    y = targets(loss, features, rng)
    model = GroupLassoClassifierCV(LABELS, alphas=4, eps=0.05, cv=3, **TIGHT).fit(features, y)
    for k, alpha in enumerate(model.alphas_):
        for f, (train, test) in enumerate(StratifiedKFold(3).split(features, y)):
            one = GroupLassoClassifier(alpha, LABELS, **TIGHT).fit(features[train], y[train])
            hits = one.predict_log_proba(features[test])[np.arange(len(test)), y[test]]
            assert model.score_path_[k, f] == pytest.approx(hits.mean(), rel=1e-4)
    chosen = GroupLassoClassifier(model.alpha_, LABELS, **TIGHT).fit(features, y)
    np.testing.assert_allclose(model.coef_, chosen.coef_, atol=1e-4)
    assert model.coef_path_.shape[-1] == 4
    by_accuracy = clone(model).set_params(scoring="accuracy").fit(features, y)
    assert by_accuracy.score_path_.max() <= 1.0


def test_several_targets_are_cross_validated_by_their_mean_error(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    y = targets("squared", features, rng)
    Y = np.c_[y, 2.0 * y + features[:, 0]]
    model = GroupLassoRegressorCV(LABELS, alphas=3, cv=2, **TIGHT).fit(features, Y)
    for k, alpha in enumerate(model.alphas_):
        for f, (train, test) in enumerate(KFold(2).split(features)):
            one = GroupLassoRegressor(alpha, LABELS, **TIGHT).fit(features[train], Y[train])
            error = mean_squared_error(Y[test], one.predict(features[test]))
            assert model.mse_path_[k, f] == pytest.approx(error, rel=1e-4)
    assert model.coef_path_.shape == (2, 9, 3)
    scored = clone(model).set_params(scoring="neg_mean_squared_error").fit(features, Y)
    np.testing.assert_allclose(-scored.score_path_, model.mse_path_, rtol=1e-6)


@pytest.mark.parametrize("loss", ["huber", "cox"])
def test_scores_of_other_losses(features: np.ndarray, rng: np.random.Generator, loss: str) -> None:
    y = targets(loss, features, rng)
    model = GroupLassoRegressorCV(LABELS, loss=loss, alphas=5, cv=3).fit(features, y)
    assert model.score_path_.shape == (5, 3)
    assert not hasattr(model, "mse_path_")
    assert 0 in model.selected_groups_
    scored = clone(model).set_params(scoring=own_score).fit(features, y)
    part = next(iter(KFold(3).split(features)))
    rows = [y.iloc[at] if loss == "cox" else y[at] for at in part]
    one = GroupLassoRegressor(scored.alphas_[2], LABELS, loss=loss)
    one.fit(features[part[0]], rows[0])
    expected = one.score(features[part[1]], rows[1])
    assert scored.score_path_[2, 0] == pytest.approx(expected, abs=1e-3)


def own_score(model: Any, X: np.ndarray, y: Any) -> float:
    assert model.n_features_ == model.support_.sum()
    assert model.selected_groups_ is not None
    return float(model.score(X, y))


def test_folds_without_events_are_refused(features: np.ndarray) -> None:
    y = pd.DataFrame({"event": np.arange(90) < 60, "time": 1.0 + np.arange(90) % 17})
    with pytest.raises(ValueError, match="cv: fold 3/3 tests no event"):
        GroupLassoRegressorCV(LABELS, loss="cox", cv=3).fit(features, y)
    counts = np.where(np.arange(90) < 45, 1.0, 0.0)
    with pytest.raises(ValueError, match="y = 0 alone"):
        GroupLassoRegressorCV(LABELS, loss="poisson", cv=2).fit(features, counts)


def test_groups_of_samples_and_folds_side_by_side(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    y, samples = targets("squared", features, rng), np.arange(90) // 10
    model = GroupLassoRegressorCV(LABELS, alphas=4, cv=GroupKFold(3))
    one = clone(model).fit(features, y, groups=samples)
    splits = list(GroupKFold(3).split(features, y, samples))
    with parallel_config(backend="threading"):
        two = clone(model).set_params(cv=splits, n_jobs=2).fit(features, y)
    np.testing.assert_array_equal(one.mse_path_, two.mse_path_)
