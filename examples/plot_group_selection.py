"""
A category is kept or dropped as a whole
========================================

A one-hot encoder turns one question into several columns. The lasso picks single columns from it
and leaves half a question behind; :class:`~sksparse.feature_selection.GroupLassoSelector` decides
about questions. The groups come from the encoder, by name.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sksparse.feature_selection import GroupLassoSelector, one_hot_groups
from sksparse.linear_model import group_lasso_path

# %%
# A table as a clinic keeps it
# ----------------------------
#
# Of the diabetes data, in their original units, sex, age, body mass index and blood pressure become
# categories; six serum values stay numbers. Two categories are made up, drawn at random: nothing
# should depend on them.

raw, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
rng = np.random.default_rng(0)


def banded(values, edges, names):
    """Name the interval of each value."""
    return pd.cut(values, [0, *edges, np.inf], right=False, labels=names).astype(object)


X = pd.DataFrame(
    {
        "sex": raw["sex"].map({1: "1", 2: "2"}),
        "age": banded(raw["age"], [30, 40, 50, 60], ["under 30", "30s", "40s", "50s", "from 60"]),
        "weight": banded(raw["bmi"], [25, 30, 35], ["normal", "over", "obese", "very obese"]),
        "pressure": banded(raw["bp"], [80, 90, 100, 110], ["<80", "80s", "90s", "100s", ">=110"]),
        "clinic": rng.choice(list("ABCDEF"), len(raw)),
        "weekday": rng.choice(["Mon", "Tue", "Wed", "Thu", "Fri"], len(raw)),
        **raw[["s1", "s2", "s3", "s4", "s5", "s6"]],
    }
)
categories = ["sex", "age", "weight", "pressure", "clinic", "weekday"]
numbers = ["s1", "s2", "s3", "s4", "s5", "s6"]
print(X.head(3).to_string())

# %%
# Groups by name
# --------------
#
# ``one_hot_groups`` reads them from the fitted encoder.

encode = make_column_transformer(
    (OneHotEncoder(sparse_output=False), categories),
    (StandardScaler(), numbers),
    verbose_feature_names_out=False,
).set_output(transform="pandas")
groups = one_hot_groups(clone(encode).fit(X))
print(groups["weight"])

# %%
# The strength is chosen by a grid search over the whole pipeline; the regression at its end is
# fitted on the columns that are left.

search = GridSearchCV(
    Pipeline(
        [
            ("encode", encode),
            ("select", GroupLassoSelector(groups=groups)),
            ("model", LinearRegression()),
        ]
    ),
    {"select__alpha": np.geomspace(0.5, 8, 7)},
    cv=KFold(5, shuffle=True, random_state=0),
)
search.fit(X, y)
selector = search.best_estimator_["select"]
print(f"alpha {selector.alpha:.2f} keeps {', '.join(selector.selected_groups_)}")
print(f"which are {selector.get_support().sum()} of {selector.n_features_in_} columns")

# %%
# On patients that no search has seen
# -----------------------------------


def n_columns(model, X, y):
    """Count the encoded columns with a coefficient."""
    return np.count_nonzero(getattr(model, "best_estimator_", model)[-1].coef_)


def n_questions(model, X, y):
    """Count the columns of the table of which anything is kept."""
    pipeline = getattr(model, "best_estimator_", model)
    kept = set(pipeline[:-1].get_feature_names_out()[pipeline[-1].coef_ != 0])
    return sum(not kept.isdisjoint(columns) for columns in groups.values())


models = {
    "GroupLassoSelector": search,
    "LassoCV on single columns": Pipeline([("encode", encode), ("model", LassoCV())]),
    "LinearRegression": Pipeline([("encode", encode), ("model", LinearRegression())]),
}
scoring = {"R²": "r2", "features": n_questions, "weights": n_columns}
outer = KFold(5, shuffle=True, random_state=1)
scores = {}
for name, model in models.items():
    scores[name] = pd.DataFrame(cross_validate(model, X, y, cv=outer, scoring=scoring, n_jobs=2))
    print(f"{name}: R² {scores[name]['test_R²'].mean():.3f}")
pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T.round(3)

# %%
# What each strength keeps
# ------------------------
#
# The norm of a group's coefficients, from the strength that keeps nothing down to a weak one.

encoded = clone(encode).fit_transform(X)
path = group_lasso_path(encoded, y, groups, alphas=40, eps=0.01)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for group, norms in zip(path.groups, path.group_norms, strict=True):
    made_up = group in ("clinic", "weekday")
    color = "black" if made_up else None
    left.plot(path.alphas, norms, color=color, linestyle=":" if made_up else "-", label=group)
left.axvline(selector.alpha, color="grey", linewidth=0.8)
left.annotate(" chosen", (selector.alpha, path.group_norms.max()), color="grey", va="top")
left.set(
    xscale="log",
    xlabel="alpha",
    ylabel="norm of the group's coefficients",
    title="Groups enter as a whole",
)
left.invert_xaxis()
left.legend(ncols=2, fontsize="small", title="dotted: made up")

strength = pd.Series(selector.group_norms_, selector.groups_).sort_values()
right.barh(strength.index, strength, color="tab:blue")
for place, (group, value) in enumerate(strength.items()):
    size = len(groups[group])
    text = f" {size} column{'s' * (size > 1)}" if value else " dropped"
    right.text(value, place, text, va="center", fontsize="small")
right.margins(x=0.2)
right.set(
    xlabel="norm of the group's coefficients", title=f"At the chosen alpha, {selector.alpha:.2f}"
)
plt.show()
