"""One rule for interruptions from the keyboard, with real signals."""

from __future__ import annotations

import signal
import threading

import pytest
from signalled import run_signalled

from sksparse import _interrupts

FITS = {
    "OSCAR": """
        from sksparse import OSCAR
        X = rng.standard_normal((1200, 800))
        y = X[:, :200].sum(axis=1) + rng.standard_normal(1200)
        model = OSCAR(0.05, tol=1e-13, verbose=2)
    """,
    "GroupLassoSelector": """
        from sksparse import GroupLassoSelector
        X = rng.standard_normal((1200, 800)) + rng.standard_normal((1200, 1))
        y = X[:, :200].sum(axis=1) + rng.standard_normal(1200)
        model = GroupLassoSelector(0.02, tol=1e-13, verbose=2)
    """,
    "GroupLassoSelector, logistic": """
        from sksparse import GroupLassoSelector
        X = rng.standard_normal((1200, 800)) + rng.standard_normal((1200, 1))
        y = (X[:, :200].sum(axis=1) > 0).astype(int)
        model = GroupLassoSelector(0.02, tol=1e-13, verbose=2)
    """,
}


@pytest.mark.parametrize("name", FITS)
def test_a_long_fit_keeps_its_answer_and_warns(name: str) -> None:
    words = run_signalled(
        FITS[name]
        + """
        interrupts.LONG = 0.0
        sys.stdout = OnLine("step 2")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        said = any("interrupted" in str(w.message) for w in caught)
        print(said, bool(model.coef_.any()), signal.getsignal(signal.SIGINT) is before)
    """
    )
    assert words == ["True", "True", "True"]


@pytest.mark.parametrize("name", FITS)
def test_a_short_fit_raises_and_leaves_the_model_as_it_was(name: str) -> None:
    words = run_signalled(
        FITS[name]
        + """
        interrupts.LONG = 1e9
        sys.stdout = OnLine("step 2")
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            print("raised", hasattr(model, "coef_"), signal.getsignal(signal.SIGINT) is before)
    """
    )
    assert words == ["raised", "False", "True"]


@pytest.mark.parametrize("name", ["OSCAR", "GroupLassoSelector"])
def test_a_loop_of_short_fits_stops(name: str) -> None:
    words = run_signalled(
        FITS[name]
        + """
        model.set_params(verbose=0, alpha=1.0, tol=1e-4)
        model.fit(X, y)
        threading.Timer(0.3, interrupt).start()
        end = time.monotonic() + 60
        try:
            while time.monotonic() < end:
                model.fit(X, y)
        except KeyboardInterrupt:
            print("stopped", bool(model.coef_.any()))
    """
    )
    assert words == ["stopped", "True"]


def test_a_second_interruption_soon_after_a_first_raises() -> None:
    words = run_signalled(
        FITS["OSCAR"]
        + """
        interrupts.LONG = 0.0
        warnings.simplefilter("ignore")
        real = sys.stdout
        sys.stdout = OnLine("step 2")
        model.fit(X, y)
        sys.stdout = real
        sys.stdout = OnLine("step 2")
        try:
            model.fit(X, y)
        except KeyboardInterrupt:
            print("raised")
    """
    )
    assert words == ["raised"]


def test_a_handler_of_the_user_is_asked_and_put_back() -> None:
    words = run_signalled(
        FITS["OSCAR"]
        + """
        heard = []
        handler = lambda signum, frame: heard.append(signum)
        signal.signal(signal.SIGINT, handler)
        sys.stdout = OnLine("step 2")
        model.set_params(tol=1e-3).fit(X, y)
        print(len(heard), signal.getsignal(signal.SIGINT) is handler)
    """
    )
    assert words == ["1", "True"]


def test_other_threads_are_left_alone() -> None:
    seen = []

    def fit() -> None:
        with _interrupts.interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert seen == [before]


def test_nested_fits_belong_to_the_outermost() -> None:
    before = signal.getsignal(signal.SIGINT)
    with _interrupts.interruptible():
        outer = signal.getsignal(signal.SIGINT)
        with _interrupts.interruptible():
            assert signal.getsignal(signal.SIGINT) is outer
        assert signal.getsignal(signal.SIGINT) is outer is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_is_noted_and_answered_at_the_end() -> None:
    # numba meets an exception of a handler when it unpacks results: a note does not raise
    after_signal = []

    def fit() -> None:
        with _interrupts.interruptible():
            signal.raise_signal(signal.SIGINT)
            after_signal.append(_interrupts._watch.pending)

    with pytest.raises(KeyboardInterrupt):
        fit()
    assert after_signal == [True]
