"""Compressed models: they predict what the fitted ones do, in few bytes, without torch."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits, make_classification, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from sksparse import (
    GroupLassoClassifier,
    GroupLassoRegressor,
    GroupLassoSelector,
    GrOWL,
    L0Classifier,
    L0PoissonRegressor,
    L0Regressor,
    L0RegressorCV,
    OSCARClassifier,
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
    SparseNetRegressor,
)
from sksparse.compression import CompressedNetwork, compress, load
from sksparse.compression.codebooks._choice import change_of, choose_bits
from sksparse.compression.codebooks._fine_tuning import grouped_gradient
from sksparse.compression.codebooks._run_torch import run_torch
from sksparse.serving import Program
from sksparse.serving._compressed import loads
from sksparse.serving._numpy_forms import run_numpy

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FIT: dict[str, Any] = {"target_sparsity": 0.7, "max_iter": 4, "random_state": 0, "device": "cpu"}
X, y = make_classification(120, 12, n_informative=6, n_classes=3, random_state=0)
X_values, y_values = make_regression(120, 12, n_informative=4, n_targets=2, random_state=0)
IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = IMAGES.reshape(-1, 1, 8, 8)[:300] / 16
LABELS = (X[:, :2] > 0).astype(int)


def convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(54, 10),
    )


NETWORKS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "classes": lambda: (SparseMLPClassifier((20,), **FIT).fit(X, y), X),
    "names of classes": lambda: (
        SparseMLPClassifier((20,), **FIT).fit(X, np.array(["a", "bb", "ccc"])[y]),
        X,
    ),
    "labels": lambda: (SparseMLPClassifier((20,), **FIT).fit(X, LABELS), X),
    "frame": lambda: (SparseMLPClassifier((20,), **FIT).fit(frame(), y), frame()),
    "value": lambda: (SparseMLPRegressor((20,), **FIT).fit(X_values, y_values[:, 0]), X_values),
    "values": lambda: (SparseMLPRegressor((20,), **FIT).fit(X_values, y_values), X_values),
    "shifted values": lambda: (
        SparseMLPRegressor((20,), **FIT).fit(X_values, 1e8 + y_values),
        X_values,
    ),
    "far columns": lambda: (
        SparseMLPClassifier((20,), **FIT).fit(X * 1e-4 + 1e3, y),
        X * 1e-4 + 1e3,
    ),
    "activations": lambda: (
        SparseMLPClassifier((20, 10), activation="tanh", batch_norm=True, **FIT).fit(X, y),
        X,
    ),
    "convolutions": lambda: (
        SparseNetClassifier(convolutions, **FIT).fit(IMAGES, DIGITS[:300]),
        IMAGES,
    ),
    "module": lambda: (
        SparseNetRegressor(lambda n, m: nn.Sequential(nn.Linear(n, 9), nn.ELU(), nn.Linear(9, m)))
        .set_params(**FIT)
        .fit(X_values, y_values * 100 + 5),
        X_values,
    ),
}


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"column {j}" for j in range(12)])


def close(found: Any, expected: Any, scale: float = 1.0) -> None:
    """Equal but for single precision."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    spread = max(float(np.std(expected)), 1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-5 * spread * scale)


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_weights_predict_the_same(name: str, tmp_path: Path) -> None:
    model, features = NETWORKS[name]()
    compress(model, bits=None).save(tmp_path / "model.sks")
    loaded = load(tmp_path / "model.sks")
    assert loaded.n_features_in_ == model.n_features_in_
    if hasattr(model, "predict_proba"):
        close(loaded.predict_proba(features), model.predict_proba(features))
        assert loaded.classes_.tolist() == model.classes_.tolist()
        predicted = loaded.predict(features)
        assert predicted.dtype.kind == model.predict(features).dtype.kind
        assert np.mean(predicted == model.predict(features)) > 0.99
    else:
        close(loaded.predict(features), model.predict(features))
        with pytest.raises(AttributeError, match="no probabilities"):
            loaded.predict_proba(features)


@pytest.mark.parametrize("coding", ["adaptive", "huffman", "none", "auto"])
@pytest.mark.parametrize("bits", [1, 3, 8, "auto"])
def test_codings_are_of_the_same_network(coding: str, bits: Any) -> None:
    model, features = NETWORKS["convolutions"]()
    small = compress(model, features, bits=bits, coding=coding)
    other = compress(model, features, bits=bits, coding="none")
    for name, tensor in small.tensors.items():
        assert tensor.tobytes() == other.tensors[name].tobytes()
    # the tables of Huffman codes are larger than what they save of a network as small as this
    assert coding == "huffman" or small.nbytes <= other.nbytes
    if bits in (8, "auto"):
        exact = compress(model, bits=None).outputs(features)
        assert change_of(small.outputs(features), exact) < 0.1


def test_layers_have_as_many_levels_as_asked() -> None:
    model, _ = NETWORKS["convolutions"]()
    exact = compress(model, bits=None)
    names = [size.name for size in exact.layers if len(size.shape) > 1]
    small = compress(model, bits={names[0]: 2, names[1]: None})
    first, second = (small.tensors[name] for name in names)
    assert len(np.unique(first[first != 0])) <= 4
    np.testing.assert_array_equal(first != 0, exact.tensors[names[0]] != 0)
    np.testing.assert_array_equal(second, exact.tensors[names[1]])
    with pytest.raises(ValueError, match="bits are given for \\['fc'\\], but the layers are"):
        compress(model, bits={"fc": 2})


def test_levels_are_in_the_type_that_is_asked_for() -> None:
    model, _ = NETWORKS["classes"]()
    for name, kind in (("float16", np.float16), ("float32", np.float32)):
        small = compress(model, bits=3, codebook_dtype=name)
        levels = small.tensors["0.weight"]
        is_half = (levels == levels.astype(np.float16)).all()
        assert bool(is_half) == (kind is np.float16)


def test_stages_shrink_and_add_up() -> None:
    small = compress(NETWORKS["convolutions"]()[0], bits=4)
    for size in small.layers:
        if len(size.shape) > 1:
            assert size.coded <= size.quantised < size.pruned < size.dense
    assert sum(size.coded for size in small.layers) < small.nbytes
    table = repr(small).splitlines()
    stages = ["dense", "pruned", "quantised", "coded"]
    assert table[0].split() == ["layer", "shape", "weights", *stages]
    assert table[-2].split()[-1] == str(small.nbytes)
    assert small.dense_nbytes == 4 * (9 * 6 + 6 + 12 + 54 * 10 + 10)


def test_the_gradient_by_a_level_is_the_sum_of_those_by_its_weights(
    rng: np.random.Generator,
) -> None:
    labels = torch.from_numpy(rng.integers(0, 5, (7, 6)))
    levels = torch.from_numpy(rng.standard_normal(5)).requires_grad_()
    rows = torch.from_numpy(rng.standard_normal((9, 6)))
    weight = levels[labels].detach().requires_grad_()
    torch.tanh(rows @ weight.T).square().sum().backward()
    assert weight.grad is not None
    grouped = grouped_gradient(weight.grad, labels, 5)
    by_hand = [float(weight.grad[labels == k].sum()) for k in range(5)]
    np.testing.assert_allclose(grouped.numpy(), by_hand, rtol=1e-12)
    torch.tanh(rows @ levels[labels].T).square().sum().backward()
    assert levels.grad is not None
    np.testing.assert_allclose(grouped.numpy(), levels.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["classes", "labels", "values", "shifted values", "module"])
def test_training_of_levels_lowers_the_loss_and_keeps_zeros(name: str) -> None:
    model, features = NETWORKS[name]()
    targets = {
        "classes": y,
        "labels": LABELS,
        "values": y_values,
        "shifted values": 1e8 + y_values,
        "module": 100 * y_values + 5,
    }[name]
    before = compress(model, features, bits=2)
    after = compress(
        model, features, targets, bits=2, max_iter=20, batch_size=32, learning_rate_init=0.01
    )

    def loss(small: CompressedNetwork) -> float:
        outputs = torch.from_numpy(small.outputs(features))
        if name == "classes":
            return float(functional.cross_entropy(outputs, torch.from_numpy(targets)))
        if name == "labels":
            wanted = torch.from_numpy(targets).double()
            return float(functional.binary_cross_entropy_with_logits(outputs, wanted))
        return float(np.mean(((outputs.numpy() - targets) / targets.std(axis=0)) ** 2))

    # steps of vectors and half precision are rounded behind the training
    assert loss(after) < loss(before)
    for key, tensor in after.tensors.items():
        if tensor.ndim > 1:
            assert ((tensor == 0) == (before.tensors[key] == 0)).all()
            assert len(np.unique(tensor[tensor != 0])) <= 4


def test_training_is_reproducible() -> None:
    model, features = NETWORKS["classes"]()
    first, second = (compress(model, features, y, bits=2)._data for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_run_by_torch_are_those_run_by_numpy(name: str) -> None:
    model, features = NETWORKS[name]()
    small = compress(model, bits=None)
    rows = small.head.inputs(small.head.rows(features)).astype(np.float64)
    exact = {key: tensor.astype(np.float64) for key, tensor in small.tensors.items()}
    tensors = {key: torch.from_numpy(tensor) for key, tensor in exact.items()}
    by_torch = run_torch(small.program, tensors, torch.from_numpy(rows)).numpy()
    by_numpy = run_numpy(small.program, exact, rows)
    np.testing.assert_allclose(by_torch, by_numpy, rtol=1e-9, atol=1e-9)


class Mixed(nn.Module):
    """Every kind of operation that networks of the other tests do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1)
        self.pool = nn.AvgPool2d(3, 2, padding=1)
        self.out = nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([functional.gelu(self.first(x)) + self.second(x), self.second(x)], dim=1)
        both = functional.leaky_relu(functional.softplus(both).clamp(-1.0, 2.0), 0.1)
        return self.out(functional.silu(self.pool(both)).flatten(1))


def test_all_operations_run_by_torch(rng: np.random.Generator) -> None:
    from sksparse.compression import program_of

    module = Mixed().eval()
    rows = torch.from_numpy(rng.standard_normal((5, 2, 6, 6)).astype(np.float32))
    program, tensors = program_of(module, rows)
    made = run_torch(program, {k: torch.from_numpy(v) for k, v in tensors.items()}, rows)
    np.testing.assert_allclose(
        made.detach().numpy(), module(rows).detach().numpy(), rtol=1e-5, atol=1e-6
    )
    assert isinstance(Program.from_json(program.to_json()), Program)


def test_bits_are_the_fewest_within_the_tolerance() -> None:
    """Changes that add up in squares, each halved by a bit: compared with all choices."""
    sizes, unit = {"a": 1000, "b": 100, "c": 10}, {"a": 0.4, "b": 1.0, "c": 2.0}

    def noise(bits: Any) -> float:
        return float(np.sqrt(sum((unit[name] * 2.0**-b) ** 2 for name, b in bits.items())))

    found = choose_bits(sizes, noise, 0.1)
    assert noise(found) <= 0.1
    fewest = min(
        sum(sizes[name] * b for name, b in zip(sizes, bits, strict=True))
        for bits in np.ndindex(9, 9, 9)
        if min(bits) > 0 and noise(dict(zip(sizes, bits, strict=True))) <= 0.1
    )
    assert sum(sizes[name] * b for name, b in found.items()) <= 1.1 * fewest


def test_tolerance_bounds_the_change() -> None:
    model, features = NETWORKS["classes"]()
    exact = compress(model, bits=None).outputs(features)
    sizes = []
    for tolerance in (0.3, 0.1, 0.03):
        small = compress(model, features, bits="auto", tolerance=tolerance)
        assert change_of(small.outputs(features), exact) < 1.2 * tolerance
        sizes.append(small.nbytes)
    assert sizes == sorted(sizes)


COUNTS = np.random.default_rng(0).poisson(np.exp(0.3 * X_values[:, 0]))
LINEAR: dict[str, Callable[[], Any]] = {
    "regressor": lambda: L0Regressor(max_features=3).fit(X_values, y_values[:, 0]),
    "regressor cv": lambda: L0RegressorCV(max_features=4).fit(X_values, y_values[:, 0]),
    "two classes": lambda: L0Classifier(max_features=3).fit(X, np.where(y > 0, "yes", "no")),
    "classes": lambda: GroupLassoClassifier(alpha=0.02).fit(X, y),
    "clusters": lambda: OSCARClassifier(alpha=0.02).fit(frame(), y > 0),
    "targets": lambda: GroupLassoRegressor(alpha=0.5).fit(X_values, y_values),
    "rows": lambda: GrOWL(alpha=0.5).fit(X_values, y_values),
    "counts": lambda: L0PoissonRegressor(max_features=2).fit(X_values, COUNTS),
    "poisson": lambda: GroupLassoRegressor(loss="poisson", alpha=0.01).fit(X_values, COUNTS),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("coding", ["auto", "none", "huffman", "adaptive"])
def test_linear_models_come_back(name: str, coding: str) -> None:
    model = LINEAR[name]()
    small = pickle.loads(pickle.dumps(compress(model, coding=coding)))
    features: Any = X if hasattr(model, "classes_") else X_values
    if hasattr(model, "feature_names_in_"):
        features = frame()
        assert small.feature_names_in_.tolist() == model.feature_names_in_.tolist()
        with pytest.raises(ValueError, match="same columns in the same order"):
            small.predict(features.iloc[:, ::-1])
    np.testing.assert_array_equal(small.coef_, np.atleast_2d(model.coef_))
    expected = model.predict(features)
    if hasattr(model, "predict_proba"):
        close(small.predict_proba(features), model.predict_proba(features), 1e-8)
        assert small.predict(features).tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(small.predict(features), expected, rtol=1e-12)
    some = sparse.csr_array(np.asarray(features)[:3])
    assert small.predict(some).tolist() == small.predict(np.asarray(features)[:3]).tolist()


def test_linear_models_with_levels() -> None:
    model = LINEAR["classes"]()
    small = compress(model, bits=2)
    kept = small.coef_[small.coef_ != 0]
    assert len(np.unique(kept)) <= 4
    np.testing.assert_array_equal(small.coef_ != 0, model.coef_ != 0)


def test_a_wide_linear_model_takes_the_room_of_what_is_in_use(rng: np.random.Generator) -> None:
    features = sparse.random_array((60, 20_000), density=0.01, rng=rng, format="csc")
    target = features[:, [5]].toarray()[:, 0] + rng.standard_normal(60)
    small = compress(L0Regressor(max_features=5).fit(features, target))
    assert small.nbytes < 300
    assert small.predict(features).shape == (60,)


def test_sparse_and_integer_rows() -> None:
    model, _ = NETWORKS["classes"]()
    small = compress(model)
    rows = np.rint(X)
    expected = small.predict_proba(rows)
    close(small.predict_proba(rows.astype(int)), expected)
    close(small.predict_proba(sparse.csr_array(rows)), expected)


@pytest.mark.parametrize(
    "rows, message",
    [
        (np.zeros((2, 11)), r"X has shape \(2, 11\); the model takes rows of shape \(12,\)"),
        (np.zeros(12), "X has shape"),
        (np.full((2, 12), np.nan), "missing or infinite"),
        (np.full((2, 12), np.inf), "missing or infinite"),
    ],
)
def test_bad_rows(rows: Any, message: str) -> None:
    small = compress(NETWORKS["classes"]()[0])
    for method in (small.predict, small.predict_proba, small.outputs):
        with pytest.raises(ValueError, match=message):
            method(rows)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"bits": 0}, "bits=0 must be 1 to 8"),
        ({"bits": 9}, "bits=9"),
        ({"bits": "few"}, "bits='few'"),
        ({"bits": True}, "bits=True"),
        ({"bits": {"0.weight": 1.5}}, "must be 1 to 8"),
        ({"coding": "zip"}, "coding='zip' must be one of 'auto', 'none', 'huffman', 'adaptive'"),
        ({"codebook_dtype": "int8"}, "codebook_dtype='int8'"),
        ({"tolerance": 0}, "tolerance=0 must be a number above 0"),
        ({"init": "best"}, "init='best'"),
        ({"max_iter": -1}, "max_iter=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate_init": float("inf")}, "learning_rate_init=inf"),
        ({"y": y}, "y is given without X"),
        ({"X": X, "y": y[:5]}, "y has 5 rows, but X has 120"),
        ({"X": X, "y": y + 7}, "which the model was not fitted to"),
        ({"X": X[:, :3]}, "takes rows of shape"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    model, _ = NETWORKS["classes"]()
    with pytest.raises(ValueError, match=message):
        compress(model, **changes)


def test_models_that_cannot_be_compressed() -> None:
    with pytest.raises(NotFittedError):
        compress(SparseMLPClassifier())
    pipeline = make_pipeline(StandardScaler(), SparseMLPClassifier((5,), **FIT)).fit(X, y)
    with pytest.raises(ValueError, match="model=Pipeline cannot be compressed: compress its last"):
        compress(pipeline)
    assert compress(pipeline[-1]).n_features_in_ == 12
    with pytest.raises(ValueError, match="model=StandardScaler cannot be compressed: give"):
        compress(StandardScaler().fit(X))
    selector = GroupLassoSelector(max_groups=2).fit(X, y)
    with pytest.raises(ValueError, match="model=GroupLassoSelector cannot be compressed"):
        compress(selector)
    recurrent = SparseNetClassifier(Recurrent, **{**FIT, "max_iter": 1}).fit(X, y)
    with pytest.raises(ValueError, match="LSTM"):
        compress(recurrent)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.states, self.out = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.states(x.unflatten(1, (3, 4)))[0][:, -1])
        return out


def test_compressing_leaves_the_model_as_it_is() -> None:
    model, features = NETWORKS["classes"]()
    before = model.predict_proba(features)
    compress(model, features, y, bits=2)
    assert model.predict_proba(features).tolist() == before.tolist()


def test_loading_imports_no_torch(tmp_path: Path) -> None:
    compress(NETWORKS["convolutions"]()[0]).save(tmp_path / "network.sks")
    compress(LINEAR["classes"]()).save(tmp_path / "linear.sks")
    code = (
        "import sys, numpy as np; from sksparse.compression import load\n"
        f"a, b = load({str(tmp_path / 'network.sks')!r}), load({str(tmp_path / 'linear.sks')!r})\n"
        "a.predict(np.zeros((1, 1, 8, 8))); b.predict(np.zeros((1, 12))); print(a, b)\n"
        "print([m for m in ('torch', 'sklearn', 'skorch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_files_can_be_held_in_memory() -> None:
    small = compress(NETWORKS["values"]()[0])
    again = loads(small._data)
    np.testing.assert_array_equal(again.predict(X_values), small.predict(X_values))
    assert again.nbytes == small.nbytes
