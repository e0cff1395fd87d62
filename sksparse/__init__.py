"""Sparse linear models and sparse neural networks with the scikit-learn contract.

SciPy tries ``from sksparse.cholmod import ...`` while it is itself half imported,
so this module imports nothing but the standard library: the public names are
looked up on first use, and the neural half loads torch only then.
"""

from __future__ import annotations

import importlib
import warnings
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sksparse.feature_selection import (
        GroupLassoSelector,
        InfFS,
        SparseMLPSelector,
        StabilitySelection,
    )
    from sksparse.linear_model import (
        OSCAR,
        OSCARCV,
        SLOPE,
        SLOPECV,
        GroupLassoClassifier,
        GroupLassoClassifierCV,
        GroupLassoRegressor,
        GroupLassoRegressorCV,
        GrOWL,
        L0Classifier,
        L0ClassifierCV,
        L0PoissonRegressor,
        L0PoissonRegressorCV,
        L0Regressor,
        L0RegressorCV,
        OSCARClassifier,
        OSCARClassifierCV,
        SLOPEClassifier,
        SLOPEClassifierCV,
    )
    from sksparse.neural_network import (
        HashedMLPClassifier,
        HashedMLPRegressor,
        LowRankMLPClassifier,
        LowRankMLPRegressor,
        SparseMLPClassifier,
        SparseMLPRegressor,
        SparseNetClassifier,
        SparseNetRegressor,
    )

__version__ = "0.1.0"

_MODULE_OF_NAME = {
    "GroupLassoClassifier": "linear_model",
    "GroupLassoClassifierCV": "linear_model",
    "GroupLassoRegressor": "linear_model",
    "GroupLassoRegressorCV": "linear_model",
    "GroupLassoSelector": "feature_selection",
    "GrOWL": "linear_model",
    "HashedMLPClassifier": "neural_network",
    "HashedMLPRegressor": "neural_network",
    "InfFS": "feature_selection",
    "L0Classifier": "linear_model",
    "L0ClassifierCV": "linear_model",
    "L0PoissonRegressor": "linear_model",
    "L0PoissonRegressorCV": "linear_model",
    "L0Regressor": "linear_model",
    "L0RegressorCV": "linear_model",
    "LowRankMLPClassifier": "neural_network",
    "LowRankMLPRegressor": "neural_network",
    "OSCAR": "linear_model",
    "OSCARClassifier": "linear_model",
    "OSCARClassifierCV": "linear_model",
    "OSCARCV": "linear_model",
    "SLOPE": "linear_model",
    "SLOPEClassifier": "linear_model",
    "SLOPEClassifierCV": "linear_model",
    "SLOPECV": "linear_model",
    "SparseMLPClassifier": "neural_network",
    "SparseMLPRegressor": "neural_network",
    "SparseMLPSelector": "feature_selection",
    "SparseNetClassifier": "neural_network",
    "SparseNetRegressor": "neural_network",
    "StabilitySelection": "feature_selection",
}
_SUBPACKAGES = (
    "coding",
    "compression",
    "datasets",
    "feature_selection",
    "inspection",
    "layers",
    "linear_model",
    "losses",
    "module_graph",
    "neural_network",
    "penalties",
    "serving",
    "solvers",
    "sparsifiers",
)

__all__ = [
    "OSCAR",
    "OSCARCV",
    "SLOPE",
    "SLOPECV",
    "GrOWL",
    "GroupLassoClassifier",
    "GroupLassoClassifierCV",
    "GroupLassoRegressor",
    "GroupLassoRegressorCV",
    "GroupLassoSelector",
    "HashedMLPClassifier",
    "HashedMLPRegressor",
    "InfFS",
    "L0Classifier",
    "L0ClassifierCV",
    "L0PoissonRegressor",
    "L0PoissonRegressorCV",
    "L0Regressor",
    "L0RegressorCV",
    "LowRankMLPClassifier",
    "LowRankMLPRegressor",
    "OSCARClassifier",
    "OSCARClassifierCV",
    "SLOPEClassifier",
    "SLOPEClassifierCV",
    "SparseMLPClassifier",
    "SparseMLPRegressor",
    "SparseMLPSelector",
    "SparseNetClassifier",
    "SparseNetRegressor",
    "StabilitySelection",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF_NAME:
        module = importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}")
        return getattr(module, name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBPACKAGES, "__version__"})


def _warn_if_scikit_sparse_is_installed() -> None:
    try:
        version = metadata.version("scikit-sparse")
    except metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"The distribution scikit-sparse {version} is installed in this environment. It and the "
        "distribution sksparse both install the import package `sksparse` and overwrite each "
        "other's files. Uninstall both, then install only the one you need here; use a second "
        "environment for the other.",
        UserWarning,
        stacklevel=3,
    )


_warn_if_scikit_sparse_is_installed()
