"""Transformers that keep few features."""

from ._group_lasso import GroupLassoSelector
from ._one_hot import one_hot_groups

__all__ = ["GroupLassoSelector", "one_hot_groups"]
