"""The score of a network against the share of its zeros."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array
from sksparse.inspection._fits import baseline_estimator, measure, sized, splits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPARSITIES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99)


class SparsityPathDisplay:
    """The score of a network against the share of its weights that are zero.

    Several methods are drawn on one axes through `ax` and `name`. Use :meth:`from_estimator` to fit
    and draw; the constructor takes scores measured elsewhere, which :meth:`plot` draws.

    Parameters
    ----------
    sparsity : array-like of shape (n_points,)
        The share of zeros at each point, from 0 to 1.
    score : array-like of shape (n_points,)
        The score at each point.
    error : array-like of shape (n_points,), default=None
        Half the length of the error bars.
    baseline : float, default=None
        The score that a horizontal line marks, such as that of the dense network.
    baseline_error : float, default=None
        Half the width of a band around that line.
    baseline_name : str, default=None
        The name of the line in the legend.
    name : str, default=None
        The name of the method in the legend.
    score_name : str, default="score"
        The label of the vertical axis.

    Attributes
    ----------
    scores_ : ndarray of shape (n_points, n_splits)
        The score on each split; from :meth:`from_estimator` only.
    errorbar_ : matplotlib ErrorbarContainer
        The curve and its error bars.
    baseline_ : matplotlib Line2D or None
        The line of the baseline.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure that they are in.

    See Also
    --------
    SparsityPatternDisplay : Which weights are left.
    TrainingHistoryDisplay : How a network became sparse.
    sklearn.model_selection.ValidationCurveDisplay : The score against any parameter.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sksparse.inspection import SparsityPathDisplay
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> X = (X - X.mean(axis=0)) / X.std(axis=0)
    >>> figure, ax = plt.subplots()
    >>> for method in ["l0", "magnitude"]:
    ...     net = SparseMLPClassifier(
    ...         (20,),
    ...         sparsifier=method,
    ...         learning_rate_init=0.01,
    ...         max_iter=30,
    ...         tol=1.0,
    ...         random_state=0,
    ...     )
    ...     display = SparsityPathDisplay.from_estimator(
    ...         net, X, y, sparsities=[0.3, 0.6], cv=3, ax=ax, name=method
    ...     )
    >>> display.sparsity
    array([0.3, 0.6])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['l0', 'magnitude']
    >>> plt.close(figure)
    """

    scores_: Array

    def __init__(
        self,
        sparsity: ArrayLike,
        score: ArrayLike,
        error: ArrayLike | None = None,
        *,
        baseline: float | None = None,
        baseline_error: float | None = None,
        baseline_name: str | None = None,
        name: str | None = None,
        score_name: str = "score",
    ) -> None:
        self.sparsity = sparsity
        self.score = score
        self.error = error
        self.baseline = baseline
        self.baseline_error = baseline_error
        self.baseline_name = baseline_name
        self.name = name
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        sparsities: Iterable[float] = SPARSITIES,
        cv: Any = None,
        X_test: Any = None,
        y_test: Any = None,
        scoring: Any = None,
        baseline: Any = None,
        n_jobs: int | None = None,
        name: str | None = None,
        score_name: str | None = None,
        xaxis: str = "sparsity",
        ax: Axes | None = None,
        **errorbar_kw: Any,
    ) -> SparsityPathDisplay:
        """Fit a clone of the estimator for each sparsity, score it, and draw the scores.

        Parameters
        ----------
        estimator : estimator
            A network with the parameter `target_sparsity`, or a pipeline with one in it.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        sparsities : iterable of float, default=(0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
            The values of `target_sparsity`.
        cv : int, splitter or iterable, default=None
            The splits, as in :func:`sklearn.model_selection.cross_validate`; None for five folds.
            A point is the mean over the splits of score and sparsity reached, and an error bar the
            standard error of the mean score.
        X_test, y_test : array-like, default=None
            Samples to score all fits on instead of a cross-validation. There is one score for each
            sparsity then, without an error bar.
        scoring : str or callable, default=None
            The score, as in :func:`sklearn.model_selection.cross_validate`; None for that of the
            estimator.
        baseline : "dense", estimator or float, default=None
            What to compare with, drawn as a horizontal line: the network without a sparsifier,
            another estimator, either of them fitted and scored on the same splits, or a score.
        n_jobs : int, default=None
            Fits that run at the same time; None for one, -1 for as many as there are cores.
        name : str, default=None
            The name in the legend; by default that of the class.
        score_name : str, default=None
            The label of the vertical axis; by default it says what `scoring` is.
        xaxis : {"sparsity", "compression"}, default="sparsity"
            The share of zeros, or on a logarithmic axis how many times fewer weights are left.
        ax : Axes, default=None
            The axes to draw on. By default a new figure.
        **errorbar_kw : dict
            Options of matplotlib's `errorbar`.

        Returns
        -------
        display : SparsityPathDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        compared = baseline_estimator(estimator, baseline)
        scores, zeros = measure(
            sized(estimator, sparsities) + ([] if compared is None else [compared]),
            splits(estimator, X, y, cv, X_test, y_test),
            scoring,
            n_jobs,
        )
        n_points = len(scores) - (compared is not None)
        means, errors = scores.mean(axis=1), _standard_error(scores)
        display = cls(
            zeros[:n_points].mean(axis=1),
            means[:n_points],
            None if errors is None else errors[:n_points],
            baseline=baseline if compared is None else float(means[-1]),
            baseline_error=None if compared is None or errors is None else float(errors[-1]),
            baseline_name=baseline if isinstance(baseline, str) else _network_name(compared),
            name=_network_name(estimator) if name is None else name,
            score_name=_score_name(estimator, scoring) if score_name is None else score_name,
        )
        display.scores_ = scores[:n_points]
        return display.plot(ax, xaxis=xaxis, **errorbar_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        score_name: str | None = None,
        xaxis: str = "sparsity",
        **errorbar_kw: Any,
    ) -> SparsityPathDisplay:
        """Draw the scores.

        Parameters
        ----------
        ax : Axes, default=None
            The axes to draw on. By default a new figure.
        name : str, default=None
            The name in the legend instead of the one that the display has.
        score_name : str, default=None
            The label of the vertical axis instead of the one that the display has.
        xaxis : {"sparsity", "compression"}, default="sparsity"
            The share of zeros, or on a logarithmic axis how many times fewer weights are left. A
            network without any weight left has no place there.
        **errorbar_kw : dict
            Options of matplotlib's `errorbar`.

        Returns
        -------
        display : SparsityPathDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        sparsity, score, error = self._check_arrays()
        if xaxis not in AXES:
            raise ValueError(f"xaxis={xaxis!r} is unknown; give one of {sorted(AXES)}.")
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        style: dict[str, Any] = {
            "marker": "o",
            "markersize": 4,
            "capsize": 3,
            "label": self.name if name is None else name,
        }
        order = np.argsort(sparsity, kind="stable")
        self.errorbar_ = ax.errorbar(
            AXES[xaxis](sparsity[order]),
            score[order],
            None if error is None else error[order],
            **(style | errorbar_kw),
        )
        self.baseline_ = None if self.baseline is None else self._draw_baseline(ax, self.baseline)
        _format_axis(ax, xaxis)
        ax.set_ylabel(self.score_name if score_name is None else score_name)
        if ax.get_legend_handles_labels()[1]:
            ax.legend()
        return self

    def _check_arrays(self) -> tuple[Array, Array, Array | None]:
        sparsity = np.asarray(self.sparsity, dtype=np.float64)
        score = np.asarray(self.score, dtype=np.float64)
        error = None if self.error is None else np.asarray(self.error, dtype=np.float64)
        shapes = {a.shape for a in (sparsity, score, error) if a is not None}
        if len(shapes) != 1 or sparsity.ndim != 1:
            raise ValueError(
                "sparsity, score and error must be one-dimensional and of one length; got shapes "
                f"{sparsity.shape}, {score.shape} and {None if error is None else error.shape}."
            )
        if not np.all((sparsity >= 0) & (sparsity <= 1)):
            raise ValueError(
                f"sparsity={sparsity.tolist()} must lie between 0 and 1; give the share of zeros."
            )
        return sparsity, score, error

    def _draw_baseline(self, ax: Axes, level: float) -> Any:
        half = self.baseline_error
        if half is not None:
            ax.axhspan(level - half, level + half, color="0.5", alpha=0.15, linewidth=0)
        style: dict[str, Any] = {"color": "0.4", "linestyle": "--", "linewidth": 1, "zorder": 1}
        return ax.axhline(level, label=self.baseline_name, **style)


def _compression(sparsity: Array) -> Array:
    """How many times fewer weights are left; NaN for none at all."""
    return 1.0 / np.where(sparsity < 1, 1.0 - sparsity, np.nan)


AXES = {"sparsity": lambda sparsity: sparsity, "compression": _compression}


def _format_axis(ax: Axes, xaxis: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

    if xaxis == "sparsity":
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
        ax.set_xlabel("sparsity")
        return
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda times, _: f"{times:g}×"))
    ax.set_xlabel("compression")


def _network_name(estimator: Any) -> str | None:
    if isinstance(estimator, Pipeline):
        return _network_name(estimator[-1])
    return None if estimator is None else type(estimator).__name__


def _standard_error(scores: Array) -> Array | None:
    n_splits = scores.shape[1]
    return None if n_splits == 1 else scores.std(axis=1, ddof=1) / np.sqrt(n_splits)


def _score_name(estimator: Any, scoring: Any) -> str:
    if isinstance(scoring, str):
        return scoring.replace("neg_", "negative ").replace("_", " ")
    if scoring is not None:
        return "score"
    if is_classifier(estimator):
        return "accuracy"
    return "R²" if is_regressor(estimator) else "score"
