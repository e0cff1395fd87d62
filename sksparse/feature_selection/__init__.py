"""Transformers that keep few features."""

from sksparse.feature_selection._group_lasso import GroupLassoSelector
from sksparse.feature_selection._infinite import InfFS
from sksparse.feature_selection._mlp_selector import SparseMLPSelector
from sksparse.feature_selection._one_hot import one_hot_groups
from sksparse.feature_selection.stability._selection import StabilitySelection

__all__ = [
    "GroupLassoSelector",
    "InfFS",
    "SparseMLPSelector",
    "StabilitySelection",
    "one_hot_groups",
]
