"""The one reader of the feature matrix, with an implementation for each place where it may be.

Nothing but the implementations, in ``_*_design.py``, touches X or assumes that it is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from sksparse._typing import Array, Indices, Mask


@dataclass(frozen=True)
class Tuning:
    """How much of X is copied at once.

    Parameters
    ----------
    block : int
        Numbers in a temporary block, so that it stays in the processor's cache.
    narrowest, widest : int
        Columns in a block of columns, so that neither the calls nor the temporaries cost much.
    columns : int
        Columns that are measured at once, which bounds the memory above X itself.
    cancelled_columns : int
        Sparse columns that become dense at once, to be measured with all digits.
    cancelled : float
        Ratio of mean to standard deviation above which a sparse variance, a difference of squares,
        has lost digits.
    gram_block, least_rows : int
        Numbers and least rows in a block of rows from which a Gram matrix is added up.
    long : int
        Samples from which single columns are combined where they are contiguous.
    """

    block: int = 2**18
    narrowest: int = 16
    widest: int = 4096
    columns: int = 256
    cancelled_columns: int = 64
    cancelled: float = 10.0
    gram_block: int = 2**17
    long: int = 4096
    least_rows: int = 256


TUNING = Tuning()


class Design:
    """The feature matrix X, read through products, columns, rows and Gram blocks.

    ``Design(X)`` chooses the implementation: :class:`DenseDesign`, :class:`SparseDesign`, or
    :class:`MappedDesign` for arrays on disk. A further one, for rows from a data base or a cluster,
    derives from this class, sets the attributes below and writes :meth:`row_blocks`; every other
    method has a default implementation that reads these blocks once.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        Features, float32 or float64; dense arrays in any memory order. Sparse ones that are not CSC
        are converted; nothing else is copied whole.
    *args, **kwargs
        For implementations with a constructor of their own.

    Attributes
    ----------
    n_samples, n_features : int
        Shape.
    dtype : numpy.dtype
        float32 or float64.
    is_sparse : bool
        Whether columns come as CSC matrices.

    Notes
    -----
    Vectors of length n_samples or n_features go in and come out as float64. Where ``means`` are
    given they are subtracted from the columns, and products are done in float64; without them
    products with a float32 matrix are done in float32. Gram blocks are float64.
    """

    is_sparse: ClassVar[bool] = False
    n_samples: int
    n_features: int
    dtype: np.dtype[Any]

    def __new__(cls, X: Any = None, *args: Any, **kwargs: Any) -> Design:
        if cls is not Design:
            return super().__new__(cls)
        kind = next((kind for kind in cls.__subclasses__() if kind.reads(X)), None)
        is_array = isinstance(X, np.ndarray) or sparse.issparse(X)
        fits = X.ndim == 2 and X.dtype in (np.float32, np.float64) if is_array else True
        if kind is None or not fits:
            found = f"{type(X).__name__} of dtype {getattr(X, 'dtype', None)}"
            raise ValueError(
                f"Design reads float32 and float64 arrays and sparse matrices with two dimensions, "
                f"and X is a {found}, shape {np.shape(X)}; give np.asarray(X, dtype=np.float64)."
            )
        return super().__new__(kind)

    def __init__(self, X: Any) -> None:
        self._X = X
        self.n_samples, self.n_features = X.shape
        self.dtype = np.dtype(X.dtype)

    @classmethod
    def reads(cls, X: Any) -> bool:
        """Whether ``Design(X)`` is of this class."""
        return False

    def row_blocks(self) -> Iterator[tuple[slice, Array]]:
        """All rows in order, a dense block of them at a time, each with the rows it holds."""
        raise NotImplementedError

    @property
    def nbytes(self) -> int:
        """Bytes that the numbers of X take."""
        return self.n_samples * self.n_features * self.dtype.itemsize

    def column_blocks(self, height: int) -> Iterator[slice]:
        """Blocks of columns that give arrays with so many rows a size that fits the cache."""
        width = min(max(TUNING.block // max(height, 1), TUNING.narrowest), TUNING.widest)
        for start in range(0, self.n_features, width):
            yield slice(start, min(start + width, self.n_features))

    def matvec(self, coef: Array, means: Array | None = None) -> Array:
        """``(X - means) @ coef``, from the columns in use."""
        support, result = np.flatnonzero(coef), np.zeros(self.n_samples)
        for rows, block in self.row_blocks() if support.size else ():
            part = block[:, support]
            part = part if means is None else part - means[support]
            result[rows] = part @ coef[support].astype(part.dtype)
        return result

    def combinations(self, coefs: Array, means: Array) -> Array:
        """``(X - means) @ coefs.T`` in float64, from the columns in use."""
        support, result = used_columns(coefs), np.zeros((self.n_samples, len(coefs)))
        for rows, block in self.row_blocks() if support.size else ():
            result[rows] = (block[:, support] - means[support]) @ coefs[:, support].T
        return result

    def rmatvec(self, v: Array, means: Array | None = None) -> Array:
        """``(X - means).T @ v``."""
        return np.concatenate([product for _, product in self.products(v, means)])

    def products(self, left: Any, means: Array | None = None) -> Iterator[tuple[slice, Array]]:
        """``left @ (X - means)``, a block of columns at a time; ``left`` is a vector or matrix."""
        total = np.zeros((*left.shape[:-1], self.n_features))
        for rows, block in self.row_blocks():
            total += left[..., rows] @ (block if means is None else block - means)
        yield slice(0, self.n_features), total

    def columns(self, features: Indices) -> Any:
        """A copy of the given columns: a float64 Fortran-ordered array, or a float64 CSC matrix."""
        result = np.empty((self.n_samples, len(features)), order="F")
        for rows, block in self.row_blocks():
            result[rows] = block[:, features]
        return result

    def select(self, features: Indices) -> Design:
        """The design of the given columns, in memory."""
        return Design(self.columns(features).astype(self.dtype))

    def rows(self, rows: Indices, n_features: int) -> Iterator[tuple[slice, Any]]:
        """The first columns of rows given in rising order, a block at a time.

        Each block comes with the positions of its rows in ``rows``.
        """
        for span, block in self.row_blocks():
            first, last = np.searchsorted(rows, (span.start, span.stop)).tolist()
            if first < last:
                part = block[:, :n_features]
                complete = last - first == len(part)
                yield slice(first, last), part if complete else part[rows[first:last] - span.start]
            if last == len(rows):
                return

    def head(self, n_rows: int, features: Indices) -> Array:
        """The first rows of the given columns, dense."""
        parts = []
        for rows, block in self.row_blocks():
            parts.append(block[: n_rows - rows.start, features])
            if rows.stop >= n_rows:
                break
        return np.concatenate(parts)

    def gram_growth(
        self, known: Indices, new: Indices, weights: Array, means: Array, scales: Array | None
    ) -> tuple[Array, Array]:
        """Weighted products of new columns with known ones and with each other, in one pass.

        Columns are taken around their means and multiplied by their ``scales``.
        """
        roots = np.sqrt(weights)
        features = np.concatenate((known, new))
        n_known, n_new = len(known), len(new)
        cross, corner = np.zeros((n_known, n_new)), np.zeros((n_new, n_new))
        for rows, block in self._parts(features):
            standardise(block, features, roots[rows], means, scales)
            fresh = block[:, n_known:]
            cross += block[:, :n_known].T @ fresh
            corner += fresh.T @ fresh
        return cross, corner

    def _parts(self, features: Indices) -> Iterator[tuple[slice, Array]]:
        """Copies of the given columns in float64, a block of rows at a time."""
        for rows, block in self.row_blocks():
            yield rows, block[:, features].astype(np.float64, copy=False)

    def moments(self, weights: Array, target: Array, centre: bool) -> tuple[Array, Array, Array]:
        """Weighted means, variances and covariances with a target of all columns, in one pass.

        Weights have sum one; without centring the means are zero and the moments those around zero.
        Sums are taken of differences from the first row with a weight, so that a large mean costs
        no digits and a constant has no variance.
        """
        shift, sums = np.empty(0), np.zeros((3, self.n_features))
        for rows, block in self.row_blocks():
            w = weights[rows]
            if not w.any():
                continue
            if not shift.size:
                first = block[int(np.argmax(w > 0.0))].astype(np.float64)
                shift = first if centre else np.zeros(self.n_features)
            differences = block - shift
            weighted = w[:, None] * differences
            sums[0] += weighted.sum(axis=0)
            sums[1] += np.einsum("ij,ij->j", weighted, differences)
            sums[2] += target[rows] @ weighted
        means, variances, covariances = sums
        if not centre:
            return np.zeros(self.n_features), variances, covariances
        total = float(weights @ target)
        return shift + means, variances - means**2, covariances - means * total

    def variances(self, weights: Array, means: Array) -> Array:
        """Weighted mean of squared differences from ``means``, for each column."""
        result = np.zeros(self.n_features)
        for rows, block in self.row_blocks():
            result += weights[rows] @ (block - means) ** 2
        return result

    def largest_magnitudes(self) -> Array:
        """Largest magnitude of each column."""
        largest = np.zeros(self.n_features)
        for _, block in self.row_blocks():
            np.maximum(largest, np.abs(block).max(axis=0), out=largest)
        return largest

    def constants(self) -> Mask:
        """Mask of columns whose entries are all equal."""
        first, equal = None, np.ones(self.n_features, dtype=np.bool_)
        for _, block in self.row_blocks():
            first = block[:1].copy() if first is None else first
            equal &= (block == first).all(axis=0)
        return equal

    def exponent(self, *, constants: bool) -> int:
        """The k for which ``2^-k X`` has a largest magnitude between a half and one; 0 for zeros.

        Columns that do not vary count only if ``constants`` do.
        """
        largest = self.largest_magnitudes()
        if not constants:
            largest[self.constants()] = 0.0
        return int(np.frexp(largest.max(initial=0.0))[1])

    def times_powers_of_two(self, exponents: Any) -> Design:
        """The same columns, all or each times two to the power of an exponent."""
        return _ScaledDesign(self, exponents)


class _ScaledDesign(Design):
    """Columns of another design times powers of two, which are exact."""

    def __init__(self, design: Design, exponents: Any) -> None:
        self._design, self._exponents = design, exponents
        self.n_samples, self.n_features = design.n_samples, design.n_features
        self.dtype = design.dtype

    def row_blocks(self) -> Iterator[tuple[slice, Array]]:
        for rows, block in self._design.row_blocks():
            yield rows, np.ldexp(block, self._exponents)


def standardise(
    block: Array, features: Indices, roots: Array, means: Array, scales: Array | None
) -> None:
    """Centre rows of some columns and multiply them by ``roots`` and ``scales``, in place."""
    block -= means[features]
    block *= roots[:, None]
    if scales is not None:
        block *= scales[features]


def spans(n_rows: int, numbers: int, n_columns: int) -> Iterator[slice]:
    """Blocks of rows with about so many numbers in so many columns."""
    height = max(numbers // max(n_columns, 1), TUNING.least_rows)
    for start in range(0, n_rows, height):
        yield slice(start, min(start + height, n_rows))


def used_columns(coefs: Array) -> Indices:
    """The columns that some of the rows of coefficients use."""
    return np.flatnonzero(coefs.any(axis=0))


def chunks(features: Indices, n_samples: int) -> Iterator[Indices]:
    """Parts of some columns of which copies fit the cache."""
    width = max(TUNING.block // max(n_samples, 1), TUNING.narrowest)
    for start in range(0, len(features), width):
        yield features[start : start + width]


def plain_product(X: Any, coef: Array, support: Indices) -> Array:
    """``X @ coef`` in the float type of X, reading only the columns in use when they are few."""
    if support.size * 4 > X.shape[1]:
        return np.asarray(X @ coef.astype(X.dtype), dtype=np.float64)
    return np.asarray(X[:, support] @ coef[support].astype(X.dtype), dtype=np.float64)
