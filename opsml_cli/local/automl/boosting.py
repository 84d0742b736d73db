"""Bags of gradient-boosted trees (and of extremely random trees) with LightGBM: one booster a fold, stopped on its fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import ConfigError
from opsml_cli.domain.job import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Fold, Problem

    Floats = NDArray[np.float64]

MOST_ROUNDS = 4000
_PATIENCE = 40
_WORTH_OF_CLASSES = 0.001  # three classes and more that are told apart almost surely improve a little for ever: end before
_CATEGORIES_SPLIT_NATIVELY = 400  # more codes than this: LightGBM's category splits overfit and take long


class StoppedError(Exception):
    """The deadline, or the user, ended a fit before it was usable."""


def lightgbm() -> Any:
    """The lightgbm module; ConfigError with the remedy when its system library is missing."""
    try:
        import lightgbm as module
    except OSError as error:
        if "gomp" in str(error) or "libomp" in str(error):
            raise ConfigError(
                "LightGBM cannot start: the system's OpenMP library is missing",
                cause=str(error),
                fix="apt-get install libgomp1 (Debian, Ubuntu), dnf install libgomp (Fedora), brew install libomp (macOS)",
            ) from error
        raise
    return module


@dataclass(frozen=True, slots=True)
class Fitted:
    """One part of a bag: the model as LightGBM's text, its raw output on the fold's scored rows, its rounds."""

    text: str
    raw: Floats
    rounds: int


@dataclass(slots=True)
class Watch:
    """When to stop. `deadline` on the monotonic clock: a fit that is usable by then is kept as it stands when `keep`, else
    it raises StoppedError. `stopped` is asked between rounds."""

    deadline: float
    keep: bool
    stopped: Callable[[], bool]

    def due(self) -> bool:
        return time.monotonic() >= self.deadline

    def check(self) -> None:
        """Before a fit: a trial that is kept in any case does at least one round."""
        if self.stopped() or (self.due() and not self.keep):
            raise StoppedError


class Binned:
    """The problem's rows binned once for each way of binning, with the folds' parts, shared by all trials."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._parts: dict[tuple[object, ...], list[tuple[Any, Any]]] = {}
        self._other: Binned | None = None

    def of_target(self, problem: Problem) -> Binned:
        """The same rows with the target of `problem`, the one other target that a training looks at."""
        if self._other is None:
            self._other = Binned(problem)
        return self._other

    def parts(self, parameters: Mapping[str, object]) -> list[tuple[Any, Any]]:
        """(training part, scored part) of each fold."""
        native = self._native(parameters)
        linear = bool(parameters.get("linear_tree"))
        key = (native, parameters.get("max_bin", 255), linear)
        if key not in self._parts:
            module = lightgbm()
            problem = self.problem
            settings = {**_FIXED, "max_bin": parameters.get("max_bin", 255), "linear_tree": linear, "num_threads": cores()}
            whole = module.Dataset(
                problem.matrix,
                label=problem.target,
                weight=problem.weights,
                categorical_feature=list(native),
                params=settings,
                free_raw_data=True,
            )
            whole.construct()
            self._parts[key] = [
                (whole.subset(fold.train.tolist()).construct(), whole.subset(fold.valid.tolist()).construct())
                for fold in problem.folds
            ]
        return self._parts[key]

    def _native(self, parameters: Mapping[str, object]) -> tuple[int, ...]:
        if not parameters.get("native_categories"):
            return ()
        found = enumerate(self.problem.features)
        return tuple(index for index, feature in found if 2 < feature.codes <= _CATEGORIES_SPLIT_NATIVELY)


_FIXED: dict[str, object] = {
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,
    "min_data_in_bin": 3,
}


def cores() -> int:
    """Cores that this process may use."""
    import os

    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return max(1, os.cpu_count() or 1)


def _objective(problem: Problem) -> dict[str, object]:
    if problem.task is Task.REGRESSION:
        if problem.absolute:
            return {"objective": "regression_l1", "metric": "l1"}
        return {"objective": "regression", "metric": "l2"}
    if problem.binary:
        return {"objective": "binary", "metric": "binary_logloss"}
    return {"objective": "multiclass", "metric": "multi_logloss", "num_class": problem.outputs}


def settings(problem: Problem, parameters: Mapping[str, object], fold: int, threads: int) -> dict[str, object]:
    """LightGBM's parameters for one booster of a bag."""
    chosen = {key: value for key, value in parameters.items() if key not in ("native_categories", "trees", "log_target")}
    if float(str(chosen.get("bagging_fraction", 1.0))) < 1.0:
        chosen["bagging_freq"] = 1
    return {
        **_FIXED,
        **_objective(problem),
        "cat_smooth": 20.0,
        **chosen,
        "seed": problem.seed * 1009 + fold + 1,
        "num_threads": threads,
    }


def fit_fold(
    problem: Problem, parts: tuple[Any, Any], fold: Fold, options: Mapping[str, object], *, watch: Watch, rounds: int | None
) -> Fitted:
    """Boost until the fold's scored rows stop improving, or for `rounds` when given."""
    import numpy as np

    module = lightgbm()
    watch.check()
    train, valid = parts
    booster = module.Booster(dict(options), train)
    if rounds is None:
        booster.add_valid(valid, "valid")
    best, best_round, done = float("inf"), 0, 0
    mark, mark_round = float("inf"), 0  # the last improvement that was worth its rounds
    worth = 1.0 - (_WORTH_OF_CLASSES if problem.outputs > 2 else 0.0)
    for done in range(1, (rounds or MOST_ROUNDS) + 1):
        if booster.update():
            best_round = best_round or done
            break
        if rounds is None:
            loss = booster.eval_valid()[0][2]
            if loss < best - 1e-12:
                best, best_round = loss, done
            if loss < mark * worth - 1e-12:
                mark, mark_round = loss, done
            elif done - mark_round >= _PATIENCE:
                break
        if watch.stopped():
            raise StoppedError
        if watch.due():
            if not watch.keep:
                raise StoppedError
            break
    best_round = max(1, done if rounds is not None else best_round)
    text = booster.model_to_string(num_iteration=best_round)
    raw = booster.predict(problem.matrix[fold.valid], num_iteration=best_round, num_threads=options["num_threads"])
    return Fitted(text, np.asarray(raw, dtype=np.float64), best_round)


def fit_bag(
    problem: Problem,
    binned: Binned,
    parameters: Mapping[str, object],
    watch: Watch,
    *,
    workers: int,
    rounds: Sequence[int] | None = None,
) -> list[Fitted]:
    """One booster a fold, side by side on `workers` cores. Raises StoppedError."""
    parts = binned.parts(parameters)
    watch.check()
    count = len(problem.folds)
    began, waves = time.monotonic(), (count + workers - 1) // workers

    def one(index: int) -> Fitted:
        # The last round of folds may leave cores idle: give them to those that still run. The result does not depend on it.
        side_by_side = min(workers, count - (index // workers) * workers)
        # LightGBM keeps one number of threads for the whole process, and its linear leaves write past their buffers when it
        # changes while they are fitted: there it stays 1 (see Search, which runs nothing beside them).
        threads = 1 if parameters.get("linear_tree") else max(1, workers // side_by_side)
        options = settings(problem, parameters, index, threads)
        fixed = rounds[index] if rounds else None
        # What is kept when the time is up must not be one long fold and several empty ones: each wave has its share.
        share = (watch.deadline - began) * (index // workers + 1) / waves if watch.keep else watch.deadline - began
        own = replace(watch, deadline=began + max(0.0, share))
        return fit_fold(problem, parts[index], problem.folds[index], options, watch=own, rounds=fixed)

    with ThreadPoolExecutor(max_workers=min(workers, count)) as pool:
        futures = [pool.submit(one, index) for index in range(count)]
        return [future.result() for future in futures]
