"""`opsml jobs …`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import Job, JobKind, JobState, Trial
from opsml_cli.services import jobs as services
from opsml_cli.services.jobs import Downloaded, JobLogLine, Watched

if TYPE_CHECKING:
    from opsml_cli.domain.pipeline import PipelineRun
    from opsml_cli.domain.report import JobReport, SavedReport


def list_(
    session: Session,
    kind: Annotated[str | None, typer.Option("--kind", help="automl, pipeline or command.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="A state, such as Running or Failed.")] = None,
    experiment: Annotated[str | None, typer.Option("--experiment", help="Jobs of one experiment.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", metavar="RUN", help="The steps of a pipeline run.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
) -> Sequence[Job]:
    """List jobs, newest first.

    Example: opsml jobs list --status Running
    """
    return session.workspace.jobs.list(
        kind=None if kind is None else JobKind(_word(kind, "--kind", [each.value for each in JobKind])),
        status=None if status is None else JobState(_word(status, "--status", [each.value for each in JobState])),
        experiment=experiment,
        parent=parent,
        limit=limit,
    )


def show(session: Session, job: options.JobName) -> Job | PipelineRun:
    """Show a job: state, best trial, metrics, model; or a pipeline run with its steps.

    Example: opsml jobs show automl-20261124-0012-x7k2
    """
    return services.show(session.workspace, job)


def watch(session: Session, job: options.JobName) -> Iterator[Watched | PipelineRun]:
    """Follow a job until it ends; the exit code is its verdict.

    Example: opsml jobs watch automl-20261124-0012-x7k2
    """
    return services.watch(session.workspace, job)


def logs(
    session: Session,
    job: options.JobName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="The last N lines only.")] = None,
) -> Sequence[JobLogLine] | Iterator[JobLogLine]:
    """A job's log.

    Example: opsml jobs logs automl-20261124-0012-x7k2 --follow
    """
    if follow:
        return services.follow_log(session.workspace, job, tail=tail)
    return services.log_lines(session.workspace, job, tail=tail)


def cancel(session: Session, job: options.JobName, yes: options.Yes = False, dry_run: options.DryRun = False) -> Job | Planned:
    """Ask a job to end. A finished job is left as it is.

    Example: opsml jobs cancel automl-20261124-0012-x7k2 --yes
    """
    found = session.workspace.jobs.get(job)
    if found.status.finished:
        session.progress.note(f"job {found.name} has ended already: {found.status}")
        return found
    if dry_run:
        return Planned("cancel", f"job {found.name}", {"status": found.status.value})
    session.confirm(f"Cancel job {found.name}?", yes=yes)
    return session.workspace.jobs.cancel(job)


def leaderboard(session: Session, job: options.JobName) -> Sequence[Trial]:
    """The trials of a training job, best first.

    Example: opsml jobs leaderboard automl-20261124-0012-x7k2
    """
    return services.leaderboard(session.workspace, job)


def download(
    session: Session,
    job: options.JobName,
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="The folder to copy into.")] = ".",
    output: Annotated[str | None, typer.Option("--output-name", metavar="NAME", help="One output only, such as model.")] = None,
) -> Downloaded:
    """Copy a job's outputs and logs to DIR/JOB; every file is verified.

    Example: opsml jobs download automl-20261124-0012-x7k2 --to results
    """
    return Downloaded(job, tuple(session.workspace.jobs.download(job, to, output)))


def report(
    session: Session,
    job: options.JobName,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE.html", help="Write it as one HTML page that needs nothing else.")
    ] = None,
) -> JobReport | SavedReport:
    """A finished training's report: test figures beside the baseline, checks, curves, confusion, importance.

    Example: opsml jobs report automl-20261124-0012-x7k2 --save report.html
    """
    found = session.workspace.jobs.report(job)
    if save is None:
        return found
    from opsml_cli.cli.render.report_page import page
    from opsml_cli.cli.saving import write_whole
    from opsml_cli.domain.report import SavedReport

    content = page(found).encode("utf-8", "xmlcharrefreplace")
    write_whole(save, content)
    return SavedReport(found.job.name, str(save), len(content))


def _word(text: str, flag: str, known: Sequence[str]) -> str:
    """`text` in the spelling of `known`, compared without case."""
    for word in known:
        if word.casefold() == text.casefold():
            return word
    raise UsageError(f"{flag} {text!r} is unknown", cause=did_you_mean(text, known))
