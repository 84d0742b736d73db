"""`opsml pipeline …`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.pipeline import PipelineEndpoint, PipelineRun, Published, PublishPipeline, TriggerPipeline
from opsml_cli.services import pipeline as services
from opsml_cli.services.pipeline import PipelineDeleted, PipelineUrl

File = Annotated[str, typer.Argument(metavar="FILE", help="A pipeline in Azure ML's YAML.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The pipeline's name.")]
Version = Annotated[str | None, typer.Option("--version", help="One version; otherwise the default one.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="INPUT=VALUE", help="An input: a literal, or registered data as NAME[:V]; repeatable."),
]
Experiment = Annotated[str | None, typer.Option("--experiment", help="The experiment the run belongs to.")]


def publish(
    session: Session,
    file: File,
    name: Annotated[str | None, typer.Option("--name", help="The name to publish it under.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="The new version; otherwise the next number.")] = None,
    default: Annotated[
        bool, typer.Option("--default/--no-default", help="Make it the version that is triggered when none is named.")
    ] = True,
    description: options.Description = None,
    dry_run: options.DryRun = False,
) -> Published | Planned:
    """Publish a pipeline behind a REST endpoint, without running it.

    Example: opsml pipeline publish pipeline.yml --name retrain
    """
    wanted = session.require(name, "--name")
    spec = PublishPipeline(file, wanted, version=version, default=default, description=description, dry_run=dry_run)
    published = session.workspace.pipelines.publish(spec)
    for note in published.pipeline.notes:
        session.progress.note(f"{file}: {note}")
    if dry_run:
        found = published.pipeline
        details: dict[str, object] = {"version": found.version, "steps": list(found.steps), "unchanged": published.unchanged}
        return Planned("publish", f"pipeline {found.name}", details)
    return published


def trigger(
    session: Session,
    name: Name,
    set_: Inputs = None,
    experiment: Experiment = None,
    version: Version = None,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> PipelineRun | Planned:
    """Start a run of a published pipeline, and follow its steps.

    Example: opsml pipeline trigger retrain --set training_data=bank:2
    """
    inputs = options.pairs(set_, "--set")
    spec = TriggerPipeline(name, version=version, inputs=inputs, experiment=experiment, dry_run=dry_run)
    run = services.trigger(session.workspace, spec, session.progress, wait=not no_wait, timeout=wait_timeout)
    if dry_run:
        details: dict[str, object] = {
            "version": run.version,
            "inputs": dict(run.inputs),
            "experiment": run.experiment,
            "steps": [step.name for step in run.steps],
        }
        return Planned("trigger", f"pipeline {run.pipeline}", details)
    return run


def run(
    session: Session,
    file: File,
    set_: Inputs = None,
    experiment: Experiment = None,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> PipelineRun | Planned:
    """Run a pipeline file without publishing it.

    Example: opsml pipeline run pipeline.yml --set training_data=bank
    """
    inputs = options.pairs(set_, "--set")
    if dry_run:
        found = session.workspace.pipelines.validate(file)
        return Planned("run", f"pipeline {file}", {"steps": list(found.steps), "inputs": inputs})
    return services.run(session.workspace, file, inputs, experiment, session.progress, wait=not no_wait, timeout=wait_timeout)


def validate(session: Session, file: File) -> PipelineEndpoint:
    """Check a pipeline file; an error names file, line and field.

    Example: opsml pipeline validate pipeline.yml
    """
    found = session.workspace.pipelines.validate(file)
    for note in found.notes:
        session.progress.note(f"{file}: {note}")
    return found


def list_(session: Session) -> Sequence[PipelineEndpoint]:
    """List published pipelines.

    Example: opsml pipeline list
    """
    return session.workspace.pipelines.list()


def show(session: Session, name: Name, version: Version = None) -> PipelineEndpoint:
    """Show a published pipeline: versions, inputs, steps.

    Example: opsml pipeline show retrain
    """
    return session.workspace.pipelines.get(name, version)


def url(
    session: Session,
    name: Name,
    curl: Annotated[bool, typer.Option("--curl", help="A command that triggers it; it holds no secret.")] = False,
) -> PipelineUrl:
    """The URL that triggers a pipeline.

    Example: opsml pipeline url retrain --curl
    """
    command = session.workspace.pipelines.trigger_command(name) if curl else None
    found = session.workspace.pipelines.get(name)
    return PipelineUrl(found.name, found.default_version, found.url, command)


def delete(
    session: Session,
    name: Name,
    version: Annotated[str | None, typer.Option("--version", help="One version only.")] = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> PipelineDeleted | Planned:
    """Delete a published pipeline, or one version. Its runs stay.

    Example: opsml pipeline delete retrain --yes
    """
    found = session.workspace.pipelines.get(name, version)
    versions = found.versions if version is None else (found.version,)
    what = f"pipeline {found.name}" + ("" if version is None else f" version {found.version}")
    if dry_run:
        return Planned("delete", what, {"versions": list(versions)})
    session.confirm(f"Delete {what}?", yes=yes)
    session.workspace.pipelines.delete(name, version)
    return PipelineDeleted(found.name, versions)
