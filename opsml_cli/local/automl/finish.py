"""After the search: the ensemble, what is served, its figures on unseen rows, the refit, the folder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.content import files
from opsml_cli.domain.job import AutoMLOutcome, BestTrial, Guardrail, JobState, Task, Trial
from opsml_cli.domain.metric_names import higher_is_better
from opsml_cli.local.automl import (
    dependence,
    ensemble,
    evaluation,
    importance,
    model_folder,
    refit,
    serving_cost,
    threshold,
    trials,
)
from opsml_cli.local.automl.model_folder import Part
from opsml_cli.local.automl.portfolio import ENSEMBLE
from opsml_cli.local.automl.search import Clock, as_trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Encoding
    from opsml_cli.local.automl.events import Events
    from opsml_cli.local.automl.prepare import Prepared
    from opsml_cli.local.automl.threshold import Aim
    from opsml_cli.local.automl.trials import Result

    Floats = NDArray[np.float64]

_CHOOSING = 1.5  # seconds: what choosing, and the figures of the chosen, take before the refit starts (measured: 1.1 to 1.4)
_DEPENDENCE_SECONDS = 0.8  # the partial dependence is left out where less is left


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The served form: members with weights, its out-of-fold answer, and the trial that stands for it."""

    members: tuple[tuple[Result, float], ...]
    answer: Floats
    best: Trial


def finish(
    prepared: Prepared,
    results: Sequence[Result],
    unfinished: Sequence[Trial],
    *,
    aim: Aim | None,
    clock: Clock,
    folder: Path,
    events: Events,
    checks: tuple[Guardrail, ...],
) -> AutoMLOutcome:
    """The outcome of the whole training, with the model at `folder/outputs/model`."""
    problem = prepared.problem
    chosen, finished = _choose(prepared, results, clock, events)
    cut = _threshold(prepared, chosen, aim, events)
    searched = [replace(result.part, weight=weight) for result, weight in chosen.members]
    clock.expect(sum(serving_cost.seconds(part, prepared.answered) for part in searched))
    figures = _Figures.of(prepared, searched, cut)
    again = refit.again(prepared, chosen.members, clock, events) if refit.wanted(prepared) else None
    refitted = again is not None
    parts, encoding = again or (searched, prepared.encoding)
    if events.stop_requested():
        return AutoMLOutcome(problem.task, problem.metric, guardrails=checks)
    events.phase("Writing the model")
    ranked = _ranked(finished, problem.metric)
    leaderboard = (*ranked, *unfinished)
    best = next(trial for trial in ranked if trial.trial == chosen.best.trial)
    about = {
        "algorithm": best.algorithm,
        "trial": best.trial,
        "metric": problem.metric,
        "validation_metrics": dict(best.metrics),
        "test_metrics": figures.test,
        "refitted_on_all_rows": refitted,
        "rows": len(prepared.values) if refitted else len(problem.target),
        "members": [{"trial": result.trial, "algorithm": result.candidate.algorithm, "weight": weight,
                     "parameters": dict(result.candidate.parameters)} for result, weight in chosen.members],
    }  # fmt: skip
    outputs = folder / "outputs"
    _write_model(prepared, encoding, parts, cut=cut, about=about, outputs=outputs, events=events)
    _write_figures(prepared, searched, figures, chosen=chosen, leaderboard=leaderboard, cut=cut, outputs=outputs)
    if clock.left() + clock.finish > _DEPENDENCE_SECONDS:
        dependence.write(outputs, prepared.frame, problem.seed, sum(serving_cost.microseconds(part) for part in parts))
    return AutoMLOutcome(
        task=problem.task,
        metric=problem.metric,
        best=BestTrial(best.trial, best.algorithm, best.metrics),
        leaderboard=leaderboard,
        guardrails=checks,
        test_metrics=figures.test,
        baseline_metrics=figures.baseline,
        intervals=figures.intervals,
        threshold=cut,
    )


def _choose(prepared: Prepared, results: Sequence[Result], clock: Clock, events: Events) -> tuple[_Chosen, list[Trial]]:
    started = time.monotonic()
    problem = prepared.problem
    if len(results) == 1:
        only = as_trial(results[0])
        return _Chosen(((results[0], 1.0),), results[0].answer, only), [only]
    judge = ensemble.Judge(problem)
    answers = [result.answer for result in results]
    finished = [as_trial(result) for result in results]
    if not prepared.spec.votes:
        best = min(range(len(results)), key=lambda index: judge.loss(judge.part(answers[index])))
        return _Chosen(((results[best], 1.0),), answers[best], finished[best]), finished
    everyone = range(len(results))
    full = ensemble.greedy(judge, answers, everyone, lambda: clock.left() < 0)
    whole = prepared.spec.serve == "ensemble"
    available = max(0.1, refit.available(clock) - refit.encoding_seconds(prepared) - _CHOOSING)
    few = ensemble.few_to_tell(problem)
    shares = [serving_cost.share(result, few=few) for result in results]

    def again(index: int) -> float:
        needed = refit.least(results[index], prepared.grown) + serving_cost.seconds(results[index].part, prepared.answered)
        return needed / available if refit.wanted(prepared) else 0.0

    def cost(index: int) -> float:
        # What cannot be fitted again on all rows in time is worth less than what can.
        return max(shares[index], again(index))

    form = full if whole else ensemble.served(judge, answers, full, cost, 1.0, few=few)
    if not whole and sum(again(index) for index in form.weights) > 1.0:  # nor can it: then nothing need be
        form = ensemble.served(judge, answers, full, lambda index: shares[index], 1.0, few=few)
    members = tuple((results[index], weight) for index, weight in form.weights.items())
    single = len(form.weights) == 1
    shown = full if single else form
    answer = ensemble.mix(answers, shown)
    weights = {results[index].trial: round(weight, 4) for index, weight in shown.weights.items()}
    detail = None
    if single and not whole:
        slow = sum(shares[index] for index in full.weights) > 1.0
        why = "the ensemble is too large to serve" if slow else "the ensemble is not clearly better"
        detail = f"not served: {why}; trial {members[0][0].trial} alone is"
    elif len(form.weights) < len(full.weights):
        detail = f"{len(form.weights)} members are served; {len(full.weights)} are too large to serve, or not clearly better"
    blend = Trial(
        str(max(int(result.trial) for result in results) + 1),
        ENSEMBLE,
        JobState.COMPLETED,
        trials.measure(problem, answer),
        round(time.monotonic() - started, 3),
        {"members": weights},
        None,
        detail,
    )
    if single and len(full.weights) == 1:  # the ensemble would be the single model itself
        return _Chosen(members, answers[next(iter(form.weights))], finished[next(iter(form.weights))]), finished
    events.trial(blend)
    finished.append(blend)
    if single:
        index = next(iter(form.weights))
        events.log(f"trial {results[index].trial} is served alone; the ensemble: {detail}")
        return _Chosen(members, answers[index], finished[index]), finished
    events.log(f"the ensemble of {len(members)} trials is served")
    return _Chosen(members, answer, blend), finished


def _threshold(prepared: Prepared, chosen: _Chosen, aim: Aim | None, events: Events) -> float | None:
    problem = prepared.problem
    if aim is None:
        return None
    if not problem.binary or problem.positive is None:
        events.log("a threshold is tuned for two classes only: none is set")
        return None
    truth = problem.target[problem.scored] == problem.positive
    cut = threshold.tune(aim, truth, chosen.answer[:, problem.positive])
    events.log(f"threshold {cut:.4f}, tuned for {aim.kind} on {len(truth)} rows out of fold")
    return cut


@dataclass(frozen=True, slots=True)
class _Figures:
    """Of the model before its refit, on rows that no trial has seen; None without such rows."""

    test: dict[str, float] | None
    baseline: dict[str, float] | None
    intervals: dict[str, tuple[float, float]] | None
    answer: Floats | None

    @classmethod
    def of(cls, prepared: Prepared, parts: Sequence[Part], cut: float | None) -> _Figures:
        problem, held = prepared.problem, prepared.held
        if held is None:
            truth = problem.target[problem.scored]
            return cls(None, evaluation.measure(problem, truth, evaluation.trivial(problem, len(truth))), None, None)
        answer = trials.blended(parts, held.matrix)
        baseline = evaluation.measure(problem, held.truth, evaluation.trivial(problem, len(held.truth)))
        intervals = evaluation.intervals(problem, held.truth, answer, cut)
        return cls(evaluation.measure(problem, held.truth, answer, cut), baseline, intervals, answer)


def _ranked(finished: Sequence[Trial], metric: str) -> list[Trial]:
    def loss(trial: Trial) -> tuple[bool, float, int]:
        value = trial.metrics.get(metric)
        sign = -1.0 if higher_is_better(metric) else 1.0
        return (value is None, 0.0 if value is None else sign * value, int(trial.trial))

    return [replace(trial, rank=rank) for rank, trial in enumerate(sorted(finished, key=loss), start=1)]


def _write_model(
    prepared: Prepared,
    encoding: Encoding,
    parts: Sequence[Part],
    *,
    cut: float | None,
    about: Mapping[str, object],
    outputs: Path,
    events: Events,
) -> None:
    problem, read = prepared.problem, prepared.target
    outputs.mkdir(parents=True, exist_ok=True)
    folder = outputs / "model"
    shutil.rmtree(folder, ignore_errors=True)
    work = files.temporary_name(outputs.parent)
    try:
        document = model_folder.ModelDocument(
            problem.task.value, read.column, read.classes, cut, read.positive, encoding.columns, about
        )
        model_folder.write_data(work / "data", document, parts)
        example = model_folder.example_frame(encoding.columns)
        model_folder.save(work / "model", work / "data", encoding.columns, example, read.classes)
        rows = prepared.frame if prepared.held is None else prepared.held.frame
        proof = model_folder.prove(work / "model", rows.head(50))
        (work / "model" / "proof.json").write_text(json.dumps(proof, indent=1), encoding="utf-8")
        files.sync_tree(work / "model")
        (work / "model").rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    events.log(f"the compiled scorer and the MLflow model agree to {proof['largest_difference']:g} on {proof['rows']} rows")


def _write_figures(
    prepared: Prepared,
    parts: Sequence[Part],
    figures: _Figures,
    *,
    chosen: _Chosen,
    leaderboard: Sequence[Trial],
    cut: float | None,
    outputs: Path,
) -> None:
    """The JSON files beside the model, from which reports are made. `parts` as the search made them."""
    problem = prepared.problem
    classes = prepared.target.classes
    if figures.answer is not None and prepared.held is not None:
        where, truth, answer = "test", prepared.held.truth, figures.answer
    else:
        where, truth, answer = "validation", problem.target[problem.scored], chosen.answer
    written: dict[str, Any] = {
        "curves": {"rows": where, **evaluation.curves(problem, truth, answer, classes)},
        "metrics": {
            "metric": problem.metric,
            "validation": dict(chosen.best.metrics),
            "test": figures.test,
            "baseline": figures.baseline,
            "intervals": figures.intervals,
            "threshold": cut,
        },
        "leaderboard": [_line(trial) for trial in leaderboard],
    }
    if problem.task is Task.CLASSIFICATION:
        from opsml_cli.local.automl.metrics import confusion

        chosen_labels = evaluation.labels(answer, cut, problem.positive)
        counts = confusion(truth.astype("int64"), chosen_labels, problem.outputs)
        written["confusion"] = {"rows": where, "classes": list(classes), "counts": counts.astype(int).tolist()}
    written["importance"] = importance.shares(parts, problem.features, problem.matrix, problem.seed)
    for name, content in written.items():
        files.write_atomic(outputs / f"{name}.json", json.dumps(content, ensure_ascii=False, default=str).encode())


def _line(trial: Trial) -> dict[str, object]:
    return {
        "rank": trial.rank,
        "trial": trial.trial,
        "algorithm": trial.algorithm,
        "state": trial.state.value,
        "metrics": dict(trial.metrics),
        "duration_seconds": trial.duration_seconds,
        "parameters": dict(trial.parameters),
        "detail": trial.detail,
    }
