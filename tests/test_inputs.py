"""Features of every kind: each works in fits and predictions alike, or has one clear error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, clone

import sksparse
from sksparse._validation import as_numpy
from sksparse.solvers import Design

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NET: dict[str, Any] = {"max_iter": 2, "random_state": 0}
#: One of each reader: linear regressors and classifiers, counts, searches, networks.
ESTIMATORS: dict[str, BaseEstimator] = {
    "L0Classifier": sksparse.L0Classifier(),
    "L0PoissonRegressor": sksparse.L0PoissonRegressor(),
    "GroupLassoClassifier": sksparse.GroupLassoClassifier(),
    "GroupLassoRegressorCV": sksparse.GroupLassoRegressorCV(alphas=3, cv=2),
    "OSCAR": sksparse.OSCAR(),
    "OSCARCV": sksparse.OSCARCV(alphas=3, cv=2),
    "SLOPEClassifier": sksparse.SLOPEClassifier(0.01),
    "GrOWL": sksparse.GrOWL(0.01),
    "SparseMLPClassifier": sksparse.SparseMLPClassifier((4,), **NET),
    "SparseNetRegressor": sksparse.SparseNetRegressor(torch.nn.Linear(4, 1), **NET),
}
every_estimator = pytest.mark.parametrize("name", sorted(ESTIMATORS))


class OnDevice:
    """An array that NumPy may not read, as those on a GPU."""

    def __init__(self, X: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim = X.shape, X.dtype, X.ndim

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


def read_only(X: np.ndarray) -> np.ndarray:
    X = X.copy()
    X.flags.writeable = False
    return X


def with_long_indices(X: np.ndarray) -> Any:
    matrix = sp.csr_array(X)
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def xarray_of(X: np.ndarray) -> Any:
    return pytest.importorskip("xarray").DataArray(X)


SAME: dict[str, Any] = {
    "list": np.ndarray.tolist,
    "Fortran order": np.asfortranarray,
    "read-only": read_only,
    "other byte order": lambda X: X.astype(">f8"),
    "objects": lambda X: X.astype(object),
    "numbers in text": lambda X: np.array([[repr(float(v)) for v in row] for row in X]),
    "no masked entries": np.ma.masked_array,
    "torch": torch.tensor,
    "xarray": xarray_of,
    **{f"{kind}_array": getattr(sp, f"{kind}_array") for kind in ("coo", "dia", "bsr", "lil")},
    **{f"{kind}_matrix": getattr(sp, f"{kind}_matrix") for kind in ("csr", "csc", "dok")},
    "long indices": with_long_indices,
}
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "masked": (lambda X: np.ma.masked_array(X, X > 2), ValueError, "X is a masked array with"),
    "dates": (lambda X: X.astype(int).astype("datetime64[s]"), ValueError, "X has dtype datetime"),
    "records": (lambda X: X.copy().view([("a", "f8")] * 1), ValueError, "X has dtype"),
    "complex": (lambda X: X + 1j, ValueError, "Complex data not supported"),
    "np.matrix": (np.asmatrix, TypeError, "np.matrix is not supported"),
    "gradients": (
        lambda X: torch.tensor(X, requires_grad=True),
        TypeError,
        r"X is a torch.Tensor that NumPy cannot read.*\.to_dense\(\)\.float\(\)",
    ),
    "bfloat16": (lambda X: torch.tensor(X).bfloat16(), TypeError, "X is a torch.Tensor that NumPy"),
    "on a device": (OnDevice, TypeError, "OnDevice that NumPy cannot read: Implicit conversion"),
}


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.integers(-3, 4, (40, 4)).astype(float)
    X[0] = [3.0, 0.0, 1.0, 0.0]
    return X, (X[:, 0] + 0.5 * rng.standard_normal(40) > 0).astype(int)


@every_estimator
def test_the_same_numbers_give_the_same_answers(name: str, data: Any) -> None:
    X, y = data
    reference = clone(ESTIMATORS[name]).fit(X, y)
    expected = reference.predict(X)
    for kind, convert in SAME.items():
        found = reference.predict(convert(X))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=kind)
        assert isinstance(found, np.ndarray)
        again = clone(ESTIMATORS[name]).fit(convert(X), y).predict(X)
        np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5, err_msg=kind)


DISPATCHED = """
import numpy as np, sklearn, torch, warnings
from sksparse import L0Classifier, OSCAR, OSCARCV, SparseMLPClassifier
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = (X[:, 0] > 0).astype(int)
net = SparseMLPClassifier((4,), max_iter=2, random_state=0)
with sklearn.config_context(array_api_dispatch=True):
    for model in (L0Classifier(), OSCAR(), OSCARCV(alphas=3, cv=2), net):
        expected = model.fit(X, y).predict(X)
        found = model.fit(torch.tensor(X), torch.tensor(y)).predict(torch.tensor(X))
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, expected)
"""


def test_numpy_computes_where_scikit_learn_dispatches() -> None:
    # SciPy reads its half of the switch when it is imported
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    run = subprocess.run(
        [sys.executable, "-c", DISPATCHED], env=environment, capture_output=True, text=True
    )
    if "array-api-compat" in run.stderr or "array_api_compat" in run.stderr:
        pytest.skip("this scikit-learn needs array-api-compat")
    assert run.returncode == 0, run.stderr


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", sorted(REFUSED))
@every_estimator
def test_what_cannot_be_read_is_refused_by_name(name: str, kind: str, data: Any) -> None:
    X, y = data
    spoil, error, message = REFUSED[kind]
    given = spoil(X)
    model = clone(ESTIMATORS[name])
    with pytest.raises(error, match=message):
        model.fit(given, y)
    assert not hasattr(model, "n_features_in_")
    model.fit(X, y)
    with pytest.raises(error, match=message):
        model.predict(given)


@every_estimator
def test_targets_and_weights_of_torch(name: str, data: Any) -> None:
    X, y = data
    weight = np.linspace(1.0, 2.0, len(y))
    expected = clone(ESTIMATORS[name]).fit(X, y, sample_weight=weight).predict(X)
    model = clone(ESTIMATORS[name])
    model.fit(torch.tensor(X), torch.tensor(y), sample_weight=torch.tensor(weight))
    np.testing.assert_array_equal(model.predict(X), expected)


def test_arrays_on_disk_and_frames_stay_as_they_are(tmp_path: Path) -> None:
    mapped = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", shape=(3, 2))
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    matrix = sp.csr_array(np.eye(2))
    for given in (mapped, frame, matrix, [[1.0]], None, "text"):
        assert as_numpy(given) is given


@pytest.mark.parametrize(
    "X", [np.ones((3, 2), dtype=int), [[1.0]], np.ones(3), sp.csr_array(np.eye(2, dtype=int))]
)
def test_a_design_says_what_it_reads(X: Any) -> None:
    with pytest.raises(ValueError, match=r"Design reads float32 and float64.*np.float64"):
        Design(X)
