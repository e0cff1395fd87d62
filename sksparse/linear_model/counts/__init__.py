"""Sparse linear models of the logarithm of a mean: counts and rates."""
