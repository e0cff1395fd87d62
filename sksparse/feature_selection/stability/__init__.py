"""Stability selection: what a selector chooses again and again from halves of the samples."""
