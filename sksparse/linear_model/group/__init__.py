"""The group lasso family: fits, paths, cross-validation."""
