"""Targets that depend on several columns together, and on none of them linearly."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_params

from sksparse._typing import Array, Indices
from sksparse.datasets._columns import (
    COMMON_CONSTRAINTS,
    NOISE,
    POSITIVE,
    SHARE,
    arranged,
    check_room,
    flipped,
)


@validate_params({**COMMON_CONSTRAINTS, "flip_y": SHARE}, prefer_skip_nested_validation=True)
def make_xor_features(
    n_samples: int = 1000,
    n_features: int = 20,
    *,
    flip_y: float = 0.0,
    shuffle: bool = True,
    random_state: Any = None,
) -> tuple[Array, Indices, Indices]:
    """Make two classes: whether two columns have opposite signs.

    The class is ``(x_a < 0) xor (x_b < 0)``. All columns are independent and standard normal. The
    class is independent of each column, so that no selector that looks at one column at a time, and
    no linear model, finds the two.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    n_features : int, default=20
        Number of columns, at least 2; the others are noise.
    flip_y : float, default=0.0
        Share of samples whose class is drawn by lot, from 0 to 1; half of them get their own.
    shuffle : bool, default=True
        Whether columns are in random order. Otherwise the informative ones come first.
    random_state : int, RandomState instance or None, default=None
        Where randomness comes from; an int gives the same table again.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Classes, 0 or 1.
    informative : ndarray of shape (2,)
        Positions of the columns that determine the class.

    Raises
    ------
    ValueError
        Where an argument is out of its range.

    See Also
    --------
    make_parity_features : The same for more columns.

    Examples
    --------
    >>> from sksparse.datasets import make_xor_features
    >>> X, y, informative = make_xor_features(n_samples=200, random_state=0)
    >>> a, b = X[:, informative].T
    >>> bool(((a * b < 0) == y).all())
    True
    """
    options = {"order": 2, "flip_y": flip_y, "shuffle": shuffle, "random_state": random_state}
    found: tuple[Array, Indices, Indices] = make_parity_features(n_samples, n_features, **options)
    return found


@validate_params(
    {**COMMON_CONSTRAINTS, "order": POSITIVE, "flip_y": SHARE}, prefer_skip_nested_validation=True
)
def make_parity_features(
    n_samples: int = 1000,
    n_features: int = 20,
    *,
    order: int = 3,
    flip_y: float = 0.0,
    shuffle: bool = True,
    random_state: Any = None,
) -> tuple[Array, Indices, Indices]:
    """Make two classes: whether an odd number of some columns is negative.

    The class is ``(x_a < 0) xor (x_b < 0) xor ...``. All columns are independent and standard
    normal. The class is independent of any ``order - 1`` columns together: what looks at fewer than
    ``order`` at a time sees nothing.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    n_features : int, default=20
        Number of columns, at least ``order``; the others are noise.
    order : int, default=3
        How many columns determine the class; 2 is :func:`make_xor_features`, and of 1 the column
        itself shows the class.
    flip_y : float, default=0.0
        Share of samples whose class is drawn by lot, from 0 to 1; half of them get their own.
    shuffle : bool, default=True
        Whether columns are in random order. Otherwise the informative ones come first.
    random_state : int, RandomState instance or None, default=None
        Where randomness comes from; an int gives the same table again.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Classes, 0 or 1.
    informative : ndarray of shape (order,)
        Positions of the columns that determine the class.

    Raises
    ------
    ValueError
        Where an argument is out of its range.

    Examples
    --------
    >>> from sksparse.datasets import make_parity_features
    >>> X, y, informative = make_parity_features(n_samples=200, random_state=0)
    >>> bool(((X[:, informative] < 0).sum(axis=1) % 2 == y).all())
    True
    """
    check_room(n_features, order, "the parity")
    rng = check_random_state(random_state)
    X = rng.standard_normal((n_samples, n_features))
    y = flipped((X[:, :order] < 0.0).sum(axis=1) % 2, flip_y, rng)
    X, informative = arranged(X, np.arange(order), shuffle, rng)
    return X, y, informative


@validate_params(
    {**COMMON_CONSTRAINTS, "n_products": POSITIVE, "order": POSITIVE, "noise": NOISE},
    prefer_skip_nested_validation=True,
)
def make_multiplicative_features(
    n_samples: int = 1000,
    n_features: int = 20,
    *,
    n_products: int = 1,
    order: int = 2,
    noise: float = 0.0,
    shuffle: bool = True,
    random_state: Any = None,
) -> tuple[Array, Array, Indices]:
    """Make quantities: a sum of products of columns.

    The target is ``x_a x_b + x_c x_d + ... + noise * e``, with a standard normal e. All columns are
    independent and standard normal. From products of two or more columns on, the target is
    uncorrelated with each column, and with every linear function of them.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    n_features : int, default=20
        Number of columns, at least ``n_products * order``; the others are noise.
    n_products : int, default=1
        Number of products.
    order : int, default=2
        Number of factors of each.
    noise : float, default=0.0
        Standard deviation of the noise of the target, beside that of the products, which is
        ``sqrt(n_products)``.
    shuffle : bool, default=True
        Whether columns are in random order. Otherwise the informative ones come first.
    random_state : int, RandomState instance or None, default=None
        Where randomness comes from; an int gives the same table again.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Targets.
    informative : ndarray of shape (n_products * order,)
        Positions of the columns that determine the target, the factors of the first product first.

    Raises
    ------
    ValueError
        Where an argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.datasets import make_multiplicative_features
    >>> X, y, informative = make_multiplicative_features(n_products=2, random_state=0)
    >>> a, b, c, d = X[:, informative].T
    >>> bool(np.allclose(a * b + c * d, y))
    True
    """
    n_informative = n_products * order
    check_room(n_features, n_informative, "the products")
    rng = check_random_state(random_state)
    X = rng.standard_normal((n_samples, n_features))
    factors = X[:, :n_informative].reshape(n_samples, n_products, order)
    y = factors.prod(axis=2).sum(axis=1) + noise * rng.standard_normal(n_samples)
    X, informative = arranged(X, np.arange(n_informative), shuffle, rng)
    return X, y, informative


@validate_params({**COMMON_CONSTRAINTS, "flip_y": SHARE}, prefer_skip_nested_validation=True)
def make_ring_features(
    n_samples: int = 1000,
    n_features: int = 20,
    *,
    flip_y: float = 0.0,
    shuffle: bool = True,
    random_state: Any = None,
) -> tuple[Array, Indices, Indices]:
    """Make two classes: whether two columns lie on a ring around the origin.

    The class is 1 where ``log(4 / 3) < (x_a^2 + x_b^2) / 2 < log(4)``, which half of the samples
    are. All columns are independent and standard normal. The class is uncorrelated with each
    column, and with every linear function of them; it does depend on their magnitudes.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    n_features : int, default=20
        Number of columns, at least 2; the others are noise.
    flip_y : float, default=0.0
        Share of samples whose class is drawn by lot, from 0 to 1; half of them get their own.
    shuffle : bool, default=True
        Whether columns are in random order. Otherwise the informative ones come first.
    random_state : int, RandomState instance or None, default=None
        Where randomness comes from; an int gives the same table again.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Classes, 0 or 1.
    informative : ndarray of shape (2,)
        Positions of the columns that determine the class.

    Raises
    ------
    ValueError
        Where an argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.datasets import make_ring_features
    >>> X, y, informative = make_ring_features(n_samples=200, random_state=0)
    >>> radius = np.linalg.norm(X[:, informative], axis=1)
    >>> bool((((0.76 < radius) & (radius < 1.66)) == y).all())
    True
    """
    check_room(n_features, 2, "the ring")
    rng = check_random_state(random_state)
    X = rng.standard_normal((n_samples, n_features))
    # exponentially distributed; these are its quartiles
    energy = (X[:, :2] ** 2).sum(axis=1) / 2.0
    inside = (energy > np.log(4.0 / 3.0)) & (energy < np.log(4.0))
    y = flipped(inside.astype(np.intp), flip_y, rng)
    X, informative = arranged(X, np.arange(2), shuffle, rng)
    return X, y, informative
