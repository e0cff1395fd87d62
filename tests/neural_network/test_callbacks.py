"""Callbacks of skorch: each works as a user of skorch expects, or is refused by name."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV
from skorch import callbacks as shipped
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    NeptuneLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WandbLogger,
)
from small_networks import classifier, regressor
from torch import nn

from sksparse.neural_network import SparseMLPClassifier, SparseNetRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore:The objective still fell"),
    pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows"),
]

SHORT: dict[str, Any] = {"max_iter": 6, "n_iter_no_change": 50}
VALID: dict[str, Any] = {**SHORT, "early_stopping": True, "validation_fraction": 0.2}


class Watch(Callback):  # type: ignore[misc]
    """Calls a function at one event, with the net."""

    def __init__(self, event: str, see: Any) -> None:
        self.event = event
        self.see = see
        setattr(self, event, lambda net, **words: see(net, **words))


def test_every_callback_that_skorch_ships_is_tried_below() -> None:
    tried = {
        BatchScoring, Callback, Checkpoint, EarlyStopping, EpochScoring, EpochTimer, Freezer,
        GradientNormClipping, Initializer, InputShapeSetter, LRScheduler, LoadInitState,
        MlflowLogger, NeptuneLogger, ParamMapper, PassthroughScoring, PrintLog, ProgressBar,
        SacredLogger, TensorBoard, TrainEndCheckpoint, Unfreezer, WandbLogger,
        shipped.WarmRestartLR,
    }  # fmt: skip
    assert {getattr(shipped, name) for name in shipped.__all__} <= tried


# --- history ----------------------------------------------------------------------------------


def test_the_history_has_the_keys_of_skorch(digits: Any) -> None:
    X, y = digits
    seen: list[dict[str, Any]] = []
    watch = Watch("on_epoch_end", lambda net, **_: seen.append(dict(net.history[-1])))
    model = classifier(callbacks=[EpochTimer(), watch], **VALID).fit(X, y)
    for epoch in seen:
        assert {"train_loss", "valid_loss", "train_loss_best", "valid_loss_best", "dur"} <= set(
            epoch
        )
        batches = epoch["batches"]
        learnt = [b for b in batches if "train_loss" in b]
        assert len(learnt) == epoch["train_batch_count"]
        assert len(batches) - len(learnt) == epoch["valid_batch_count"]
        sizes = [b["train_batch_size"] for b in learnt]
        assert sum(sizes) == 480
        mean = np.average([b["train_loss"] for b in learnt], weights=sizes)
        assert epoch["train_loss"] == pytest.approx(mean, rel=1e-5)
    assert [e["train_loss"] for e in seen] == [e["train_loss"] for e in model.history_]
    alone = classifier(**VALID).fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), model.predict_proba(X))
    assert [e["valid_loss"] for e in alone.history_] == [e["valid_loss"] for e in model.history_]


def test_a_loss_is_best_within_its_phase(digits: Any) -> None:
    model = classifier(callbacks=[EpochTimer()], target_sparsity=0.9, **SHORT).fit(*digits)
    phases = [e["phase"] for e in model.history_]
    for k, epoch in enumerate(model.history_):
        earlier = [
            e["train_loss"]
            for e, p in zip(model.history_[:k], phases, strict=False)
            if p == phases[k]
        ]
        assert epoch["train_loss_best"] == (epoch["train_loss"] < min(earlier, default=np.inf))


# --- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("sparsifier", ["oscar", "l0"])
def test_epoch_scoring_scores_the_weights_of_the_epoch(
    digits: Any, use_caching: bool, sparsifier: str
) -> None:
    X, y = digits
    names = ("accuracy", "neg_log_loss")
    scores = [
        EpochScoring(s, lower_is_better=False, name=s, use_caching=use_caching) for s in names
    ]
    model = classifier(sparsifier=sparsifier, callbacks=scores, **VALID)
    model.fit(X, y)
    for epoch in model.history_:
        assert epoch["accuracy"] == pytest.approx(epoch["valid_score"])
        assert -epoch["neg_log_loss"] == pytest.approx(epoch["valid_loss"], rel=1e-4)
        assert epoch["accuracy_best"] in (True, False)


def test_scores_of_regressions_are_in_the_units_of_the_targets(diabetes: Any) -> None:
    X, y = diabetes
    scores = [
        EpochScoring("r2", lower_is_better=False),
        EpochScoring("neg_mean_squared_error", name="mse", on_train=True, use_caching=False),
        BatchScoring("neg_mean_absolute_error", name="mae"),
        EpochScoring(lambda net, X, y: float(np.abs(net.predict(X) - y).mean()), name="own"),
        EpochScoring(None, name="default", lower_is_better=False),
    ]
    model = regressor(callbacks=scores, sparsifier=None, **VALID).fit(X, 1000 * y + 5000)
    last = model.history_[-1]
    assert last["r2"] == pytest.approx(last["valid_score"], abs=1e-5) == last["default"]
    assert -last["mae"] == pytest.approx(last["own"], rel=1e-5)
    assert 100 < last["own"] < 5000
    assert 1e4 < -last["mse"] < 1e7


def test_batches_are_scored_and_passed_through(digits: Any) -> None:
    scores = [
        BatchScoring("accuracy", lower_is_better=False, on_train=True, name="acc"),
        PassthroughScoring("train_loss", on_train=True),
    ]
    model = classifier(callbacks=scores, **SHORT).fit(*digits)
    assert all(0 <= e["acc"] <= 1 for e in model.history_)
    assert model.history_[-1]["acc"] > model.history_[0]["acc"]


# --- learning rates ---------------------------------------------------------------------------


def rates_of(model: Any, X: Any, y: Any) -> tuple[list[float], Any]:
    rates: list[float] = []
    watch = Watch(
        "on_grad_computed", lambda net, **_: rates.append(net.optimizer_.param_groups[0]["lr"])
    )
    model.set_params(callbacks=[*model.callbacks, watch]).fit(X, y)
    return rates, model


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_scheduler_sets_the_rates_of_all_phases(digits: Any, solver: str) -> None:
    scheduler = LRScheduler("StepLR", step_size=2, gamma=0.5)
    model = classifier(solver=solver, callbacks=[scheduler], learning_rate_init=0.01, **SHORT)
    rates, model = rates_of(model, *digits)
    per_epoch = np.reshape(rates, (6, -1))
    np.testing.assert_allclose(per_epoch[:, 0], 0.01 * 0.5 ** np.array([0, 0, 1, 1, 2, 2]))
    assert [e["event_lr"] for e in model.history_] == pytest.approx(per_epoch[:, 0])
    assert len({e["phase"] for e in model.history_}) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"policy": "WarmRestartLR", "max_lr": 0.01, "base_period": 3},
        {"policy": "CosineAnnealingLR", "T_max": 6},
        {"policy": "ExponentialLR", "gamma": 0.7},
        {"policy": "LambdaLR", "lr_lambda": lambda epoch: 1 / (1 + epoch)},
        {"policy": "MultiStepLR", "milestones": [1, 3]},
        {
            "policy": "CyclicLR",
            "base_lr": 1e-3,
            "max_lr": 1e-2,
            "step_every": "batch",
            "step_size_up": 7,
        },
        {
            "policy": torch.optim.lr_scheduler.OneCycleLR,
            "max_lr": 0.01,
            "total_steps": 200,
            "step_every": "batch",
        },
        {"policy": torch.optim.lr_scheduler.LinearLR, "total_iters": 4},
    ],
    ids=lambda options: str(options["policy"]),
)
def test_every_policy_is_the_one_of_skorch(digits: Any, options: dict[str, Any]) -> None:
    """The rates are those of the scheduler alone, batch for batch or epoch for epoch."""
    model = classifier(callbacks=[LRScheduler(**options)], learning_rate_init=0.01, **SHORT)
    rates, _ = rates_of(model, *digits)
    kwargs = {k: v for k, v in options.items() if k not in ("policy", "step_every")}
    policy = options["policy"]
    policy = getattr(shipped.lr_scheduler, policy) if isinstance(policy, str) else policy
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.01)
    scheduler = policy(optimizer, **kwargs)
    per_epoch = len(rates) // 6
    expected = []
    for step in range(len(rates)):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if options.get("step_every") == "batch" or (step + 1) % per_epoch == 0:
            scheduler.step()
    np.testing.assert_allclose(rates, expected)


def test_a_plateau_lowers_the_rate(digits: Any) -> None:
    scheduler = LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0, threshold=10.0)
    model = classifier(callbacks=[scheduler], learning_rate_init=0.01, **VALID)
    rates, _ = rates_of(model, *digits)
    assert rates[-1] < rates[0] == 0.01


def test_a_callback_that_sets_the_rate_keeps_it(digits: Any) -> None:
    def halve(net: Any, **_: Any) -> None:
        net.optimizer_.param_groups[0]["lr"] = 0.002 / len(net.history)

    model = classifier(callbacks=[Watch("on_epoch_begin", halve)], **SHORT)
    rates, _ = rates_of(model, *digits)
    np.testing.assert_allclose(np.reshape(rates, (6, -1))[:, 0], 0.002 / np.arange(1, 7))


def test_two_schedules_are_refused(digits: Any) -> None:
    model = classifier(callbacks=[LRScheduler()], learning_rate="cosine")
    with pytest.raises(ValueError, match="learning_rate='cosine' and the callback LRScheduler"):
        model.fit(*digits)


# --- gradients --------------------------------------------------------------------------------


def test_gradients_are_seen_and_clipped(digits: Any) -> None:
    norms: list[float] = []

    def see(net: Any, named_parameters: Any, batch: Any, training: bool, **_: Any) -> None:
        assert training
        assert batch[0].shape[1] == 64
        named = dict(named_parameters)
        assert list(named) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        norms.append(float(sum((p.grad**2).sum() for p in named.values()) ** 0.5))

    clip = GradientNormClipping(0.01)
    classifier(callbacks=[clip, Watch("on_grad_computed", see)], **SHORT).fit(*digits)
    assert max(norms) == pytest.approx(0.01, rel=1e-3)
    seen = norms.copy()
    norms.clear()
    classifier(callbacks=[Watch("on_grad_computed", see)], **SHORT).fit(*digits)
    assert len(norms) == len(seen)
    assert max(norms) > 0.1


@pytest.mark.parametrize("assign", [True, False])
def test_gradients_set_to_zero_leave_the_weights(digits: Any, assign: bool) -> None:
    def forget(net: Any, named_parameters: Any, **_: Any) -> None:
        for _name, p in named_parameters:
            if assign:
                p.grad = torch.zeros_like(p)
            else:
                p.grad.zero_()

    options = {"sparsifier": None, "weight_decay": 0.0, "solver": "sgd", **SHORT}
    model = classifier(callbacks=[Watch("on_grad_computed", forget)], **options).fit(*digits)
    start = classifier(**{**options, "max_iter": 1, "learning_rate_init": 1e-12}).fit(*digits)
    np.testing.assert_allclose(model.coefs_[0], start.coefs_[0], atol=1e-6)


# --- stopping, saving, loading ----------------------------------------------------------------


def test_early_stopping_ends_each_phase(digits: Any) -> None:
    stop = EarlyStopping(patience=2, threshold=100.0, threshold_mode="abs")
    model = classifier(callbacks=[stop], alpha=1e-3, **{**VALID, "max_iter": 40}).fit(*digits)
    # the first epoch of a phase is its best, and two more are tolerated
    assert [e["phase"] for e in model.history_] == ["shrink"] * 3 + ["retrain"] * 3


def test_early_stopping_waits_for_the_sparsity(digits: Any) -> None:
    """A phase that has to reach its end is not ended, and what follows is."""
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=100.0, threshold_mode="abs")
    for name in ("magnitude", "l0", "oscar"):
        options = {**SHORT, "max_iter": 20}
        model = classifier(callbacks=[stop], sparsifier=name, target_sparsity=0.8, **options).fit(
            *digits
        )
        assert model.sparsity_ == pytest.approx(0.8, abs=1e-3)
        assert model.history_[-1]["phase"] == "retrain"
        assert model.n_iter_ < 20


@pytest.mark.parametrize("sparsifier", ["oscar", "magnitude", "l0"])
def test_the_best_weights_are_loaded_with_the_final_zeros(
    digits: Any, sparsifier: str, tmp_path: Path
) -> None:
    X, y = digits
    options: dict[str, Any] = {"sparsifier": sparsifier, "target_sparsity": 0.7, "ema_decay": 0.5}
    monitor = {"monitor": "train_loss"}
    for callback in (
        EarlyStopping(load_best=True, patience=100, **monitor),
        Checkpoint(load_best=True, monitor="train_loss_best", dirname=str(tmp_path / sparsifier)),
    ):
        model = classifier(callbacks=[callback], **options, **{**SHORT, "max_iter": 12})
        model.fit(X, y)
        assert model.sparsity_ == pytest.approx(0.7, abs=1e-3)
        assert model.score(X, y) > 0.3


def test_zeros_survive_whatever_callbacks_write(digits: Any) -> None:
    def fill(net: Any, **_: Any) -> None:
        with torch.no_grad():
            for p in net.module_.parameters():
                p.add_(0.01)

    events = (
        "on_train_begin",
        "on_epoch_begin",
        "on_batch_begin",
        "on_batch_end",
        "on_epoch_end",
        "on_train_end",
    )
    for event in events:
        for name in ("oscar", "l0", "magnitude", "surgery"):
            model = classifier(
                callbacks=[Watch(event, fill)], sparsifier=name, target_sparsity=0.7,
                ema_decay=0.9 * (event == "on_epoch_end"), **SHORT,
            )  # fmt: skip
            model.fit(*digits)
            assert model.sparsity_ == pytest.approx(0.7, abs=1e-3), (event, name)


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
@pytest.mark.parametrize("sparsifier", [None, "gates", "variational", "bayesian", "l0", "surgery"])
@pytest.mark.parametrize("event", ["on_epoch_begin", "on_epoch_end", "on_batch_end"])
def test_weights_that_a_callback_sets_are_learnt_from(
    digits: Any, event: str, sparsifier: str | None, ema_decay: float
) -> None:
    """Without any learning, the biases and the weights are those that were set."""

    def fill(net: Any, **_: Any) -> None:
        if len(net.history) == 1:
            for _name, p in net.module_.named_parameters():
                p.data = torch.full_like(p, 0.25)

    model = classifier(
        callbacks=[Watch(event, fill)], sparsifier=sparsifier, learning_rate_init=1e-12,
        learning_rate="constant", ema_decay=ema_decay, max_iter=3, n_iter_no_change=50,
        weight_decay=0.0,
    )  # fmt: skip
    model.fit(*digits)
    weights = model.coefs_[0]
    assert set(np.round(np.unique(model.intercepts_[0]), 4)) == {0.25}
    if sparsifier not in ("bayesian", "l0"):  # which multiply their weights by what they learn
        assert np.isin(np.round(weights, 3), [0.0, 0.25]).mean() > 0.9
        assert (weights != 0).any()


def test_files_hold_the_network_and_start_another_one(digits: Any, tmp_path: Path) -> None:
    X, y = digits
    saved = Checkpoint(monitor=None, dirname=str(tmp_path / "run"), f_history="history.json")
    last = TrainEndCheckpoint(dirname=str(tmp_path / "end"))
    first = classifier(callbacks=[saved, last, LoadInitState(saved)], sparsifier=None, **SHORT)
    first.fit(X, y)
    for folder, prefix in (("run", ""), ("end", "train_end_")):
        state = torch.load(tmp_path / folder / f"{prefix}params.pt")
        np.testing.assert_array_equal(state["0.weight"].numpy().T, first.coefs_[0])
        assert (tmp_path / folder / f"{prefix}optimizer.pt").exists()
    again = clone(first).fit(X, y)
    assert again.n_iter_ == 2 * first.n_iter_
    assert again.history_[6]["train_loss"] < 1.1 * first.history_[5]["train_loss"]
    last_only = classifier(callbacks=[last, LoadInitState(last)], sparsifier=None, **SHORT)
    assert clone(last_only).fit(X, y).n_iter_ == again.n_iter_ + 6


def test_a_file_of_the_user_is_written(digits: Any) -> None:
    file = io.BytesIO()
    saved = TrainEndCheckpoint(f_params=file, f_optimizer=None, f_history=None, f_criterion=None)
    model = classifier(callbacks=[saved], **SHORT).fit(*digits)
    file.seek(0)
    np.testing.assert_array_equal(torch.load(file)["0.weight"].numpy().T, model.coefs_[0])


# --- parameters -------------------------------------------------------------------------------


def test_frozen_layers_stay_and_thaw(digits: Any) -> None:
    X, y = digits
    weights: list[np.ndarray] = []
    see = Watch(
        "on_epoch_end",
        lambda net, **_: weights.append(net.module_[0].weight.detach().numpy().copy()),
    )
    callbacks = [Freezer("0.*"), Unfreezer("0.*", at=4), see]
    for name in (None, "l0"):
        weights.clear()
        model = classifier(callbacks=callbacks, sparsifier=name, alpha=0.0, **SHORT).fit(X, y)
        if name is None:
            assert all((w == weights[0]).all() for w in weights[:3])
        assert (weights[5] != weights[2]).any()
        assert all(p.requires_grad for p in model.module_.parameters())


def test_frozen_weights_are_still_pruned(digits: Any) -> None:
    for name in ("oscar", "magnitude", "l0", "surgery"):
        model = classifier(
            callbacks=[Freezer("0.weight")], sparsifier=name, target_sparsity=0.7, **SHORT
        ).fit(*digits)
        assert model.sparsity_ == pytest.approx(0.7, abs=1e-3)


def test_a_network_without_anything_to_train_is_named(digits: Any) -> None:
    with pytest.raises(ValueError, match="frozen all parameters"):
        classifier(callbacks=[Freezer("*")], **SHORT).fit(*digits)


def test_parameters_are_mapped_and_initialised(digits: Any) -> None:
    first = Initializer("0.bias", fn=lambda p: nn.init.constant_(p, 3.0))
    mapped = ParamMapper("2.bias", fn=lambda p: p.data.fill_(-2.0), at=2)
    model = classifier(
        callbacks=[first, mapped],
        sparsifier=None,
        learning_rate_init=1e-9,
        learning_rate="constant",
        **SHORT,
    )
    model.fit(*digits)
    np.testing.assert_allclose(model.intercepts_[0], 3.0, atol=1e-3)
    np.testing.assert_allclose(model.intercepts_[1], -2.0, atol=1e-3)


def test_dropout_survives_a_callback_that_predicts(digits: Any) -> None:
    modes: list[bool] = []
    predict = Watch("on_batch_begin", lambda net, batch, **_: net.predict(batch[0].numpy()))
    see = Watch("on_grad_computed", lambda net, **_: modes.append(net.module_.training))
    classifier(callbacks=[predict, see], dropout=0.2, **SHORT).fit(*digits)
    assert all(modes)


# --- lines, bars and loggers ------------------------------------------------------------------


def test_logs_and_bars(digits: Any, capsys: Any) -> None:
    lines: list[str] = []
    classifier(callbacks=[PrintLog(sink=lines.append), PrintLog()], **VALID).fit(*digits)
    assert "train_loss" in lines[0]
    assert "valid_loss" in lines[0]
    assert len(lines) == 2 + 6
    assert capsys.readouterr().out == ""
    classifier(callbacks=[ProgressBar(detect_notebook=False)], **VALID).fit(*digits)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "0/11" in shown.err


class _Board:
    """A writer that cannot be copied, as those of TensorBoard, which hold locks."""

    def __init__(self) -> None:
        self.values: list[tuple[str, float, int]] = []

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot pickle '_thread.lock' object")

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.values.append((tag, scalar_value, global_step))

    def close(self) -> None:
        pass


class _Run:
    """A run of Sacred, Mlflow or Weights & Biases."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder
        self.info = self
        self.run_id = "one"
        self.logged: list[Any] = []

    def watch(self, module: nn.Module) -> None:
        self.logged.append(module)

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def log_scalar(self, key: str, value: float, step: int | None = None) -> None:
        self.logged.append((key, value, step))

    def log_metric(self, run_id: str, key: str, value: float, step: int) -> None:
        self.logged.append((key, value, step))

    def log_artifact(self, run_id: str, path: Any, *_: Any) -> None:
        self.logged.append(path)

    def set_terminated(self, run_id: str) -> None:
        self.logged.append(run_id)


def test_loggers_find_what_they_log(digits: Any, tmp_path: Path) -> None:
    board, run = _Board(), _Run(tmp_path)
    loggers = [
        TensorBoard(board, keys_ignored="phase"),
        WandbLogger(run),
        SacredLogger(run, log_on_batch_end=True, keys_ignored="phase"),
        MlflowLogger(run=run, client=run, keys_ignored="phase"),
    ]
    run.info = run
    classifier(callbacks=loggers, **VALID).fit(*digits)
    assert sum(tag == "Loss/train_loss" for tag, _, _ in board.values) == 6
    assert (tmp_path / "best_model.pth").exists()
    assert any(isinstance(x, dict) and "valid_loss" in x for x in run.logged)


def test_neptune_finds_what_it_logs(digits: Any, monkeypatch: Any) -> None:
    """With stand-ins for its client, which is not installed."""

    class Metric(list):  # type: ignore[type-arg]
        def __getitem__(self, key: Any) -> Any:
            return self

        def __setitem__(self, key: Any, value: Any) -> None:
            self.append(value)

        def stop(self) -> None:
            self.append("stopped")

    client, types, handler = (ModuleType(n) for n in ("neptune", "types", "handler"))
    types.File = SimpleNamespace(from_content=lambda text, extension: text)  # type: ignore[attr-defined]
    handler.Handler = int  # type: ignore[attr-defined]
    modules = {"neptune": client, "neptune.types": types, "neptune.handler": handler}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    run = Metric()
    model = classifier(callbacks=[NeptuneLogger(run, log_on_batch_end=True)], **VALID).fit(*digits)
    assert {"Sequential", "FusedAdam", 1e-3, 6, "stopped"} <= {x for x in run if x == x}
    assert model.history_[-1]["valid_loss"] in run


# --- refused by name --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "callback, words",
    [
        (EarlyStopping(), "EarlyStopping monitors 'valid_loss', but there are no validation rows"),
        (EarlyStopping, "EarlyStopping monitors 'valid_loss'"),
        (Checkpoint(), "Checkpoint monitors 'valid_loss_best'.*early_stopping=True"),
        (WandbLogger(None), "WandbLogger monitors 'valid_loss_best'"),
        (EpochScoring("accuracy"), "EpochScoring scores validation rows, of which there are none"),
        (BatchScoring("accuracy"), "BatchScoring scores validation rows"),
        (PassthroughScoring("valid_loss"), "PassthroughScoring scores validation rows"),
        (LRScheduler("ReduceLROnPlateau", monitor="valid_loss"), "LRScheduler monitors"),
        (EarlyStopping("train_los"), "'train_los', which nothing records"),
        (InputShapeSetter(), "InputShapeSetter.*give module as a function"),
        (Checkpoint(monitor=None, f_pickle="a.pkl"), "Checkpoint has f_pickle='a.pkl'"),
        (TrainEndCheckpoint(f_pickle="a.pkl"), "TrainEndCheckpoint has f_pickle"),
        (3, "callbacks holds 3"),
    ],
)
def test_what_cannot_work_is_refused_before_training(
    digits: Any, callback: Any, words: str
) -> None:
    model = classifier(callbacks=[("named", callback)], **SHORT)
    with pytest.raises(ValueError, match=words):
        model.fit(*digits)
    assert not hasattr(model, "module_")


def test_a_key_that_some_callback_records_may_be_monitored(digits: Any) -> None:
    score = EpochScoring("accuracy", name="acc", on_train=True, lower_is_better=False)
    stop = EarlyStopping("acc", lower_is_better=False)
    classifier(callbacks=[score, stop], **SHORT).fit(*digits)
    record = Watch("on_epoch_end", lambda net, **_: net.history.record("mine", 1.0))
    classifier(callbacks=[record, EarlyStopping("mine")], **SHORT).fit(*digits)


# --- copies -----------------------------------------------------------------------------------


def test_callbacks_of_the_user_are_left_as_they_were(digits: Any) -> None:
    stop, score = EarlyStopping("acc"), EpochScoring("accuracy", name="acc", on_train=True)
    model = classifier(callbacks=[("score", score), stop], **SHORT)
    before = [dict(vars(cb)) for cb in (stop, score)]
    search = GridSearchCV(model, {"callbacks": [None, [score, stop]], "alpha": [1e-3]}, cv=2)
    search.fit(*digits)
    assert [vars(cb) for cb in (stop, score)] == before
    assert model.callbacks[1] is stop


def test_classes_and_names_are_taken_as_in_skorch(digits: Any) -> None:
    names: list[list[str]] = []
    see = Watch(
        "on_train_begin", lambda net, **_: names.append([name for name, _ in net.callbacks_])
    )
    classifier(callbacks=[EpochTimer, ("see", see)], **SHORT).fit(*digits)
    assert names == [["EpochTimer", "see"]]


def test_a_module_of_the_user_is_watched_too(diabetes: Any) -> None:
    X, y = diabetes
    module = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    score = EpochScoring("neg_mean_squared_error", lower_is_better=False, name="mse")
    model = SparseNetRegressor(module, callbacks=[score], random_state=0, **VALID)
    model.fit(X, 100 * y)
    assert 100 < -model.history_[-1]["mse"] < 1e5
    assert mean_squared_error(100 * y, model.predict(X)) < 1e5


def test_several_labels_are_seen_as_the_user_has_them(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 4)).astype(np.float32)
    y = (X[:, :3] > 0).astype(int)
    scoring = EpochScoring("accuracy", on_train=True, lower_is_better=False, name="hits")
    net = SparseMLPClassifier(
        (8,), max_iter=3, tol=1e9, callbacks=[scoring], random_state=0, sparsifier=None
    ).fit(X, y)
    assert net.history_[-1]["hits"] == net.score(X, y)


def test_the_net_is_copied_and_pickled_in_training(data: Any) -> None:
    # a class of this file cannot be pickled itself
    class Keep(shipped.Callback):
        def on_train_end(self, net: Any, **_: Any) -> None:
            net = copy.deepcopy(net)
            net.callbacks = net.callbacks_ = []
            net.attributes.func.__self__.callbacks = None
            kept.append(pickle.dumps(net))

    kept: list[bytes] = []
    classifier(max_iter=2, callbacks=[Keep()]).fit(*data)
    assert len(kept) == 1
