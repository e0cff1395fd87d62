"""Survival targets in every form, and the concordance of risks with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from sksparse.linear_model._survival import check_survival, concordance

TIMES, EVENTS = np.array([3.0, 1.0, 2.5, 4.0]), np.array([True, False, True, True])


def structured(
    names: tuple[str, str] = ("event", "time"), *, event_first: bool = True, kind: str = "f8"
) -> np.ndarray:
    fields = [(names[0], "?"), (names[1], kind)]
    y = np.empty(4, dtype=fields if event_first else fields[::-1])
    y[names[0]], y[names[1]] = EVENTS, TIMES
    return y


FRAME = pd.DataFrame({"event": EVENTS, "time": TIMES})
FORMS: dict[str, Any] = {
    "structured": structured(),
    "structured, other names": structured(("death", "days")),
    "structured, time first": structured(event_first=False),
    "structured, float32": structured(kind="f4"),
    "record": structured().view(np.recarray),
    "column of records": structured()[:, None],
    "frame": FRAME,
    "frame, time first": FRAME[["time", "event"]],
    "frame, other names": FRAME.set_axis(["death", "days"], axis=1),
    "frame, only time named": FRAME.astype(float).set_axis(["status", "Time"], axis=1),
    "frame of objects": FRAME.astype(object),
    "frame, nullable": FRAME.convert_dtypes(),
    "columns": np.column_stack((TIMES, EVENTS)),
    "columns, event first": np.column_stack((EVENTS, TIMES)),
    "rows": [[t, int(e)] for t, e in zip(TIMES, EVENTS, strict=True)],
    "tuples": list(zip(EVENTS.tolist(), TIMES.tolist(), strict=True)),
    "objects": np.column_stack((EVENTS.astype(object), TIMES)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_times_and_events(form: str) -> None:
    times, events = check_survival(FORMS[form])
    np.testing.assert_array_equal(times, TIMES)
    np.testing.assert_array_equal(events, EVENTS)
    assert times.dtype == events.dtype == np.float64


@pytest.mark.parametrize("y", [TIMES, TIMES.tolist(), pd.Series(TIMES), TIMES.astype(object)])
def test_a_column_is_times_with_an_event(y: Any) -> None:
    times, events = check_survival(y)
    np.testing.assert_array_equal(times, TIMES)
    assert events.all()


def test_a_table_of_one_column_warns_as_in_scikit_learn() -> None:
    with pytest.warns(DataConversionWarning, match="column-vector"):
        times, _ = check_survival(TIMES[:, None])
    np.testing.assert_array_equal(times, TIMES)


def test_names_decide_where_values_do_not() -> None:
    binary = pd.DataFrame({"time": [1.0, 0.0, 1.0], "event": [1, 1, 0]})
    times, events = check_survival(binary[["event", "time"]])
    np.testing.assert_array_equal(times, [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(events, [1.0, 1.0, 0.0])


NAN = structured()
NAN["time"][2] = np.nan
NUMBERS = np.array([(1.0, 2.0), (3.0, 4.0)], dtype=[("time", "f8"), ("status", "f8")])
BAD: list[tuple[Any, str]] = [
    (NAN, "Input y contains NaN"),
    ([1.0, np.inf], "Input y contains infinity"),
    (EVENTS, "holds booleans and no times.*structured array"),
    (np.ones((4, 2)), "both of them could be events.*'event' and 'time'"),
    (np.full((4, 2), 3.5), "none of them could be events"),
    (np.ones((4, 3)), "3 columns; times and events are two"),
    (NUMBERS, "neither 0 nor 1, such as 2"),
    (FRAME.assign(event=[1, 2, 1, 2]), "neither 0 nor 1, such as 2"),
    (FRAME.assign(event=False), "no event, all samples are censored"),
    (np.column_stack((TIMES, np.zeros(4))), "no event, all samples are censored"),
    (["a", "b"], "times of dtype .* which are no numbers"),
    (FRAME.assign(time=list("abcd")), "times of dtype .* which are no numbers"),
]


@pytest.mark.parametrize("y, message", BAD)
def test_what_is_no_survival_target_is_refused(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_survival(y)


def by_pairs(y: np.ndarray, risk: np.ndarray, weights: np.ndarray) -> float:
    """Harrell's C, pair by pair."""
    ordered = comparable = 0.0
    for i in np.flatnonzero(y["event"]):
        for j in range(len(y)):
            earlier = y["time"][i] < y["time"][j]
            if earlier or (y["time"][i] == y["time"][j] and not y["event"][j]):
                pair = weights[i] * weights[j]
                comparable += pair
                ordered += pair * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return ordered / comparable


def make_times(rng: np.random.Generator, n: int, n_times: int) -> np.ndarray:
    y = np.empty(n, dtype=[("event", "?"), ("time", "f8")])
    y["event"], y["time"] = rng.random(n) < 0.6, rng.integers(0, n_times, n)
    y[0] = True, -1.0
    return y


@pytest.mark.parametrize("n", [2, 3, 16, 33, 100])
@pytest.mark.parametrize("n_risks", [1, 4, 1000])
def test_concordance_equals_counting_of_pairs(
    rng: np.random.Generator, n: int, n_risks: int
) -> None:
    for n_times in (2, 10, 1000):
        y, risk = make_times(rng, n, n_times), rng.integers(0, n_risks, n).astype(float)
        weights = rng.integers(0, 3, n).astype(float)
        weights[[0, 1]] = 1.0
        assert concordance(y, risk) == pytest.approx(by_pairs(y, risk, np.ones(n)))
        found = concordance(y, risk, weights)
        assert found == pytest.approx(by_pairs(y, risk, weights))
        repeats = weights.astype(int)
        repeated = concordance(np.repeat(y, repeats), np.repeat(risk, repeats))
        assert found == pytest.approx(repeated)


def test_concordance_at_its_ends(rng: np.random.Generator) -> None:
    y = make_times(rng, 50, 1000)
    y["time"] = rng.permutation(50)
    assert concordance(y, -y["time"]) == 1.0
    assert concordance(y, y["time"]) == 0.0
    assert concordance(y, np.zeros(50)) == 0.5


def test_concordance_without_comparable_samples_is_refused() -> None:
    y = np.array([(True, 2.0), (False, 1.0), (True, 2.0)], dtype=[("event", "?"), ("time", "f8")])
    with pytest.raises(ValueError, match="No two samples can be compared"):
        concordance(y, np.arange(3.0))
    with pytest.raises(ValueError, match="Input risk contains NaN"):
        concordance(y, [0.0, np.nan, 1.0])
