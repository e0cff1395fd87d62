"""How a network became sparse, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse.inspection._common import divide, fitted_attribute

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class TrainingHistoryDisplay:
    """Loss, validation score and sparsity of a network against the epochs of its training.

    One panel for each of them, one above the other. The phases of the sparsifier are shaded in
    turn and named at the top. Use :meth:`from_estimator` to draw a fitted network.

    Parameters
    ----------
    history : sequence of dict
        For each epoch its `phase`, `loss` and `sparsity`, and the `valid_score` where the network
        was trained with `early_stopping`, as in the attribute `history_` of a fitted network.

    Attributes
    ----------
    phases_ : list of tuple (name, first epoch, last epoch)
        The phases in their order; epochs count from 1.
    lines_ : dict of str to matplotlib Line2D
        The curves by their key in the history: `loss`, `valid_score` where present, `sparsity`.
    axes_ : ndarray of matplotlib Axes
        The panels, in the same order.
    figure_ : matplotlib Figure
        The figure that they are in.

    Raises
    ------
    ValueError
        Where the history has no epoch.

    See Also
    --------
    SparsityPatternDisplay : Which weights are left.
    SparsityPathDisplay : The score against sparsity.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sksparse.inspection import TrainingHistoryDisplay
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = SparseMLPClassifier(
    ...     (30,), target_sparsity=0.9, early_stopping=True, max_iter=20, random_state=0
    ... )
    >>> display = TrainingHistoryDisplay.from_estimator(net.fit(X / 16, y))
    >>> list(display.lines_)
    ['loss', 'valid_score', 'sparsity']
    >>> [name for name, first, last in display.phases_]
    ['shrink', 'retrain']
    >>> plt.close(display.figure_)
    """

    def __init__(self, history: Sequence[dict[str, Any]]) -> None:
        self.history = history

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Axes | Sequence[Axes] | None = None,
        loss_scale: str = "log",
        **line_kw: Any,
    ) -> TrainingHistoryDisplay:
        """Draw the training of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted network with `history_`, or a fitted pipeline or search with one at its end.
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or as many as there are panels. By default a new figure.
        loss_scale : {"log", "linear"}, default="log"
            Scale of the loss.
        **line_kw : dict
            Options of matplotlib's `plot` for the curves.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        history = fitted_attribute(
            estimator, "history_", "give a network of sksparse.neural_network"
        )
        return cls(history).plot(ax, loss_scale=loss_scale, **line_kw)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        loss_scale: str = "log",
        **line_kw: Any,
    ) -> TrainingHistoryDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or as many as there are panels. By default a new figure.
        loss_scale : {"log", "linear"}, default="log"
            Scale of the loss.
        **line_kw : dict
            Options of matplotlib's `plot` for the curves.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        history = list(self.history)
        if not history:
            raise ValueError(
                "history has no epoch: training was interrupted before the first one ended. Fit "
                "the network again."
            )
        self.phases_ = _phases(history)
        has_score = any("valid_score" in epoch for epoch in history)
        keys = ["loss", "valid_score", "sparsity"] if has_score else ["loss", "sparsity"]
        axes = divide(ax, len(keys), 1, figsize=(7.0, 1.2 + 1.6 * len(keys)), sharex=True)
        self.axes_ = np.array(axes, dtype=object)
        self.figure_ = axes[0].figure
        epochs = np.arange(1, len(history) + 1)
        self.lines_ = {}
        for number, (key, panel) in enumerate(zip(keys, axes, strict=True)):
            values = [epoch.get(key, np.nan) for epoch in history]
            style: dict[str, Any] = {
                "color": f"C{number}",
                "marker": "." if len(history) == 1 else "",
            }
            (self.lines_[key],) = panel.plot(epochs, values, **(style | line_kw))
            panel.set_ylabel(key.replace("valid_score", "validation score"))
            self._shade_phases(panel)
        self._finish(axes, loss_scale)
        return self

    def _shade_phases(self, ax: Axes) -> None:
        for number, (_, first, last) in enumerate(self.phases_):
            if number % 2:
                ax.axvspan(first - 0.5, last + 0.5, color="0.5", alpha=0.15, linewidth=0)

    def _finish(self, axes: list[Axes], loss_scale: str) -> None:
        from matplotlib.ticker import PercentFormatter

        top, bottom = axes[0], axes[-1]
        n_epochs = self.phases_[-1][2]
        # a character takes about a seventieth of the width
        crowded = any(
            len(name) / 70 > (last - first + 1) / n_epochs for name, first, last in self.phases_
        )
        tilt: dict[str, Any] = {"rotation": 35, "ha": "left"} if crowded else {"ha": "center"}
        for name, first, last in self.phases_:
            top.annotate(
                name,
                ((first + last) / 2, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                va="bottom",
                **tilt,
            )
        top.set_yscale(loss_scale)
        bottom.yaxis.set_major_formatter(PercentFormatter(1.0))
        bottom.set_xlabel("epoch")
        for panel in axes:
            panel.set_xlim(0.5, n_epochs + 0.5)


def _phases(history: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Name, first and last epoch of each run of epochs in one phase."""
    phases, first = [], 1
    for name, epochs in groupby(epoch["phase"] for epoch in history):
        last = first + sum(1 for _ in epochs) - 1
        phases.append((name, first, last))
        first = last + 1
    return phases
