"""Layers that are stored in few numbers: the same outputs everywhere, from what is stored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

from sksparse.compression import compress, load, program_of
from sksparse.compression.codebooks._run_torch import run_torch
from sksparse.layers import HashedLinear, LowRankLinear
from sksparse.neural_network import (
    HashedMLPClassifier,
    HashedMLPRegressor,
    LowRankMLPClassifier,
    LowRankMLPRegressor,
    SparseNetRegressor,
)
from sksparse.serving import Operation, Predictor, Program
from sksparse.serving._expansion import expanded
from sksparse.serving.export._c_code import c_code

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        HashedLinear(8, 20, 30, seed=3),
        nn.BatchNorm1d(20),
        nn.ReLU(),
        LowRankLinear(20, 12, rank=5, n_columns=3),
        nn.Tanh(),
        HashedLinear(12, 4, 9, seed=2**32 - 1),
    ).eval()


@pytest.mark.parametrize("form", ["numpy", "lanes", "rows", "auto"])
def test_outputs_are_those_of_the_module(network: nn.Module, form: str) -> None:
    X = torch.randn(40, 8)
    program, tensors = program_of(network, X[:2])
    with torch.no_grad():
        expected = network(X).numpy()
    assert tensors["0.values"].shape == (1, 30)
    assert sum(t.size for n, t in tensors.items() if n.startswith("5.")) == 9
    predictor = Predictor(program, tensors, form=form)
    for _ in range(2):
        np.testing.assert_allclose(predictor(X.numpy()), expected, atol=2e-6)
    again = Predictor(Program.from_json(program.to_json()), tensors)
    np.testing.assert_allclose(again(X.numpy()), expected, atol=2e-6)
    parts = {name: torch.from_numpy(np.asarray(t, np.float32)) for name, t in tensors.items()}
    np.testing.assert_allclose(run_torch(program, parts, X), expected, atol=2e-6)


def test_two_layers_may_have_the_same_values() -> None:
    values = np.arange(1.0, 6.0)[None]
    operations = tuple(
        Operation("hashed_linear", (k,), k + 1, {"values": "v"}, {"size": 3, "seed": k})
        for k in range(2)
    )
    program, tensors = expanded(Program((3,), operations, 2), {"v": values})
    assert [op.kind for op in program.operations] == ["linear", "linear"]
    assert len(tensors) == 4
    assert set(np.abs(np.concatenate([t.ravel() for t in tensors.values()]))) <= {*values[0]}


@pytest.mark.parametrize(
    "options, shape, message",
    [
        ({"size": 2}, (1, 4), "seed"),
        ({"size": 2, "seed": 2**32}, (1, 4), "seed"),
        ({"size": 0, "seed": 1}, (1, 4), "size"),
        ({"size": 2, "seed": 1}, (4,), "its values have shape"),
        ({"size": 2, "seed": 1}, (2, 4), "its values have shape"),
        ({"size": 2**26, "seed": 1}, (1, 4), "stands for a matrix"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_made(
    options: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    operation = Operation("hashed_linear", (0,), 1, {"values": "v"}, options)
    with pytest.raises(ValueError, match=message):
        Predictor(Program((3,), (operation,), 1), {"v": np.ones(shape)})


def test_layers_are_bounded_together() -> None:
    operations = tuple(
        Operation("hashed_linear", (k,), k + 1, {"values": "v"}, {"size": 8000, "seed": k})
        for k in range(6)
    )
    with pytest.raises(ValueError, match="more than can be held"):
        Predictor(Program((8000,), operations, 6), {"v": np.ones((1, 2))})


@pytest.mark.parametrize("kind", [HashedMLPClassifier, LowRankMLPClassifier])
def test_files_of_classifiers_hold_what_is_stored(kind: Any, tmp_path: Any) -> None:
    X, y = load_digits(return_X_y=True)
    X = X[:600] / 16
    model = kind((100,), share=0.3, max_iter=30, random_state=0).fit(X, y[:600])
    exact = compress(model, bits=None)
    np.testing.assert_allclose(exact.predict_proba(X), model.predict_proba(X), atol=1e-5)
    small = compress(model, X)
    assert small.dense_nbytes == 4 * model.n_dense_parameters_
    assert small.nbytes < 4 * model.n_stored_
    assert (small.predict(X) == model.predict(X)).mean() > 0.97
    small.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(X), small.predict(X))


@pytest.mark.parametrize("kind", [HashedMLPRegressor, LowRankMLPRegressor, SparseNetRegressor])
def test_files_of_regressors_are_in_the_units_of_the_targets(kind: Any) -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y = X / X.std(axis=0), 1000 + 10 * y
    options: dict[str, Any] = {"share": 0.5}
    if kind is SparseNetRegressor:
        options = {"module": nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 1))}
    model = kind(**options, max_iter=20, random_state=0).fit(X, y)
    small = compress(model, bits=None)
    np.testing.assert_allclose(small.predict(X), model.predict(X), rtol=1e-4)


def test_exports_write_the_layers_out(network: nn.Module) -> None:
    program, tensors = program_of(network, torch.randn(2, 8))
    stored = SimpleNamespace(program=program, tensors=tensors)
    assert c_code(stored, "n") == c_code(Predictor(program, tensors), "n")


def test_values_are_trained_with_their_codebook() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    model = HashedMLPClassifier((50,), share=0.3, max_iter=40, random_state=0).fit(X, y)
    small = compress(model, X, y, bits=3, max_iter=3)
    assert len(np.unique(small.tensors["0.values"])) <= 8
    assert small.predict_proba(X)[np.arange(300), y].mean() > 0.3
