"""Compressed networks: they predict what the fitted ones do, in few bytes, without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from sksparse.compression import compress, load
from sksparse.compression.codebooks._choice import change_of
from sksparse.compression.codebooks._run_torch import run_torch
from sksparse.serving import Program
from sksparse.serving._compressed import loads
from sksparse.serving._numpy_forms import run_numpy
from tests.helpers.compressed_models import NETWORKS, X, X_values, close, linear, network, y

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_weights_predict_the_same(name: str, tmp_path: Path) -> None:
    model, features = network(name)
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
    model, features = network("convolutions")
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
    model, _ = network("convolutions")
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
    model, _ = network("classes")
    for name, kind in (("float16", np.float16), ("float32", np.float32)):
        small = compress(model, bits=3, codebook_dtype=name)
        levels = small.tensors["0.weight"]
        is_half = (levels == levels.astype(np.float16)).all()
        assert bool(is_half) == (kind is np.float16)


def test_stages_shrink_and_add_up() -> None:
    small = compress(network("convolutions")[0], bits=4)
    for size in small.layers:
        if len(size.shape) > 1:
            assert size.coded <= size.quantised < size.pruned < size.dense
    assert sum(size.coded for size in small.layers) < small.nbytes
    table = repr(small).splitlines()
    stages = ["dense", "pruned", "quantised", "coded"]
    assert table[0].split() == ["layer", "shape", "weights", *stages]
    assert table[-2].split()[-1] == str(small.nbytes)
    assert small.dense_nbytes == 4 * (9 * 6 + 6 + 12 + 54 * 10 + 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_run_by_torch_are_those_run_by_numpy(name: str) -> None:
    model, features = network(name)
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


def test_sparse_and_integer_rows() -> None:
    model, _ = network("classes")
    small = compress(model)
    rows = np.rint(X)
    expected = small.predict_proba(rows)
    close(small.predict_proba(rows.astype(int)), expected)
    close(small.predict_proba(sparse.csr_array(rows)), expected)


def test_compressing_leaves_the_model_as_it_is() -> None:
    model, features = network("classes")
    before = model.predict_proba(features)
    compress(model, features, y, bits=2)
    assert model.predict_proba(features).tolist() == before.tolist()


def test_loading_imports_no_torch(tmp_path: Path) -> None:
    compress(network("convolutions")[0]).save(tmp_path / "network.sks")
    compress(linear("classes")).save(tmp_path / "linear.sks")
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
    small = compress(network("values")[0])
    again = loads(small._data)
    np.testing.assert_array_equal(again.predict(X_values), small.predict(X_values))
    assert again.nbytes == small.nbytes
