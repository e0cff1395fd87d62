"""Linear models that use few features."""

from ._l0 import L0Regressor
from ._oscar import OSCAR

__all__ = ["OSCAR", "L0Regressor"]
