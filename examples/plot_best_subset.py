"""
Eight terms instead of sixty-five
=================================

Ten measurements of 442 patients predict how far their diabetes advances within a year. With all
squares and products they make 65 terms. How many of them does a prediction need?
:class:`~sksparse.linear_model.L0Regressor` counts terms instead of shrinking them, so their number
is a parameter that a grid search can choose.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso, LassoCV, LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sksparse.linear_model import L0Regressor

X, y = load_diabetes(return_X_y=True, as_frame=True)


def on_all_terms(model):
    """Put the model behind all squares and products, brought to one scale."""
    terms = PolynomialFeatures(degree=2, include_bias=False)
    return Pipeline([("terms", terms), ("scale", StandardScaler()), ("model", model)])


# %%
# The search
# ----------
#
# The number of terms goes from 1 to 15. ``l2`` is a small ridge on the terms that are kept; the
# search decides whether it helps.

inner = KFold(5, shuffle=True, random_state=0)
search = GridSearchCV(
    on_all_terms(L0Regressor()),
    {"model__max_features": [1, 2, 4, 6, 8, 10, 15], "model__l2": [0, 0.1]},
    cv=inner,
)
search.fit(X, y)
best = search.best_estimator_
names = best[:-1].get_feature_names_out()
print("chosen:", search.best_params_)
print("terms: ", ", ".join(names[best[-1].get_support()]))

# %%
# On patients that no search has seen
# -----------------------------------
#
# Five outer folds score each model, its search included, on the patients that it was not given. The
# baselines: the lasso on the same terms at the strength that cross-validation prefers, and least
# squares on all terms.


def n_terms(model, X, y):
    """Count the coefficients that are not zero."""
    return np.count_nonzero(getattr(model, "best_estimator_", model)[-1].coef_)


models = {
    "L0Regressor, grid search": search,
    "LassoCV": on_all_terms(LassoCV(cv=inner, max_iter=50_000)),
    "LinearRegression": on_all_terms(LinearRegression()),
}
scoring = {"R²": "r2", "features": n_terms}
outer = KFold(5, shuffle=True, random_state=1)
scores = {}
for name, model in models.items():
    scores[name] = pd.DataFrame(cross_validate(model, X, y, cv=outer, scoring=scoring, n_jobs=2))
    print(f"{name}: R² {scores[name]['test_R²'].mean():.3f}")
pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T.round(3)

# %%
# At equal size
# -------------
#
# The lasso shrinks the coefficients that it keeps. Cross-validation for each number of terms and
# strength shows what that costs.

lasso = GridSearchCV(
    on_all_terms(Lasso(max_iter=50_000)),
    {"model__alpha": np.geomspace(0.9, 45, 10)},
    scoring=scoring,
    refit=False,
    cv=inner,
)
lasso.fit(X, y)
trials = pd.DataFrame(search.cv_results_)
trials = trials.loc[trials.groupby("param_model__max_features")["mean_test_score"].idxmax()]

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
error = trials["std_test_score"] / np.sqrt(inner.n_splits)
left.errorbar(
    trials["param_model__max_features"].astype(int),
    trials["mean_test_score"],
    error,
    marker="o",
    capsize=2,
    label="L0Regressor",
)
left.plot(
    lasso.cv_results_["mean_test_features"],
    lasso.cv_results_["mean_test_R²"],
    marker="s",
    color="tab:orange",
    label="Lasso",
)
left.set(
    xlabel="terms kept (of 65)",
    ylabel="cross-validated R² (bars: standard error)",
    title="Score at each size",
)
left.legend(loc="lower right")

coef = pd.Series(best[-1].coef_, names)[best[-1].get_support()].sort_values(key=abs)
colors = np.where(coef > 0, "tab:red", "tab:blue")
right.barh(coef.index, coef, color=colors)
right.axvline(0, color="black", linewidth=0.8)
right.set(xlabel="coefficient of the standardised term", title=f"The {len(coef)} terms chosen")
plt.show()
