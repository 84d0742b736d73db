"""How schedules are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from opsml_cli.cli.render.base import Rendering
from opsml_cli.cli.text import escape_line
from opsml_cli.domain.schedule import CronTrigger, Schedule, ScheduleSaved
from opsml_cli.domain.schedule_words import describe
from opsml_cli.services.schedules import ScheduleDeleted, ScheduleTriggered


def _document(schedule: Schedule) -> dict[str, object]:
    kind = "cron" if isinstance(schedule.trigger, CronTrigger) else "recurrence"
    return {
        "name": schedule.name,
        "enabled": schedule.enabled,
        "pipeline": schedule.pipeline,
        "version": schedule.version,
        "when": describe(schedule.trigger),
        "next_run": schedule.next_runs[0] if schedule.next_runs else None,
        "next_runs": list(schedule.next_runs),
        "last_runs": [
            {"run": run.run, "due": run.due, "status": run.status.value if run.status else None} for run in schedule.last_runs
        ],
        "trigger": {"type": kind, **{name: _plain(value) for name, value in asdict(schedule.trigger).items()}},
        "inputs": dict(schedule.inputs),
        "experiment": schedule.experiment,
        "description": schedule.description,
        "display_name": schedule.display_name,
        "tags": dict(schedule.tags),
        "created_at": schedule.created_at,
        "error": schedule.error,
        "notes": list(schedule.notes),
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _view(schedule: Schedule, _width: int) -> str:
    what = schedule.pipeline or "(a pipeline file)"
    lines = [f"{schedule.name}  {describe(schedule.trigger)}" + ("" if schedule.enabled else "  disabled")]
    if schedule.description:
        lines.append(f"  {escape_line(schedule.description)}")
    lines.append(f"  pipeline    {what}" + (f":{schedule.version}" if schedule.version else ""))
    lines += [f"  input       {name} = {escape_line(value)}" for name, value in schedule.inputs.items()]
    if schedule.experiment:
        lines.append(f"  experiment  {schedule.experiment}")
    lines += [f"  next        {moment}" for moment in schedule.next_runs[:3]]
    if schedule.enabled and not schedule.next_runs:
        lines.append("  next        none comes any more")
    lines += [f"  ran         {run.due}  {run.status or 'unknown'}  {run.run}" for run in schedule.last_runs]
    if schedule.error:
        lines.append(f"  error: {escape_line(schedule.error)}")
    return "\n".join(lines)


def _saved_view(saved: ScheduleSaved, width: int) -> str:
    return f"{'unchanged' if saved.unchanged else 'scheduled'} {_view(saved.schedule, width)}"


def _outputs(saved: ScheduleSaved) -> Mapping[str, str]:
    found = saved.schedule
    return {"schedule": found.name, "next_run": found.next_runs[0] if found.next_runs else ""}


_COLUMNS = ("name", "enabled", "pipeline", "when", "next_run", "created_at")

RENDERINGS: dict[type, Rendering] = {
    Schedule: Rendering(document=_document, columns=_COLUMNS, view=_view),
    ScheduleSaved: Rendering(
        document=lambda saved: {**_document(saved.schedule), "unchanged": saved.unchanged},
        columns=("name", "enabled", "pipeline", "when", "next_run", "unchanged"),
        view=_saved_view,
        outputs=_outputs,
    ),
    ScheduleTriggered: Rendering(
        document=lambda done: {"schedule": done.schedule, "run": done.run},
        view=lambda done, _width: f"run {done.run} of schedule {done.schedule}",
        outputs=lambda done: {"run": done.run},
    ),
    ScheduleDeleted: Rendering(
        document=lambda deleted: {"schedule": deleted.schedule, "deleted": True},
        view=lambda deleted, _width: f"deleted schedule {deleted.schedule}",
    ),
}
