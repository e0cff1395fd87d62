"""Targets whose answer is there several times over."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from sksparse._typing import Array, Indices
from sksparse.datasets._columns import (
    COMMON_CONSTRAINTS,
    NOISE,
    POSITIVE,
    arranged,
    check_room,
)


@validate_params(
    {
        **COMMON_CONSTRAINTS,
        "n_groups": POSITIVE,
        "group_size": POSITIVE,
        "correlation": [Interval(Real, 0, 1, closed="right")],
        "noise": NOISE,
    },
    prefer_skip_nested_validation=True,
)
def make_redundant_groups(
    n_samples: int = 1000,
    n_features: int = 20,
    *,
    n_groups: int = 3,
    group_size: int = 3,
    correlation: float = 1.0,
    noise: float = 0.0,
    shuffle: bool = True,
    random_state: Any = None,
) -> tuple[Array, Array, list[Indices]]:
    """Make quantities: a sum of causes, each of which several columns show.

    The target is ``z_1 + z_2 + ... + noise * e``, with independent and standard normal causes z and
    noise e. The columns of group g are ``sqrt(correlation) * z_g + sqrt(1 - correlation) * e_j``
    with noise e_j of their own, so that they are standard normal, any two of a group have that
    correlation, and any one stands for all. The other columns are standard normal noise. The answer
    is one column of each group, whichever, and no second one before every group has its first.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    n_features : int, default=20
        Number of columns, at least ``n_groups * group_size``.
    n_groups : int, default=3
        Number of causes.
    group_size : int, default=3
        Number of columns that show each.
    correlation : float, default=1.0
        Correlation of two columns of a group, above 0 and up to 1; with 1 they are copies.
    noise : float, default=0.0
        Standard deviation of the noise of the target, beside that of the causes, which is
        ``sqrt(n_groups)``.
    shuffle : bool, default=True
        Whether columns are in random order. Otherwise the groups come first, one after another.
    random_state : int, RandomState instance or None, default=None
        Where randomness comes from; an int gives the same table again.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Targets.
    informative : list of ndarray of shape (group_size,)
        Positions of the columns of each group, which are interchangeable.

    Raises
    ------
    ValueError
        Where an argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.datasets import make_redundant_groups
    >>> X, y, informative = make_redundant_groups(random_state=0)
    >>> last_of_each = [group[-1] for group in informative]
    >>> bool(np.allclose(X[:, last_of_each].sum(axis=1), y))
    True
    """
    n_informative = n_groups * group_size
    check_room(n_features, n_informative, "the groups")
    rng = check_random_state(random_state)
    causes = rng.standard_normal((n_samples, n_groups))
    X = rng.standard_normal((n_samples, n_features))
    shown = X[:, :n_informative]
    shown *= np.sqrt(1.0 - correlation)
    shown += np.sqrt(correlation) * np.repeat(causes, group_size, axis=1)
    y = causes.sum(axis=1) + noise * rng.standard_normal(n_samples)
    X, informative = arranged(X, np.arange(n_informative), shuffle, rng)
    return X, y, list(informative.reshape(n_groups, group_size))
