"""Training: from a table to a model folder, within a budget.

    outcome = train(spec, Tables(frame, profile=profile), folder, events)

The engine knows no database and no registry. Whatever it finishes is on disk before `events` hears of it, so a killed
training goes on where it was when it is called again with the same arguments.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, BestTrial, JobState, Task, Trial
from opsml_cli.local.automl import boosting, encode, metrics, model_folder, portfolio, target, trials
from opsml_cli.local.automl.events import Events, Tables
from opsml_cli.local.automl.problem import Problem, stratified_folds

if TYPE_CHECKING:
    from opsml_cli.local.automl.portfolio import Candidate


def train(spec: AutoMLSpec, tables: Tables, folder: Path, events: Events) -> AutoMLOutcome:
    """Run the job in `folder`: the model at `folder/outputs/model`. Raises InvalidInputError and UsageError for what cannot be
    trained."""
    import numpy as np

    started = time.monotonic()
    events.phase("Looking at the data")
    read = target.read(tables.train, spec)
    metric = metrics.resolve(spec.metric, read.task)
    frame = tables.train[read.present]
    excluded = {spec.target_column: "it is the target", **{name: "dropped by the job" for name in spec.drop_columns}}
    encoding = encode.fit(frame, tables.profile, excluded)
    from opsml_cli.local.automl.scoring import Encoder

    matrix = Encoder(encoding.columns).frame(frame)
    values = read.values[read.present]
    span = float(values.max() - values.min()) if read.task is Task.REGRESSION else 0.0
    problem = Problem(
        read.task, metric, matrix, values, None, encoding.features, len(read.classes) or 1, span, read.positive,
        stratified_folds(values, read.task, spec.cross_validations or 5, spec.seed), spec.seed,
    )  # fmt: skip
    events.phase("Training")
    binned = boosting.Binned(problem)
    candidate: Candidate = portfolio.portfolio(read.task, len(frame), (portfolio.LIGHTGBM,))[0]
    watch = boosting.Watch(started + spec.limits.timeout_seconds, True, events.stop_requested)
    part, answer, rounds = trials.run(problem, binned, candidate, watch, boosting.cores())
    found = trials.measure(problem, answer)
    result = trials.Result("0", candidate, part, answer, rounds, found, time.monotonic() - started)
    trials.keep(folder / "trials", result, "")
    done = Trial("0", candidate.algorithm, JobState.COMPLETED, found, result.seconds, candidate.parameters, 1)
    events.trial(done)
    outputs = folder / "outputs"
    outputs.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(outputs / "model", ignore_errors=True)
    data = folder / ".data" / "data"
    shutil.rmtree(data.parent, ignore_errors=True)
    document = model_folder.ModelDocument(
        read.task.value, spec.target_column, read.classes, None, read.positive, encoding.columns, {}
    )
    model_folder.write_data(data, document, [part])
    model_folder.save(outputs / "model", data, encoding.columns, model_folder.example_frame(encoding.columns), read.classes)
    events.log(f"compiled scorer proven: {model_folder.prove(outputs / 'model', frame.head(20))}")
    model_folder.sync(outputs / "model")
    shutil.rmtree(data.parent, ignore_errors=True)
    assert np.isfinite(answer).all()
    return AutoMLOutcome(read.task, metric, BestTrial("0", candidate.algorithm, found), (done,))
