"""What every estimator of this package is, and every object that is cloned and pickled as one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any, ClassVar

from sklearn import exceptions
from sklearn.base import BaseEstimator

from sksparse import __version__
from sksparse._fit_tasks import CallbackSupportMixin, Fit, watched_fit
from sksparse._validation import intact_on_failure

_VERSION_KEY = "_sksparse_version"


class InconsistentVersionWarning(exceptions.InconsistentVersionWarning):
    """A pickle was written by another version of this package.

    Parameters
    ----------
    name : str
        The class of the object.
    original_version : str
        The version that wrote it.
    """

    def __init__(self, name: str, original_version: str) -> None:
        UserWarning.__init__(self, name, original_version)
        self.estimator_name = name
        self.current_sksparse_version = __version__
        self.original_sksparse_version = original_version

    def __str__(self) -> str:
        return (
            f"Trying to unpickle {self.estimator_name} from version "
            f"{self.original_sksparse_version} of sksparse when using version "
            f"{self.current_sksparse_version}. This might lead to breaking code or invalid "
            "results: fit again, or install the version that wrote it."
        )


@cache
def documentation_address() -> str:
    """Where the documentation of the installed package is; empty where none is declared.

    That is the link named Documentation of the package's metadata, ``project.urls`` in its
    ``pyproject.toml``.
    """
    try:
        links = metadata.metadata("sksparse").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    declared = (link.partition(",") for link in links)
    found = (url.strip() for label, _, url in declared if label.strip().lower() == "documentation")
    return next(found, "").rstrip("/")


class Component(BaseEstimator):
    """Whatever has parameters: its page of the documentation, and its version in pickles."""

    _doc_link_module = "sksparse"

    @property
    def _doc_link_template(self) -> str:
        address = documentation_address()
        return f"{address}/generated/{{module}}.{{name}}.html" if address else ""

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        # public names stand in the rooms, whatever files of theirs hold them
        module = ".".join(type(self).__module__.split(".")[:2])
        return {"module": module, "name": type(self).__name__}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), _VERSION_KEY: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop(_VERSION_KEY, "unknown")
        if version != __version__:
            warnings.warn(InconsistentVersionWarning(type(self).__name__, version), stacklevel=2)
        super().__setstate__(state)


class SparseEstimator(CallbackSupportMixin, Component):
    """The base of all estimators: what does not depend on how they learn."""

    #: How many loops of a fit callbacks are told of at most; None where that is not known.
    _n_fit_levels: ClassVar[int | None] = None

    @contextmanager
    def _fitting(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[Fit]:
        """Around ``fit``, given its arguments as the user passed them.

        Should it raise, the estimator gets back the attributes it had. Callbacks are told of the
        fit, and of the loops inside that open :func:`~sksparse._fit_tasks.fit_tasks`.
        """
        with (
            intact_on_failure(self),
            watched_fit(self, X, y, sample_weight, self._n_fit_levels) as fit,
        ):
            yield fit

    def _parts(self) -> Any:
        """What :func:`sksparse.compression.compress` takes of a fitted model."""
        raise ValueError(
            f"model={type(self).__name__} cannot be compressed: it is neither a network nor a "
            "linear model with predictions; compress the model that it helps to fit."
        )

    def _adopt(self, attributes: dict[str, Any]) -> None:
        """Set fitted attributes."""
        for name, value in attributes.items():
            setattr(self, name, value)

    def _forget(self, attribute: str) -> None:
        """Remove what an earlier fit set and this one does not."""
        if attribute in vars(self):
            delattr(self, attribute)
