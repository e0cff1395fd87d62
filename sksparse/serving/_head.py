"""What stands around the outputs of a network: the rows it takes, and what its outputs mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sksparse._typing import Array, Indices

#: For each link, whether it is of a classifier.
LINKS = {"softmax": True, "logistic": True, "sigmoid": True, "identity": False, "exp": False}
#: Types of class labels in a file.
_LABEL_TYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "bool", "str", "object"),
)
_KEYS = {"link", "row_shape", "classes", "label_type", "names", "is_flat"}
#: Arrays of a head, by their names in a file.
_ARRAYS = ("/columns", "/input_shift", "/input_scale", "/output_shift", "/output_scale")


@dataclass(frozen=True)
class Head:
    """What stands around the outputs of a network.

    Parameters
    ----------
    link : {"softmax", "logistic", "sigmoid", "identity", "exp"}
        From outputs to probabilities or predictions: logits of the classes, of the second of two
        classes, or of each label; the targets, or their logarithms.
    row_shape : tuple of int
        The shape of a row of X.
    classes : ndarray, default=None
        The class labels of a classifier.
    names : tuple of str, default=()
        The names of the features; empty where they have none.
    is_flat : bool, default=False
        Whether predictions of a single target have one dimension.
    columns : ndarray, default=None
        The columns of X that the network reads; None for all.
    input_shift, input_scale : ndarray, default=None
        The network reads ``(X - input_shift) / input_scale``. None for X as it is.
    output_shift, output_scale : ndarray, default=None
        Outputs stand for ``outputs * output_scale + output_shift``. None for outputs as they are.
    """

    link: str
    row_shape: tuple[int, ...]
    classes: NDArray[Any] | None = None
    names: tuple[str, ...] = ()
    is_flat: bool = False
    columns: Indices | None = None
    input_shift: Array | None = None
    input_scale: Array | None = None
    output_shift: Array | None = None
    output_scale: Array | None = None

    @property
    def is_classifier(self) -> bool:
        """Whether there are classes."""
        return LINKS[self.link]

    def rows(self, X: Any) -> Array:
        """Checked rows of X, without what the network does not read.

        Raises
        ------
        ValueError
            Where they have another shape, other names, or numbers that are not finite.
        """
        names = getattr(X, "columns", None)
        if names is not None and self.names and list(names) != list(self.names):
            raise ValueError(
                f"X has the columns {list(names)[:5]}, ..., and the model was fitted with "
                f"{list(self.names[:5])}, ...; give the same columns in the same order."
            )
        dense = getattr(X, "toarray", None)
        rows = np.asarray(X if dense is None else dense())
        if rows.dtype.kind not in "fiub":
            rows = rows.astype(np.float64)
        if rows.shape[1:] != self.row_shape or rows.ndim < 2:
            raise ValueError(
                f"X has shape {rows.shape}; the model takes rows of shape {self.row_shape}, as "
                f"an array of shape (n_rows, {', '.join(map(str, self.row_shape))})."
            )
        # a sum is finite where all numbers are, unless it overflows
        if not np.isfinite(rows.sum(dtype=np.float64)) and not np.isfinite(rows).all():
            raise ValueError("X has values that are missing or infinite; impute them first.")
        return rows

    def inputs(self, rows: Array) -> Array:
        """What the network reads of checked rows."""
        if self.input_shift is not None and self.input_scale is not None:
            rows = (rows - self.input_shift) / self.input_scale
        return rows if self.columns is None else rows[:, self.columns]

    def values(self, outputs: Array) -> Array:
        """Outputs in units of the targets, in float64."""
        values = outputs.astype(np.float64)
        if self.output_scale is not None:
            values *= self.output_scale
        if self.output_shift is not None:
            values += self.output_shift
        return values

    def predictions(self, outputs: Array) -> NDArray[Any]:
        """Class labels, or values of the targets."""
        values = self.values(outputs)
        if self.classes is None:
            if self.link == "exp":
                with np.errstate(over="ignore"):
                    values = np.exp(values)
            return values[:, 0] if self.is_flat else values
        if self.link == "sigmoid":
            return (values > 0).astype(self.classes.dtype)
        if self.link == "logistic":
            return self.classes[(values[:, 0] > 0).astype(np.intp)]
        return self.classes[values.argmax(axis=1)]

    def probabilities(self, outputs: Array) -> Array:
        """Probabilities of the classes."""
        if not self.is_classifier:
            raise AttributeError("A regressor has no probabilities; call predict.")
        values = self.values(outputs)
        if self.link == "softmax":
            values -= values.max(axis=1, keepdims=True)
            np.exp(values, out=values)
            values /= values.sum(axis=1, keepdims=True)
            return values
        with np.errstate(over="ignore"):
            positive = 1 / (1 + np.exp(-values))
            negative = 1 / (1 + np.exp(values))
        return positive if self.link == "sigmoid" else np.column_stack([negative, positive])

    def to_json(self) -> dict[str, Any]:
        """The head as what JSON can hold, without its arrays; what is usual is left out."""
        data: dict[str, Any] = {"link": self.link, "row_shape": list(self.row_shape)}
        if self.classes is not None:
            data["classes"] = self.classes.tolist()
            kind = self.classes.dtype
            data["label_type"] = "str" if kind.kind == "U" else kind.name
            _need_labels(data["classes"], data["label_type"])
        if self.names:
            data["names"] = list(self.names)
        if self.is_flat:
            data["is_flat"] = True
        return data

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by their names in a file."""
        mask = None
        if self.columns is not None:
            mask = np.zeros(self.row_shape[0], dtype=bool)
            mask[self.columns] = True
        values = mask, self.input_shift, self.input_scale, self.output_shift, self.output_scale
        found = zip(_ARRAYS, values, strict=True)
        return {name: np.asarray(value) for name, value in found if value is not None}

    @classmethod
    def from_json(
        cls, data: Any, arrays: Mapping[str, NDArray[Any]], n_outputs: int, taken: tuple[int, ...]
    ) -> Head:
        """The head that ``to_json`` and ``arrays`` wrote, of data that nobody has checked.

        Parameters
        ----------
        data : object
            What was read from JSON.
        arrays : mapping of str to ndarray
            All arrays of the file.
        n_outputs : int
            Outputs of the network.
        taken : tuple of int
            The shape of what it reads.

        Raises
        ------
        ValueError
            Where anything does not fit.
        """
        if type(data) is not dict or not {"link", "row_shape"} <= set(data) <= _KEYS:
            raise ValueError("the head of the network has other entries than it must have")
        shape, names = data["row_shape"], data.get("names", [])
        if not _is_list_of(shape, int) or not 1 <= len(shape) <= 8 or min(shape) < 0:
            raise ValueError("the shape of a row is no list of counts")
        if not _is_list_of(names, str) or len(names) not in (0, shape[0]):
            raise ValueError("the names of the features are not one for each")
        if data["link"] not in list(LINKS) or type(data.get("is_flat", False)) is not bool:
            raise ValueError("the link of the outputs is unknown")
        head = cls(
            data["link"],
            tuple(shape),
            _labels(data, n_outputs),
            tuple(names),
            data.get("is_flat", False),
        )
        found: dict[str, Any] = _checked_arrays(arrays, tuple(shape), n_outputs, taken)
        return replace(head, **found)


def _is_list_of(values: Any, kind: type) -> bool:
    return type(values) is list and all(type(value) is kind for value in values)


def _need_labels(labels: list[Any], kind: str) -> None:
    if kind not in _LABEL_TYPES:
        raise ValueError(f"class labels of type {kind} cannot be stored; use numbers or text")
    if any(type(label) not in (int, float, bool, str) for label in labels):
        raise ValueError("class labels that are neither numbers nor text cannot be stored")


def _labels(data: dict[str, Any], n_outputs: int) -> NDArray[Any] | None:
    if not LINKS[data["link"]]:
        if "classes" in data or "label_type" in data:
            raise ValueError("a regressor has classes")
        return None
    labels, kind = data.get("classes"), data.get("label_type")
    wanted = 2 if data["link"] == "logistic" else n_outputs
    if type(labels) is not list or len(labels) != wanted or kind not in list(_LABEL_TYPES):
        raise ValueError("the class labels are not one for each class")
    if data["link"] == "logistic" and n_outputs != 1:
        raise ValueError("two classes need one output")
    _need_labels(labels, kind)
    if kind == "str":
        # all strings of an array take the room of the longest one
        lengths = [len(label) if type(label) is str else 0 for label in labels]
        if max(lengths) * len(labels) > (1 << 20) + 64 * sum(lengths):
            raise ValueError("a class label is too long")
    try:
        return np.array(labels, dtype=kind)
    except (OverflowError, TypeError) as error:
        raise ValueError(f"the class labels are not of type {kind}") from error


def _checked_arrays(
    arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...], n_outputs: int, taken: Any
) -> dict[str, NDArray[Any]]:
    found = {name[1:]: arrays[name] for name in _ARRAYS if name in arrays}
    columns = found.get("columns")
    if columns is not None:
        if columns.dtype.kind != "b" or columns.shape != shape[:1] or len(shape) > 1:
            raise ValueError("the columns of X that are read are no mask of them")
        found["columns"] = np.flatnonzero(columns)
        shape = (len(found["columns"]),)
    if shape != taken:
        raise ValueError(f"rows of shape {shape} do not fit a network that takes {taken}")
    n_features = math.prod(columns.shape if columns is not None else shape)
    for side, n in (("input", n_features), ("output", n_outputs)):
        for what in ("shift", "scale"):
            value = found.get(f"{side}_{what}")
            if value is not None and (value.dtype.kind != "f" or value.size not in (1, n)):
                raise ValueError(f"the {what} of the {side} is not one number for each")
    if ("input_shift" in found) != ("input_scale" in found):
        raise ValueError("the input has a shift without a scale, or a scale without a shift")
    return found
