"""The tables that features are selected from, and their splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, make_classification, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder, MinMaxScaler, PolynomialFeatures

from benchmarks.report import Report
from benchmarks.tabular import mice_protein

N_MNIST = 10_000
#: The informative columns of the products, two to a product.
N_PRODUCTS = 5
Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Table:
    """Data, and what is asked of selectors on them.

    Parameters
    ----------
    load : callable
        Takes the report, for its data folder, and returns X and y.
    numbers : tuple of int, default=(10, 25, 50)
        Numbers of features to select.
    models : tuple of str, default=("MLP", "trees")
        What is trained on the chosen features; names in :mod:`.scoring`.
    is_regression : bool, default=False
        Whether the target is a number.
    note : str, default=""
        What was published or measured before, on other splits.
    """

    load: Callable[[Report], Arrays]
    numbers: tuple[int, ...] = (10, 25, 50)
    models: tuple[str, ...] = ("MLP", "trees")
    is_regression: bool = False
    note: str = ""


@dataclass(frozen=True)
class Split:
    """Rows to select and to train on, and rows to score; features in [0, 1] on the former."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def split(X: np.ndarray, y: np.ndarray, is_regression: bool, seed: int) -> Split:
    """One 80/20 split, stratified by class; numbers to predict are standardised.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features.
    y : ndarray of shape (n_rows,)
        Classes, or numbers.
    is_regression : bool
        Whether they are numbers.
    seed : int
        Seed of the split.

    Returns
    -------
    Split
        Features in float32; classes as integers from zero.
    """
    if not is_regression:
        y = LabelEncoder().fit_transform(y)
    rows = train_test_split(
        np.arange(len(y)),
        test_size=0.2,
        stratify=None if is_regression else y,
        random_state=seed,
    )
    X_train, X_test = (X[part].astype(np.float32) for part in rows)
    y_train, y_test = (y[part] for part in rows)
    if is_regression:
        mean, scale = y_train.mean(), y_train.std()
        y_train, y_test = ((part - mean) / scale for part in (y_train, y_test))
    scaler = MinMaxScaler().fit(X_train)
    return Split(scaler.transform(X_train), y_train, scaler.transform(X_test), y_test)


def bundled(name: str) -> Callable[[Report], Arrays]:
    """A file with X and y in the data folder."""

    def load(report: Report) -> Arrays:
        arrays = report.load(f"{name}.npz")
        return arrays["X"], arrays["y"]

    return load


def mnist(report: Report) -> Arrays:
    """The first training images."""
    arrays = report.load("mnist.npz")
    X = arrays["X_train"][:N_MNIST]
    return X.reshape(len(X), -1), arrays["y_train"][:N_MNIST]


def digits(report: Report) -> Arrays:
    """1797 images of 8 x 8 pixels."""
    return load_digits(return_X_y=True)


def madelon(report: Report) -> Arrays:
    """Clusters at the corners of a cube in five dimensions, of two classes, among noise.

    Columns 0 to 4 are informative, 5 to 19 combinations of them, and the others noise.
    """
    return make_classification(
        2600,
        500,
        n_informative=5,
        n_redundant=15,
        n_clusters_per_class=16,
        class_sep=1.5,
        shuffle=False,
        random_state=0,
    )


def diabetes(report: Report) -> Arrays:
    """Ten measurements with their squares and products."""
    X, y = load_diabetes(return_X_y=True)
    expanded = PolynomialFeatures(2, include_bias=False).fit(X)
    # the square of a binary column says nothing new
    kept = expanded.get_feature_names_out() != "x1^2"
    return expanded.transform(X)[:, kept], y


def friedman(report: Report) -> Arrays:
    """Five informative columns, two of them in a product, among 195 of noise."""
    return make_friedman1(1000, 200, noise=1.0, random_state=0)


def products(report: Report) -> Arrays:
    """Products of pairs: no column says anything alone, and no linear model fits."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 100))
    pairs = X[:, : 2 * N_PRODUCTS].reshape(len(X), N_PRODUCTS, 2)
    y = pairs.prod(axis=2).sum(axis=1)
    return X, y + 0.5 * rng.standard_normal(len(X))


TABLES = {
    "isolet": Table(bundled("isolet"), note="published: .926, STG .936 (number not stated)"),
    "coil20": Table(bundled("coil20"), note="published at 50: .988 to .998"),
    "mice protein": Table(mice_protein, note="published: .988 to .993"),
    "mnist": Table(mnist, note="published at 50, on all rows: .953 to .956"),
    "leukemia": Table(bundled("leukemia")),
    "colon": Table(bundled("colon")),
    "pcmac": Table(bundled("pcmac")),
    "digits": Table(digits),
    "madelon": Table(
        madelon, (20,), ("MLP", "trees", "neighbours"), note="20 of 500 columns are of use"
    ),
    "diabetes": Table(diabetes, is_regression=True),
    "friedman": Table(
        friedman, (5, 10, 25), is_regression=True, note="5 of 200 columns are of use"
    ),
    "products": Table(
        products, (10, 25, 50), is_regression=True, note="10 of 100 columns are of use"
    ),
}
