"""The demo's story: the whole flow as the commands a person would type, each run by the shell's own path."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from opsml_cli.domain.clock import Clock
from opsml_cli.domain.data import Registered
from opsml_cli.domain.endpoint import Deployed
from opsml_cli.domain.errors import ContractError
from opsml_cli.domain.job import Job
from opsml_cli.domain.pipeline import Published

NAME = "bank-marketing"
PIPELINE = "bank-marketing-retrain"

Command = tuple[str, ...]
Perform = Callable[[Command], object]
"""Runs the words behind `opsml`, shows the result, and gives it; raises OpsmlError as the command does."""


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One command of the demo. `status` is `done` or `unchanged`."""

    title: str
    command: str
    status: str
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo made. `metrics` are those of the trained model on rows that no trial has seen; `folder` is where its
    workspace lies; `ended`: everything was stopped again."""

    workspace: str
    folder: str
    data_source: str
    steps: tuple[DemoStep, ...]
    endpoint: str
    scoring_uri: str | None
    metrics: Mapping[str, float]
    ended: bool


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What to run. `source` is what `data register` reads, `data_source` the words that say what it is, `timeout` the
    training budget as the command line writes it, `pipeline` the path of the retraining pipeline's YAML."""

    workspace: str
    folder: str
    source: str
    data_source: str
    timeout: str
    pipeline: str
    cleanup: bool


def words(command: Sequence[str]) -> str:
    """The command as it is typed."""
    return shlex.join(("opsml", *command))


def commands(plan: DemoPlan) -> list[str]:
    """Every command that the demo would run, `…` where an earlier result decides."""
    story = _story(plan)
    listed = []
    try:
        _, command = next(story)
        while True:
            listed.append(words(command))
            _, command = story.send(None)
    except StopIteration:
        pass
    if plan.cleanup:
        listed.append(words(_CLEANUP))
    return listed


def run_demo(plan: DemoPlan, perform: Perform, tell: Callable[[str, str], None], clock: Clock) -> DemoResult:
    """Run the story. `tell(title, command)` comes before each step. The first step that fails ends it with its own error;
    with `plan.cleanup` everything is stopped then too."""
    results: dict[type, object] = {}
    steps: list[DemoStep] = []

    def step(title: str, command: Command) -> object:
        tell(title, words(command))
        start = clock.monotonic()
        result = perform(command)
        took = clock.monotonic() - start
        if command[0] == "score":
            clock.sleep(_RECORDED_SECONDS)
        status = "unchanged" if getattr(result, "unchanged", False) else "done"
        steps.append(DemoStep(title, words(command), status, round(took, 3)))
        results[type(result)] = result
        return result

    try:
        story = _story(plan)
        title, command = next(story)
        while True:
            try:
                title, command = story.send(step(title, command))
            except StopIteration:
                break
    finally:
        if plan.cleanup:
            step("Stop everything", _CLEANUP)
    job, deployed = results[Job], results[Deployed]
    assert isinstance(job, Job)
    assert isinstance(deployed, Deployed)
    return DemoResult(
        workspace=plan.workspace,
        folder=plan.folder,
        data_source=plan.data_source,
        steps=tuple(steps),
        endpoint=deployed.endpoint.name,
        scoring_uri=deployed.endpoint.scoring_uri,
        metrics=_metrics(job),
        ended=plan.cleanup,
    )


# Requests are recorded off the request path: what the next commands show of them should be complete.
_RECORDED_SECONDS = 1.5
_CLEANUP: Command = ("local", "down", "--yes")


def _story(plan: DemoPlan) -> Generator[tuple[str, Command], object, None]:
    """The seven steps. What is sent back is the command's result, or None while only planning."""
    data = yield "1 Register the data", ("data", "register", NAME, plan.source, "--target-column", "y")
    version = data.asset.version if isinstance(data, Registered) else "…"
    job = yield (
        "2 Train",
        ("train", "automl", "--data", NAME, "--target-column", "y", "--timeout", plan.timeout, "--test-size", "0.2"),
    )
    yield "3 Serve the best model", ("deploy", _model(job), "--endpoint", NAME)
    yield "4 Watch it", ("insights", "enable", NAME)
    yield "4 Watch it: send some requests first", ("score", NAME, "--sample", "20", "--out", "predictions.csv", "--force")
    yield "4 Watch it", ("logs", NAME, "--tail", "5")
    yield "4 Watch it", ("insights", "show", NAME)
    yield "5 Document it", ("swagger", NAME, "--save", "swagger.json")
    yield "5 Document it (add --ui to try it out in the browser)", ("swagger", NAME, "--check")
    yield "6 Score", ("score", NAME, "--sample", "5", "--proba")
    yield "6 Score: and how fast it answers", ("bench", NAME, "--duration", "3s", "--slo", "errors<1%")
    published = yield "7 Publish the retraining pipeline", ("pipeline", "publish", plan.pipeline, "--name", PIPELINE)
    name = published.pipeline.name if isinstance(published, Published) else PIPELINE
    yield (
        "7 Retrain through the pipeline's REST endpoint",
        ("pipeline", "trigger", name, "--set", f"data=azureml:{NAME}:{version}"),
    )


def _model(job: object) -> str:
    if not isinstance(job, Job):
        return "…"
    model = job.automl.model if job.automl else None
    if model is None:
        raise ContractError(f"the job {job.name} ended without a model", fix=f"see `opsml jobs logs {job.name}`")
    return f"{model.name}:{model.version}"


def _metrics(job: Job) -> Mapping[str, float]:
    outcome = job.automl
    if outcome is None:
        return {}
    return outcome.test_metrics or (outcome.best.metrics if outcome.best else {})
