"""Networks that are trained sparse, behind the scikit-learn estimator contract."""

from __future__ import annotations

from sksparse.neural_network._classifier import SparseMLPClassifier

__all__ = ["SparseMLPClassifier"]
