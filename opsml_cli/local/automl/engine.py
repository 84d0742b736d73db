"""Training: from a table to a model folder, within a budget.

    outcome = train(spec, Tables(frame, profile=profile), folder, events)

The engine knows no database and no registry. Whatever it finishes is on disk before `events` hears of it, so a killed
training goes on where it was when it is called again with the same arguments.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from opsml_cli.domain.gates import LEAKAGE_CHECK
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, Guardrail
from opsml_cli.local.automl import boosting, guardrails, portfolio, refit, threshold
from opsml_cli.local.automl.events import Events, Tables
from opsml_cli.local.automl.finish import finish
from opsml_cli.local.automl.prepare import Prepared, prepare
from opsml_cli.local.automl.problem import Problem
from opsml_cli.local.automl.search import Clock, Plan, Search

_ROWS_OF_A_COLUMN = 5000  # so many rows take as long as one more column

__all__ = ["Events", "Tables", "train"]


def train(spec: AutoMLSpec, tables: Tables, folder: Path, events: Events, started: float | None = None) -> AutoMLOutcome:
    """Run the job in `folder`; the model lies at `folder/outputs/model`, its figures as JSON beside it. The time counts from
    `started` on the monotonic clock, or from now.

    Raises InvalidInputError for data that cannot be learned, UsageError for wrong words, WorkFailedError when the time was too
    short for any model. When `events.stop_requested` becomes true it returns soon, without a model."""
    began = time.monotonic()
    boosting.lightgbm()
    events.phase("Looking at the data")
    aim = threshold.parse(spec.threshold_for) if spec.threshold_for else None
    prepared = prepare(spec, tables)
    allowed, absent = portfolio.algorithms(prepared.target.task, spec.allowed_algorithms, spec.blocked_algorithms)
    if absent:
        events.log(f"not trained on this machine, left out: {', '.join(absent)}")
    problem = prepared.problem
    threading.Thread(target=_warm, name="warm", daemon=True).start()
    finishing = max(_finish_seconds(problem), 0.7 * _by_column(problem) * (time.monotonic() - began))
    clock = Clock(began if started is None else started, spec.limits.timeout_seconds, finishing)
    again = refit.encoding_seconds(prepared) if refit.wanted(prepared) else 0.0
    held = prepared.answered
    plan = Plan(spec.limits, allowed, clock, folder / "trials", prepared.fingerprint(), prepared.grown, again, held)
    plan.folder.mkdir(parents=True, exist_ok=True)
    search = Search(problem, plan, events)
    checks = (*prepared.checks, _leakage(prepared, clock, events))
    events.guardrails(checks)
    partial = AutoMLOutcome(prepared.target.task, problem.metric, guardrails=checks)
    events.phase("Training")
    events.log(
        f"{len(problem.target)} rows to learn from, {held} held out, {len(prepared.encoding.columns)} columns, "
        f"{len(problem.folds)} folds, {boosting.cores()} cores"
    )
    results = search.run()
    if search.stopped or events.stop_requested():
        return partial
    events.phase("Choosing the model")
    return finish(prepared, results, search.unfinished, aim=aim, clock=clock, folder=folder, events=events, checks=checks)


def _finish_seconds(problem: Problem) -> float:
    """What comes after the last fit: ensemble, test figures, the model folder, the proof."""
    return 1.5 + 1.5 * min(2.0, len(problem.scored) * problem.outputs / 100_000) + 0.0006 * len(problem.features)


def _by_column(problem: Problem) -> float:
    """The part of preparing that its columns took, not its rows: writing and proving will take as long by column, and where
    preparing was slow, on a busy machine, they will be too."""
    columns = _ROWS_OF_A_COLUMN * len(problem.features)
    return columns / (columns + len(problem.target))


def _warm() -> None:
    """MLflow takes a second to import; have it ready when the model is written."""
    import mlflow.pyfunc  # noqa: F401


def _leakage(prepared: Prepared, clock: Clock, events: Events) -> Guardrail:
    """Single-column skill, and for suspects what a quick model reaches with and without them."""
    from opsml_cli.local.automl.quick import with_and_without

    problem = prepared.problem
    try:
        skills = guardrails.single_skill(problem, max(1.0, clock.total * 0.05))
        pair = None
        suspects = [name for _, name in guardrails.suspected(skills, problem)]
        columns = {feature.column for feature in problem.features}
        if suspects and set(suspects) != columns:
            pair = with_and_without(problem, suspects, min(max(1.0, clock.total * 0.08), 20.0), events.stop_requested)
    except boosting.StoppedError:
        pair = None
    except ValueError as error:
        return Guardrail(LEAKAGE_CHECK, "passed", f"not checked: {error}")
    return guardrails.of_leakage(skills, problem, pair)
