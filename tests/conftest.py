"""Fixtures and settings shared by all tests."""

from __future__ import annotations

import os
import shutil
import tempfile

import numpy as np
import pytest

SEED_VARIABLE = "SKSPARSE_TEST_SEED"
_numba_cache = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a numba cache of its own; workers and subprocesses inherit it.

    A loop in the user's cache may have been compiled from an older source.
    """
    if "NUMBA_CACHE_DIR" not in os.environ:
        config.stash[_numba_cache] = tempfile.mkdtemp(prefix="sksparse-numba-")
        os.environ["NUMBA_CACHE_DIR"] = config.stash[_numba_cache]


def pytest_unconfigure(config: pytest.Config) -> None:
    if _numba_cache in config.stash:
        del os.environ["NUMBA_CACHE_DIR"]
        shutil.rmtree(config.stash[_numba_cache], ignore_errors=True)


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of this run: 0, or what the environment variable SKSPARSE_TEST_SEED says."""
    return int(os.environ.get(SEED_VARIABLE, "0"))


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A generator that starts afresh in every test."""
    return np.random.default_rng(seed)
