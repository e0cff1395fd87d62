"""What the sparse network estimators share: parameters, one fit, one forward pass."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from threading import RLock
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from sksparse._typing import Array, Indices
from sksparse.neural_network import _report
from sksparse.neural_network._data import Rows, make_rows, make_table, merge_equal_rows
from sksparse.neural_network._modules import ACTIVATIONS, build_mlp
from sksparse.neural_network._trainer import PREDICT_ROWS, PhasedNet, Score, Stopping, Updates
from sksparse.sparsifiers import SPARSIFIERS, Sparsifier, SparsifierRun, Task

#: Weights times batch rows from which a second thread paid off when measured.
_WORTH_THREADS = 2**25

#: torch has one random state and one thread count in a process: fits take turns.
_TRAINING = RLock()


@dataclass(frozen=True)
class Problem:
    """What the network has to learn: encoded targets, and how their fit is measured."""

    y: Indices | Array
    n_outputs: int
    criterion: type[nn.Module]
    score: Score
    stratify: bool


class BaseSparseMLP(BaseEstimator):
    """A multilayer perceptron trained by a skorch net under a sparsifier."""

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "sparsifier": [StrOptions({n for n in SPARSIFIERS if n is not None}), Sparsifier, None],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "target_sparsity": [Interval(Real, 0, 1, closed="left"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices of shape (units in, units out), inputs first."""
        return [w.detach().numpy().T.copy() for w in self.module_.parameters() if w.ndim == 2]

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, one for each weight matrix."""
        return [b.detach().numpy().copy() for b in self.module_.parameters() if b.ndim == 1]

    def _hidden_widths(self) -> list[int]:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object))
        valid = sizes.ndim == 1 and all(isinstance(n, int | np.integer) and n >= 1 for n in sizes)
        if not valid:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} is not a sequence of positive "
                "integers; give the number of units of each hidden layer, such as (100,) or "
                "(300, 100)."
            )
        return [int(n) for n in sizes]

    def _train(self, X: Any, weight: Array, problem: Problem) -> None:
        """Train on validated data and set the attributes that all estimators share."""
        device = resolve_device(self.device)
        widths = [X.shape[1], *self._hidden_widths(), problem.n_outputs]
        index, weight = merge_equal_rows(X, problem.y, weight)
        seed = _draw_seed(self.random_state)
        learn, check = self._split(index, problem, seed)
        table = make_table(X, device)
        train = make_rows(table, problem.y, weight, learn, device)
        valid = None if check is None else make_rows(table, problem.y, weight, check, device)
        work = self._resolve_batch_size(len(learn)) * sum(a * b for a, b in pairwise(widths))
        with _TRAINING, isolated_random_state(seed, device), one_thread_if_small(work):
            module = self._start_module(widths).to(device)
            net = self._make_net(module, train, problem)
            interrupted = net.train_phases(train, valid)
        if interrupted:
            warnings.warn(
                f"Training was interrupted after {len(net.history)} epochs; the network was "
                "made sparse as it stood. Fit again with warm_start=True to go on from here.",
                ConvergenceWarning,
                stacklevel=5,
            )
        self._take_over(module.cpu().eval(), net)
        if not interrupted and not self.early_stopping:
            self._warn_if_still_falling()

    def _warn_if_still_falling(self) -> None:
        last_phase = self.history_[-1]["phase"]
        losses = [e["loss"] for e in self.history_ if e["phase"] == last_phase]
        span = min(self.n_iter_no_change, len(losses) - 1)
        fall = (losses[-1 - span] - losses[-1]) / span if span else 0.0
        if fall > self.tol and self.n_iter_ >= self.max_iter:
            warnings.warn(
                f"The objective still fell by {fall:.2g} per epoch, more than tol={self.tol:g}, "
                f"when max_iter={self.max_iter} epochs were used up; raise max_iter or "
                "learning_rate_init, or scale X.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _split(self, index: Indices, problem: Problem, seed: int) -> tuple[Indices, Indices | None]:
        if not self.early_stopping:
            return index, None
        labels = problem.y[index] if problem.stratify else None
        n_valid = math.ceil(self.validation_fraction * len(index))
        smallest, n_strata = 2, 1
        if labels is not None:
            counts = np.unique(labels, return_counts=True)[1]
            smallest, n_strata = counts.min(), len(counts)
        if smallest < 2 or min(n_valid, len(index) - n_valid) < n_strata:
            raise ValueError(
                f"early_stopping=True with validation_fraction={self.validation_fraction!r} "
                f"cannot put every class into both parts of {len(index)} distinct samples; "
                "change validation_fraction, give more samples or use early_stopping=False."
            )
        learn, check = train_test_split(
            index, test_size=n_valid, stratify=labels, random_state=seed
        )
        return learn, check

    def _start_module(self, widths: list[int]) -> nn.Module:
        previous = getattr(self, "module_", None) if self.warm_start else None
        if previous is None:
            return build_mlp(widths, self.activation)
        matrices = [w for w in previous.parameters() if w.ndim == 2]
        before = [matrices[0].shape[1], *(w.shape[0] for w in matrices)]
        if before != widths:
            raise ValueError(
                f"warm_start=True cannot continue: the layers had {before} units and would now "
                f"have {widths}. Keep hidden_layer_sizes, the features and the classes, or set "
                "warm_start=False."
            )
        return copy.deepcopy(previous)

    def _make_net(self, module: nn.Module, train: Rows, problem: Problem) -> PhasedNet:
        batch_size = self._resolve_batch_size(len(train))
        task = Task(
            alpha=self.alpha,
            target_sparsity=self.target_sparsity,
            weight_decay=self.weight_decay,
            learning_rate=self.learning_rate_init,
            max_iter=self.max_iter,
            steps_per_epoch=math.ceil(len(train) / batch_size),
            n_samples=len(train),
        )
        net = PhasedNet(
            module,
            criterion=problem.criterion,
            optimizer=torch.optim.Adam,
            optimizer__fused=True,
            lr=self.learning_rate_init,
            batch_size=batch_size,
            train_split=None,
            device=str(train.index.device),
            verbose=int(self.verbose),
            run=self._attach(module, task),
            score=problem.score,
            stopping=Stopping(self.n_iter_no_change, self.tol),
            updates=Updates(),
        )
        return net.initialize()

    def _attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        if isinstance(self.sparsifier, Sparsifier):
            return clone(self.sparsifier).attach(module, task)
        return SPARSIFIERS[self.sparsifier]().attach(module, task)

    def _resolve_batch_size(self, n_rows: int) -> int:
        if self.batch_size == "auto":
            return min(n_rows, max(16, n_rows // 10), 200)
        return min(n_rows, self.batch_size)

    def _take_over(self, module: nn.Module, net: PhasedNet) -> None:
        self.module_ = module
        self.history_ = [
            {key: value for key, value in epoch.items() if key != "batches"}
            for epoch in net.history.to_list()
        ]
        self.n_iter_ = len(self.history_)
        self.loss_ = self.history_[-1]["loss"] if self.history_ else math.nan
        self.sparsity_ = _report.sparsity(module)
        self.density_by_layer_ = _report.density_by_tensor(module)
        self.architecture_ = _report.live_widths(self.coefs_)
        self.feature_importances_ = _report.path_importances(self.coefs_)

    def _forward(self, X: ArrayLike) -> Tensor:
        """The outputs of the network for validated features."""
        check_is_fitted(self)
        # A network trained on CUDA is served where there is none.
        device = resolve_device("cpu" if self.device == "cpu" else "auto")
        checked: Any = validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False
        )
        module = self.module_
        double = checked.dtype == np.float64
        if double or device.type != "cpu":
            module = copy.deepcopy(module).to(device, torch.float64 if double else torch.float32)
        rows = torch.arange(checked.shape[0], device=device)
        table = make_table(checked, device)
        with torch.inference_mode():
            parts = [module(table.take(part)) for part in rows.split(PREDICT_ROWS)]
        return torch.cat(parts).cpu()


def resolve_device(device: str) -> torch.device:
    """The torch device of a name; "auto" takes CUDA where there is one."""
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ValueError(
            "device='cuda' was asked for, but torch finds no CUDA device; use device='auto' "
            "or device='cpu'."
        )
    return torch.device("cuda" if has_cuda and device != "cpu" else "cpu")


@contextmanager
def isolated_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and leave its random states as they were found."""
    is_cpu = device.type == "cpu"
    with torch.random.fork_rng(devices=[] if is_cpu else [torch.cuda.current_device()]):
        if is_cpu:
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield


@contextmanager
def one_thread_if_small(work: int) -> Iterator[None]:
    """Compute small batches on one thread, where waking a second costs more than it does.

    Parameters
    ----------
    work : int
        Weights times rows of a batch.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1 if work < _WORTH_THREADS else n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _draw_seed(random_state: Any) -> int:
    # check_random_state(None) is numpy's global state, which a fit must leave alone
    rng = np.random.RandomState() if random_state is None else check_random_state(random_state)
    return int(rng.randint(np.iinfo(np.int32).max))
