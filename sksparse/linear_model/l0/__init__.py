"""Best subset: fits, paths and cross-validation."""
