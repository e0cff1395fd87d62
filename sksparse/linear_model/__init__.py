"""Linear models that use few features."""

from ._l0 import L0Regressor
from ._l0_classifier import L0Classifier
from ._l0_classifier_cv import L0ClassifierCV
from ._l0_cv import L0RegressorCV
from ._l0_path import L0Path, l0_path
from ._oscar import OSCAR

__all__ = [
    "OSCAR",
    "L0Classifier",
    "L0ClassifierCV",
    "L0Path",
    "L0Regressor",
    "L0RegressorCV",
    "l0_path",
]
