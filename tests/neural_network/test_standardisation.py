"""Targets in any units, features far from zero or of extreme scale: the network is the same."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_diabetes, make_classification
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.preprocessing import scale
from torch import nn

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
    SparseNetRegressor,
)
from sksparse.neural_network.training._objectives import weighted_r2
from sksparse.neural_network.training._standardisation import (
    feature_standardisation,
    target_standardisation,
)

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


def network(n_features: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_features, 20), nn.Tanh(), nn.Linear(20, n_outputs))


def no_biases(n_features: int, n_outputs: int) -> nn.Module:
    layers = nn.Linear(n_features, 20, bias=False), nn.Tanh(), nn.Linear(20, n_outputs, bias=False)
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)


@pytest.fixture(scope="module")
def classes() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_classification(300, 12, n_informative=5, n_classes=3, class_sep=2.0, random_state=0)
    return scale(X), y


OPTIONS: dict[str, Any] = {"target_sparsity": 0.7, "max_iter": 40, "random_state": 0}
REGRESSORS = {
    "MLP": lambda **o: SparseMLPRegressor((20,), **{**OPTIONS, **o}),
    "linear": lambda **o: SparseMLPRegressor((), **{**OPTIONS, **o}),
    "net": lambda **o: SparseNetRegressor(network, **{**OPTIONS, **o}),
    "no biases": lambda **o: SparseNetRegressor(no_biases, **{**OPTIONS, **o}),
}


# --- targets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("factor, shift", [(1e-6, 0), (1e-3, 1), (1e6, 0), (1e12, -1e13), (1, 1e9)])
@pytest.mark.parametrize("kind", REGRESSORS)
def test_units_of_the_targets_do_not_matter(
    diabetes: Any, kind: str, factor: float, shift: float
) -> None:
    X, y = diabetes
    expected = REGRESSORS[kind]().fit(X, y)
    model = REGRESSORS[kind]().fit(X, factor * y + shift)
    values = factor * y + shift
    assert model.score(X, values) == pytest.approx(expected.score(X, y), abs=0.05)
    assert model.loss_ == pytest.approx(expected.loss_, abs=0.05)
    assert model.sparsity_ == expected.sparsity_
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_each_target_has_units_of_its_own(diabetes: Any) -> None:
    X, y = diabetes
    both = np.column_stack([y * 1e-6, 1e6 * (X[:, 0] - X[:, 1]) + 1e7])
    for kind in ("MLP", "net"):
        model = REGRESSORS[kind](target_sparsity=0.5, max_iter=80).fit(X, both)
        assert (r2_score(both, model.predict(X), multioutput="raw_values") > [0.4, 0.8]).all()


@pytest.mark.parametrize("factor, shift", [(1e-6, 0), (1e9, 5e9)])
def test_a_perceptron_keeps_the_units_in_its_last_layer(
    diabetes: Any, factor: float, shift: float
) -> None:
    X, y = diabetes
    X = X.astype(np.float32)
    model = REGRESSORS["MLP"]().fit(X, factor * y + shift)
    with torch.no_grad():
        plain = model.module_(torch.from_numpy(X))[:, 0].numpy()
    (a, b), (c, d) = model.coefs_, model.intercepts_
    by_hand = (np.maximum(X @ a + c, 0) @ b + d)[:, 0]
    for prediction in (plain, by_hand, model.predict(X), model.predict(X.astype(np.float64))):
        np.testing.assert_allclose(prediction, model.predict(X), atol=1e-4 * factor)
    assert model.predict(X).dtype == np.float32


def test_other_modules_leave_the_units_to_the_estimator(diabetes: Any) -> None:
    X, y = diabetes
    model = REGRESSORS["net"]().fit(X, 1e3 * y + 1e4)
    with torch.no_grad():
        numbers = model.module_.double()(torch.from_numpy(X)).numpy()
    values = model.target_shift_ + model.target_scale_ * numbers
    np.testing.assert_allclose(model.predict(X), values[:, 0], rtol=1e-6)
    assert model.target_scale_ == pytest.approx([1e3], rel=1e-5)


def test_a_module_that_predicts_y_is_trained_from_there(diabetes: Any) -> None:
    X, y = diabetes
    values = 50 * y + 150
    trained = REGRESSORS["MLP"]().fit(X, values)
    slow: dict[str, Any] = {"sparsifier": None, "target_sparsity": None, "max_iter": 1}
    slow["learning_rate_init"] = 1e-9
    again = SparseNetRegressor(trained.module_, **slow).fit(X, values)
    np.testing.assert_allclose(again.predict(X), trained.predict(X), atol=1e-2)
    fresh = network(10, 1)
    with torch.no_grad():
        numbers = fresh(torch.from_numpy(X.astype(np.float32)))[:, 0].numpy()
    other = SparseNetRegressor(fresh, **slow).fit(X, values)
    np.testing.assert_allclose(other.predict(X), 50 * numbers + 150, atol=1e-2)

    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = 1.0 * self.inner(x)
            return result

    with pytest.warns(ConvergenceWarning, match="Wrapped predicts y already.*standardise y"):
        SparseNetRegressor(Wrapped(trained.module_), **slow).fit(X, values)


def test_units_do_not_depend_on_order_and_repetitions() -> None:
    rng = np.random.default_rng(0)
    y, counts = rng.normal(size=(500, 2)) + 3, rng.integers(0, 4, size=500)
    expected, _ = target_standardisation(y, counts.astype(float))
    order = rng.permutation(500)
    for values, weight in [
        (y[order], 8.0 * counts[order]),
        (np.repeat(y[order], counts[order], axis=0), np.ones(counts.sum())),
    ]:
        scaling, _ = target_standardisation(values, weight)
        np.testing.assert_array_equal(scaling.shift, expected.shift)
        np.testing.assert_array_equal(scaling.scale, expected.scale)


def test_weights_govern_the_units() -> None:
    y = np.array([[1.0], [3.0], [1e6], [np.nan]])
    scaling, known = target_standardisation(y, np.array([1.0, 1.0, 0.0, 0.0]))
    assert scaling.shift == pytest.approx([2.0], rel=1e-12)
    assert scaling.scale == pytest.approx([1.0], rel=1e-12)
    assert known


@pytest.mark.parametrize("value", [0.0, 1e-6, 0.1, -3e8])
def test_a_constant_target_is_predicted(diabetes: Any, value: float) -> None:
    X, y = diabetes
    for kind in ("MLP", "net"):
        alone = REGRESSORS[kind](max_iter=5).fit(X, np.full(len(X), value))
        np.testing.assert_allclose(alone.predict(X), value, rtol=1e-5, atol=1e-6)
        assert alone.predict(X.astype(np.float32)).dtype == np.float32
        both = REGRESSORS[kind](target_sparsity=0.3).fit(X, np.column_stack([y, 0 * y + value]))
        np.testing.assert_allclose(both.predict(X)[:, 1], value, rtol=1e-5, atol=1e-6)
        assert r2_score(y, both.predict(X)[:, 0]) > 0.4


def test_a_warm_start_continues_in_new_units(diabetes: Any) -> None:
    X, y = diabetes
    for factor, shift in [(1e4, 0.0), (1e-4, 1.0)]:
        values = factor * y + shift
        model = REGRESSORS["MLP"](warm_start=True).fit(X, values)
        before = model.predict(X)
        model.set_params(max_iter=1, learning_rate_init=1e-9).fit(X[:200], values[:200])
        np.testing.assert_allclose(model.predict(X), before, atol=1e-3 * factor)
        assert model.sparsity_ == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("kind", REGRESSORS)
def test_partial_fit_keeps_the_units_of_the_first_call(diabetes: Any, kind: str) -> None:
    X, y = diabetes
    values = 1e6 * y - 1e7
    model = REGRESSORS[kind](learning_rate_init=0.01)
    for _ in range(60):
        for part in np.array_split(np.arange(len(y)), 4):
            model.partial_fit(X[part], values[part])
    assert model.score(X, values) > 0.4
    with pytest.raises(ValueError, match="2 targets"):
        model.partial_fit(X, np.column_stack([y, y]))


def test_partial_fit_after_a_single_row(diabetes: Any) -> None:
    X, y = diabetes
    values = 1e5 * y
    model = REGRESSORS["MLP"](learning_rate_init=0.01).partial_fit(X[:1], values[:1])
    for _ in range(100):
        model.partial_fit(X, values)
    assert model.score(X, values) > 0.4


def test_a_teacher_predicts_in_the_units_of_the_targets(diabetes: Any) -> None:
    X, y = diabetes
    values = 1e5 * y + 3e5
    teacher = RandomForestRegressor(30, random_state=0).fit(X, values)
    for kind in ("MLP", "net"):
        student = REGRESSORS[kind](teacher=teacher, distill_weight=0.7, max_iter=80).fit(X, values)
        assert student.score(X, values) > 0.45


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_early_stopping_and_its_tolerance_are_relative(diabetes: Any, factor: float) -> None:
    X, y = diabetes
    options = {"early_stopping": True, "n_iter_no_change": 5}
    expected = REGRESSORS["MLP"](**options).fit(X, y).history_[-1]["valid_score"]
    model = REGRESSORS["MLP"](**options).fit(X, y * factor)
    assert model.history_[-1]["valid_score"] == pytest.approx(expected, abs=0.1)


def test_integer_targets_are_numbers(diabetes: Any) -> None:
    X, y = diabetes
    counts = np.rint(100 * y).astype(np.int64)
    whole, real = (REGRESSORS["MLP"]().fit(X, t) for t in (counts, counts.astype(float)))
    np.testing.assert_array_equal(whole.predict(X), real.predict(X))


@pytest.mark.parametrize("factor", [1e-36, 1e38, 1e300])
def test_targets_that_float32_cannot_hold_are_named(diabetes: Any, factor: float) -> None:
    X, y = diabetes
    for kind in ("MLP", "net"):
        with pytest.raises(ValueError, match="y has values beyond the range of float32"):
            REGRESSORS[kind]().fit(X, y * factor)


def test_a_single_validation_row_has_a_score() -> None:
    y, weight = torch.tensor([[0.5, 1.0]]), torch.ones(1)
    assert weighted_r2(y, y, weight) == 1.0
    assert weighted_r2(y + 1, y, weight) == 0.0


def test_early_stopping_with_a_single_validation_row(diabetes: Any) -> None:
    X, y = diabetes[0][:12], diabetes[1][:12]
    model = SparseMLPRegressor(
        (5,), early_stopping=True, validation_fraction=0.05, max_iter=30, random_state=0
    ).fit(X, y)
    scores = [epoch["valid_score"] for epoch in model.history_]
    assert np.isfinite(scores).all()
    assert min(scores) > -100


# --- features ---------------------------------------------------------------------------------

CLASSIFIERS = {
    "MLP": lambda **o: SparseMLPClassifier((20,), **{**OPTIONS, **o}),
    "net": lambda **o: SparseNetClassifier(network, **{**OPTIONS, **o}),
}


@pytest.mark.parametrize("shift", [1e3, 1e8, -1e10])
def test_features_far_from_zero(classes: Any, diabetes: Any, shift: float) -> None:
    for kind, make in CLASSIFIERS.items():
        X, y = classes
        model = make().fit(X + shift, y)
        assert model.score(X + shift, y) > make().fit(X, y).score(X, y) - 0.05, kind
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(X + shift), model.predict(X + shift))
    for kind in ("MLP", "net"):
        X, y = diabetes
        expected = REGRESSORS[kind]().fit(X, y).score(X, y)
        model = REGRESSORS[kind]().fit(X + shift, y)
        assert model.score(X + shift, y) > expected - 0.1, kind


@pytest.mark.parametrize("factor", [1e-200, 1e-40, 1e-6, 1e12, 1e40, 1e300])
@pytest.mark.parametrize("columns", [slice(None), slice(0, 6)], ids=["all", "some"])
def test_features_of_extreme_scale(classes: Any, factor: float, columns: slice) -> None:
    X, y = classes
    X = X.copy()
    expected = CLASSIFIERS["MLP"]().fit(X, y).score(X, y)
    X[:, columns] *= factor
    assert CLASSIFIERS["MLP"]().fit(X, y).score(X, y) > expected - 0.05


def test_one_far_column_is_moved_and_no_other(classes: Any) -> None:
    X, y = classes
    far = X.copy()
    far[:, 3] += 1e8
    model = CLASSIFIERS["MLP"]().fit(far, y)
    assert (np.flatnonzero(model.input_shift_) == [3]).all()
    numbers = ((far - model.input_shift_) / model.input_scale_).astype(np.float32)
    with torch.no_grad():
        logits = model.module_(torch.from_numpy(numbers))
    np.testing.assert_allclose(model.predict_proba(far), logits.softmax(1).numpy(), atol=1e-5)
    order = np.random.default_rng(0).permutation(len(y))
    shuffled = CLASSIFIERS["MLP"]().fit(far[order], y[order])
    np.testing.assert_array_equal(shuffled.predict_proba(far), model.predict_proba(far))


def test_huge_constants_do_not_hide_the_others(classes: Any) -> None:
    X, y = classes
    expected = CLASSIFIERS["MLP"]().fit(X, y).score(X, y)
    with_constants = np.column_stack([X, np.full(len(X), 1.7e18), np.full(len(X), -1e5)])
    model = CLASSIFIERS["MLP"]().fit(with_constants, y)
    assert model.score(with_constants, y) > expected - 0.05


def test_rounding_is_no_spread() -> None:
    X = np.full((20, 2), 0.1) * 3
    X[::2, 0] += np.spacing(X[0, 0])
    X[:, 1] = np.linspace(-1, 1, 20)
    assert feature_standardisation(X, np.ones(20)) is None


def test_ordinary_features_are_left_alone(classes: Any) -> None:
    X, y = classes
    for table in (
        X,
        X.astype(np.float32),
        100 * X + 50,
        (X > 0).astype(np.uint8),
        sparse.csr_array(X),
    ):
        model = CLASSIFIERS["MLP"](max_iter=2).fit(table, y)
        assert model.input_shift_ == 0
        assert model.input_scale_ == 1


def test_images_far_from_zero_are_moved_as_a_whole(classes: Any) -> None:
    X, y = classes
    images = X.reshape(-1, 2, 6) + 1e6

    def convolution(n_channels: int, n_outputs: int) -> nn.Module:
        layers = nn.Conv1d(n_channels, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, n_outputs)
        return nn.Sequential(*layers)

    model = SparseNetClassifier(convolution, **OPTIONS).fit(images, y)
    assert np.shape(model.input_shift_) == ()
    assert model.score(images, y) > 0.7


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
def test_sparse_features_that_would_be_lost_are_named(classes: Any) -> None:
    X, y = classes
    with pytest.warns(ConvergenceWarning, match="X is sparse.*StandardScaler"):
        CLASSIFIERS["MLP"](max_iter=2).fit(sparse.csr_array(X + 1e8), y)


def test_partial_fit_far_from_zero(classes: Any) -> None:
    X, y = classes
    model = CLASSIFIERS["MLP"](learning_rate_init=0.01)
    for _ in range(30):
        model.partial_fit(X + 1e8, y, classes=np.unique(y))
    assert model.score(X + 1e8, y) > 0.8
    near = CLASSIFIERS["MLP"]().fit(X, y)
    with pytest.warns(ConvergenceWarning, match="Unlike those of the earlier fit.*StandardScaler"):
        near.partial_fit(X + 1e8, y)


def test_small_batches_of_ordinary_features_are_left_alone(classes: Any) -> None:
    X, y = classes
    model = CLASSIFIERS["MLP"]()
    for row in range(5):
        model.partial_fit(X[[row]] + 20, y[[row]], classes=np.unique(y))
    assert model.input_shift_ == 0


def test_integers_beyond_the_digits_of_float32(classes: Any) -> None:
    X, y = classes
    stamps = np.rint(10 * X).astype(np.int64) + 1_700_000_000
    assert CLASSIFIERS["MLP"]().fit(stamps, y).score(stamps, y) > 0.8
    pixels = np.clip(np.rint(40 * X + 128), 0, 255).astype(np.uint8)
    short, long = (CLASSIFIERS["MLP"]().fit(p, y) for p in (pixels, pixels.astype(np.float64)))
    np.testing.assert_array_equal(short.predict(pixels), long.predict(pixels))


def test_features_beyond_float32_are_named(classes: Any) -> None:
    X, y = classes
    model = CLASSIFIERS["MLP"](max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="too large for dtype\\('float32'\\)"):
        model.partial_fit(X * 1e40, y)
