"""Weights that are to share a few values."""
