"""The error bound holds on generated data; interruptions keep the pairs that there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from signalled import run_signalled
from sklearn.linear_model import Lasso
from sklearn.tree import ExtraTreeClassifier

from sksparse.datasets import make_redundant_groups
from sksparse.feature_selection import StabilitySelection
from sksparse.neural_network import SparseMLPRegressor

# Tables that the mean error is taken over, and standard errors that it may be above its bound.
N_TABLES, FAR = 40, 4.0


def noise(rng: np.random.Generator) -> tuple[Any, Any, list[int]]:
    """Nothing to find."""
    return rng.standard_normal((80, 60)), rng.standard_normal(80), []


def independent(rng: np.random.Generator) -> tuple[Any, Any, list[int]]:
    """Five weak features among independent ones."""
    X = rng.standard_normal((80, 60))
    return X, X[:, :5].sum(axis=1) + 3.0 * rng.standard_normal(80), list(range(5))


def correlated(rng: np.random.Generator) -> tuple[Any, Any, list[int]]:
    """The same where all features share a part; heavy tails."""
    X = rng.standard_normal((80, 60)) + rng.standard_normal((80, 1))
    return X, X[:, :5].sum(axis=1) + 2.0 * rng.standard_t(3, 80), list(range(5))


def redundant(rng: np.random.Generator) -> tuple[Any, Any, list[int]]:
    """Causes that several features show."""
    seed = int(rng.integers(2**31))
    X, y, informative = make_redundant_groups(80, 60, correlation=0.8, noise=3.0, random_state=seed)
    return X, y, list(np.concatenate(informative))


TABLES = [noise, independent, correlated, redundant]


@pytest.mark.slow
@pytest.mark.parametrize("make", TABLES)
@pytest.mark.parametrize("assumption", ["none", "unimodal", "r-concave"])
def test_the_error_is_at_most_its_bound(
    make: Any, assumption: str, rng: np.random.Generator
) -> None:
    errors, sizes, bound = [], [], np.nan
    for table in range(N_TABLES):
        X, y, informative = make(rng)
        select = StabilitySelection(
            Lasso(), threshold=0.7, error_bound=1.5, assumption=assumption, n_resamples=20,
            alphas=12, random_state=table,
        ).fit(X, y)  # fmt: skip
        chosen = select.get_support(indices=True)
        errors.append(len(set(chosen) - set(informative)))
        sizes.append(len(chosen))
        bound = select.error_bound_
    assert bound <= 1.5
    assert np.mean(errors) <= bound + FAR * np.std(errors) / np.sqrt(N_TABLES)
    if make is not noise:
        assert np.mean(sizes) > np.mean(errors)


@pytest.mark.slow
@pytest.mark.parametrize("assumption", ["none", "unimodal", "r-concave"])
def test_the_error_of_guesses_is_at_most_its_bound(
    assumption: str, rng: np.random.Generator
) -> None:
    # the worst selector that is not worse than guessing: a tree that splits anywhere, on noise
    errors = []
    for table in range(N_TABLES):
        X, y = rng.standard_normal((60, 20)), rng.integers(2, size=60)
        select = StabilitySelection(
            ExtraTreeClassifier(max_features=1), threshold=0.6, max_features=9,
            assumption=assumption, n_resamples=10, random_state=table,
        ).fit(X, y)  # fmt: skip
        errors.append(select.n_features_)
    assert max(errors) > 0
    assert np.mean(errors) <= select.error_bound_ + FAR * np.std(errors) / np.sqrt(N_TABLES)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_inside(rng: np.random.Generator) -> None:
    X = rng.standard_normal((160, 6))
    net = SparseMLPRegressor((8,), max_iter=30, learning_rate_init=0.02)
    select = StabilitySelection(net, alphas=None, max_features=1, n_resamples=2, random_state=0)
    select.fit(X, 3.0 * X[:, 4])
    assert select.get_support(indices=True).tolist() == [4]
    again = select.stability_path_
    np.testing.assert_array_equal(select.fit(X, 3.0 * X[:, 4]).stability_path_, again)


SCRIPT = """
    from sklearn.linear_model import Lasso
    from sksparse.feature_selection import StabilitySelection
    from sksparse.linear_model import OSCAR
    X = rng.standard_normal((60, 20))
    y = X[:, 0] + rng.standard_normal(60)
    model = StabilitySelection({estimator}, alphas=[0.3, 0.1], n_resamples=40, verbose=2)
    interrupts.LONG = {long}
    sys.stdout = OnLine("pair {line}/")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            print("raised")
    said = any("interrupted after" in str(w.message) for w in caught)
    fitted = vars(model).get("n_resamples_", 0)
    restored = signal.getsignal(signal.SIGINT) is before
    print(said, fitted, restored)
"""


@pytest.mark.parametrize("estimator", ["Lasso()", "OSCAR()"])
def test_a_long_fit_keeps_its_pairs_and_warns(estimator: str) -> None:
    words = run_signalled(SCRIPT.format(estimator=estimator, long=0.0, line=5))
    assert words == ["True", "5", "True"]


@pytest.mark.parametrize("long, line", [(1e9, 5), (0.0, 1)])
def test_a_short_fit_raises(long: float, line: int) -> None:
    # one pair is no answer
    words = run_signalled(SCRIPT.format(estimator="Lasso()", long=long, line=line))
    assert words == ["False", "0", "True"]


def test_an_interruption_inside_of_a_fit_is_one_of_all() -> None:
    words = run_signalled(
        """
        from sksparse.feature_selection import StabilitySelection
        from sksparse.linear_model import OSCAR
        X = rng.standard_normal((60, 20))
        y = X[:, 0] + rng.standard_normal(60)
        interrupts.LONG = 0.0
        fits = []

        class Interrupted(OSCAR):
            def fit(self, X, y):
                fits.append(1)
                if len(fits) == 7:
                    sys.stdout = OnLine("step 1")
                    self.set_params(verbose=2)
                return super().fit(X, y)

        model = StabilitySelection(Interrupted(tol=1e-12), alphas=[0.01], n_resamples=40)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        said = any("interrupted after 3 of 40" in str(w.message) for w in caught)
        print(said, model.n_resamples_, len(fits))
        """
    )
    assert words == ["True", "3", "7"]
