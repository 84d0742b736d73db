"""Fitting the chosen members again, on the rows that the search held out too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from opsml_cli.local.automl import boosting, trials
from opsml_cli.local.automl.portfolio import FORESTS, LIGHTGBM, NEURAL, RANDOM_TREES
from opsml_cli.local.automl.prepare import Prepared, for_refit
from opsml_cli.local.automl.problem import Fold, Problem

if TYPE_CHECKING:
    from opsml_cli.local.automl.encode import Encoding
    from opsml_cli.local.automl.events import Events
    from opsml_cli.local.automl.model_folder import Part
    from opsml_cli.local.automl.search import Clock
    from opsml_cli.local.automl.trials import Result

# Measured on inner splits of eleven tables: more rows bear more rounds, and where much of the target can be learned (many
# rounds, or large steps), boosters on all rows that differ by their seeds alone beat boosters that each leave some rows out.
MORE_ROUNDS = 1.15
_LEARNED_MUCH = 8.0  # rounds times learning rate
_SLACK = 1.1
_MORE_OF_RANDOM_TREES = 1.3  # as long: they learn from all rows, and the search did nothing that is left out here


def wanted(prepared: Prepared) -> bool:
    """Whether there are rows that the search has not learned from."""
    held = prepared.held
    return (held is not None and held.ours) or len(prepared.problem.folds) == 1


def again(
    prepared: Prepared, members: Sequence[tuple[Result, float]], clock: Clock, events: Events
) -> tuple[list[Part], Encoding] | None:
    """The members (result, weight), fitted on all rows with the rounds that the search found, and the encoding of these rows.
    None, and a line in the log, without the time for it."""
    late = "no time to fit the model again on all rows: it has learned from the training rows alone"
    counts = _parts(prepared, members, available(clock) - encoding_seconds(prepared))
    if counts is None:
        events.log(late)
        return None
    events.phase("Fitting the chosen model on all rows")
    count = len(prepared.problem.folds)
    problem, encoding = for_refit(prepared)
    problem = replace(problem, folds=problem.folds[: max(counts)])
    most, whole = boosting.Binned(problem), boosting.Binned(_of_everything(problem))
    watch = boosting.Watch(clock.end + 0.5 * clock.finish, False, events.stop_requested)
    made = []
    try:
        for (result, weight), parts in zip(members, counts, strict=True):
            rows = whole if count == 1 or _bears_all(result) else most
            rounds = _rounds(result, parts, 1.0 if count == 1 else MORE_ROUNDS)
            own = replace(rows.problem, folds=rows.problem.folds[:parts])
            part, _, _ = trials.run(own, rows, result.candidate, watch, workers=boosting.cores(), rounds=rounds)
            made.append(replace(part, weight=weight))
    except boosting.StoppedError:
        events.log(late)
        return None
    return made, encoding


def _parts(prepared: Prepared, members: Sequence[tuple[Result, float]], time: float) -> list[int] | None:
    """How many parts of each member can be fitted in `time` seconds: those that weigh most have more where there is no time
    for all. None when there is not even time for the fewest."""
    count = len(prepared.problem.folds)
    one = [_SLACK * seconds(result, prepared.grown) / count for result, _ in members]
    counts = [_fewest(count)] * len(members)
    left = time - sum(one) * _fewest(count)
    if left < 0:
        return None
    heaviest = sorted(range(len(members)), key=lambda index: -members[index][1])
    for _ in range(_fewest(count), count):
        for index in heaviest:
            if one[index] <= left:
                counts[index] += 1
                left -= one[index]
    return counts


def available(clock: Clock) -> float:
    """Seconds: a little of what finishing is expected to take may be spent."""
    return clock.left() + 0.3 * clock.finish


def encoding_seconds(prepared: Prepared) -> float:
    """What reading all rows again takes, before anything is fitted on them."""
    return prepared.encoding_seconds * prepared.grown


def seconds(result: Result, grown: float) -> float:
    """What fitting the result's candidate again is expected to take, with as many parts as it has: no round past the best,
    nothing to evaluate, but more rows and rounds than a fold has."""
    more = _MORE_OF_RANDOM_TREES if result.candidate.algorithm == RANDOM_TREES else 1.0
    return result.seconds * grown * more


def least(result: Result, grown: float) -> float:
    """What fitting it again takes with the fewest parts, and a little more: one that is not ready in time costs all."""
    parts = max(1, len(result.rounds))
    return _SLACK * seconds(result, grown) * _fewest(parts) / parts


def _fewest(parts: int) -> int:
    """Three of five: measured, they are nearly as good."""
    return math.ceil(0.6 * parts)


def _of_everything(problem: Problem) -> Problem:
    """The problem with parts that each learn from every row; what they answer for the first rows is not looked at."""
    import numpy as np

    count = len(problem.target)
    every = Fold(np.arange(count), np.arange(min(count, 100)))
    return replace(problem, folds=(every,) * len(problem.folds))


def _bears_all(result: Result) -> bool:
    """Whether the parts differ enough when all learn from the same rows: networks by where they start, forests by their
    draws, boosters that learned much by theirs. Linear models would be the same."""
    algorithm = result.candidate.algorithm
    if algorithm == LIGHTGBM:
        rate = float(str(result.candidate.parameters.get("learning_rate", 0.1)))
        return rate * sum(result.rounds) / len(result.rounds) >= _LEARNED_MUCH
    return algorithm in (*FORESTS, NEURAL)


def _rounds(result: Result, parts: int, more: float) -> tuple[int, ...] | None:
    """The rounds of each part: the mean of those found, and `more` where a round adds to the one before."""
    algorithm = result.candidate.algorithm
    if algorithm not in (LIGHTGBM, *FORESTS, NEURAL):
        return None
    found = sum(result.rounds) / len(result.rounds)
    return (round(found * (1.0 if algorithm in FORESTS else more)),) * parts
