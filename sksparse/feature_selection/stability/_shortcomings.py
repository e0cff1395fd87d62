"""What a fit found that was not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def shortcomings(fitted: Any) -> Iterator[str]:
    """Texts of warnings about a fitted selector: an error that is not kept, and nothing selected.

    Parameters
    ----------
    fitted : StabilitySelection
        The selector.
    """
    if fitted.error_bound is not None and fitted.error_bound_ > fitted.error_bound * (1 + 1e-12):
        yield (
            f"error_bound={fitted.error_bound:g} is not kept: with {fitted.mean_features_:.4g} "
            f"features selected from each half, {fitted.n_resamples_} pairs and the threshold "
            f"{fitted.threshold_:g} it is {fitted.error_bound_:.3g}. Give max_features=None in "
            "place of 'all', a larger error_bound, or more pairs as n_resamples."
        )
    if not fitted.selection_probabilities_.any():
        remedy = "give an estimator that selects more."
        if fitted.alphas_ is not None:
            remedy = f"give alphas that keep more than the last of them, {fitted.alphas_[-1]:g}."
        yield f"None of the {2 * fitted.n_resamples_} halves selected any feature; {remedy}"
