"""Pictures of fitted sparse models and networks, in the manner of scikit-learn's displays.

A display is built from a fitted estimator with ``from_estimator``, or from plain arrays with its
constructor and ``plot``. What is drawn is kept as attributes, so that a figure can be changed
afterwards. matplotlib is imported when something is drawn, torch never.
"""

from __future__ import annotations

from sksparse.inspection._cluster import ClusterDisplay
from sksparse.inspection._filters import FilterDisplay
from sksparse.inspection._layer_sizes import LayerSizesDisplay
from sksparse.inspection._regularization_path import RegularizationPathDisplay
from sksparse.inspection._sparsity_path import SparsityPathDisplay
from sksparse.inspection._sparsity_pattern import SparsityPatternDisplay
from sksparse.inspection._training_history import TrainingHistoryDisplay
from sksparse.inspection.selection._ranking import RankingDisplay
from sksparse.inspection.selection._stability_path import StabilityPathDisplay

__all__ = [
    "ClusterDisplay",
    "FilterDisplay",
    "LayerSizesDisplay",
    "RankingDisplay",
    "RegularizationPathDisplay",
    "SparsityPathDisplay",
    "SparsityPatternDisplay",
    "StabilityPathDisplay",
    "TrainingHistoryDisplay",
]
