"""Networks that are trained sparse, or in few parameters, behind the scikit-learn contract."""

from __future__ import annotations

from sksparse.neural_network._mlp_classifier import SparseMLPClassifier
from sksparse.neural_network._mlp_regressor import SparseMLPRegressor
from sksparse.neural_network._net_classifier import SparseNetClassifier
from sksparse.neural_network._net_regressor import SparseNetRegressor
from sksparse.neural_network.compressed._hashed_classifier import HashedMLPClassifier
from sksparse.neural_network.compressed._hashed_regressor import HashedMLPRegressor
from sksparse.neural_network.compressed._low_rank_classifier import LowRankMLPClassifier
from sksparse.neural_network.compressed._low_rank_regressor import LowRankMLPRegressor

__all__ = [
    "HashedMLPClassifier",
    "HashedMLPRegressor",
    "LowRankMLPClassifier",
    "LowRankMLPRegressor",
    "SparseMLPClassifier",
    "SparseMLPRegressor",
    "SparseNetClassifier",
    "SparseNetRegressor",
]
