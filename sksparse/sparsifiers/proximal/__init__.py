"""Penalties whose proximal operators set weights to zero."""
