"""Compiled loops of networks that predict."""
