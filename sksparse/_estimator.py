"""What every estimator of this package is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from sksparse._fit_tasks import CallbackSupportMixin, Fit, watched_fit
from sksparse._validation import intact_on_failure


class SparseEstimator(CallbackSupportMixin, BaseEstimator):
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

    def _adopt(self, attributes: dict[str, Any]) -> None:
        """Set fitted attributes."""
        for name, value in attributes.items():
            setattr(self, name, value)
