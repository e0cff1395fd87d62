"""Every way to say which columns belong together, and what each bad one is told."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sksparse._groups import Groups, check_groups

UVW = np.array(["u", "v", "w"], dtype=object)


def resolved(groups: Any, names: list[str] | None, n: int = 0, **options: Any) -> dict[Any, Any]:
    """Names of groups, to the positions or names of their columns."""
    columns = None if names is None else np.array(names, dtype=object)
    n = n if names is None else len(names)
    found = check_groups(groups, n, columns, **options)
    shown = range(n) if names is None else names
    members = [[shown[j] for j in member] for member in found.members()]
    return dict(zip(found.names.tolist(), members, strict=True))


@pytest.mark.parametrize(
    "groups, names, labels",
    [
        (None, ["u", "v", "w"], [0, 1, 2]),
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        (np.array([7, 7, 3]), [3, 7], [1, 1, 0]),
        (pd.Series(["b", "b", "a"], dtype="category"), ["a", "b"], [1, 1, 0]),
        ([[2], [0, 1]], [0, 1], [1, 1, 0]),
        ((np.array([2, 0]), range(1, 2)), [0, 1], [0, 1, 0]),
        ({"x": ["u", 1], "y": "w"}, ["x", "y"], [0, 0, 1]),
        # labels of several kinds are in the order of the columns
        (["b", 1, "b"], ["b", 1], [0, 1, 0]),
        ([("b", 1), ("a", 2), ("b", 1)], [("a", 2), ("b", 1)], [1, 0, 1]),
        ([("b", 1), "a", ("b", 1)], [("b", 1), "a"], [0, 1, 0]),
        ([True, False, True], [False, True], [1, 0, 1]),
        (np.array([[True, False, True], [False, True, False]]), [0, 1], [0, 1, 0]),
        ([{0, 2}, frozenset([1])], [0, 1], [0, 1, 0]),
        ({"x": [True, False, True], "y": slice(1, 2)}, ["x", "y"], [0, 1, 0]),
        ([slice(1, None), [0]], [0, 1], [1, 0, 0]),
        ({"x": slice("u", "v"), "y": slice("w", None)}, ["x", "y"], [0, 0, 1]),
        ({"x": re.compile("^u|w$"), "y": ["v"]}, ["x", "y"], [0, 1, 0]),
        ([re.compile("v"), re.compile("[uw]")], [0, 1], [1, 0, 1]),
        ({"x": lambda names: names != "v", "y": lambda names: [1]}, ["x", "y"], [0, 1, 0]),
        ({"x": [re.compile("u"), slice(1, 2)], "y": 2}, ["x", "y"], [0, 0, 1]),
        (lambda names: [name == "v" for name in names], [False, True], [0, 1, 0]),
        (lambda names: {"x": names[:2], "y": names[2:]}, ["x", "y"], [0, 0, 1]),
        # names of all columns are their groups, in the order given
        (["w", "u", "v"], ["w", "u", "v"], [1, 2, 0]),
    ],
)
def test_every_way_to_name_groups(groups: object, names: list, labels: list) -> None:
    found = check_groups(groups, 3, UVW)
    assert found.names.tolist() == names
    assert found.labels.tolist() == labels
    assert found.columns is None


@pytest.mark.parametrize(
    "groups, message",
    [
        ([0, 0], r"one label per feature \(3\).*got 2 entries"),
        ([], "got 0 entries"),
        ([0, [1], 2], "one label per feature"),
        ([[0, 1], 2], "one label per feature"),
        ([0, None, 1], "none missing"),
        ([0, float("nan"), 1], "none missing"),
        (np.array([0.0, np.nan, 1.0]), "none missing"),
        ([0, pd.NA, 1], "none missing"),
        ([{"a": 1}, "b", "c"], "labels that are hashable"),
        ("suffix", "groups='suffix' is not known; the one string is 'prefix'"),
        (["u", "v", "u", "w"], "'u' more than once"),
        (["u", "z"], "unknown column 'z' in group 'z'"),
        (["u", "v"], r"no group holds column\(s\) \['w'\]"),
        ({"x": [0, 1]}, r"no group holds column\(s\) \['w'\]"),
        ({"x": [0, 1], "y": []}, "group 'y' is empty"),
        ({"x": [0, 1], "y": [1, 2]}, "column 'v' is in groups 'x' and 'y'.*overlap='latent'"),
        ({"x": [0, "u", 1], "y": [2]}, "column 'u' is in group 'x' twice"),
        ({"x": [0, 1], "y": ["z"]}, "unknown column 'z'.*missing_columns='ignore'"),
        ({"x": [0, 1, 3]}, "column 3 in group 'x' is out of range"),
        ({"x": [0, 1, -1]}, "column -1 in group 'x' is out of range"),
        ({"x": [0, 1.0, 2]}, "column 1.0 in group 'x' is neither a position nor a name"),
        ({"x": [0, 1, True]}, "column True in group 'x' is neither"),
        ({"x": [[0, 1], [2]]}, r"column \[0, 1\] in group 'x' is neither"),
        ({"x": {"u": 1}}, r"column \{'u': 1\} in group 'x' is neither"),
        ({"x": None}, "column None in group 'x' is neither"),
        ({"x": [True, False]}, "mask of group 'x' has 2 entries; give one for each of the 3"),
        ({"x": re.compile("z")}, "pattern 'z' of group 'x' fits no column; the columns are"),
        ({"x": lambda names: []}, "function of group 'x' fits no column"),
        ({"x": lambda names: len}, "function of group 'x' returned a function"),
        ({"x": slice(3, None)}, "of group 'x' fits no column"),
        ({"x": slice("u", "z")}, "unknown column 'z'"),
        (lambda names: len, "must return groups; it returned"),
        (lambda names: None, "must return groups; it returned None"),
        (lambda names: "u", "groups='u' is not known"),
    ],
)
def test_bad_groups_are_told_what_is_wrong(groups: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_groups(groups, 3, UVW)


@pytest.mark.parametrize(
    "groups, what",
    [
        ("prefix", "'prefix' needs the names"),
        (lambda names: names, "a function needs the names"),
        ({"x": re.compile("u")}, "the pattern of group 'x' needs the names"),
        ({"x": lambda names: [0]}, "the function of group 'x' needs the names"),
        ({"x": slice("u", "v")}, "the slice of group 'x' needs the names"),
        ({"x": ["u"]}, "unknown column 'u'"),
        (["u", "v"], "unknown column 'u'"),
    ],
)
def test_names_need_a_frame(groups: object, what: str) -> None:
    with pytest.raises(ValueError, match=f"{what}.*X has no column names: give positions"):
        check_groups(groups, 3, None)
    with pytest.raises(ValueError, match="X has no column names"):
        check_groups(groups, 3, None, skip_missing=True)


def test_prefixes_are_those_of_encoders() -> None:
    names = ["colour_red", "colour_blue", "size", "marital_status_single", "marital_status_married"]
    expected = {"colour": names[:2], "size": ["size"], "marital_status": names[3:]}
    assert resolved("prefix", names) == expected
    # a column transformer puts its parts before all names
    made_by = ["onehot__", "onehot__", "scale__", "onehot__", "onehot__"]
    both = [m + name for m, name in zip(made_by, names, strict=True)]
    found = resolved("prefix", both)
    assert list(found) == list(expected)
    assert [len(columns) for columns in found.values()] == [2, 1, 2]
    # columns of two parts are never grouped, and their groups have different names
    assert list(resolved("prefix", ["a__x_1", "b__x_2"])) == ["a__x", "b__x"]
    # one column that has no such part: the text is one of the column's own
    with pytest.raises(ValueError, match="ambiguous"):
        resolved("prefix", ["a__x_1", "a_x"])


@pytest.mark.parametrize(
    "names",
    [
        ["city_Bonn", "city_New_York"],
        ["marital_status_single", "marital_date_1990", "size"],
        ["onehot__city_Bonn", "onehot__city_New_York"],
    ],
)
def test_prefixes_that_may_be_others_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match=r"ambiguous: .* may belong to .* Give the names of the"):
        resolved("prefix", names)


def test_raw_names_stand_for_the_columns_made_of_them() -> None:
    names = ["city_Bonn", "city_New_York", "city_size_large", "city_size_small", "area"]
    expected = {"city": names[:2], "city_size": names[2:4], "area": ["area"]}
    groups = ["city", "city_size", "area"]
    assert resolved(groups, names) == expected
    assert resolved({g: g for g in groups}, names) == expected
    behind = [f"encode__onehot__{name}" for name in names]
    assert [len(columns) for columns in resolved(groups, behind).values()] == [2, 2, 1]
    # several raw columns together, beside whatever else
    together = {"place": ["city", "area"], "rest": "city_size"}
    assert resolved(together, names)["place"] == [*names[:2], "area"]
    # a column of the name itself is that column alone
    with pytest.raises(ValueError, match=r"no group holds column\(s\) \['area_kind_flat'\]"):
        resolved(groups, [*names, "area_kind_flat"])


def test_raw_names_are_the_same_in_every_fold() -> None:
    groups = ["city", "city_size", "area"]
    assert resolved(groups, ["city_Bonn", "city_size_large", "area"]) == {
        "city": ["city_Bonn"],
        "city_size": ["city_size_large"],
        "area": ["area"],
    }
    fold = ["city_Bonn", "city_Lima", "area"]
    with pytest.raises(ValueError, match="unknown column 'city_size'"):
        resolved({g: [g] for g in groups}, fold)
    found = resolved({g: [g] for g in groups}, fold, skip_missing=True)
    assert found == {"city": fold[:2], "city_size": [], "area": ["area"]}
    nothing = {"all": slice(None), "none": re.compile("z"), "neither": lambda names: []}
    assert resolved(nothing, fold, skip_missing=True) == {"all": fold, "none": [], "neither": []}


def test_raw_names_that_fit_equally_well_are_refused() -> None:
    with pytest.raises(ValueError, match="'ab__cd_x' may be of 'ab' or of 'cd'"):
        resolved({"x": ["ab"], "y": ["cd"]}, ["ab__cd_x", "cd_y"])


def test_default_weights_are_the_root_of_the_size() -> None:
    groups = check_groups(["a", "b", "a", "a", "a"], 5, None)
    np.testing.assert_array_equal(groups.root_sizes, [2.0, 1.0])


def test_overlapping_groups_have_latent_columns(rng: np.random.Generator) -> None:
    groups = {"a": [0, 1], "b": [1, 2], "c": [3, 0]}
    found = check_groups(groups, 4, None, overlap="latent")
    assert found.columns is not None
    assert found.columns.tolist() == [0, 1, 1, 2, 3, 0]
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [member.tolist() for member in found.members()] == list(groups.values())
    X, latent = rng.standard_normal((5, 4)), rng.standard_normal((2, 6))
    np.testing.assert_allclose(found.latent(X) @ latent.T, X @ found.coef(latent).T)
    for form in (sparse.csc_array, sparse.csc_matrix):
        np.testing.assert_array_equal(found.latent(form(X)).toarray(), found.latent(X))
    assert found.features(found.labels == 2).tolist() == [True, False, False, True]
    # what does not overlap is a partition, whatever is asked for
    apart = check_groups([[1, 0], [2]], 3, None, overlap="latent")
    assert apart.columns is None
    np.testing.assert_array_equal(apart.latent(X[0, :3]), X[0, :3])
    with pytest.raises(ValueError, match="column 1 is in group 'a' twice"):
        check_groups({"a": [0, 1, 1], "b": [1]}, 2, None, overlap="latent")


def test_groups_of_columns_are_those_of_what_they_are_encoded_as() -> None:
    sources = np.array([2, 0, 0, 1, 2])
    found = check_groups(["b", "a", "b"], 3, None).of_encoded(sources)
    assert found.labels.tolist() == [1, 1, 1, 0, 1]
    assert found.columns is None
    overlapping = check_groups([[0, 1], [1, 2]], 3, None, overlap="latent").of_encoded(sources)
    assert [sorted(m.tolist()) for m in overlapping.members()] == [[1, 2, 3], [0, 3, 4]]
    # a column of which nothing is made leaves its group empty
    lost = check_groups(None, 3, None).of_encoded(np.array([2, 0]))
    assert isinstance(lost, Groups)
    assert lost.filled.tolist() == [0, 2]
    assert lost.labels.tolist() == [1, 0]


def test_indicators_of_an_imputer_belong_to_their_column() -> None:
    names = ["simpleimputer__size", "simpleimputer__missingindicator_size", "age"]
    assert resolved(["size", "age"], names) == {"size": names[:2], "age": ["age"]}


def test_labels_may_be_tuples_of_several_lengths() -> None:
    labels = [("a", 1), ("b",), ("a", 1)]
    assert resolved(labels, None, 3) == {("a", 1): [0, 2], ("b",): [1]}


def test_an_ambiguous_prefix_is_named_beside_another_one() -> None:
    with pytest.raises(ValueError, match="'col_p' may belong to 'col' or to 'col_our'"):
        resolved("prefix", ["col_our_a", "col_our_b", "col_p", "col_q"])
