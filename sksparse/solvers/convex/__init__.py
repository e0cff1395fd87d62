"""Smooth losses with convex penalties: working sets, coordinate methods, duality gaps."""
