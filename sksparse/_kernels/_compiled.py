"""The decorator of all kernels: numba's ``njit`` with a disk cache that may break.

A power cut or a full disk leaves truncated cache files behind, which numba would try to load, and
raise, in every process to come. Here such a file is named in a warning, forgotten, and written
anew when the function has been compiled. Where there is no directory to write to, functions are
compiled in every process. All of this happens when a function is first called with new types;
later calls are numba's own.

This file holds no compiled code, so an edit of it leaves what is cached valid.
"""

import gc
import warnings
from contextlib import suppress
from functools import cache

import numba
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher

_REMEDY = "set NUMBA_CACHE_DIR to a directory that can be written to"


class ForgivingCache(FunctionCache):
    """A cache of one function that treats broken files as missing."""

    def load_overload(self, sig, target_context):
        """What was compiled for the signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except (AttributeError, ImportError):
            # written by another version of this package, whose types have other names
            self._forget()
            return None
        except Exception as error:  # a truncated pickle can raise whatever it likes
            broken = self._broken_file(sig, target_context)
            self._forget()
            _warn(
                f"numba's cache file {broken} cannot be read ({type(error).__name__}: {error}), as "
                "after a full disk or a power cut; the function is compiled again and the file "
                f"replaced. If it happens again, check the disk, or {_REMEDY}."
            )
            return None

    def save_overload(self, sig, data):
        """Store what was compiled, if there is space on disk and permission to write."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn(
                f"numba's cache in {self.cache_path} cannot be written ({type(error).__name__}: "
                f"{error}), so that functions are compiled in every process; free space there, or "
                f"{_REMEDY}."
            )

    def _forget(self):
        """Begin a new index; data files are overwritten as functions are compiled."""
        with suppress(OSError):  # nothing more can be done: the next process warns again
            self.flush()

    def _broken_file(self, sig, target_context):
        files = self._cache_file
        try:
            name = files._load_index().get(self._index_key(sig, target_context.codegen()))
        except Exception:
            return files._index_path
        return files._data_path(name) if name else files._index_path


class CompiledFunction(CPUDispatcher):
    """A compiled function; no garbage is collected while it compiles, which saves a tenth."""

    def compile(self, sig):
        """Compile the function for a signature, and what it calls."""
        collects = gc.isenabled()
        gc.disable()
        try:
            return super().compile(sig)
        finally:
            if collects:
                gc.enable()


class InnerFunction(CompiledFunction):
    """A compiled function without an entry for Python."""

    def __call__(self, *args, **kwargs):
        raise TypeError(f"{self.py_func.__name__} can be called by compiled functions only")


def njit(*, inner=False, **options):
    """``numba.njit`` for a kernel, cached on disk where that is possible.

    Parameters
    ----------
    inner : bool, default=False
        Whether only compiled functions call this one. An entry for Python, which takes a fifth of
        the time of compilation, is then left out.
    **options
        Those of :func:`numba.njit`; ``cache=True`` among them. With ``inline="always"`` a function
        that is called from one place is compiled as a part of its caller alone, where it would be
        optimised once by itself and again in each caller above it.

    Returns
    -------
    decorator : callable
        Turns a function into a compiled one.
    """

    options |= {"no_cfunc_wrapper": True, "no_cpython_wrapper": inner}

    def decorator(function):
        compiled = compile_later(function)
        compiled.__class__ = InnerFunction if inner else CompiledFunction
        return compiled

    def compile_later(function):
        try:
            compiled = numba.njit(**options)(function)
        except RuntimeError as error:
            # numba's answer to directories that cannot be written to
            if "cannot cache function" not in str(error):
                raise
            _warn_of_no_place()
            return numba.njit(**{**options, "cache": False})(function)
        if type(compiled._cache) is FunctionCache:
            compiled._cache.__class__ = ForgivingCache
        return compiled

    return decorator


def _warn(message):
    warnings.warn(message, RuntimeWarning, stacklevel=2)


@cache  # once a process: the first of many functions speaks for all
def _warn_of_no_place():
    _warn(
        "numba finds no directory to keep compiled functions in, so that they are compiled in "
        f"every process; {_REMEDY}."
    )
