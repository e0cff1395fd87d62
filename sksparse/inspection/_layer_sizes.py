"""How large each layer of a network is, beside the dense network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse.inspection._common import divide, fitted_attribute

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What can be drawn, and how it is called.
TITLES = {"units": "Units", "parameters": "Parameters", "flops": "FLOPs for one row"}


class LayerSizesDisplay:
    """What is left of each layer: a bar before the longer one of the dense network.

    Layers without multiplications, such as normalisations, are left out.

    Use :meth:`from_estimator` to draw a fitted network.

    Parameters
    ----------
    layers : dict of str to dict
        For each layer by name a dict with any of the keys "units", "parameters" and "flops",
        each with a pair: how many are left, and how many the dense network has. The attribute
        `layer_sizes_` of a fitted network is of this form.

    Attributes
    ----------
    left_ : dict of str to ndarray of shape (n_layers,)
        For each panel the numbers that are left.
    dense_ : dict of str to ndarray of shape (n_layers,)
        For each panel the numbers of the dense network.
    bars_ : list of matplotlib BarContainer
        The bars of what is left, panel by panel.
    axes_ : ndarray of matplotlib Axes
        The panels.
    figure_ : matplotlib Figure
        The figure that they are in.

    Raises
    ------
    ValueError
        Where there is no layer, or a layer lacks what is drawn.

    See Also
    --------
    SparsityPatternDisplay : Which weights of a perceptron are left.
    FilterDisplay : The filters of the first layer.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sksparse.inspection import LayerSizesDisplay
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = SparseMLPClassifier(
    ...     (40, 20),
    ...     sparsifier="magnitude",
    ...     granularity="unit",
    ...     target_units=0.5,
    ...     learning_rate_init=0.01,
    ...     tol=0.01,
    ...     random_state=0,
    ... )
    >>> display = LayerSizesDisplay.from_estimator(net.fit(X / 16, y))
    >>> display.dense_["units"].tolist()
    [40, 20, 10]
    >>> plt.close(display.figure_)
    """

    def __init__(self, layers: Mapping[str, Mapping[str, tuple[float, float]]]) -> None:
        self.layers = layers

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        measures: Sequence[str] = ("units", "parameters", "flops"),
        log: bool = False,
        ax: Axes | Sequence[Axes] | None = None,
        color: Any = None,
    ) -> LayerSizesDisplay:
        """Draw the sizes of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted network, or a fitted pipeline or search with one at its end.
        measures : sequence of {"units", "parameters", "flops"}, default=all three
            What is drawn, one panel for each.
        log : bool, default=False
            Whether parameters and FLOPs are on a logarithmic scale.
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or as many as there are panels. By default a new figure.
        color : color, default=None
            Colour of what is left.

        Returns
        -------
        display : LayerSizesDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        layers = fitted_attribute(
            estimator, "layer_sizes_", "sizes are those of a network, such as SparseNetClassifier"
        )
        return cls(layers).plot(ax, measures=measures, log=log, color=color)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        measures: Sequence[str] = ("units", "parameters", "flops"),
        log: bool = False,
        color: Any = None,
    ) -> LayerSizesDisplay:
        """Draw the bars.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or as many as there are panels. By default a new figure.
        measures : sequence of {"units", "parameters", "flops"}, default=all three
            What is drawn, one panel for each.
        log : bool, default=False
            Whether parameters and FLOPs are on a logarithmic scale.
        color : color, default=None
            Colour of what is left.

        Returns
        -------
        display : LayerSizesDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        names = [n for n, layer in self.layers.items() if layer.get("flops", (1, 1))[1] > 0]
        self._check(names, measures)
        pairs = {m: np.array([self.layers[name][m] for name in names]) for m in measures}
        self.left_ = {m: pair[:, 0] for m, pair in pairs.items()}
        self.dense_ = {m: pair[:, 1] for m, pair in pairs.items()}
        size = 3.6 * len(measures) + 0.8, 0.42 * len(names) + 1.2
        axes = divide(ax, 1, len(measures), figsize=size)
        self.axes_ = np.array(axes, dtype=object)
        self.figure_ = axes[0].figure
        self.bars_ = [
            self._draw(panel, m, names, log=log and m != "units", color=color)
            for panel, m in zip(axes, measures, strict=True)
        ]
        for panel in axes[1:]:
            panel.tick_params(labelleft=False)
        axes[0].set_ylabel("layer")
        return self

    def _check(self, names: list[str], measures: Sequence[str]) -> None:
        unknown = [m for m in measures if m not in TITLES]
        if unknown or not len(measures):
            raise ValueError(
                f"measures={list(measures)!r} must name some of {list(TITLES)}, one for each panel."
            )
        missing = [(name, m) for name in names for m in measures if m not in self.layers[name]]
        if not names or missing:
            raise ValueError(
                f"layers must hold {list(measures)} of at least one layer"
                + (f", but {missing[0][0]!r} has no {missing[0][1]!r}." if missing else ".")
            )

    def _draw(self, ax: Axes, measure: str, names: list[str], *, log: bool, color: Any) -> Any:
        left, dense = self.left_[measure], self.dense_[measure]
        places = np.arange(len(names))
        ax.barh(places, dense, height=0.72, color="0.88", label="dense")
        bars = ax.barh(places, left, height=0.72, color=color or "C0", label="left")
        for place, kept, of in zip(places, left, dense, strict=True):
            ax.annotate(
                _share(measure, kept, of),
                (of, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
            )
        ax.set_yticks(places, names)
        ax.invert_yaxis()
        ax.set_title(f"{TITLES[measure]}\n{_total(measure, left.sum(), dense.sum())}")
        if log:
            ax.set_xscale("log")
        # room for the numbers behind the bars
        low, high = ax.get_xlim()
        ax.set_xlim(low, high * (high / low) ** 0.4 if log else 1.35 * high)
        if not log:
            ax.locator_params(axis="x", nbins=4)
            ax.xaxis.set_major_formatter(lambda number, _: _short(number))
        ax.spines[["top", "right"]].set_visible(False)
        return bars


def _share(measure: str, left: float, dense: float) -> str:
    if measure == "units":
        return f"{left:.0f} of {dense:.0f}"
    return f"{100 * left / dense:.3g} %" if dense else ""


def _total(measure: str, left: float, dense: float) -> str:
    share = 100 * left / dense if dense else 100.0
    return f"{_short(left)} of {_short(dense)} left ({share:.3g} %)"


def _short(number: float) -> str:
    """A number with three digits and the letter of its thousands."""
    for letter in ("", "k", "M", "G"):
        if abs(number) < 999.5:
            return f"{number:.3g}{letter}"
        number /= 1000
    return f"{number:.3g}T"
