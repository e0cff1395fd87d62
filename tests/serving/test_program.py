"""Programs: what they say of shapes, and that no bad one is made from JSON."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import numpy as np
import pytest

from sksparse.serving import Operation, Program

CONVOLUTION = {
    "input_shape": [1, 8, 6],
    "operations": [
        {
            "kind": "conv2d",
            "tensors": {"weight": "c", "bias": "cb"},
            "options": {"stride": [2, 1], "padding": [1, 0]},
        },
        {"kind": "activation", "options": {"name": "leaky_relu", "slope": 0.1}},
        {"kind": "affine", "tensors": {"scale": "s"}},
        {"kind": "add", "inputs": [1, 3]},
        {"kind": "concatenate", "inputs": [4, 2]},
        {"kind": "max_pool2d", "options": {"kernel": [2, 2], "stride": [2, 2]}},
        {"kind": "avg_pool2d", "options": {"kernel": [2, 1], "stride": [1, 1]}},
        {"kind": "reshape", "options": {"shape": [16]}},
        {"kind": "select", "tensors": {"mask": "m"}, "options": {"size": 5}},
        {"kind": "linear", "tensors": {"weight": "w"}},
    ],
}
SHAPES = {"c": (4, 1, 3, 3), "cb": (4,), "s": (4,), "m": (16,), "w": (3, 5)}


def test_shapes_of_values() -> None:
    program = Program.from_json(CONVOLUTION)
    assert program.value_shapes(SHAPES) == (
        *((1, 8, 6), (4, 4, 4), (4, 4, 4), (4, 4, 4), (4, 4, 4), (8, 4, 4), (8, 2, 2), (8, 1, 2)),
        *((16,), (5,), (3,)),
    )


def test_json_and_back() -> None:
    program = Program.from_json(CONVOLUTION)
    text = json.dumps(program.to_json())
    assert Program.from_json(json.loads(text)) == program
    assert json.loads(text) == CONVOLUTION


def test_an_output_that_is_not_the_last_value() -> None:
    data = {**CONVOLUTION, "output": 4}
    program = Program.from_json(data)
    assert program.output == 4
    assert program.to_json() == data


def test_options_left_out_have_defaults() -> None:
    settings = Program.from_json(CONVOLUTION).operations[0].settings
    assert settings == {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 1), "groups": 1}


def changed(path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(CONVOLUTION)
    *outer, last = path
    place: Any = data
    for step in outer:
        place = place[step]
    place[last] = value
    return data


@pytest.mark.parametrize(
    "path, value",
    [
        (("input_shape",), [1, 8, "6"]),
        (("input_shape",), []),
        (("input_shape",), [1, 8, True]),
        (("input_shape",), [2**20, 2**20]),
        (("input_shape",), [-1, 8, 6]),
        (("input_shape",), None),
        (("extra",), 1),
        (("output",), 11),
        (("output",), -1),
        (("output",), 1.0),
        (("output",), True),
        (("operations",), {}),
        (("operations",), [{"kind": "reshape", "options": {"shape": [48]}}] * (2**14 + 1)),
        (("operations", 0), []),
        (("operations", 0, "kind"), "conv3d"),
        (("operations", 0, "kind"), ["conv2d"]),
        (("operations", 0, "kind"), None),
        (("operations", 0, "inputs"), [1]),
        (("operations", 0, "inputs"), [0, 0]),
        (("operations", 0, "inputs"), []),
        (("operations", 0, "inputs"), [0.0]),
        (("operations", 0, "inputs"), 0),
        (("operations", 3, "inputs"), [3]),
        (("operations", 3, "inputs"), [-1, 3]),
        (("operations", 0, "tensors"), {"bias": "cb"}),
        (("operations", 0, "tensors"), {"weight": 3}),
        (("operations", 0, "tensors"), {"weight": "x" * 1000}),
        (("operations", 0, "tensors"), {"weight": "c", "extra": "cb"}),
        (("operations", 0, "tensors"), ["c"]),
        (("operations", 0, "options", "stride"), [0, 1]),
        (("operations", 0, "options", "stride"), [1]),
        (("operations", 0, "options", "stride"), 1),
        (("operations", 0, "options", "stride"), [1, 2**40]),
        (("operations", 0, "options", "padding"), [0, -1]),
        (("operations", 0, "options", "groups"), 0),
        (("operations", 0, "options", "colour"), "blue"),
        (("operations", 0, "other"), 1),
        (("operations", 1, "options"), {}),
        (("operations", 1, "options", "name"), "exec"),
        (("operations", 1, "options", "name"), []),
        (("operations", 1, "options", "slope"), float("nan")),
        (("operations", 1, "options", "slope"), 10**400),
        (("operations", 1, "options", "slope"), "0.1"),
        (("operations", 5, "options"), {"kernel": [2, 2]}),
        (("operations", 6, "options", "counts_padding"), 1),
        (("operations", 7, "options", "shape"), []),
        (("operations", 7, "options", "shape"), [1] * 100),
        (("operations", 8, "options", "size"), 0),
    ],
)
def test_bad_data_is_refused_in_one_way(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(ValueError, match=r"program") as raised:
        Program.from_json(changed(path, value))
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("data", [None, [], "x", 3, {}, {"input_shape": [1], "operations": None}])
def test_what_is_no_program_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="The program"):
        Program.from_json(data)


@pytest.mark.parametrize(
    "path, value",
    [
        (("operations", 0, "options", "groups"), 3),
        (("operations", 0, "options", "dilation"), [9, 1]),
        (("operations", 1, "options"), {"name": "leaky_relu"}),
        (("operations", 1, "options"), {"name": "relu", "slope": 0.1}),
        (("operations", 3, "inputs"), [0, 3]),
        (("operations", 4, "inputs"), [0, 3]),
        (("operations", 5, "options", "kernel"), [9, 2]),
        (("operations", 5, "options", "padding"), [2, 0]),
        (("operations", 7, "options", "shape"), [17]),
        (("operations", 8, "options", "size"), 17),
        (("input_shape",), [48]),
        (("input_shape",), [3, 4, 4]),
        (("input_shape",), [1, 8, 16]),
    ],
)
def test_operations_that_do_not_fit_are_named(path: tuple[Any, ...], value: Any) -> None:
    program = Program.from_json(changed(path, value))
    with pytest.raises(ValueError, match=r"Operation \d+ of the program \(\w+\) does not fit"):
        program.check(SHAPES)


@pytest.mark.parametrize(
    "name, shape",
    [("c", (4, 1, 3)), ("c", (4, 2, 3, 3)), ("cb", (3,)), ("s", (5,)), ("m", (5,)), ("w", (3, 6))],
)
def test_tensors_that_do_not_fit_are_named(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Program.from_json(CONVOLUTION).check({**SHAPES, name: shape})


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(ValueError, match="'w', which is not there"):
        Program.from_json(CONVOLUTION).check({n: s for n, s in SHAPES.items() if n != "w"})


def test_values_that_would_grow_too_large_are_refused() -> None:
    doubling = tuple(Operation("concatenate", (k, k), k + 1) for k in range(40))
    with pytest.raises(ValueError, match="too large"):
        Program((8,), doubling, 40).check({})


def test_padding_that_would_blow_up_a_map_is_refused() -> None:
    options = {"padding": (2**15, 2**15)}
    program = Program((1, 1, 1), (Operation("conv2d", (0,), 1, {"weight": "w"}, options),), 1)
    with pytest.raises(ValueError, match="too large"):
        program.check({"w": (1, 1, 1, 1)})


def test_random_changes_raise_nothing_else(rng: np.random.Generator) -> None:
    junk = [None, True, -1, 0, 3, 2**63, 0.5, "x", [], {}, [0], [1, 2], {"kind": "linear"}]
    for _ in range(2000):
        data = copy.deepcopy(CONVOLUTION)
        place: Any = data
        while True:
            keys = list(place) if type(place) is dict else list(range(len(place)))
            if not keys:
                break
            key = keys[rng.integers(len(keys))]
            if type(place[key]) not in (list, dict) or rng.random() < 0.3:
                place[key] = junk[rng.integers(len(junk))]
                break
            place = place[key]
        with contextlib.suppress(ValueError):
            Program.from_json(data).check(SHAPES)
