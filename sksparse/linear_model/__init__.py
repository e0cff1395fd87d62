"""Linear models that use few features."""

from ._oscar import OSCAR

__all__ = ["OSCAR"]
