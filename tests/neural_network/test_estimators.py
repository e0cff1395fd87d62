"""Regression, modules of one's own, and teachers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import scale
from small_networks import classifier, regressor
from torch import nn

from sksparse.neural_network import (
    SparseNetClassifier,
    SparseNetRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


# --- regression -------------------------------------------------------------------------------


@pytest.mark.parametrize("sparsifier", ["l0", "magnitude", None])
def test_regression_on_diabetes_is_not_far_from_least_squares(
    diabetes: Any, sparsifier: Any
) -> None:
    X, y = diabetes
    parts = train_test_split(X, y, random_state=0)
    target = None if sparsifier is None else 0.8
    model = regressor(sparsifier=sparsifier, target_sparsity=target, early_stopping=True)
    model.fit(parts[0], parts[2])
    linear = LinearRegression().fit(parts[0], parts[2])
    assert model.score(parts[1], parts[3]) > linear.score(parts[1], parts[3]) - 0.12


def test_several_targets_are_learnt_together(diabetes: Any) -> None:
    X, y = diabetes
    both = np.column_stack([y, X[:, 0] - X[:, 1]])
    model = regressor(target_sparsity=0.5).fit(X, both)
    assert model.predict(X).shape == both.shape
    assert model.n_outputs_ == 2
    assert model.score(X, both) > 0.6
    assert regressor(max_iter=3).fit(X, y).predict(X).shape == y.shape


def test_a_column_of_targets_is_given_back_as_a_column(diabetes: Any) -> None:
    X, y = diabetes
    assert regressor(max_iter=3).fit(X, y[:, None]).predict(X).shape == (len(y), 1)


def test_weighted_regression_is_that_of_repeated_rows(diabetes: Any) -> None:
    X, y = diabetes[0][:80], diabetes[1][:80]
    counts = np.random.default_rng(0).integers(0, 3, size=80)
    weighted = regressor(max_iter=5).fit(X, y, sample_weight=counts)
    repeated = regressor(max_iter=5).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_sparse_features_are_those_of_the_dense_matrix(diabetes: Any) -> None:
    X, y = np.where(np.abs(diabetes[0]) < 0.5, 0, diabetes[0]), diabetes[1]
    dense = regressor(max_iter=5).fit(X, y)
    from_sparse = regressor(max_iter=5).fit(sparse.csr_array(X), y)
    np.testing.assert_array_equal(dense.predict(X), from_sparse.predict(X))
    np.testing.assert_allclose(from_sparse.predict(sparse.csr_array(X)), dense.predict(X))


# --- modules of one's own ---------------------------------------------------------------------


def convolution(n_channels: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(n_channels, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, n_outputs)
    )


@pytest.mark.parametrize("sparsifier", ["l0", "magnitude"])
def test_convolutions_on_images(digits: Any, sparsifier: str) -> None:
    X, y = digits[0].reshape(-1, 1, 8, 8), digits[1]
    model = SparseNetClassifier(
        convolution, sparsifier=sparsifier, target_sparsity=0.8, max_iter=40, random_state=0
    ).fit(X, y)
    assert model.score(X, y) > 0.9
    total = sum(p.numel() for p in model.module_.parameters() if p.ndim > 1)
    assert model.sparsity_ * total == round(0.8 * total)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    with torch.no_grad():
        logits = model.module_(torch.from_numpy(X.astype(np.float32)))
    proba = model.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(proba, logits.softmax(dim=1).numpy(), atol=1e-6)


def test_a_given_module_is_copied_and_keeps_its_weights_to_begin_with(digits: Any) -> None:
    X, y = digits
    module = nn.Linear(64, 10)
    before = module.weight.detach().clone()
    model = SparseNetClassifier(module, sparsifier=None, max_iter=1, learning_rate_init=1e-9)
    model.fit(X, y)
    assert torch.equal(module.weight, before)
    torch.testing.assert_close(model.module_.weight.detach(), before, atol=1e-6, rtol=0)
    assert model.module_ is not module


def test_lazy_layers_take_their_shapes_from_the_data(digits: Any) -> None:
    X, y = digits
    module = nn.Sequential(nn.LazyLinear(12), nn.ReLU(), nn.LazyLinear(10))
    model = SparseNetClassifier(module, target_sparsity=0.5, max_iter=3).fit(X, y)
    assert model.density_by_layer_.keys() == {"0.weight", "2.weight"}


class Last(nn.Module):
    """The last state of a recurrent layer, read out."""

    def __init__(self, n_steps: int, n_outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.out = nn.Linear(12, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(x)
        result: torch.Tensor = self.out(states[:, -1])
        return result


def test_recurrent_networks(digits: Any) -> None:
    X, y = digits[0].reshape(-1, 8, 8), digits[1].astype(float)
    model = SparseNetRegressor(
        Last, sparsifier="magnitude", target_sparsity=0.6, max_iter=5, random_state=0
    ).fit(X, scale(y))
    assert model.sparsity_ == pytest.approx(0.6, abs=1e-3)
    assert model.predict(X).shape == y.shape


@pytest.mark.parametrize(
    "module, words",
    [
        (nn.Linear(64, 3), r"returns \(2, 3\).*\(2, 10\).*last layer"),
        (nn.Linear(63, 10), r"Linear cannot be called with rows of shape \(64,\)"),
        (nn.ReLU(), r"ReLU returns \(2, 64\)"),
        (lambda n_features, n_outputs: None, r"must return a torch.nn.Module"),
        (lambda a, b, c: nn.Linear(a, b), r"cannot be called with the numbers.*module\(\)"),
        (lambda a: nn.Linear(a, 10), r"cannot be called with the numbers of features and of out"),
        (nn.ReLU, r"ReLU returns \(2, 64\)"),
        (nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (2, 64))), r"returns \(2, 64\)"),
    ],
)
def test_a_module_that_does_not_fit_is_named(digits: Any, module: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SparseNetClassifier(module, max_iter=1).fit(*digits)


def test_a_module_without_weights_is_named(digits: Any) -> None:
    module = nn.Sequential(nn.Unflatten(1, (1, 64)), nn.AdaptiveAvgPool1d(10), nn.Flatten())
    with pytest.raises(ValueError, match="no trainable parameter of two or more dimensions"):
        SparseNetClassifier(module, max_iter=1).fit(*digits)


# --- teachers ---------------------------------------------------------------------------------


def test_a_small_student_learns_from_a_forest(digits: Any) -> None:
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X / 16, y, train_size=300, random_state=0, stratify=y)
    teacher = RandomForestClassifier(300, random_state=0).fit(parts[0], parts[2])
    # the student copies the teacher on rows whose labels are wrong
    wrong = np.random.default_rng(0).permutation(parts[2])
    student = classifier(
        sparsifier=None, teacher=teacher, distill_weight=1.0, temperature=2.0, max_iter=60
    ).fit(parts[0], wrong)
    assert student.score(parts[1], parts[3]) > 0.85


def test_regression_students(diabetes: Any) -> None:
    X, y = diabetes
    teacher = RandomForestRegressor(50, random_state=0).fit(X, y)
    student = regressor(sparsifier=None, teacher=teacher, distill_weight=1.0, max_iter=200)
    student.fit(X, np.zeros_like(y))
    assert np.corrcoef(student.predict(X), teacher.predict(X))[0, 1] > 0.8


def test_a_frozen_teacher_goes_through_a_grid_search(digits: Any) -> None:
    X, y = digits
    teacher = FrozenEstimator(RandomForestClassifier(20, random_state=0).fit(X, y))
    grid = {"distill_weight": [0.0, 0.5]}
    search = GridSearchCV(classifier(teacher=teacher, max_iter=5), grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.3


def test_teachers_that_cannot_teach_are_named(digits: Any, diabetes: Any) -> None:
    X, y = digits
    with pytest.raises(ValueError, match=r"not fitted.*FrozenEstimator"):
        classifier(teacher=RandomForestClassifier()).fit(X, y)
    few = RandomForestClassifier(5).fit(X[y < 5], y[y < 5])
    with pytest.raises(ValueError, match=r"knows the classes \[0.*4\].*same classes"):
        classifier(teacher=few).fit(X, y)
    two = RandomForestRegressor(5).fit(diabetes[0], np.column_stack([diabetes[1]] * 2))
    with pytest.raises(ValueError, match="returns 2 outputs"):
        regressor(teacher=two).fit(*diabetes)
    names = RandomForestClassifier(5).fit(diabetes[0], np.where(diabetes[1] > 150, "ill", "well"))
    with pytest.raises(ValueError, match=r"by predict what are no numbers.*'"):
        regressor(teacher=names).fit(*diabetes)
