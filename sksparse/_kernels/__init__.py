"""Compiled loops.

A file here holds its parameter types, its scalar proximal operators and its loop, and calls no
compiled code of another file: numba's disk cache does not see edits made elsewhere, and would go
on serving the old version of an imported function. The one decorator, in ``_compiled``, is numba's
with a disk cache that treats broken files as missing. Solvers import a kernel where they first need
it, so that importing the package does not import numba.
"""
