"""Loops of the coders of sparse arrays."""
