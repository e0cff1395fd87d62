"""Groups of the columns that one-hot and other encoders make."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    SplineTransformer,
    TargetEncoder,
)
from sklearn.utils.validation import check_is_fitted


@dataclass(frozen=True, eq=False)
class _Source:
    """A column that an encoder may be given: an input, or one that a step made of others.

    Two sources are the same only as objects, since steps that drop names repeat them.
    """

    name: str
    # The step behind which the column can no longer be led back to the one that it encodes.
    lost_in: str = ""


class _Column(NamedTuple):
    """A column somewhere between the steps, and what it was made of."""

    source: _Source
    encoded: bool = False


def one_hot_groups(transformer: Any, *, positions: bool = False) -> dict[str, list[Any]]:
    """Group the output columns of a fitted transformer by the input column that they encode.

    Parameters
    ----------
    transformer : OneHotEncoder, ColumnTransformer, Pipeline or other transformer
        Fitted. Encoders are found inside pipelines, column transformers and feature unions:
        ``OneHotEncoder``, ``KBinsDiscretizer`` (but for ``encode="ordinal"``),
        ``SplineTransformer``, ``TargetEncoder`` of several classes, and those of the package
        category_encoders that make several columns of one. Steps before and after an encoder may
        drop, scale or impute columns: a column is followed through every step that keeps its name
        in ``get_feature_names_out``. Every other output column is a group of its own.
    positions : bool, default=False
        Whether to give the positions of the columns rather than their names: for output without
        names, a sparse matrix or an array.

    Returns
    -------
    groups : dict of str to list of str or int
        Name of the input column, or of the output column where it stands alone, to the output
        columns; fit for the ``groups`` of :class:`GroupLassoSelector`. A number is put behind a
        name that is taken.

    Raises
    ------
    ValueError
        When a step has no names for its output columns.

    Warns
    -----
    UserWarning
        When columns become groups of their own although they encode something: a step after the
        encoder makes new columns of them, or the encoder is one that is not known here.

    See Also
    --------
    GroupLassoSelector : Keeps or drops such groups; its ``missing_columns`` serves
        cross-validation.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.preprocessing import OneHotEncoder, StandardScaler
    >>> from sksparse.feature_selection import one_hot_groups
    >>> X = pd.DataFrame({"colour": ["red", "blue", "red"], "size": [1.0, 2.0, 3.0]})
    >>> encode = make_column_transformer(
    ...     (OneHotEncoder(sparse_output=False), ["colour"]),
    ...     (StandardScaler(), ["size"]),
    ...     verbose_feature_names_out=False,
    ... )
    >>> one_hot_groups(encode.fit(X))
    {'colour': ['colour_blue', 'colour_red'], 'size': ['size']}
    >>> one_hot_groups(encode, positions=True)
    {'colour': [0, 1], 'size': [2]}
    """
    check_is_fitted(transformer)
    names = _output_names(transformer)
    columns = _follow(transformer, _inputs(transformer))
    members: dict[Any, list[int]] = {}
    for j, column in enumerate(columns):
        members.setdefault(column.source if column.encoded else j, []).append(j)
    groups: dict[str, list[Any]] = {}
    for js in members.values():
        column = columns[js[0]]
        name = unused(column.source.name if column.encoded else names[js[0]], groups)
        groups[name] = js if positions else [names[j] for j in js]
    _warn_of_lost(columns, names)
    return groups


def input_columns(transformer: Any) -> tuple[list[int], list[str]]:
    """The input that each output column of a fitted transformer was made of.

    Parameters
    ----------
    transformer : transformer
        As for :func:`one_hot_groups`.

    Returns
    -------
    sources : list of int
        Position of the input column; -1 where the output is made of several or not known.
    names : list of str
        Names of the output columns.
    """
    inputs = _inputs(transformer)
    positions = {column.source: i for i, column in enumerate(inputs)}
    columns = _follow(transformer, inputs)
    return [positions.get(column.source, -1) for column in columns], _output_names(transformer)


def _inputs(transformer: Any) -> list[_Column]:
    return [_Column(_Source(name)) for name in _input_names(transformer)]


def unused(name: str, taken: Container[str]) -> str:
    """The name, or one with a number behind it where it is taken."""
    numbered = (f"{name}_{k}" for k in itertools.count(1))
    return next(free for free in itertools.chain([name], numbered) if free not in taken)


def _warn_of_lost(columns: list[_Column], names: list[str]) -> None:
    """Say which columns stand alone although an encoder made them."""
    lost = [j for j, column in enumerate(columns) if column.source.lost_in and not column.encoded]
    if lost:
        steps = sorted({columns[j].source.lost_in for j in lost})
        shown = ", ".join(repr(names[j]) for j in lost[:5]) + (", ..." if len(lost) > 5 else "")
        warnings.warn(
            f"one_hot_groups cannot read what the columns encode that {', '.join(steps)} makes: "
            f"{len(lost)} column(s) become groups of their own ({shown}). Put steps that make new "
            "columns before the encoder or beside it, or write the groups by hand.",
            UserWarning,
            stacklevel=3,
        )


def _output_names(transformer: Any) -> list[str]:
    try:
        names = transformer.get_feature_names_out()
    except AttributeError as error:
        raise ValueError(
            f"one_hot_groups reads the names of output columns, and some have none: {error}. Give "
            "every step such names; a FunctionTransformer has them with "
            "feature_names_out='one-to-one'."
        ) from error
    if names is None:
        raise ValueError(
            f"one_hot_groups reads the names of output columns, and {transformer!r} only passes "
            "columns on: there is nothing to group."
        )
    return [str(name) for name in names]


def _input_names(transformer: Any) -> list[str]:
    """Names of the columns that a transformer was fitted on."""
    unnamed = [f"x{i}" for i in range(getattr(transformer, "n_features_in_", 0))]
    return [str(name) for name in getattr(transformer, "feature_names_in_", unnamed)]


def _follow(transformer: Any, inputs: list[_Column]) -> list[_Column]:
    """The output columns of a transformer, given its input columns."""
    if transformer is None or transformer == "passthrough":
        return inputs
    if isinstance(transformer, Pipeline):
        for _, step in transformer.steps:
            inputs = _follow(step, inputs)
        return inputs
    if isinstance(transformer, ColumnTransformer | FeatureUnion):
        return [
            column
            for part, chosen in _parts(transformer, inputs)
            for column in _follow(part, chosen)
        ]
    if isinstance(transformer, FrozenEstimator):
        return _follow(transformer.estimator, inputs)
    sizes = _columns_per_input(transformer)
    if sizes is not None:
        return [
            _Column(column.source, encoded=True)
            for column, size in zip(inputs, sizes, strict=True)
            for _ in range(size)
        ]
    return _follow_by_name(transformer, inputs)


def _parts(
    transformer: ColumnTransformer | FeatureUnion, inputs: list[_Column]
) -> Iterator[tuple[Any, list[_Column]]]:
    """What stands side by side in a transformer and has output, with the columns it is given."""
    if isinstance(transformer, FeatureUnion):
        yield from ((part, inputs) for _, part in transformer.transformer_list if part != "drop")
        return
    for name, part, _ in transformer.transformers_:
        place = transformer.output_indices_[name]
        if place.stop > place.start:
            chosen = transformer._transformer_to_input_indices[name]
            yield part, [inputs[i] for i in chosen]


def _columns_per_input(step: Any) -> list[int] | None:
    """How many columns an encoder of scikit-learn makes of each input, in their order."""
    if isinstance(step, OneHotEncoder):
        return [_n_one_hot(step, i) for i in range(step.n_features_in_)]
    if isinstance(step, KBinsDiscretizer) and step.encode != "ordinal":
        return [int(n) for n in step.n_bins_]
    if isinstance(step, SplineTransformer):
        return [step.n_features_out_ // step.n_features_in_] * step.n_features_in_
    if isinstance(step, TargetEncoder) and step.target_type_ == "multiclass":
        return [len(step.classes_)] * step.n_features_in_
    return None


def _n_one_hot(encoder: OneHotEncoder, i: int) -> int:
    """Columns that the encoder makes of its i-th input."""
    size = len(encoder.categories_[i])
    # The encoder has this attribute only where it was asked to pool rare categories.
    rare = getattr(encoder, "infrequent_categories_", None)
    if rare is not None and rare[i] is not None:
        size += 1 - len(rare[i])
    dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[i] is not None
    return size - int(dropped)


def _follow_by_name(step: Any, inputs: list[_Column]) -> list[_Column]:
    """Columns of a step that keeps the names of those that it keeps, or says what it made them of.

    scikit-learn's scalers, imputers and selectors do, and so do functions that are declared
    "one-to-one".
    """
    named = dict(zip(_input_names(step), inputs, strict=False))
    for part in _encodings(step):
        source = named[str(part["col"])].source
        made = getattr(part.get("mapping"), "columns", part.get("columns", ()))
        named.update((str(name), _Column(source, encoded=True)) for name in made)
    encodes = "Encoder" in type(step).__name__ or any(column.encoded for column in inputs)
    lost_in = type(step).__name__ if encodes else ""
    return [named.get(name, _Column(_Source(name, lost_in))) for name in _output_names(step)]


def _encodings(step: Any) -> list[dict[str, Any]]:
    """What an encoder of category_encoders makes of its inputs."""
    mapping = getattr(step, "mapping", None)
    return mapping if isinstance(mapping, list) else []
