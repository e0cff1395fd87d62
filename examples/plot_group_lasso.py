"""
Which columns of a table matter
===============================

A table has numbers and categories, and the question is which of its *columns* matter, not which of
the dummies that an encoder makes of them. The table is made up, so the answer is known: the rent of
a flat depends on five of its columns and not on the other seven.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LassoCV
from sklearn.model_selection import KFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

from sksparse.feature_selection import GroupLassoSelector
from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import GroupLassoRegressorCV

# %%
# A table with a known answer
# ---------------------------
#
# Rent rises with the area, ever more slowly, and falls with the distance to the centre. District,
# heating and energy class matter. The agency, the weekday of the advertisement and so on do not.
# Some districts and agencies are rare.

rng = np.random.default_rng(0)
n_flats = 500


def category(*names, skew=0.0):
    """Draw a category for each flat, the later ones the rarer."""
    share = np.exp(-skew * np.arange(len(names)))
    return pd.Categorical(rng.choice(names, n_flats, p=share / share.sum()))


def effect(column, size):
    """Draw an effect for each category."""
    return (size * rng.standard_normal(len(column.categories)))[column.codes]


X = pd.DataFrame(
    {
        "area": rng.uniform(20, 150, n_flats),
        "distance": rng.exponential(4, n_flats),
        "district": category(*(f"D{k}" for k in range(12)), skew=0.25),
        "heating": category("gas", "oil", "district", "pump", "stove", skew=0.4),
        "energy": category(*"ABCDEFG"),
        "agency": category(*(f"agency {k}" for k in range(15)), skew=0.2),
        "weekday": category("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        "front": category("white", "grey", "brick", "yellow", "green", "glass"),
        "house_number": rng.integers(1, 200, n_flats),
        "photos": rng.poisson(8, n_flats),
        "letters": rng.normal(600, 150, n_flats),
        "hour": rng.uniform(0, 24, n_flats),
    }
)
matter = ["area", "distance", "district", "heating", "energy"]
y = (
    400 * np.log(X["area"])
    - 25 * X["distance"]
    + effect(X["district"].array, 100)
    + effect(X["heating"].array, 80)
    + effect(X["energy"].array, 60)
    + 150 * rng.standard_normal(n_flats)
)
print(X.head(3).round(1).to_string(line_width=100))

# %%
# Straight from the table
# -----------------------
#
# With ``encode="auto"`` each column is a group: categories are encoded and numbers standardised
# inside of the selector. What comes out are columns of the table, for whatever model comes next.

selector = GroupLassoSelector(encode="auto", max_groups=5).set_output(transform="pandas")
kept = selector.fit_transform(X, y)
print("kept:", ", ".join(kept.columns))

# %%
# A linear model of the columns
# -----------------------------
#
# For the linear model itself, an encoder makes the columns: dummies of each category, and a spline
# of each number. The groups are the names of the table's columns; they hold in every fold, also in
# one that lacks a category. Cross-validation chooses the strength.

categories = X.select_dtypes("category").columns.tolist()
numbers = [name for name in X if name not in categories]
encode = make_column_transformer(
    (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), categories),
    (SplineTransformer(5, degree=2, include_bias=False), numbers),
    verbose_feature_names_out=False,
).set_output(transform="pandas")
shrunk = Pipeline(
    [
        ("encode", encode),
        ("centre", StandardScaler(with_std=False).set_output(transform="pandas")),
        ("model", GroupLassoRegressorCV(groups=X.columns.tolist(), alphas=30, eps=0.01)),
    ]
).fit(X, y)
print(f"kept: {len(shrunk['model'].selected_groups_)} of {X.shape[1]} columns")

# %%
# Each line is the norm of a group's coefficients. The five that matter enter first, but the penalty
# that keeps the others out shrinks them. The strength that predicts best is a compromise, and lets
# others in.

RegularizationPathDisplay.from_estimator(shrunk, show="groups")
plt.show()

# %%
# With ``relax=True`` the groups that are kept are fitted once more without the penalty, in the
# folds as well, so that the strength has nothing to do but to select. The grey groups enter to the
# right of the choice, where the error on held-out flats grows.

relaxed = clone(shrunk).set_params(model__relax=True).fit(X, y)
print("kept:", ", ".join(relaxed["model"].selected_groups_))
RegularizationPathDisplay.from_estimator(relaxed, show="groups")
plt.show()

# %%
# On flats that no fit has seen
# -----------------------------
#
# The lasso on the same columns keeps single dummies and pieces of splines of nearly all columns.


def coefficients(model, X):
    """The coefficients of a model, by the columns of the table that they belong to."""
    names = model[:-1].get_feature_names_out()
    owners = [next(c for c in X if n == c or n.startswith(f"{c}_")) for n in names]
    return pd.Series(model[-1].coef_, owners)


def n_columns(model, X, y):
    """Count the columns of the table that a model uses."""
    coef = coefficients(model, X)
    return coef[coef != 0].index.nunique()


def n_weights(model, X, y):
    """Count the coefficients that are not zero."""
    return np.count_nonzero(coefficients(model, X))


models = {
    "GroupLassoRegressorCV, relaxed": relaxed,
    "GroupLassoRegressorCV": shrunk,
    "LassoCV on single columns": Pipeline(
        [*shrunk.steps[:-1], ("model", LassoCV(max_iter=20_000))]
    ),
}
scoring = {"R²": "r2", "features": n_columns, "weights": n_weights}
outer = KFold(5, shuffle=True, random_state=1)
scores = {}
for name, candidate in models.items():
    folds = cross_validate(candidate, X, y, cv=outer, scoring=scoring, n_jobs=2)
    scores[name] = pd.DataFrame(folds)
    print(f"{name}: R² {scores[name]['test_R²'].mean():.3f}")
pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T.round(3)

# %%
# Behind the selector any model can stand. Boosted trees on the five columns are better than on all:

trees = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
for name, steps in {"five columns": [("select", selector)], "all columns": []}.items():
    r2 = cross_validate(Pipeline([*steps, ("model", trees)]), X, y, cv=outer)["test_score"]
    print(f"boosted trees on {name}: R² {r2.mean():.3f}")
