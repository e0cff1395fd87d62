"""Linear models that use few features."""

from ._l0 import L0Regressor
from ._l0_classifier import L0Classifier
from ._oscar import OSCAR

__all__ = ["OSCAR", "L0Classifier", "L0Regressor"]
