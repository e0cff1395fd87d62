"""Measurements beside other packages, each a ratio taken in one run."""
