"""Comparisons with other packages, each a ratio taken in one run."""
