"""Masks by a score, on a schedule."""
