"""Networks that are trained sparse, behind the scikit-learn estimator contract."""

from __future__ import annotations

from sksparse.neural_network._mlp_classifier import SparseMLPClassifier
from sksparse.neural_network._mlp_regressor import SparseMLPRegressor
from sksparse.neural_network._net_classifier import SparseNetClassifier
from sksparse.neural_network._net_regressor import SparseNetRegressor

__all__ = [
    "SparseMLPClassifier",
    "SparseMLPRegressor",
    "SparseNetClassifier",
    "SparseNetRegressor",
]
