"""Tables of numbers and categories as columns of numbers, each made of one column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_array, check_X_y

from sksparse._groups import is_missing
from sksparse._typing import Array, Indices
from sksparse._validation import as_numpy, targets_of_one_type, validate_data
from sksparse.feature_selection._one_hot import input_columns, unused

# Categories of a smaller share of the weights, but for rounding, have no column of their own.
_SMALLEST_SHARE = 0.01 * (1.0 - 1e-9)
# Columns with fewer entries than this share are kept sparse.
_SPARSE_BELOW = 0.3


class Encoded(NamedTuple):
    """What a table is encoded as.

    Parameters
    ----------
    X : {ndarray, csc_array} of shape (n_samples, n_encoded)
        The columns.
    sources : ndarray of shape (n_encoded,)
        The column of the table that each is made of.
    encoder : object
        What makes them: has ``transform`` and ``get_feature_names_out``.
    """

    X: Any
    sources: Indices
    encoder: Any


def is_frame(X: Any) -> bool:
    """Whether data have columns with types of their own; those of a Series are none."""
    return hasattr(X, "iloc") and X.ndim == 2


@contextmanager
def suggests_encoding(X: Any) -> Iterator[None]:
    """Around the check of features as numbers: names in a DataFrame have a remedy."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kinds = X.dtypes.items() if is_frame(X) else ()
        names = [str(name) for name, dtype in kinds if getattr(dtype, "kind", "O") in "OUT"]
        if not names:
            raise
        raise ValueError(
            f"{error}: column(s) {names[:5]} hold no numbers. Encode them, or set encode='auto', "
            "which encodes tables and selects their columns."
        ) from error


def read_table(estimator: Any, X: Any, y: Any, *, multi_output: bool) -> tuple[Any, Any]:
    """A table as it was passed, or as an array, and its targets.

    Raises
    ------
    ValueError
        Where they are no table, or no targets for it.
    """
    if sparse.issparse(X):
        raise ValueError(
            "encode takes tables of numbers and categories, and X is a sparse matrix, which holds "
            "numbers alone: set encode=None."
        )
    if not is_frame(X):
        # a list may hold numbers and names
        table = np.array(X, dtype=object) if isinstance(X, list) else X
        options = {"dtype": None, "ensure_all_finite": "allow-nan", "multi_output": multi_output}
        X, y = validate_data(estimator, table, y, **options)
        return X, y
    X = validate_data(estimator, X, skip_check_array=True)
    rows = np.zeros((X.shape[0], min(X.shape[1], 1)))
    _, y = check_X_y(rows, targets_of_one_type(as_numpy(y, "y")), multi_output=multi_output)
    return X, y


def encode_table(encode: Any, X: Any, y: Any, names: Any, weights: Array) -> Encoded:
    """Fit an encoder and encode a table.

    Parameters
    ----------
    encode : "auto" or transformer
        What the user asked for; a transformer is cloned.
    X : {DataFrame, ndarray} of shape (n_samples, n_features)
        The table.
    y : ndarray
        Targets, which a transformer may need.
    names : ndarray of shape (n_features,)
        Names of the columns.
    weights : ndarray of shape (n_samples,)
        Weights with sum one, for shares, means and variances.

    Raises
    ------
    ValueError
        Where a column cannot be encoded, or be led back to one of the table.
    """
    if isinstance(encode, str):
        encoder = TableEncoder.fitted(X, names, weights)
        if not len(encoder.sources):
            raise ValueError(
                f"encode='auto' makes no column: all of {list(names)} are categories each of which "
                f"has less than {_SMALLEST_SHARE:.0%} of the samples."
            )
        return Encoded(encoder.transform(X), encoder.sources, encoder)
    encoder = clone(encode)
    made = encoder.fit_transform(X, y)
    sources, made_names = input_columns(encoder)
    lost = [name for name, source in zip(made_names, sources, strict=True) if source < 0]
    if lost:
        raise ValueError(
            f"encode={encode!r} makes column(s) {lost[:5]} of several columns of X, or of ones "
            "that are not known; every step must keep the names of its columns or encode each "
            "column by itself. Put other steps before the selector."
        )
    made = check_array(made, accept_sparse="csc", dtype=[np.float64, np.float32])
    return Encoded(made, np.array(sources, dtype=np.intp), encoder)


@dataclass(frozen=True)
class ColumnEncoder(ABC):
    """What the columns made of one column of a table are.

    Parameters
    ----------
    name : str
        Name of the column.
    """

    name: str

    @abstractmethod
    def names(self) -> list[str]:
        """Names of the columns made of it."""

    @abstractmethod
    def blocks(self, column: Any) -> Iterator[Any]:
        """The columns, as vectors or as sparse matrices."""


@dataclass(frozen=True)
class NumberEncoder(ColumnEncoder):
    """A number, less its mean and in units of its deviation; and whether it is missing.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, deviation : float
        Of the values that are there; missing ones are replaced by the mean.
    missing_deviation : float
        Deviation of the indicator of missing values; zero where none were missing, and then there
        is no such column.
    """

    mean: float
    deviation: float
    missing_deviation: float

    @classmethod
    def fitted(cls, name: str, values: Array, weights: Array) -> NumberEncoder:
        """Mean and deviations by the weights."""
        known = ~np.isnan(values)
        if not known.any():
            return cls(name, 0.0, 0.0, 0.0)
        share, there = float(weights[known].sum()), values[known]
        mean = float(weights[known] @ there) / share
        # squares of differences in units of the largest are inside the range of float64
        unit = float(np.abs(there - mean).max())
        varies = there.min() < there.max()
        variance = float(weights[known] @ ((there - mean) / unit) ** 2) if varies else 0.0
        missing = 0.0 if known.all() else float(np.sqrt(share * (1.0 - share)))
        return cls(name, mean, unit * float(np.sqrt(variance)), missing)

    def names(self) -> list[str]:
        return [self.name, f"{self.name}_missing"][: 1 + (self.missing_deviation > 0)]

    def blocks(self, column: Any) -> Iterator[Any]:
        values = _as_numbers(column, self.name)
        missing = np.isnan(values)
        yield np.where(missing, 0.0, values - self.mean) / (self.deviation or 1.0)
        if self.missing_deviation > 0:
            yield missing / self.missing_deviation


@dataclass(frozen=True)
class CategoryEncoder(ColumnEncoder):
    """Indicators of the categories that are not rare, each in units of its deviation.

    Rows of other categories, rare or not seen, are zero in all of them. Missing values are a
    category, with the name "missing".

    Parameters
    ----------
    name : str
        Name of the column.
    positions : dict
        Category to its place; None is a missing value.
    deviations : ndarray of shape (n_categories,)
        Deviations of the indicators.
    """

    positions: dict[Any, int]
    deviations: Array = field(repr=False)

    @classmethod
    def fitted(cls, name: str, column: Any, weights: Array) -> CategoryEncoder:
        """The categories with enough of the weights."""
        codes, categories = _categories(column, name)
        shares = np.bincount(codes, weights, minlength=len(categories))
        kept = [k for k in range(len(categories)) if shares[k] >= _SMALLEST_SHARE]
        kept.sort(key=lambda k: _place(categories[k]))
        positions = {categories[k]: place for place, k in enumerate(kept)}
        varies, p = len(categories) > 1, np.minimum(shares[kept], 1.0)
        return cls(name, positions, varies * np.sqrt(p * (1.0 - p)))

    def names(self) -> list[str]:
        return [f"{self.name}_{'missing' if c is None else c}" for c in self.positions]

    def blocks(self, column: Any) -> Iterator[Any]:
        codes, categories = _categories(column, self.name)
        places = np.array([self.positions.get(c, -1) for c in categories], dtype=np.intp)[codes]
        rows = np.flatnonzero(places >= 0)
        used = np.where(self.deviations > 0, self.deviations, 1.0)
        values, shape = 1.0 / used[places[rows]], (len(codes), len(used))
        yield sparse.csc_array((values, (rows, places[rows])), shape=shape)


@dataclass(frozen=True)
class TableEncoder:
    """Encodes each column of a table by itself.

    Parameters
    ----------
    columns : tuple of ColumnEncoder
        What is made of each column.
    """

    columns: tuple[ColumnEncoder, ...]

    @classmethod
    def fitted(cls, X: Any, names: Any, weights: Array) -> TableEncoder:
        """An encoder for the columns of a table, numbers or categories by their types."""
        used = np.flatnonzero(weights > 0)
        encoders: list[ColumnEncoder] = []
        for name, column in zip(names, _columns(X, used), strict=True):
            make: Callable[..., ColumnEncoder] = CategoryEncoder.fitted
            if _is_number(column, name):
                make, column = NumberEncoder.fitted, _as_numbers(column, name)
            encoders.append(make(str(name), column, weights[used]))
        return cls(tuple(encoders))

    @property
    def sources(self) -> Indices:
        """The column of the table that each column is made of."""
        return np.repeat(np.arange(len(self.columns)), [len(c.names()) for c in self.columns])

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the columns made.

        Parameters
        ----------
        input_features : object
            Not used: names are those of the table.
        """
        names: list[str] = []
        for name in (name for c in self.columns for name in c.names()):
            names.append(unused(name, names))
        return np.array(names, dtype=object)

    def transform(self, X: Any) -> Any:
        """Encode a table.

        Parameters
        ----------
        X : {DataFrame, ndarray} of shape (n_samples, n_features)
            The table.

        Returns
        -------
        encoded : {ndarray, csc_array} of shape (n_samples, n_encoded)
            Numbers; sparse where most are zero.
        """
        columns = zip(self.columns, _columns(X, slice(None)), strict=True)
        blocks = [block for encoder, column in columns for block in encoder.blocks(column)]
        entries = sum(np.count_nonzero(b) if b.ndim == 1 else b.nnz for b in blocks)
        n_rows, n_columns = X.shape[0], len(self.sources)
        if entries < _SPARSE_BELOW * n_rows * n_columns:
            return sparse.csc_array(sparse.hstack([_as_matrix(b) for b in blocks], format="csc"))
        return np.column_stack([b if b.ndim == 1 else b.toarray() for b in blocks])


def _as_matrix(block: Any) -> Any:
    return sparse.csc_array(block[:, None]) if block.ndim == 1 else block


def _columns(X: Any, rows: Any) -> Iterator[Any]:
    """The columns of a table, each in a type of its own."""
    for j in range(X.shape[1]):
        if isinstance(X, np.ndarray):
            yield X[rows, j]
        else:
            yield X.iloc[:, j].iloc[rows]


def _is_number(column: Any, name: Any) -> bool:
    """Whether a column holds numbers rather than names of categories."""
    kind = column.dtype.kind
    if kind in "mMc":
        raise ValueError(
            f"encode='auto': column {str(name)!r} has dtype {column.dtype}, which is neither a "
            "number nor a category; make numbers or names of it."
        )
    if kind in "biuf":
        return True
    if kind != "O" or column.dtype != np.dtype(object):
        return False
    _, categories = _categories(column, name)
    known = [c for c in categories if c is not None]
    return bool(known) and all(isinstance(c, Real | Decimal | np.bool_) for c in known)


def _as_numbers(column: Any, name: Any) -> Array:
    try:
        if not isinstance(column, np.ndarray):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        elif column.dtype != np.dtype(object):
            values = column.astype(np.float64)
        else:
            known = ~np.array([is_missing(v) for v in column.tolist()], dtype=bool)
            values = np.full(len(column), np.nan)
            values[known] = column[known]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"encode='auto': column {str(name)!r} holds {error}; it was numbers in fit."
        ) from error
    if np.isinf(values).any():
        raise ValueError(f"encode='auto': column {str(name)!r} contains infinity.")
    return np.asarray(values)


def _categories(column: Any, name: Any) -> tuple[Indices, list[Any]]:
    """Number of each entry's category, and the categories; None is the one of missing values."""
    try:
        if isinstance(column, np.ndarray):
            numbers: dict[Any, int] = {}
            entries = [None if is_missing(v) else v for v in column.tolist()]
            codes = np.array([numbers.setdefault(v, len(numbers)) for v in entries], dtype=np.intp)
            return codes, list(numbers)
        codes, found = column.factorize()
    except TypeError as error:
        raise ValueError(
            f"encode='auto': column {str(name)!r} holds objects that are neither numbers nor names "
            f"of categories: {error}."
        ) from error
    categories = [*found, None] if (codes < 0).any() else list(found)
    return np.where(codes < 0, len(categories) - 1, codes).astype(np.intp), categories


def _place(category: Any) -> tuple[bool, bool, Any]:
    """Where a category stands: numbers, then names, then missing values."""
    number = isinstance(category, Real)
    return category is None, not number, category if number else str(category)
