"""What a path or a fitted search says of itself: fits, groups, names, and how it chose."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from sksparse._typing import Array
from sksparse.inspection._common import fitted_network

# What keeps a path, for the estimators that fit one strength or number of features.
_WITH_PATH = {
    "GroupLassoClassifier": ("GroupLassoClassifierCV", "group_lasso_path"),
    "GroupLassoRegressor": ("GroupLassoRegressorCV", "group_lasso_path"),
    "GroupLassoSelector": ("GroupLassoRegressorCV or GroupLassoClassifierCV", "group_lasso_path"),
    "L0Classifier": ("L0ClassifierCV", "l0_path"),
    "L0PoissonRegressor": ("L0PoissonRegressorCV", "l0_path"),
    "L0Regressor": ("L0RegressorCV", "l0_path"),
    "OSCAR": ("OSCARCV", "oscar_path"),
    "OSCARClassifier": ("OSCARClassifierCV", "slope_path"),
    "SLOPE": ("SLOPECV", "slope_path"),
    "SLOPEClassifier": ("SLOPEClassifierCV", "slope_path"),
}

_ANY_PATH = ("L0RegressorCV, GroupLassoRegressorCV or OSCARCV", "a function such as l0_path")


def path_of(estimator: Any) -> tuple[Any, Array]:
    """The fitted search inside an estimator and the coefficients of its path.

    Raises
    ------
    TypeError
        Where it keeps no path; says what does.
    """
    if not _missing_of_path(estimator):
        raise TypeError(
            f"{type(estimator).__name__} is a path and no estimator: give it to from_path."
        )
    model = fitted_network(estimator)
    try:
        return model, model.coef_path_
    except AttributeError as error:
        name = type(model).__name__
        search, function = _WITH_PATH.get(name, _ANY_PATH)
        raise TypeError(
            f"{name} keeps no path (coef_path_): give a fitted {search}, or give what {function} "
            "returns to from_path."
        ) from error


def check_path(path: Any) -> None:
    """Refuse what no path function returned.

    Raises
    ------
    TypeError
        Says what to give instead.
    """
    missing = _missing_of_path(path)
    if missing:
        raise TypeError(
            f"{type(path).__name__} is not a path (it has no {missing[0]}): give what a function "
            "such as l0_path returns, or a fitted estimator to from_estimator."
        )


def _missing_of_path(path: Any) -> list[str]:
    """What every path has and this object has not."""
    found = getattr(path, "__dict__", {})
    return [name for name in ("coefs", "losses", "alphas") if name not in found]


def names_of_inputs(estimator: Any) -> Any:
    """Names of the features that the model inside an estimator was fitted with, or None."""
    if isinstance(estimator, BaseSearchCV):
        return names_of_inputs(estimator.best_estimator_)
    if not isinstance(estimator, Pipeline) or len(estimator) == 1:
        return vars(fitted_network(estimator)).get("feature_names_in_")
    inner = names_of_inputs(estimator[-1])
    if inner is not None:
        return inner
    try:
        # steps between hand on arrays, and the names that these columns have
        return estimator[:-1].get_feature_names_out()
    except (AttributeError, ValueError):
        return None


def choice_curve(model: Any) -> tuple[Array | None, Array | None, str]:
    """The curve of a search, half the width of its band, and its name."""
    attributes = vars(model)
    if "criterion_path_" in attributes:
        return _of_choice(model, model.criterion_path_, 1), None, model.criterion.upper()
    for attribute, name in (
        ("mse_path_", "mean squared error"),
        ("deviance_path_", "mean Poisson deviance"),
        ("score_path_", "score"),
    ):
        if attribute in attributes:
            folds = _of_choice(model, attributes[attribute], 2)
            n_folds = folds.shape[1]
            error = folds.std(axis=1, ddof=1) / np.sqrt(n_folds) if n_folds > 1 else None
            return folds.mean(axis=1), error, _score_name(model, name)
    return None, None, ""


def _of_choice(model: Any, table: Array, n_axes: int) -> Array:
    """The part of a table for the ridge that was chosen, where several were tried."""
    if table.ndim == n_axes:
        return table
    chosen = np.flatnonzero(np.asarray(model.l2) == model.l2_)[0]
    return np.asarray(table[chosen])


def _score_name(model: Any, name: str) -> str:
    if name != "score":
        return name
    scoring = model.scoring
    if scoring is None:
        # regressors keep a score where their loss has no name of its own
        return "mean log likelihood" if is_classifier(model) else "negative mean loss"
    return scoring.replace("_", " ") if isinstance(scoring, str) else name


def groups_of(source: Any, names: str, labels: str, norms: str) -> dict[str, Any]:
    """The groups of a path or a search as a display takes them, by names of attributes.

    Parameters
    ----------
    source : object
        A path, or a fitted search. One without groups has none of the attributes.
    names, labels, norms : str
        Where the names of groups stand, the position of each feature's group among them, and the
        norms of the groups along the path, which a search may lack.
    """
    found = vars(source)
    if labels not in found:
        return {}
    given: dict[str, Any] = {"groups": [found[names][g] for g in found[labels]]}
    if norms in found:
        given["group_norms"] = dict(zip(found[names], found[norms], strict=True))
    return given
