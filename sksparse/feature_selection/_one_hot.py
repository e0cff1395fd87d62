"""Groups of the columns that one-hot encoders make."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted


def one_hot_groups(transformer: Any) -> dict[str, list[str]]:
    """Group the output columns of a fitted transformer by the input column that they encode.

    Parameters
    ----------
    transformer : OneHotEncoder, ColumnTransformer, Pipeline or other transformer
        Fitted. In a column transformer the one-hot encoders are found, also as the last step of a
        pipeline whose earlier steps keep the columns; every other output column is a group of its
        own. Output names are those of its ``get_feature_names_out``.

    Returns
    -------
    groups : dict of str to list of str
        Name of the input column, or of the output column where it stands alone, to the names of
        output columns; fit for the ``groups`` of :class:`GroupLassoSelector`.

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
    """
    check_is_fitted(transformer)
    names = [str(name) for name in transformer.get_feature_names_out()]
    owners = _owners(transformer, names, _input_names(transformer))
    groups: dict[str, list[str]] = {}
    for owner, name in zip(owners, names, strict=True):
        groups.setdefault(owner, []).append(name)
    return groups


def _input_names(transformer: Any) -> list[str]:
    """Names of the columns that a transformer was fitted on."""
    unnamed = [f"x{i}" for i in range(transformer.n_features_in_)]
    return [str(name) for name in getattr(transformer, "feature_names_in_", unnamed)]


def _owners(transformer: Any, names: list[str], inputs: list[str]) -> list[str]:
    """For each output column, the input column that it encodes, or else its own name."""
    if isinstance(transformer, Pipeline):
        return _owners(transformer[-1], names, inputs)
    if isinstance(transformer, OneHotEncoder):
        # Steps before an encoder may drop the names, and even columns.
        same = len(inputs) == transformer.n_features_in_
        return _one_hot_owners(transformer, inputs if same else _input_names(transformer))
    if isinstance(transformer, ColumnTransformer):
        owners = list(names)
        for name, part, columns in transformer.transformers_:
            place = transformer.output_indices_[name]
            if place.stop > place.start and part not in ("drop", "passthrough"):
                owners[place] = _owners(part, names[place], _chosen(inputs, columns))
        return owners
    return names


def _chosen(inputs: list[str], columns: Any) -> list[str]:
    """Names of the columns that a part of a column transformer takes."""
    if isinstance(columns, str):
        return [columns]
    if not isinstance(columns, slice) and all(isinstance(c, str) for c in columns):
        return list(columns)
    return [str(name) for name in np.atleast_1d(np.asarray(inputs, dtype=object)[columns])]


def _one_hot_owners(encoder: OneHotEncoder, inputs: list[str]) -> list[str]:
    sizes = [_n_columns(encoder, i) for i in range(len(inputs))]
    return [str(name) for name in np.repeat(np.asarray(inputs, dtype=object), sizes)]


def _n_columns(encoder: OneHotEncoder, i: int) -> int:
    """Columns that the encoder makes of its i-th input."""
    size = len(encoder.categories_[i])
    # The encoder has this attribute only where it was asked to pool rare categories.
    rare = getattr(encoder, "infrequent_categories_", None)
    if rare is not None and rare[i] is not None:
        size += 1 - len(rare[i])
    dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[i] is not None
    return size - int(dropped)
