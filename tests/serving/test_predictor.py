"""Predictors: all forms against the definition in double precision, threads, pickles."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable

import numpy as np
import pytest
from serving_networks import (
    ACTIVATIONS,
    Case,
    check_outputs,
    convolutional,
    perceptron,
    selecting,
)

from sksparse.serving import Operation, Predictor, Program


@pytest.mark.parametrize("form", ["numpy", "lanes", "rows"])
@pytest.mark.parametrize("n", [1, 3, 16, 63, 64, 100, 300])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_a_perceptron_in_all_forms(
    rng: np.random.Generator, form: str, n: int, density: float
) -> None:
    program, tensors = perceptron(rng, (37, 30, 18, 5), density)
    X = rng.normal(size=(n, 37)).astype(np.float32)
    predictor = Predictor(program, tensors, form=form)
    for _ in range(2):
        check_outputs(predictor(X), program, tensors, X)


@pytest.mark.parametrize("form", ["numpy", "lanes", "rows"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_in_all_forms(rng: np.random.Generator, form: str, activation: str) -> None:
    program, tensors = perceptron(rng, (9, 8, 6), 1.0, activation)
    X = np.concatenate([3.0 * rng.normal(size=(20, 9)), 100.0 * rng.normal(size=(3, 9))])
    check_outputs(Predictor(program, tensors, form=form)(X), program, tensors, X.astype(np.float32))


@pytest.mark.parametrize("form", ["numpy", "lanes", "rows"])
@pytest.mark.parametrize("n", [1, 17, 130])
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_convolutions_in_all_forms(
    rng: np.random.Generator, form: str, n: int, density: float
) -> None:
    program, tensors = convolutional(rng, density)
    X = rng.normal(size=(n, 2, 9, 8)).astype(np.float32)
    check_outputs(Predictor(program, tensors, form=form)(X), program, tensors, X)


@pytest.mark.parametrize("form", ["numpy", "lanes", "rows"])
@pytest.mark.parametrize("n", [1, 50])
def test_inputs_that_are_selected(rng: np.random.Generator, form: str, n: int) -> None:
    program, tensors = selecting(rng)
    X = rng.normal(size=(n, 40)).astype(np.float32)
    check_outputs(Predictor(program, tensors, form=form)(X), program, tensors, X)


def test_an_input_that_is_selected_and_read_otherwise(rng: np.random.Generator) -> None:
    operations = (
        Operation("select", (0,), 1, {"mask": "m"}, {"size": 2}),
        Operation("linear", (0,), 2, {"weight": "w"}),
        Operation("add", (1, 2), 3),
    )
    tensors = {"m": np.array([0.0, 1.0, 0.0, 1.0]), "w": rng.normal(size=(2, 4))}
    program, X = Program((4,), operations, 3), rng.normal(size=(5, 4)).astype(np.float32)
    for form in ("lanes", "rows"):
        check_outputs(Predictor(program, tensors, form=form)(X), program, tensors, X)


@pytest.mark.parametrize("form", ["numpy", "lanes", "rows"])
def test_programs_that_only_move_numbers(rng: np.random.Generator, form: str) -> None:
    tensors = {"m": np.array([1.0, 0.0, 1.0])}
    select = Operation("select", (0,), 1, {"mask": "m"}, {"size": 2})
    reshape = Operation("reshape", (1,), 2, options={"shape": (1, 2)})
    X = rng.normal(size=(4, 3)).astype(np.float32)
    for n in range(3):
        program = Program((3,), (select, reshape)[:n], n)
        check_outputs(Predictor(program, tensors if n else {}, form=form)(X), program, tensors, X)


def test_empty_units_and_layers(rng: np.random.Generator) -> None:
    program, tensors = perceptron(rng, (20, 9, 6, 3), 0.5)
    tensors["w0"][3:] = 0.0
    tensors["w1"][:] = 0.0
    X = rng.normal(size=(70, 20)).astype(np.float32)
    for form in ("numpy", "lanes", "rows"):
        check_outputs(Predictor(program, tensors, form=form)(X), program, tensors, X)


def test_the_choice_is_made_once_for_each_size_of_batch(rng: np.random.Generator) -> None:
    program, tensors = perceptron(rng, (30, 20, 5), 0.1)
    predictor = Predictor(program, tensors)
    for n in (40, 40, 40, 1, 1, 600, 600, 3):
        X = rng.normal(size=(n, 30)).astype(np.float32)
        check_outputs(predictor(X), program, tensors, X)
    X = rng.normal(size=(600, 30)).astype(np.float32)
    np.testing.assert_array_equal(predictor(X), predictor(X))


def test_no_rows(rng: np.random.Generator) -> None:
    program, tensors = perceptron(rng, (3, 4, 2), 1.0)
    assert Predictor(program, tensors)(np.zeros((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("make", [perceptron, convolutional])
@pytest.mark.parametrize("form", ["numpy", "lanes"])
def test_threads_share_the_rows(
    rng: np.random.Generator, make: Callable[..., Case], form: str
) -> None:
    program, tensors = make(rng, (72, 20, 6), 0.4) if make is perceptron else make(rng, 0.4)
    X = rng.normal(size=(500, *program.input_shape)).astype(np.float32)
    one = Predictor(program, tensors, form=form)(X)
    for n_threads in (2, 3, -1):
        many = Predictor(program, tensors, form=form, n_threads=n_threads)
        np.testing.assert_allclose(many(X), one, rtol=0, atol=1e-6)


def test_several_threads_call_one_predictor(rng: np.random.Generator) -> None:
    program, tensors = perceptron(rng, (40, 30, 5), 0.2)
    predictor = Predictor(program, tensors)
    batches = [rng.normal(size=(n, 40)).astype(np.float32) for n in (1, 20, 300, 2)]
    right = [Predictor(program, tensors, form="numpy")(X) for X in batches]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            for k, X in enumerate(batches):
                if not np.allclose(predictor(X), right[k], rtol=0, atol=1e-5):
                    wrong.append(k)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_predictor_is_pickled_without_what_it_tried(rng: np.random.Generator) -> None:
    program, tensors = perceptron(rng, (40, 30, 5), 0.2)
    predictor = Predictor(program, tensors, n_threads=2)
    X = rng.normal(size=(300, 40)).astype(np.float32)
    predictor(X), predictor(X)
    again = pickle.loads(pickle.dumps(predictor))
    assert again.n_threads == 2
    np.testing.assert_allclose(again(X), predictor(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4), (3,), (3, 5, 1), ()])
def test_rows_of_another_shape_are_refused(
    rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    program, tensors = perceptron(rng, (5, 4, 2), 1.0)
    with pytest.raises(ValueError, match=r"X has shape .* takes rows of shape \(5,\)"):
        Predictor(program, tensors)(np.zeros(shape))


def test_bad_arguments_are_refused(rng: np.random.Generator) -> None:
    program, tensors = perceptron(rng, (5, 4, 2), 1.0)
    with pytest.raises(ValueError, match="form='fast' must be one of"):
        Predictor(program, tensors, form="fast")
    for n_threads in (0, -2, 1.5, True):
        with pytest.raises(ValueError, match="n_threads"):
            Predictor(program, tensors, n_threads=n_threads)
    with pytest.raises(ValueError, match="needs the tensor 'w1'"):
        Predictor(program, {name: t for name, t in tensors.items() if name != "w1"})
    program, tensors = selecting(rng)
    with pytest.raises(ValueError, match="'m' keeps 11 units where the program says 12"):
        Predictor(program, {**tensors, "m": tensors["m"] * (np.cumsum(tensors["m"]) != 1)})
