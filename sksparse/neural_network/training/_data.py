"""Training data as weighted distinct rows, sliced into batches without copying X.

A fit depends on the data through its weighted empirical distribution alone: equal rows
with equal targets are merged and their weights added, rows of weight zero are left out,
and the order is that of a hash of the rows. Repeating a row and doubling its weight is
therefore the same fit, bit for bit, as is any permutation of the rows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
from scipy import sparse
from sklearn.model_selection import train_test_split
from torch import Tensor

from sksparse._interrupts import check
from sksparse._typing import Array, Indices

_CHUNK = 4096


class Table(Protocol):
    """Features of which rows can be taken as one dense tensor."""

    def take(self, rows: Tensor) -> Tensor:
        """The given rows, as a dense tensor on the device of training."""
        ...

    def select(self, rows: Tensor) -> Any:
        """The given rows, in a form that skorch can index."""
        ...


class DenseTable:
    """A dense matrix, shared with the caller's array where that is float32 already."""

    def __init__(self, X: Array, device: torch.device) -> None:
        self._X = shared_tensor(X).to(device)

    def take(self, rows: Tensor) -> Tensor:
        return self._X.index_select(0, rows)

    select = take


class SparseTable:
    """A CSR matrix of which only the batch in use is ever dense."""

    def __init__(self, X: sparse.csr_array, device: torch.device) -> None:
        self._X = X
        self._device = device

    def take(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self._X[rows.cpu().numpy()].toarray()).to(self._device)

    def select(self, rows: Tensor) -> sparse.csr_matrix:
        # skorch takes a row of it for a matrix
        return sparse.csr_matrix(self._X[rows.cpu().numpy()])


@dataclass(frozen=True)
class Rows:
    """Some rows of a table with targets and weights, ready to be sliced.

    Parameters
    ----------
    table : Table
        The features of all rows.
    y : torch.Tensor of shape (n_all, ...)
        The targets of all rows.
    weight : torch.Tensor of shape (n_all,) or None
        Weights with mean 1 over the rows in use; None when all are equal.
    index : torch.Tensor of shape (n_rows,)
        Numbers of the rows in use.
    """

    table: Table
    y: Tensor
    weight: Tensor | None
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def first(self, n_rows: int) -> Tensor:
        """The features of a few rows."""
        return self.table.take(self.index[:n_rows])

    def batches(
        self, size: int, *, shuffle: bool = False
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Features, targets and weights of one batch after the other.

        Batches have `size` rows or, where that does not divide the rows, all about as many
        fewer: the gradient of a small last batch would be far noisier than the others.
        """
        index = self.index
        if shuffle:
            index = index[torch.randperm(len(self)).to(index.device)]
        parts = list(index.tensor_split(math.ceil(len(self) / size)))
        if shuffle and size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
            # batch normalisation has nothing to compare a single row with
            parts[-2:] = [torch.cat(parts[-2:])]
        for rows in parts:
            weight = None if self.weight is None else self.weight.index_select(0, rows)
            yield self.table.take(rows), self.y.index_select(0, rows), weight


def make_table(X: Array | sparse.csr_array, device: torch.device) -> Table:
    """Wrap validated features for slicing."""
    return SparseTable(X, device) if sparse.issparse(X) else DenseTable(X, device)


def make_rows(
    table: Table, y: Indices | Array, weight: Array, index: Indices, device: torch.device
) -> Rows:
    """The given rows of a table, with weights scaled to mean 1 over them."""
    chosen = weight[index]
    scaled = None
    if np.ptp(chosen) > 0:
        # rows that are not in use may be too heavy for float32
        values = np.zeros(len(weight), dtype=np.float32)
        values[index] = chosen / chosen.mean()
        scaled = torch.from_numpy(values).to(device)
    return Rows(table, torch.from_numpy(y).to(device), scaled, torch.from_numpy(index).to(device))


def merge_equal_rows(
    X: Array | sparse.csr_array, y: Indices | Array, weight: Array
) -> tuple[Indices, Array]:
    """One number for each distinct row of positive weight, and the summed weights.

    Parameters
    ----------
    X : {ndarray, csr_array} of shape (n_samples, n_features, ...)
        Features, float32.
    y : ndarray of shape (n_samples,)
        Targets.
    weight : ndarray of shape (n_samples,)
        Weights, not negative.

    Returns
    -------
    index : ndarray of shape (n_rows,)
        One representative of each group of equal rows, ordered by the hash of the rows.
    merged : ndarray of shape (n_samples,)
        The sum of the weights of the group at its representative, elsewhere 0.
    """
    positive = np.flatnonzero(weight > 0)
    hashes = _hash_rows(X, y, positive)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    index = positive[first]
    merged = np.zeros(len(weight))
    merged[index] = np.bincount(group, weights=weight[positive])
    return index, merged


def split_rows(
    index: Indices, labels: Indices | None, n_valid: int, seed: int
) -> tuple[Indices, Indices] | None:
    """Rows to train on and rows to validate with, stratified where the classes allow it.

    Classes that are too rare keep their rows, or one of them, among those to train on.

    Parameters
    ----------
    index : ndarray of shape (n_rows,)
        Numbers of the rows.
    labels : ndarray of shape (n_rows,) or None
        Their classes; None for a regression.
    n_valid : int
        Rows to validate with.
    seed : int
        Seed of the draw.

    Returns
    -------
    parts : tuple of ndarray, or None
        None where nothing can be set aside.
    """
    if labels is None:
        if n_valid >= len(index):
            return None
        learn, check = train_test_split(index, test_size=n_valid, random_state=seed)
        return learn, check
    classes, first, counts = np.unique(labels, return_index=True, return_counts=True)
    common = np.isin(labels, classes[counts > 1])
    n_common = np.count_nonzero(counts > 1)
    stratified = min(n_valid, common.sum() - n_valid) >= n_common > 0
    kept = ~common
    if not stratified:
        # the first row of each class; rows are ordered by a hash
        kept[first] = True
    n_valid = min(n_valid, int(np.count_nonzero(~kept)))
    if n_valid == 0:
        return None
    rest, strata = index[~kept], labels[~kept] if stratified else None
    learn, check = rest[:0], rest
    if n_valid < len(rest):
        learn, check = train_test_split(rest, test_size=n_valid, stratify=strata, random_state=seed)
    return (np.concatenate([index[kept], learn]) if kept.any() else learn), check


def _hash_rows(X: Any, y: Indices | Array, rows: Indices) -> Indices:
    """64 bits a row: among a million distinct rows two agree with probability 3e-8."""
    digests = []
    for start in range(0, len(rows), _CHUNK):
        check()
        part = rows[start : start + _CHUNK]
        features = X[part].toarray() if sparse.issparse(X) else X[part]
        # adding zero turns -0.0 into 0.0, which is the same number in other bits
        flat = features.reshape(len(part), -1)
        block = np.column_stack([flat, y[part].astype(np.float32)]) + np.float32(0)
        digests += [blake2b(row, digest_size=8).digest() for row in block]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def row_blocks(X: Any, size: int) -> Iterator[Array]:
    """Rows in their order, so many at a time, as dense arrays."""
    if sparse.issparse(X):
        for start in range(0, X.shape[0], size):
            yield X[start : start + size].toarray()
    elif len(X) <= size:
        yield X
    else:
        yield from (X[start : start + size] for start in range(0, len(X), size))


def shared_tensor(X: Array) -> Tensor:
    """A tensor on the memory of an array, which may be read-only: nothing writes to it."""
    if min(X.strides) < 0:
        # torch reads forwards only
        X = np.ascontiguousarray(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(X)
