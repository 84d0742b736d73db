"""`opsml pipeline schedule` and `opsml schedules …`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.schedule import CreateSchedule, InlinePipeline, Schedule, ScheduleSaved
from opsml_cli.domain.schedule_words import When, describe, read_trigger
from opsml_cli.services.schedules import ScheduleDeleted, ScheduleTriggered

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]
_WALL = "as 2026-12-01T06:00:00, on the clock of --time-zone"


def schedule(
    session: Session,
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="A published pipeline, or a pipeline file (.yml), as it is now.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option("--cron", metavar="EXPRESSION", help="When: five fields of cron, as '0 6 * * 1'.")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="INTERVAL", help="When: 15m, 2h, day, '2 weeks', month.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", metavar="HH:MM", help="Times of the day; repeatable, or with commas.")
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="DAYS", help="Days of the week (mon,fri) or of the month (1,15).")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="As Europe/Zurich, or a Windows name. Otherwise UTC.")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", metavar="TIME", help=f"Nothing runs before: {_WALL}.")] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="TIME", help=f"Nothing runs after: {_WALL}.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="INPUT=VALUE", help="An input: a literal, or registered data as NAME[:V]; repeatable."),
    ] = None,
    experiment: Annotated[str | None, typer.Option("--experiment", help="The experiment the runs belong to.")] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="One version of the pipeline; otherwise the default one of the day.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The schedule's name; otherwise the pipeline's.")] = None,
    description: options.Description = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Make it, and let it rest.")] = False,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="A schedule in Azure ML's YAML, in place of all this.")
    ] = None,
    dry_run: options.DryRun = False,
) -> ScheduleSaved | Planned:
    """Run a pipeline by itself, by cron or recurrence. The same again changes nothing; another time changes the schedule.

    Example: opsml pipeline schedule retrain --cron '0 6 * * 1' --time-zone Europe/Zurich --set data=bank

    Example: opsml pipeline schedule retrain --every '2 weeks' --on mon --at 06:00
    """
    when = When(cron, every, tuple(at or ()), on, time_zone, start, end)
    inputs = options.pairs(set_, "--set")
    if file is not None:
        if pipeline is not None or when.said or version is not None:
            raise UsageError("a schedule file says itself what runs and when", fix="leave out either --file or the rest")
        spec = _from_file(file, name, inputs, experiment, description, disabled=disabled, dry_run=dry_run)
    else:
        wanted = session.require(pipeline, "PIPELINE")
        is_file = Path(wanted).suffix.lower() in (".yml", ".yaml")
        if is_file and version is not None:
            raise UsageError("--version belongs to a published pipeline", cause=f"{wanted} is a file")
        spec = CreateSchedule(
            name=name or (Path(wanted).stem if is_file else wanted),
            trigger=read_trigger(when),
            pipeline=None if is_file else wanted,
            path=wanted if is_file else None,
            version=version,
            inputs=inputs,
            experiment=experiment,
            description=description,
            enabled=not disabled,
            dry_run=dry_run,
        )
    saved = session.workspace.schedules.create_or_update(spec)
    for note in saved.schedule.notes:
        session.progress.note(note)
    if dry_run:
        found = saved.schedule
        details: dict[str, object] = {
            "when": describe(found.trigger),
            "next_runs": list(found.next_runs),
            "unchanged": saved.unchanged,
        }
        return Planned("schedule", f"schedule {found.name}", details)
    return saved


def _from_file(
    file: str,
    name: str | None,
    inputs: dict[str, str],
    experiment: str | None,
    description: str | None,
    *,
    disabled: bool,
    dry_run: bool,
) -> CreateSchedule:
    import yaml

    from opsml_cli.documents import read_document
    from opsml_cli.domain.schedule_yaml import read_schedule

    document = read_document(Path(file).expanduser(), source=file)
    reading = document.read(lambda value: read_schedule(value, document.folder))
    inline = None
    if reading.pipeline is not None:
        inline = InlinePipeline(yaml.safe_dump(dict(reading.pipeline), sort_keys=False), str(Path(file).expanduser()))
    return CreateSchedule(
        name=name or reading.name,
        trigger=reading.trigger,
        path=reading.path,
        inline=inline,
        inputs={**reading.inputs, **inputs},
        experiment=experiment or reading.experiment,
        description=description or reading.description,
        display_name=reading.display_name,
        tags=reading.tags,
        enabled=reading.enabled and not disabled,
        dry_run=dry_run,
    )


def list_(
    session: Session,
    enabled: Annotated[bool, typer.Option("--enabled", help="Only those that run.")] = False,
) -> Sequence[Schedule]:
    """List schedules, newest first.

    Example: opsml schedules list
    """
    return session.workspace.schedules.list(enabled_only=enabled)


def show(session: Session, name: Name) -> Schedule:
    """Show a schedule: what runs when, its next runs and its last ones.

    Example: opsml schedules show retrain
    """
    found = session.workspace.schedules.get(name)
    for note in found.notes:
        session.progress.note(note)
    return found


def enable(session: Session, name: Name, dry_run: options.DryRun = False) -> Schedule | Planned:
    """Let a schedule run from now on. What would have been due while it rested is not made up for.

    Example: opsml schedules enable retrain
    """
    return _switched(session, name, True, dry_run=dry_run)


def disable(session: Session, name: Name, dry_run: options.DryRun = False) -> Schedule | Planned:
    """Let a schedule rest. Runs that have begun go on.

    Example: opsml schedules disable retrain
    """
    return _switched(session, name, False, dry_run=dry_run)


def _switched(session: Session, name: str, on: bool, *, dry_run: bool) -> Schedule | Planned:
    schedules = session.workspace.schedules
    if dry_run:
        found = schedules.get(name)
        verb = "enable" if on else "disable"
        return Planned(verb, f"schedule {found.name}", {"unchanged": found.enabled is on})
    return schedules.enable(name) if on else schedules.disable(name)


def trigger(session: Session, name: Name, dry_run: options.DryRun = False) -> ScheduleTriggered | Planned:
    """Begin a run of a schedule now, beside its times; a disabled one too. Prints the run's name and does not wait.

    Example: opsml schedules trigger retrain
    """
    if dry_run:
        return Planned("trigger", f"schedule {session.workspace.schedules.get(name).name}", {})
    run = session.workspace.schedules.begin_trigger(name)
    session.progress.note(f"run {run} goes on; follow it with: opsml jobs watch {run}")
    return ScheduleTriggered(name, run)


def delete(
    session: Session, name: Name, yes: options.Yes = False, dry_run: options.DryRun = False
) -> ScheduleDeleted | Planned:
    """Delete a disabled schedule. Its runs stay. An enabled one is refused, as Azure refuses it.

    Example: opsml schedules delete retrain --yes
    """
    found = session.workspace.schedules.get(name)
    if dry_run:
        return Planned("delete", f"schedule {found.name}", {"refused": found.enabled})
    session.confirm(f"Delete schedule {found.name}?", yes=yes)
    session.workspace.schedules.delete(name)
    return ScheduleDeleted(found.name)
