"""What all estimators share: callbacks, links of HTML displays, versions in pickles."""

from __future__ import annotations

import copy
import os
import pickle
import signal
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sksparse
from sksparse import _estimator
from sksparse.sparsifiers import Magnitude

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

needs_callbacks = pytest.mark.skipif(
    not hasattr(sksparse.OSCAR, "set_callbacks"), reason="scikit-learn before 1.9"
)
NET: dict[str, Any] = {"max_iter": 2, "random_state": 0}
ESTIMATORS: dict[str, BaseEstimator] = {
    "GroupLassoSelector": sksparse.GroupLassoSelector(loss="squared"),
    "InfFS": sksparse.InfFS(2),
    "SparseMLPSelector": sksparse.SparseMLPSelector(2, max_iter=2),
    "L0Classifier": sksparse.L0Classifier(),
    "L0ClassifierCV": sksparse.L0ClassifierCV(max_features=2, cv=2),
    "L0PoissonRegressor": sksparse.L0PoissonRegressor(),
    "L0PoissonRegressorCV": sksparse.L0PoissonRegressorCV(max_features=2),
    "L0Regressor": sksparse.L0Regressor(),
    "L0RegressorCV": sksparse.L0RegressorCV(max_features=2, cv=2),
    "GroupLassoClassifier": sksparse.GroupLassoClassifier(1e-3),
    "GroupLassoClassifierCV": sksparse.GroupLassoClassifierCV(alphas=3, cv=2, eps=0.1),
    "GroupLassoRegressor": sksparse.GroupLassoRegressor(1e-3),
    "GroupLassoRegressorCV": sksparse.GroupLassoRegressorCV(alphas=3, cv=2),
    "OSCAR": sksparse.OSCAR(),
    "OSCARCV": sksparse.OSCARCV(alphas=3, cv=2),
    "OSCARClassifier": sksparse.OSCARClassifier(1e-2),
    "OSCARClassifierCV": sksparse.OSCARClassifierCV(alphas=3, cv=2, eps=0.1),
    "SLOPE": sksparse.SLOPE(1e-2),
    "SLOPECV": sksparse.SLOPECV(alphas=3, cv=2),
    "SLOPEClassifier": sksparse.SLOPEClassifier(1e-2),
    "SLOPEClassifierCV": sksparse.SLOPEClassifierCV(alphas=3, cv=2, eps=0.1),
    "GrOWL": sksparse.GrOWL(1e-2),
    "HashedMLPClassifier": sksparse.HashedMLPClassifier((4,), share=0.5, **NET),
    "HashedMLPRegressor": sksparse.HashedMLPRegressor((4,), share=0.5, **NET),
    "LowRankMLPClassifier": sksparse.LowRankMLPClassifier((4,), share=0.5, **NET),
    "LowRankMLPRegressor": sksparse.LowRankMLPRegressor((4,), share=0.5, **NET),
    "SparseMLPClassifier": sksparse.SparseMLPClassifier((4,), **NET),
    "SparseMLPRegressor": sksparse.SparseMLPRegressor((4,), **NET),
    "SparseNetClassifier": sksparse.SparseNetClassifier(torch.nn.Linear(4, 2), **NET),
    "SparseNetRegressor": sksparse.SparseNetRegressor(torch.nn.Linear(4, 1), **NET),
    "StabilitySelection": sksparse.StabilitySelection(n_resamples=2, alphas=3, random_state=0),
}
every_estimator = pytest.mark.parametrize("name", sorted(ESTIMATORS))


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features, and targets that are counts as well as classes."""
    X = rng.standard_normal((40, 4))
    return X, (X[:, 0] + 0.5 * rng.standard_normal(40) > 0).astype(int)


class Recorder:
    """A callback that remembers its hooks, and passes from searches to what they fit."""

    max_propagation_depth = None

    def __init__(self, fail: str = "", stop: str = "") -> None:
        self.fail, self.stop = fail, stop
        self.calls: list[tuple[str, Any]] = []
        self.fitted: list[Any] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.calls.append(("setup", context))

    def teardown(self, estimator: Any, context: Any) -> None:
        self.calls.append(("teardown", context))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.calls.append(("begin", context))
        if context.task_name == self.fail and context.max_subtasks == 0:
            raise RuntimeError("a callback fails")

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> bool:
        self.calls.append(("end", context))
        if fitted_estimator is not None:
            self.fitted.append(fitted_estimator)
        return context.task_name == self.stop

    def contexts(self, hook: str) -> list[Any]:
        return [context for name, context in self.calls if name == hook]


def test_the_list_is_complete() -> None:
    assert sorted(ESTIMATORS) == sorted(sksparse.__all__)


@every_estimator
def test_files_of_skops_hold_types_of_this_package_and_of_torch(name: str, data: Any) -> None:
    skops = pytest.importorskip("skops.io")
    model = clone(ESTIMATORS[name]).fit(*data)
    stored = skops.dumps(model)
    types = skops.get_untrusted_types(data=stored)
    assert {kind.split(".")[0] for kind in types} <= {"sksparse", "torch"}
    if "Net" not in name and "MLP" not in name:
        # a linear model is its own type and arrays
        assert types == [f"{type(model).__module__}.{name}"]
    again = skops.loads(stored, trusted=types)
    method = "predict" if hasattr(model, "predict") else "get_support"
    rows = (data[0],) if method == "predict" else ()
    assert (getattr(again, method)(*rows) == getattr(model, method)(*rows)).all()


@needs_callbacks
@every_estimator
def test_every_task_that_begins_ends_and_the_whole_is_a_tree(name: str, data: Any) -> None:
    recorder = Recorder()
    model = clone(ESTIMATORS[name]).set_callbacks(recorder).fit(*data)
    assert [hook for hook, _ in recorder.calls[:2]] == ["setup", "begin"]
    assert [hook for hook, _ in recorder.calls[-2:]] == ["end", "teardown"]
    begun, ended = recorder.contexts("begin"), recorder.contexts("end")
    assert len(begun) == len(ended) == len({id(context) for context in begun})
    assert {id(context) for context in begun} == {id(context) for context in ended}
    (root,) = {id(c): c for c in begun if c.parent is None}.values()
    assert root.estimator_name == name
    assert root.task_name == "fit"
    for context in begun:
        assert context is root or context.parent in begun
    # nothing of the callbacks' machinery is left on the estimator
    assert [key for key in vars(model) if "_callback" in key] == ["_skl_callbacks"]


@needs_callbacks
@every_estimator
def test_the_estimator_at_the_end_of_the_fit_is_fitted(name: str, data: Any) -> None:
    recorder = Recorder()
    model = clone(ESTIMATORS[name]).set_callbacks(recorder).fit(*data)
    method = "predict" if hasattr(model, "predict") else "transform"
    X, _ = data
    last = getattr(recorder.fitted[-1], method)(X)
    np.testing.assert_array_equal(last, getattr(model, method)(X))
    for fitted in recorder.fitted:
        assert getattr(fitted, method)(X).shape[0] == len(X)


@needs_callbacks
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_folds_are_tasks_wherever_they_run(n_jobs: int | None, data: Any) -> None:
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="r2")
    recorder = Recorder()
    model = sksparse.OSCARCV(alphas=3, cv=2, n_jobs=n_jobs)
    # a recorder of another process keeps its records there
    model.set_callbacks(monitor, *([] if n_jobs else [recorder])).fit(*data)
    rows = monitor.get_logs().data
    assert rows[0]["task_name"] == "fit"
    assert rows[0]["r2"] == pytest.approx(model.score(*data))
    names = [c.task_name for c in recorder.contexts("begin")]
    if not n_jobs:
        assert (names.count("strengths"), names.count("folds")) == (1 + 3, 1 + 2)


@needs_callbacks
@pytest.mark.parametrize("name", ["OSCAR", "L0Regressor", "L0Classifier", "L0PoissonRegressor"])
def test_scores_after_each_iteration(name: str, data: Any) -> None:
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="neg_mean_squared_error")
    model = clone(ESTIMATORS[name]).set_callbacks(monitor).fit(*data)
    rows = monitor.get_logs().data
    error = -np.mean((model.predict(data[0]) - data[1]) ** 2)
    # the last iteration is the answer
    assert {row["task_name"] for row in rows} == {"fit", "iterations"}
    assert rows[0]["neg_mean_squared_error"] == pytest.approx(error)
    assert rows[-1]["neg_mean_squared_error"] == pytest.approx(error)


@needs_callbacks
def test_searches_and_pipelines_hand_their_callbacks_on(data: Any) -> None:
    recorder = Recorder()
    pipeline = make_pipeline(StandardScaler(), sksparse.OSCAR())
    search = GridSearchCV(pipeline, {"oscar__alpha": [0.01, 0.1]}, cv=2)
    search.set_callbacks(recorder).fit(*data)
    assert [hook for hook, _ in recorder.calls].count("setup") == 1
    ours = [c for c in recorder.contexts("begin") if c.estimator_name == "OSCAR"]
    roots = [c for c in ours if c.task_name == "fit"]
    assert len(roots) == 2 * 2 + 1
    assert all(context.parent is not None for context in roots)
    assert any(context.task_name == "iterations" for context in ours)
    assert not hasattr(search.best_estimator_[-1], "_parent_callback_ctx")


@needs_callbacks
def test_a_progress_bar_of_every_level(data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    sksparse.L0RegressorCV(max_features=2, cv=2).set_callbacks(ProgressBar()).fit(*data)
    written = capsys.readouterr().out
    for level in ("fit", "numbers of features", "folds", "iterations"):
        assert f"L0RegressorCV - {level}" in written


@needs_callbacks
@pytest.mark.parametrize("name", ["OSCAR", "L0RegressorCV", "GroupLassoSelector"])
def test_a_failed_fit_is_torn_down_and_forgotten(name: str, data: Any) -> None:
    recorder = Recorder(fail="iterations")
    model = clone(ESTIMATORS[name]).set_callbacks(recorder)
    before = vars(model).copy()
    with pytest.raises(RuntimeError, match="a callback fails"):
        model.fit(*data)
    assert recorder.calls[-1][0] == "teardown"
    assert vars(model) == before
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full((4, 2), np.nan), [0, 1, 0, 1])
    assert recorder.calls[-1][0] == "teardown"
    recorder.fail = ""
    model.fit(*data)


@needs_callbacks
def test_an_interrupted_fit_is_torn_down(data: Any) -> None:
    class Interrupts(Recorder):
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            super().on_fit_task_begin(estimator, context)
            if context.task_name == "iterations" and context.max_subtasks == 0:
                os.kill(os.getpid(), signal.SIGINT)

    recorder = Interrupts()
    model = sksparse.OSCAR().set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    assert recorder.calls[-1][0] == "teardown"
    assert not hasattr(model, "coef_")


@needs_callbacks
def test_a_callback_may_end_the_iterations(data: Any) -> None:
    model = sksparse.L0Regressor().set_callbacks(Recorder(stop="iterations"))
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(*data)
    assert model.n_iter_ == 1


@needs_callbacks
def test_a_fit_inside_another_is_none_of_its_tasks(data: Any) -> None:
    recorder = Recorder()

    class FitsInside(Recorder):
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            if context.parent is None:
                sksparse.OSCAR().fit(*data)

    model = sksparse.L0Regressor().set_callbacks(FitsInside(), recorder)
    model.fit(*data)
    assert {context.estimator_name for context in recorder.contexts("begin")} == {"L0Regressor"}


def test_loops_without_callbacks_have_silent_tasks() -> None:
    from sksparse._fit_tasks import concurrent_fit_tasks, fit_tasks

    with fit_tasks("rounds", 3) as rounds:
        rounds.begin()
        assert not rounds.end(lambda: pytest.fail("nobody asks for attributes"))
        assert not rounds.end_at(None, None, None)
    with concurrent_fit_tasks("rounds", 2) as tasks:
        assert len(tasks) == 2
        pickle.loads(pickle.dumps(tasks[0])).begin()


@every_estimator
def test_no_link_where_no_documentation_is_declared(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_estimator, "documentation_address", lambda: "")
    assert ESTIMATORS[name]._get_doc_link() == ""
    assert 'href="http' not in ESTIMATORS[name]._repr_html_()


@every_estimator
def test_displays_link_to_the_page_of_the_class(
    name: str, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_estimator, "documentation_address", lambda: "https://docs.example")
    room = type(ESTIMATORS[name]).__module__.split(".")[1]
    page = f"https://docs.example/generated/sksparse.{room}.{name}.html"
    model = clone(ESTIMATORS[name]).fit(*data)
    for shown in (ESTIMATORS[name], model, make_pipeline(StandardScaler(), model)):
        assert f'href="{page}"' in shown._repr_html_()
    # every parameter and fitted attribute has its sentence of the docstring
    if hasattr(model, "_get_fitted_attr_html"):
        shown = model._repr_html_()
        attributes = model._get_fitted_attr_html(page)
        assert set(attributes) <= {key for key in dir(model) if key.endswith("_")}
        described = [*model.get_params(deep=False), *attributes]
        assert not [key for key in described if f"--doc-link-{key};" not in shown]


def test_a_class_of_the_users_own_has_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_estimator, "documentation_address", lambda: "https://docs.example")

    class Mine(sksparse.OSCAR):
        pass

    assert Mine()._get_doc_link() == ""
    assert Magnitude()._get_doc_link().endswith("/generated/sksparse.sparsifiers.Magnitude.html")


def test_the_address_comes_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    from email.message import Message

    declared = Message()
    declared["Project-URL"] = "Source, https://source.example"
    declared["Project-URL"] = "Documentation, https://docs.example/"
    address = _estimator.documentation_address.__wrapped__
    monkeypatch.setattr(_estimator.metadata, "metadata", lambda name: declared)
    assert address() == "https://docs.example"
    monkeypatch.setattr(_estimator.metadata, "metadata", lambda name: Message())
    assert address() == ""


@every_estimator
def test_a_pickle_of_another_version_warns(
    name: str, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = clone(ESTIMATORS[name]).fit(*data)
    same = pickle.loads(pickle.dumps(model))  # does not warn
    assert vars(same).keys() == vars(model).keys()
    assert vars(copy.deepcopy(model)).keys() == vars(model).keys()
    monkeypatch.setattr(_estimator, "__version__", "0.0.1")
    old = pickle.dumps(model)
    monkeypatch.undo()
    with pytest.warns(InconsistentVersionWarning, match=r"version 0\.0\.1 of sksparse") as found:
        loaded = pickle.loads(old)
    assert found[0].message.estimator_name == name
    assert found[0].message.original_sksparse_version == "0.0.1"
    assert found[0].message.current_sksparse_version == sksparse.__version__
    assert vars(loaded).keys() == vars(model).keys()


def test_a_sparsifier_is_pickled_with_its_version() -> None:
    state = Magnitude().__getstate__()
    del state["_sksparse_version"]
    with pytest.warns(InconsistentVersionWarning, match="Magnitude from version unknown"):
        Magnitude.__new__(Magnitude).__setstate__(state)
