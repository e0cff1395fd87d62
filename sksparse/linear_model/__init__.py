"""Linear models that use few features."""

__all__: list[str] = []
