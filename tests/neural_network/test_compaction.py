"""Estimators without dead units: the same predictions of a smaller network."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
    SparseNetRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FAST: dict[str, Any] = {"max_iter": 8, "learning_rate_init": 0.01, "random_state": 0}
SPARSE: dict[str, Any] = {**FAST, "sparsifier": "magnitude", "target_sparsity": 0.9}


def convolutions(n_features: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, n_outputs),
    )


class Recurrent(nn.Module):
    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.last = nn.Linear(12, n_outputs)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        output, _ = self.lstm(X)
        last: torch.Tensor = self.last(output[:, -1])
        return last


class Branching(nn.Module):
    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_features, 8)
        self.last = nn.Linear(8, n_outputs)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        h = self.first(X)
        if h.sum() > 0:
            h = F.relu(h)
        last: torch.Tensor = self.last(h)
        return last


class Shortcuts(nn.Module):
    """Two residual branches of different cost."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.stem, self.last = nn.Linear(n_features, 12), nn.Linear(12, n_outputs)
        self.wide = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 12))
        self.narrow = nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 12))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.stem(X))
        h = torch.relu(h + self.wide(h))
        last: torch.Tensor = self.last(torch.relu(h + self.narrow(h)))
        return last


def zero_units(module: nn.Module, name: str, n: int) -> None:
    """What enters some units of a layer is set to zero; their biases stay."""
    with torch.no_grad():
        module.get_parameter(f"{name}.weight")[:n] = 0.0


def same_outputs(model: Any, small: Any, X: Any) -> None:
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    before, after = getattr(model, method)(X), getattr(small, method)(X)
    assert before.dtype == after.dtype
    rounding = 4 * np.finfo(before.dtype).eps * np.abs(before).max()
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-6 * np.ptp(before) + rounding)


@pytest.fixture(scope="module")
def fitted(digits: Any) -> SparseMLPClassifier:
    return SparseMLPClassifier((30, 20), **SPARSE).fit(*digits)


def test_a_perceptron_gets_smaller_and_predicts_the_same(fitted: Any, digits: Any) -> None:
    X, _ = digits
    small = fitted.compacted()
    assert type(small) is SparseMLPClassifier
    assert small.get_params() == fitted.get_params()
    for rows in (X, X.astype(np.float32), sparse.csr_array(X), X[:1]):
        same_outputs(fitted, small, rows)
    assert (small.predict(X) == fitted.predict(X)).all()
    n_live = fitted.architecture_
    assert small.architecture_ == n_live
    widths = [small.coefs_[0].shape[0], *(coef.shape[1] for coef in small.coefs_)]
    assert tuple(widths) == n_live
    assert [len(b) for b in small.intercepts_] == widths[1:]
    assert small.n_features_in_ == 64 > widths[0]
    np.testing.assert_array_equal(small.get_support(), fitted.get_support())
    np.testing.assert_array_equal(small.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(small.get_feature_names_out(), fitted.get_feature_names_out())
    np.testing.assert_allclose(small.feature_importances_, fitted.feature_importances_, atol=1e-7)
    np.testing.assert_array_equal(small.input_columns_, np.flatnonzero(fitted.support_))
    np.testing.assert_array_equal(fitted.input_columns_, np.arange(64))


def test_sparsity_is_that_of_the_dense_network(fitted: Any, digits: Any) -> None:
    small = fitted.compacted()
    assert fitted.sparsity_ == pytest.approx(0.9, abs=1e-3)
    # dead weights may be left in the large one
    left = sum(int((coef != 0).sum()) for coef in small.coefs_)
    assert small.sparsity_ == 1 - left / (64 * 30 + 30 * 20 + 20 * 10) >= fitted.sparsity_
    assert small.density_by_layer_["0.weight"] == (small.coefs_[0] != 0).sum() / (64 * 30)
    # without a large one to compare with, too
    again = SparseMLPClassifier((30, 20), compact=True, **SPARSE).fit(*digits)
    assert again.sparsity_ == small.sparsity_
    assert again.history_[-1]["sparsity"] == pytest.approx(fitted.sparsity_, abs=1e-6)


def test_sizes_are_the_same_before_and_after(fitted: Any, digits: Any) -> None:
    small, n_live = fitted.compacted(), fitted.architecture_
    assert fitted.n_units_ == small.n_units_ == {"0": n_live[1], "2": n_live[2]}
    assert fitted.dense_n_units_ == small.dense_n_units_ == {"0": 30, "2": 20}
    assert fitted.flops_ == small.flops_
    assert fitted.dense_flops_ == small.dense_flops_ == 2 * (64 * 30 + 30 * 20 + 20 * 10)
    with FlopCounterMode(display=False) as counter:
        small.module_(torch.zeros(1, len(small.input_columns_)))
    assert small.flops_ == counter.get_total_flops()


def test_compacting_twice_changes_nothing(fitted: Any, digits: Any) -> None:
    small = fitted.compacted()
    again = small.compacted()
    for p, q in zip(small.module_.parameters(), again.module_.parameters(), strict=True):
        assert torch.equal(p, q)
    assert (again.sparsity_, again.flops_) == (small.sparsity_, small.flops_)
    np.testing.assert_array_equal(again.input_columns_, small.input_columns_)


def test_compact_at_the_end_of_fit_is_compacting_afterwards(digits: Any) -> None:
    small = SparseMLPClassifier((30, 20), compact=True, **SPARSE).fit(*digits)
    large = SparseMLPClassifier((30, 20), **SPARSE).fit(*digits).compacted()
    for p, q in zip(small.module_.parameters(), large.module_.parameters(), strict=True):
        assert torch.equal(p, q)
    assert small.history_[-1]["loss"] == large.history_[-1]["loss"]


def test_the_large_one_is_left_as_it_is(fitted: Any, digits: Any) -> None:
    before = copy.deepcopy(fitted.module_.state_dict())
    small = fitted.compacted()
    small.partial_fit(*digits)
    after = fitted.module_.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert fitted.sparsity_ == pytest.approx(0.9, abs=1e-3)


def test_training_goes_on_with_the_small_network(digits: Any) -> None:
    X, y = digits
    model = SparseMLPClassifier((30, 20), compact=True, **SPARSE).fit(X, y)
    shapes = [p.shape for p in model.module_.parameters()]
    sparsity = model.sparsity_
    for rows in (X, sparse.csr_array(X)):
        model.partial_fit(rows, y)
        assert [p.shape for p in model.module_.parameters()] == shapes
        assert model.sparsity_ == sparsity
        assert model.history_[-1]["sparsity"] == pytest.approx(sparsity, abs=1e-6)
    # the targets name shares of the network that was asked for
    model.set_params(warm_start=True, target_sparsity=0.95).fit(X, y)
    assert model.sparsity_ == pytest.approx(0.95, abs=5e-3)
    assert model.dense_n_units_ == {"0": 30, "2": 20}
    assert model.score(X, y) > 0.5
    with pytest.raises(ValueError, match="warm_start=True cannot continue"):
        model.set_params(hidden_layer_sizes=(30, 10)).fit(X, y)
    fresh = model.set_params(warm_start=False, compact=False).fit(X, y)
    assert fresh.coefs_[0].shape == (64, 30)


def test_validation_rows_are_picked_too(digits: Any) -> None:
    X, y = digits
    model = SparseMLPClassifier((30, 20), compact=True, early_stopping=True, **SPARSE)
    model.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    model.set_params(warm_start=True, max_iter=2)
    model.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    assert model.history_[-1]["valid_score"] > 0.5


def through_a_file(model: Any, path: Any) -> Any:
    joblib.dump(model, path / "model.joblib", compress=3)
    return joblib.load(path / "model.joblib")


@pytest.mark.parametrize(
    "copied",
    [lambda m, _: pickle.loads(pickle.dumps(m)), through_a_file, lambda m, _: copy.deepcopy(m)],
    ids=["pickle", "joblib", "deepcopy"],
)
def test_copies(digits: Any, tmp_path: Any, copied: Any) -> None:
    X, y = digits
    model = SparseMLPClassifier((30, 20), compact=True, **SPARSE).fit(X, y)
    other = copied(model, tmp_path)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(other.input_columns_, model.input_columns_)
    assert (other.sparsity_, other.flops_) == (model.sparsity_, model.flops_)
    assert (other.n_units_, other.dense_n_units_) == (model.n_units_, model.dense_n_units_)
    other.partial_fit(X, y)
    assert not hasattr(clone(model), "n_units_")


def test_a_module_that_was_handed_out_is_read_anew(digits: Any) -> None:
    X, _ = digits
    model = SparseMLPClassifier((30, 20), compact=True, **SPARSE).fit(*digits)
    before = model.predict_proba(X)
    module = model.module_
    zero_units(module, "0", len(module.get_parameter("0.weight")))
    changed = model.predict_proba(X)
    assert np.abs(changed - before).max() > 0.01
    # all units emit constants now; one of each layer stays
    tiny = model.compacted()
    same_outputs(model, tiny, X)
    assert tiny.n_units_ == {"0": 1, "2": 1}


def test_columns_of_a_table_go_by_name(digits: Any) -> None:
    X, y = digits
    table = pd.DataFrame(X, columns=[f"pixel {j}" for j in range(64)])
    model = SparseMLPClassifier((30, 20), compact=True, **SPARSE).fit(table, y)
    same = SparseMLPClassifier((30, 20), compact=True, **SPARSE).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(table), same.predict_proba(X))
    assert list(model.feature_names_in_) == list(table.columns)
    chosen = [name for name, used in zip(table.columns, model.support_, strict=True) if used]
    assert list(model.get_feature_names_out()) == chosen
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(table[chosen])


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("shift, scale", [(0.0, 1.0), (1e8, 1e-3), (-3e5, 1e4)])
def test_targets_of_any_units(diabetes: Any, shift: float, scale: float, targets: int) -> None:
    X, y = diabetes
    y = shift + scale * (y if targets == 1 else np.column_stack([y, X[:, 2]]))
    model = SparseMLPRegressor((20, 10), **SPARSE).fit(X, y)
    zero_units(model.module_, "0", 8)
    small = model.compacted()
    same_outputs(model, small, X)
    assert small.n_units_["0"] <= 12
    assert small.dense_n_units_ == {"0": 20, "2": 10}
    small.partial_fit(X, y)
    assert np.abs(small.predict(X) - model.predict(X)).max() < np.ptp(y)


def test_columns_that_are_standardised(diabetes: Any) -> None:
    X, y = diabetes
    X = X * np.logspace(-4, 7, 10) + 1e9 * (np.arange(10) == 3)
    model = SparseMLPRegressor((20, 10), **SPARSE).fit(X, y)
    assert np.ndim(model.input_shift_) == 1
    small = model.compacted()
    assert len(small.input_columns_) < 10
    same_outputs(model, small, X)
    rows = ((X - small.input_shift_) / small.input_scale_)[:, small.input_columns_]
    output = small.module_.double()(torch.from_numpy(rows)).detach().numpy()[:, 0]
    np.testing.assert_allclose(output, small.predict(X), atol=1e-9)


@pytest.mark.parametrize("module", [convolutions, Recurrent])
@pytest.mark.parametrize("kind", [SparseNetClassifier, SparseNetRegressor])
def test_any_module(module: Any, kind: Any) -> None:
    X, y = load_digits(return_X_y=True)
    X = X[:300].reshape(-1, 8, 8) / 16
    if module is convolutions:
        X = X[:, None]
    y = y[:300] if kind is SparseNetClassifier else 1e3 + y[:300]
    model = kind(module, **{**SPARSE, "max_iter": 3}).fit(X, y)
    module = model.module_
    with torch.no_grad():
        for weight in module.parameters():
            if weight.ndim == 4:
                weight[::3] = 0.0
        for name in ("lstm.weight_hh_l0", "last.weight"):
            if name in dict(module.named_parameters()):
                # nothing reads every third state
                module.get_parameter(name)[:, ::3] = 0.0
    small = model.compacted()
    same_outputs(model, small, X)
    same_outputs(model, small, X.astype(np.float32))
    assert small.flops_ == model.flops_ < 0.8 * model.dense_flops_
    left = model.n_units_
    assert all(left[name] < n for name, n in small.dense_n_units_.items())
    small.partial_fit(X, y)
    small.set_params(warm_start=True).fit(X, y)
    assert small.dense_flops_ == model.dense_flops_


def test_what_cannot_be_followed_is_named(digits: Any) -> None:
    X, y = digits
    model = SparseNetClassifier(Branching, sparsifier=None, **FAST).fit(X, y)
    with pytest.raises(ValueError, match=r"Branching.*test_compaction.py, line \d+, in forward"):
        model.compacted()
    assert not hasattr(model, "flops_")
    before = model.predict_proba(X)
    model.set_params(compact=True)
    with pytest.raises(ValueError, match=r"test_compaction.py, line \d+, in forward"):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("name", ["flops_", "n_units_", "dense_flops_", "input_columns_"])
def test_sizes_need_a_fit(name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no {name}: it is not fitted"):
        getattr(SparseMLPClassifier(), name)


@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
def test_one_target_at_most(digits: Any, kind: Any) -> None:
    model = kind(target_sparsity=0.5, target_flops=0.5)
    with pytest.raises(ValueError, match=r"target_sparsity=0\.5 and target_flops=0\.5 are several"):
        model.fit(*digits)
    for name in ("target_flops", "target_units"):
        for value in (0.0, 1.5, "half"):
            with pytest.raises(ValueError, match=f"'{name}' parameter"):
                kind(**{name: value}).fit(*digits)


def test_branches_that_are_removed_have_no_units(digits: Any) -> None:
    X, y = digits
    options: dict[str, Any] = {"sparsifier": "magnitude", "granularity": "layer", **FAST}
    model = SparseNetClassifier(Shortcuts, target_flops=0.65, **options).fit(X, y)
    # the stem, the narrow branch and the last layer are left
    flops = 2 * (64 * 12 + 2 * 12 * 5 + 12 * 10)
    assert model.dense_flops_ == flops + 2 * (2 * 12 * 30)
    for fitted in (model, model.compacted()):
        same_outputs(model, fitted, X)
        assert fitted.flops_ == flops
        assert fitted.n_units_ == {"stem": 12, "wide.0": 0, "narrow.0": 5}
        assert fitted.dense_n_units_ == {"stem": 12, "wide.0": 30, "narrow.0": 5}
        sizes = fitted.layer_sizes_
        assert sizes["wide.2"]["units"] == (0, 12)
        assert sizes["wide.0"]["flops"] == (0, 2 * 12 * 30)
        assert sizes["narrow.0"]["parameters"] == (65, 65)
