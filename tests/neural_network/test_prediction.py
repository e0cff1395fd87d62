"""Predictions: of any precision and memory layout, from whatever module_ is at that time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from small_networks import classifier, regressor
from torch import nn

from sksparse.neural_network import SparseMLPClassifier, SparseNetClassifier, SparseNetRegressor
from sksparse.neural_network._classification import _softmax
from sksparse.neural_network._modules import ACTIVATIONS
from sksparse.neural_network.fitted._numpy_layers import numpy_layers

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FLOATS = (np.float32, np.float64)


class Chain(nn.Module):
    """What is no nn.Sequential, so that torch computes it."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_features, 9), nn.Tanh(), nn.Linear(9, n_outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(x)
        return result


def module_outputs(module: nn.Module, X: Any) -> np.ndarray:
    with torch.no_grad():
        return module.double()(torch.from_numpy(np.asarray(X, dtype=np.float64))).numpy()


# --- NumPy computes what torch does -----------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS.values(), nn.ELU(alpha=0.3), nn.Dropout])
def test_layers_in_numpy(rng: Any, activation: Any, dtype: Any) -> None:
    layer = activation if isinstance(activation, nn.Module) else activation()
    norm, plain = nn.BatchNorm1d(7), nn.BatchNorm1d(4, affine=False)
    module = nn.Sequential(
        nn.Linear(5, 7), norm, layer, nn.Sequential(nn.Linear(7, 4, bias=False), plain, layer)
    )
    for layer in (norm, plain):
        for tensor in layer.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2.0)
    run = numpy_layers(module.eval(), np.dtype(dtype))
    assert run is not None
    X = rng.normal(size=(11, 5)).astype(dtype)
    before = X.copy()
    outputs = run(X)
    assert outputs.dtype == dtype
    np.testing.assert_array_equal(X, before)
    np.testing.assert_allclose(outputs, module_outputs(module, X), atol=1e-5)


@pytest.mark.parametrize(
    "module",
    [
        Chain(5, 2),
        nn.Sequential(nn.ReLU(), nn.Linear(5, 2)),
        nn.Sequential(nn.Linear(5, 2), nn.GELU(approximate="tanh")),
        nn.Sequential(nn.Linear(5, 2), nn.BatchNorm1d(2, track_running_stats=False)),
        nn.Sequential(nn.Linear(5, 2), nn.Softplus()),
        nn.Sequential(nn.Dropout(0.5)),
    ],
)
def test_what_numpy_does_not_compute(module: nn.Module) -> None:
    assert numpy_layers(module.eval(), np.dtype(np.float32)) is None


def test_layers_in_training_and_with_hooks_are_left_to_torch() -> None:
    module = nn.Sequential(nn.Linear(5, 2))
    assert numpy_layers(module.train(), np.dtype(np.float32)) is None
    module.eval()[0].register_forward_hook(lambda *_: None)
    assert numpy_layers(module, np.dtype(np.float32)) is None


# --- whatever the features are held in --------------------------------------------------------


@pytest.mark.parametrize("factory", [None, Chain])
def test_layouts_of_features(data: Any, factory: Any) -> None:
    X, y = data
    model = classifier(max_iter=2) if factory is None else SparseNetClassifier(factory, max_iter=2)
    model.fit(X, y)
    for dtype in FLOATS:
        A = np.ascontiguousarray(X, dtype=dtype)
        expected = model.predict_proba(A)
        assert expected.dtype == dtype
        locked = A.copy()
        locked.flags.writeable = False
        kinds = [np.asfortranarray(A), np.repeat(A, 2, axis=1)[:, ::2], locked, pd.DataFrame(A)]
        kinds += [sparse.csr_array(A), np.ascontiguousarray(A[::-1])[::-1], A.tolist()]
        for kind in kinds:
            np.testing.assert_allclose(model.predict_proba(kind), expected, atol=1e-6)
        one_by_one = np.concatenate([model.predict_proba(A[i : i + 1]) for i in range(len(A))])
        np.testing.assert_allclose(
            one_by_one, expected, atol=1e-6 if dtype == np.float32 else 1e-14
        )
    assert model.fit(X.astype(np.float32)[::-1], y).n_iter_ > 0


def test_many_rows_are_predicted_in_blocks(data: Any) -> None:
    X, y = data
    model = classifier(max_iter=2).fit(X, y)
    many = np.resize(X, (9000, X.shape[1]))
    np.testing.assert_array_equal(model.predict(many), np.resize(model.predict(X), 9000))
    np.testing.assert_array_equal(model.predict(sparse.csr_array(many)), model.predict(many))


# --- from the module as it is -----------------------------------------------------------------


def models(X: Any, y: Any) -> list[Any]:
    return [
        regressor(max_iter=2, target_sparsity=0.5).fit(X, y),
        SparseNetRegressor(Chain, max_iter=2, random_state=0).fit(X, y),
    ]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.data.mul_(2.0),
        lambda weight: weight.detach().numpy().__imul__(2.0),
        lambda weight: nn.init.zeros_(weight),
    ],
)
def test_predictions_follow_changes_of_the_module(data: Any, kind: int, change: Any) -> None:
    X, y = data[0], data[1].astype(float)
    model = models(X, y)[kind]
    shift, scale = getattr(model, "target_shift_", 0.0), getattr(model, "target_scale_", 1.0)
    before = {dtype: model.predict(X.astype(dtype)) for dtype in FLOATS}
    module = model.module_
    for dtype in FLOATS:
        model.predict(X.astype(dtype))
    change(next(module.parameters()))
    for dtype in FLOATS:
        after = model.predict(X.astype(dtype))
        assert not np.allclose(after, before[dtype])
        single = nn.Sequential(module).eval()
        with torch.no_grad():
            expected = single(torch.from_numpy(X.astype(np.float32))).numpy()[:, 0]
        np.testing.assert_allclose(after, expected * scale + shift, rtol=1e-4, atol=1e-5)


def test_predictions_follow_further_training_and_other_modules(data: Any) -> None:
    X, y = data[0], data[1].astype(float)
    for model in models(X, y):
        seen = [model.predict(X)]
        seen.append(model.partial_fit(X, y).predict(X))
        seen.append(model.set_params(warm_start=True).fit(X, -y).predict(X))
        other = nn.Linear(X.shape[1], 1)
        model.module_ = other
        seen.append(model.predict(X))
        assert model.module_ is other
        nn.init.zeros_(other.weight)
        seen.append(model.predict(X))
        for a, b in pairwise(seen):
            assert not np.allclose(a, b)


def test_hooks_that_a_user_adds_are_called(data: Any) -> None:
    X, y = data
    model = classifier(max_iter=2).fit(X, y)
    model.predict(X)
    calls: list[Any] = []
    model.module_[1].register_forward_hook(lambda module, inputs, output: calls.append(output))
    model.predict(X)
    model.predict(X.astype(np.float32))
    assert [len(output) for output in calls] == [len(X)] * 2


def test_threads_predict_at_the_same_time(data: Any) -> None:
    X, y = data[0], data[1].astype(float)
    for model in models(X, y):
        expected = model.predict(X)
        model.module_  # noqa: B018  from now on each prediction converts the module
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(model.predict, [X, X.astype(np.float32)] * 10):
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_unfitted_network_has_no_module() -> None:
    assert not hasattr(classifier(), "module_")
    with pytest.raises(AttributeError, match="SparseMLPClassifier has no module_: it is not fit"):
        classifier().module_  # noqa: B018


def test_a_module_that_was_trained_further_predicts_in_evaluation(
    rng: np.random.Generator,
) -> None:
    X = rng.standard_normal((60, 4))
    net = SparseMLPClassifier(
        (8,), dropout=0.5, batch_norm=True, max_iter=3, tol=1e9, random_state=0
    ).fit(X, (X[:, 0] > 0).astype(int))
    for rows in (X, X.astype(np.float32), X[:1]):
        expected = net.predict_proba(rows)
        net.module_.train()
        np.testing.assert_allclose(net.predict_proba(rows), expected, rtol=1e-5)
        np.testing.assert_allclose(net.predict_proba(rows), expected, rtol=1e-5)


class _InSinglePrecision(nn.Module):
    """Computes with a tensor in float32 that nothing converts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.options = (torch.eye(4),)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x @ self.options[0])


def test_a_module_for_single_precision_only_takes_double_rows(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 4))
    net = SparseNetClassifier(_InSinglePrecision(), max_iter=3, tol=1e9, random_state=0)
    net.fit(X, (X[:, 0] > 0).astype(int))
    proba = net.predict_proba(X)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba, net.predict_proba(X.astype(np.float32)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_two_classes_at_any_margin(dtype: Any) -> None:
    margins = np.array([0.0, 1e-3, 1.0, 30.0, 80.0, 500.0, 1e6])
    margins = np.concatenate([margins, -margins]).astype(dtype)
    proba = _softmax(np.column_stack([np.full_like(margins, 2.0), 2.0 + margins]).astype(dtype))
    wide = np.minimum(np.abs(margins.astype(np.longdouble)), 11000)
    least = np.exp(-wide) / (1 + np.exp(-wide))
    small = np.where(margins > 0, proba[:, 0], proba[:, 1])
    large = np.where(margins > 0, proba[:, 1], proba[:, 0])
    tiny = np.finfo(dtype).tiny
    np.testing.assert_allclose(small, least.astype(np.float64), rtol=1e-4, atol=4 * tiny)
    np.testing.assert_allclose(large, (1 - least).astype(np.float64), rtol=4 * np.finfo(dtype).eps)
