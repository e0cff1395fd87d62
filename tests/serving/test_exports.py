"""Other formats: what they compute is what the definition says."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from serving_networks import ACTIVATIONS, Case, check_outputs, convolutional, perceptron, selecting

from sksparse.serving import Operation, Predictor, Program, to_c, to_onnx, to_safetensors

COMPILER = shutil.which("cc")
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-fPIC", "-shared")


def deep(rng: np.random.Generator, density: float) -> Case:
    return perceptron(rng, (23, 17, 11, 4), density)


def quantised(rng: np.random.Generator) -> Case:
    """Few distinct weights, some of them in dense layers."""
    program, tensors = perceptron(rng, (60, 40, 30, 4), 0.3)
    tensors["w1"][tensors["w1"] == 0] = 0.5
    return program, {name: np.round(4 * tensor) / 4 for name, tensor in tensors.items()}


CASES: dict[str, Callable[[np.random.Generator], Case]] = {
    "dense": lambda rng: deep(rng, 1.0),
    "sparse": lambda rng: deep(rng, 0.1),
    "quantised": quantised,
    "selecting": selecting,
    "convolutional": lambda rng: convolutional(rng, 0.8),
    "sparse convolutional": lambda rng: convolutional(rng, 0.2),
    "nothing": lambda rng: (Program((3,), (), 0), {}),
    **{name: lambda rng, name=name: perceptron(rng, (9, 8, 6), 1.0, name) for name in ACTIVATIONS},
}


def compiled(path: Path, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function of a C file for arrays of rows."""
    library = path.with_suffix(".so")
    subprocess.run([COMPILER, *FLAGS, str(path), "-o", str(library), "-lm"], check=True)
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith("#define")]
    sizes = {words[1].removeprefix(f"{name.upper()}_"): int(words[2]) for words in lines}
    function = getattr(ctypes.CDLL(str(library)), name)
    function.restype = None
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    function.argtypes = [pointer] * 3

    def run(X: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(X, dtype=np.float32).reshape(len(X), -1)
        assert rows.shape[1] == sizes["INPUTS"]
        out = np.empty((len(X), sizes["OUTPUTS"]), dtype=np.float32)
        work = np.full(sizes["WORK"], np.nan, dtype=np.float32)
        for row, found in zip(rows, out, strict=True):
            function(row, found, work)
        return out

    return run


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", CASES)
def test_c_computes_the_same(rng: np.random.Generator, tmp_path: Path, name: str) -> None:
    program, tensors = CASES[name](rng)
    to_c(Predictor(program, tensors), tmp_path / "network.c", name="my_network")
    X = rng.normal(size=(5, *program.input_shape)).astype(np.float32)
    found = compiled(tmp_path / "network.c", "my_network")(X)
    shape = Predictor(program, tensors)(X).shape
    check_outputs(found.reshape(shape), program, tensors, X)


def test_c_needs_no_library_where_functions_need_none(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    to_c(Predictor(*deep(rng, 0.1)), tmp_path / "network.c")
    text = (tmp_path / "network.c").read_text()
    assert [line for line in text.splitlines() if line.startswith("#include")] == [
        "#include <stdint.h>"
    ]
    assert "malloc" not in text


def test_c_stores_zeros_nowhere_and_few_weights_by_a_codebook(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    program, tensors = quantised(rng)
    to_c(Predictor(program, tensors), tmp_path / "network.c")
    text = (tmp_path / "network.c").read_text()
    n = np.count_nonzero(tensors["w0"])
    assert len(re.findall(rf"uint8_t \w+\[{n}\]", text)) == 2  # codes and places
    lengths = [int(length) for length in re.findall(r"float \w+\[(\d+)\]", text)]
    assert sum(lengths) < 40 + 30 + 4 + 3 * 30


@pytest.mark.parametrize("name", ["", "3d", "a b", "a;b", "ä", "x" * 100])
def test_names_that_are_none_in_c_are_refused(
    rng: np.random.Generator, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match="as in C"):
        to_c(Predictor(*deep(rng, 1.0)), tmp_path / "network.c", name=name)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_onnx_computes_the_same(
    rng: np.random.Generator, tmp_path: Path, name: str, sparse: bool
) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    program, tensors = CASES[name](rng)
    to_onnx(Predictor(program, tensors), tmp_path / "network.onnx", sparse=sparse)
    session = runtime.InferenceSession(tmp_path / "network.onnx")
    X = rng.normal(size=(5, *program.input_shape)).astype(np.float32)
    (found,) = session.run(None, {"input": X})
    expected = Predictor(program, tensors, form="numpy")(X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * max(1.0, abs(expected).max()))


def test_sparse_onnx_is_smaller(rng: np.random.Generator, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    network = Predictor(*perceptron(rng, (200, 100, 4), 0.05))
    for name, sparse in (("dense", False), ("sparse", True)):
        to_onnx(network, tmp_path / name, sparse=sparse)
    assert 4 * (tmp_path / "sparse").stat().st_size < (tmp_path / "dense").stat().st_size


def test_safetensors_hold_the_tensors_and_the_program(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    safetensors = pytest.importorskip("safetensors")
    program, tensors = convolutional(rng, 0.5)
    to_safetensors(Predictor(program, tensors), tmp_path / "network.safetensors")
    with safetensors.safe_open(tmp_path / "network.safetensors", "numpy") as file:
        assert Program.from_json(json.loads(file.metadata()["program"])) == program
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.astype(np.float32))


@pytest.mark.parametrize("package, write", [("onnx", to_onnx), ("safetensors", to_safetensors)])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, write: Callable[..., None]
) -> None:
    for name in (package, f"{package}.numpy"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    program = Program((2,), (Operation("reshape", (0,), 1, options={"shape": (2, 1)}),), 1)
    with pytest.raises(ImportError, match=rf"pip install sksparse\[{package}\]"):
        write(Predictor(program, {}), tmp_path / "file")


@pytest.mark.parametrize("write", [to_c, to_onnx, to_safetensors])
def test_what_is_no_network_is_refused(tmp_path: Path, write: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match=r"not a dict; sksparse\.compression\.compress makes one"):
        write({}, tmp_path / "file")
