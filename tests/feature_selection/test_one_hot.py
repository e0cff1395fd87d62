"""Groups read from fitted encoders, through whatever stands before and after them."""

from __future__ import annotations

from itertools import chain
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from sksparse.feature_selection import one_hot_groups


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "colour": ["red", "blue", "red", "green", "red", "blue"],
            "shape": ["disc", "cube", "cube", "disc", "cube", "disc"],
            "size": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        }
    )


def sizes(groups: dict[str, list[Any]]) -> dict[str, int]:
    return {name: len(columns) for name, columns in groups.items()}


def encode_first(*after: Any) -> Any:
    """An encoder of the strings, a number beside it, and steps behind both."""
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["colour", "shape"]),
        (StandardScaler(), ["size"]),
        verbose_feature_names_out=False,
    )
    return make_pipeline(encode, *after)


def test_one_hot_groups_follow_every_kind_of_encoder() -> None:
    X = pd.DataFrame(
        {
            "colour": ["red", "blue", "red", "green", "red"],
            "shape": ["disc", "cube", "cube", "disc", "cube"],
            "size": [1.0, 2.0, 3.0, 4.0, 5.0],
        }
    )
    encode = ColumnTransformer(
        [
            ("all", OneHotEncoder(sparse_output=False), ["colour"]),
            ("pooled", make_pipeline(OneHotEncoder(min_frequency=2, drop="first")), ["shape"]),
            ("number", StandardScaler(), ["size"]),
        ]
    ).fit(X)
    groups = one_hot_groups(encode)
    assert groups == {
        "colour": ["all__colour_blue", "all__colour_green", "all__colour_red"],
        "shape": ["pooled__shape_disc"],
        "number__size": ["number__size"],
    }
    rare = OneHotEncoder(min_frequency=2).fit(X[["colour"]])
    assert one_hot_groups(rare) == {"colour": ["colour_red", "colour_infrequent_sklearn"]}
    unnamed = OneHotEncoder().fit(X[["colour", "shape"]].to_numpy())
    assert [len(columns) for columns in one_hot_groups(unnamed).values()] == [3, 2]


def test_one_hot_groups_keep_columns_apart_behind_steps_that_drop_names() -> None:
    X = pd.DataFrame({"col": list("rgb") * 4, "size": list("SMLX") * 3})

    def encoder() -> object:
        return make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())

    for columns in (["col"], ["size"]), ([0], [1]), (slice(0, 1), [False, True]):
        encode = make_column_transformer(*((encoder(), c) for c in columns)).fit(X)
        groups = one_hot_groups(encode)
        assert {name: len(members) for name, members in groups.items()} == {"col": 3, "size": 4}
    assert list(one_hot_groups(encoder().fit(X))) == ["col", "size"]


@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.parametrize(
    "step",
    [
        StandardScaler(),
        MaxAbsScaler(),
        MinMaxScaler(),
        RobustScaler(),
        QuantileTransformer(n_quantiles=6),
        SimpleImputer(),
        FunctionTransformer(np.square, feature_names_out="one-to-one"),
        make_pipeline("passthrough", StandardScaler(), None),
        make_column_transformer((MinMaxScaler(), slice(0, 6)), verbose_feature_names_out=False),
    ],
    ids=lambda step: type(step).__name__,
)
def test_steps_that_keep_columns_keep_groups(table: pd.DataFrame, step: Any, output: str) -> None:
    encode = encode_first(step).set_output(transform=output).fit(table)
    groups = one_hot_groups(encode)
    assert sizes(groups) == {"colour": 3, "shape": 2, "size": 1}
    assert list(chain(*groups.values())) == encode.get_feature_names_out().tolist()


def test_columns_that_a_step_drops_leave_their_groups(table: pd.DataFrame) -> None:
    encode = encode_first(VarianceThreshold(0.2), StandardScaler(), SelectKBest(k=4))
    groups = one_hot_groups(encode.fit(table, [0, 0, 1, 1, 0, 1]))
    assert sum(sizes(groups).values()) == 4
    for name, columns in groups.items():
        assert all(column.startswith(name) for column in columns)


def test_an_imputer_before_the_encoder_may_drop_columns() -> None:
    numbers = np.column_stack((np.full(6, np.nan), np.arange(6.0), np.arange(6.0) ** 2))
    encode = make_pipeline(SimpleImputer(), KBinsDiscretizer([2, 3], strategy="uniform"))
    with pytest.warns(UserWarning, match="Skipping features"):
        encode.fit(numbers)
    assert sizes(one_hot_groups(encode)) == {"x1": 2, "x2": 3}


def test_unions_are_read_part_by_part(table: pd.DataFrame) -> None:
    def columns(*names: str) -> Any:
        return make_column_transformer(
            ("passthrough", list(names)), verbose_feature_names_out=False
        )

    union = make_union(
        make_pipeline(columns("colour"), OneHotEncoder()),
        make_pipeline(columns("size"), StandardScaler()),
        make_pipeline(columns("shape"), OneHotEncoder()),
    )
    union.transformer_list.extend([("nothing", "drop"), ("same", "passthrough")])
    groups = one_hot_groups(union.fit(table))
    assert sizes(groups) == {
        "colour": 3,
        "pipeline-2__size": 1,
        "shape": 2,
        "same__colour": 1,
        "same__shape": 1,
        "same__size": 1,
    }
    assert groups["shape"] == ["pipeline-3__shape_cube", "pipeline-3__shape_disc"]


def squares(_: FunctionTransformer, names: list[str]) -> list[str]:
    return [f"square of {name}" for name in names]


@pytest.mark.parametrize(
    "step, lost",
    [
        (PCA(2), "'pca0', 'pca1'"),
        (
            PolynomialFeatures(interaction_only=True, include_bias=False),
            "'colour_blue colour_green'",
        ),
        (
            FunctionTransformer(
                lambda X: X.to_numpy(),
                feature_names_out=lambda _, names: [f"f({n})" for n in names],
            ),
            r"f\(colour_blue\)",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_step_that_makes_new_columns_of_encoded_ones_warns(
    table: pd.DataFrame, step: Any, lost: str
) -> None:
    encode = encode_first(step).set_output(transform="pandas").fit(table)
    name = type(step).__name__
    with pytest.warns(
        UserWarning, match=f"that {name} makes: .*groups of their own.*{lost}"
    ) as log:
        groups = one_hot_groups(encode)
    assert [warning.filename for warning in log] == [__file__]
    assert list(chain(*groups.values())) == encode.get_feature_names_out().tolist()


def test_an_encoder_that_is_not_known_warns(table: pd.DataFrame) -> None:
    class LetterEncoder(BaseEstimator):
        def fit(self, X: pd.DataFrame) -> LetterEncoder:
            self.letters_ = sorted(set("".join(X.to_numpy().ravel())))
            return self

        def get_feature_names_out(self) -> list[str]:
            return self.letters_

    encoder = LetterEncoder().fit(table[["shape"]])
    with pytest.warns(UserWarning, match="that LetterEncoder makes: 7 column"):
        assert list(one_hot_groups(encoder)) == encoder.letters_


def test_new_columns_without_an_encoder_are_silent(table: pd.DataFrame) -> None:
    numbers = table.assign(weight=table["size"] ** 2)[["size", "weight"]]
    assert one_hot_groups(PCA(2).fit(numbers)) == {"pca0": ["pca0"], "pca1": ["pca1"]}


def test_bins_and_splines_belong_to_the_number_they_cut(table: pd.DataFrame) -> None:
    numbers = table.assign(weight=table["size"] ** 2)[["size", "weight"]]

    def bins(encode: str) -> KBinsDiscretizer:
        return KBinsDiscretizer([2, 3], encode=encode, strategy="uniform")

    for encode in ("onehot", "onehot-dense"):
        assert sizes(one_hot_groups(bins(encode).fit(numbers))) == {"size": 2, "weight": 3}
    assert sizes(one_hot_groups(bins("ordinal").fit(numbers))) == {"size": 1, "weight": 1}
    for spline in (SplineTransformer(3), SplineTransformer(4, include_bias=False)):
        n = spline.fit_transform(numbers).shape[1]
        assert sizes(one_hot_groups(spline)) == {"size": n // 2, "weight": n // 2}
    # bins of what cannot be led back to an input are groups by the column that was cut
    twice = make_pipeline(make_union(PCA(1), PCA(1)), bins("onehot")).fit(numbers)
    assert sizes(one_hot_groups(twice)) == {"pca0": 2, "pca0_1": 3}


def test_target_encodings_of_several_classes_belong_together(table: pd.DataFrame) -> None:
    y = ["a", "b", "c", "a", "b", "c"]
    strings = table[["colour", "shape"]]
    assert sizes(one_hot_groups(TargetEncoder(cv=2).fit(strings, y))) == {"colour": 3, "shape": 3}
    two = TargetEncoder(cv=2).fit(strings, [0, 1] * 3)
    assert sizes(one_hot_groups(two)) == {"colour": 1, "shape": 1}


def test_a_frozen_encoder_is_read(table: pd.DataFrame) -> None:
    frozen = FrozenEstimator(OneHotEncoder().fit(table[["shape"]]))
    assert sizes(one_hot_groups(frozen)) == {"shape": 2}


def test_a_group_never_takes_in_a_column_of_its_name(table: pd.DataFrame) -> None:
    encode = make_column_transformer(
        ("passthrough", ["size"]), (SplineTransformer(3), ["size"]), verbose_feature_names_out=False
    )
    assert sizes(one_hot_groups(encode.fit(table))) == {"size": 1, "size_1": 5}


def test_positions_are_those_of_the_output(table: pd.DataFrame) -> None:
    encode = encode_first(StandardScaler()).fit(table)
    names = encode.get_feature_names_out()
    by_name, by_position = one_hot_groups(encode), one_hot_groups(encode, positions=True)
    assert {g: names[columns].tolist() for g, columns in by_position.items()} == by_name


def test_a_step_without_names_is_refused(table: pd.DataFrame) -> None:
    encode = encode_first(FunctionTransformer(np.square)).fit(table)
    with pytest.raises(ValueError, match=r"FunctionTransformer.*feature_names_out='one-to-one'"):
        one_hot_groups(encode)
    with pytest.raises(NotFittedError):
        one_hot_groups(OneHotEncoder())


def test_encoders_that_publish_a_mapping_are_read() -> None:
    class Contrasts(BaseEstimator):
        """As category_encoders does; the first input is constant and left out."""

        feature_names_in_: ClassVar = ["flat", "colour", "size"]
        mapping: ClassVar = [
            {"col": "flat", "mapping": pd.DataFrame(columns=["flat_0"])},
            {"col": "colour", "mapping": pd.DataFrame(columns=["colour_0", "colour_1"])},
        ]

        def fit(self, X: Any = None, y: Any = None) -> Contrasts:
            self.fitted_ = True
            return self

        def get_feature_names_out(self) -> list[str]:
            return ["colour_0", "colour_1", "size"]

    groups = one_hot_groups(Contrasts().fit())
    assert groups == {"colour": ["colour_0", "colour_1"], "size": ["size"]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name, made",
    [
        ("OneHotEncoder", (3, 2)),
        ("BinaryEncoder", (2, 2)),
        ("BaseNEncoder", (2, 2)),
        ("GrayEncoder", (2, 2)),
        ("RankHotEncoder", (3, 2)),
        ("SumEncoder", (2, 1)),
        ("HelmertEncoder", (2, 1)),
        ("BackwardDifferenceEncoder", (2, 1)),
        ("PolynomialEncoder", (2, 1)),
        ("OrdinalEncoder", (1, 1)),
        ("TargetEncoder", (1, 1)),
        ("CountEncoder", (1, 1)),
    ],
)
def test_category_encoders(table: pd.DataFrame, name: str, made: tuple[int, int]) -> None:
    encoders = pytest.importorskip("category_encoders")
    encoder = getattr(encoders, name)(cols=["colour", "shape"])
    y = [0, 1, 0, 1, 0, 1]
    encode = make_pipeline(encoder, StandardScaler()).fit(table, y)
    groups = one_hot_groups(encode)
    assert sizes(groups) == {"colour": made[0], "shape": made[1], "size": 1}
    assert list(chain(*groups.values())) == [str(n) for n in encoder.get_feature_names_out()]


@pytest.mark.filterwarnings("ignore")
def test_category_encoders_that_mix_inputs_warn(table: pd.DataFrame) -> None:
    encoders = pytest.importorskip("category_encoders")
    encoder = encoders.HashingEncoder(cols=["colour", "shape"], max_process=1).fit(table)
    with pytest.warns(UserWarning, match="that HashingEncoder makes"):
        assert all(len(columns) == 1 for columns in one_hot_groups(encoder).values())


def test_steps_without_names_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="nothing to group"):
        one_hot_groups(make_pipeline("passthrough").fit(rng.standard_normal((4, 2))))
