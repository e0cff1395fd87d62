"""Perceptrons that are trained in few parameters from the beginning."""
