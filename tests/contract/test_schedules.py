"""The schedule operations of the port, as a local workspace keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pipeline_support import cleaned, ended, small_pipeline
from waiting import until

from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError, UsageError
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import PublishPipeline
from opsml_cli.domain.schedule import CreateSchedule, CronTrigger, Frequency, InlinePipeline, RecurrenceTrigger, Schedule
from opsml_cli.local import schedule_records
from opsml_cli.local.clock import parse
from opsml_cli.local.scheduler import Scheduler
from opsml_cli.local.workspace import LocalWorkspace

MONDAYS = CronTrigger("0 6 * * 1")


@pytest.fixture
def local(workspace: LocalWorkspace, tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A workspace with the published pipeline `small`; its service is up."""
    with cleaned(workspace):
        workspace.pipelines.publish(PublishPipeline(str(small_pipeline(tmp_path / "p")), "small"))
        yield workspace


def soon(seconds: float = 1.0) -> RecurrenceTrigger:
    """Due in so many seconds, and every minute from then on."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return RecurrenceTrigger(Frequency.MINUTE, 1, start_time=moment.isoformat())


def test_the_same_schedule_again_is_unchanged(local: LocalWorkspace) -> None:
    spec = CreateSchedule("Mondays", MONDAYS, pipeline="SMALL", inputs={"word": "x"}, experiment="tries")
    made = local.schedules.create_or_update(spec)
    assert not made.unchanged
    found = made.schedule
    assert (found.name, found.enabled, found.pipeline, found.version) == ("Mondays", True, "small", None)
    assert (found.inputs, found.experiment, found.trigger) == ({"word": "x"}, "tries", MONDAYS)
    assert len(found.next_runs) == 5
    assert all(parse(moment).weekday() == 0 and parse(moment).hour == 6 for moment in found.next_runs)
    assert (found.last_runs, found.error, found.notes) == ((), None, ())
    assert local.schedules.create_or_update(spec).unchanged
    later = local.schedules.create_or_update(CreateSchedule("MONDAYS", CronTrigger("0 7 * * 1"), pipeline="small"))
    assert not later.unchanged
    assert (later.schedule.name, later.schedule.created_at) == ("Mondays", found.created_at)
    assert parse(later.schedule.next_runs[0]) - parse(found.next_runs[0]) == timedelta(hours=1)
    assert [each.name for each in local.schedules.list()] == ["Mondays"]
    assert not local.jobs.list(), "making a schedule runs nothing"


def test_a_dry_run_writes_nothing(local: LocalWorkspace) -> None:
    planned = local.schedules.create_or_update(CreateSchedule("dry", MONDAYS, pipeline="small", dry_run=True))
    assert planned.schedule.next_runs
    assert not local.schedules.list()


def test_an_enabled_schedule_is_not_deleted(local: LocalWorkspace) -> None:
    local.schedules.create_or_update(CreateSchedule("kept", MONDAYS, pipeline="small"))
    with pytest.raises(ConflictError, match="is enabled"):
        local.schedules.delete("kept")
    assert not local.schedules.disable("kept").enabled
    assert local.schedules.get("kept").next_runs == ()
    assert [each.name for each in local.schedules.list(enabled_only=True)] == []
    assert local.schedules.disable("kept") == local.schedules.get("kept")
    assert local.schedules.enable("kept").next_runs
    local.schedules.disable("kept")
    local.schedules.delete("kept")
    with pytest.raises(NotFoundError):
        local.schedules.get("kept")


def test_what_is_wrong_is_said_and_leaves_nothing(local: LocalWorkspace, tmp_path: Path) -> None:
    for spec, error in (
        (CreateSchedule("s", MONDAYS, pipeline="nobody"), NotFoundError),
        (CreateSchedule("s", MONDAYS, pipeline="small", version="7"), NotFoundError),
        (CreateSchedule("s", MONDAYS, pipeline="small", inputs={"wrod": "x"}), InvalidInputError),
        (CreateSchedule("s", MONDAYS, pipeline="small", inputs={"count": "9"}), InvalidInputError),
        (CreateSchedule("s", CronTrigger("x"), pipeline="small"), UsageError),
        (CreateSchedule("s", CronTrigger("* * * * *", end_time="2020-01-01"), pipeline="small"), InvalidInputError),
        (CreateSchedule("../s", MONDAYS, pipeline="small"), UsageError),
        (CreateSchedule("s", MONDAYS, path=str(tmp_path / "no.yml")), NotFoundError),
        (CreateSchedule("s", MONDAYS, inline=InlinePipeline("type: pipeline\njobs: {}", "x.yml")), InvalidInputError),
    ):
        with pytest.raises(error):
            local.schedules.create_or_update(spec)
    for call in (local.schedules.get, local.schedules.enable, local.schedules.disable, local.schedules.delete):
        with pytest.raises(NotFoundError):
            call("s")
    with pytest.raises(NotFoundError):
        local.schedules.begin_trigger("s")
    assert not local.schedules.list()


def test_the_service_begins_a_run_when_it_is_due(local: LocalWorkspace) -> None:
    inputs = {"word": "${{name}} at ${{creation_context.trigger_time}}"}
    made = local.schedules.create_or_update(CreateSchedule("soon", soon(), pipeline="small", inputs=inputs, experiment="e"))
    due = made.schedule.next_runs[0]
    until(lambda: bool(local.schedules.get("soon").last_runs))
    found = local.schedules.get("soon").last_runs[0]
    assert found.due == due
    run = ended(local, found.run)
    assert run.status is JobState.COMPLETED, run
    assert run.run.startswith("soon-")
    assert (run.pipeline, run.version, run.experiment) == ("small", "1", "e")
    assert run.inputs["word"] == f"{run.run} at {due}"
    assert local.jobs.get(run.run).display_name == f"soon-{parse(due):%Y%m%dT%H%M%SZ}"
    assert parse(local.schedules.get("soon").next_runs[0]) - parse(due) == timedelta(minutes=1)
    assert local.schedules.get("soon").last_runs[0].status is JobState.COMPLETED


def test_a_pipeline_file_runs_as_it_was(local: LocalWorkspace, tmp_path: Path) -> None:
    path = small_pipeline(tmp_path / "q")
    local.schedules.create_or_update(CreateSchedule("file", MONDAYS, path=str(path), inputs={"word": "y"}))
    assert local.schedules.create_or_update(CreateSchedule("file", MONDAYS, path=str(path), inputs={"word": "y"})).unchanged
    (tmp_path / "q" / "src" / "write.py").unlink()
    first, second = local.schedules.begin_trigger("file"), local.schedules.begin_trigger("file")
    assert first != second, "by hand it runs as often as it is asked for"
    assert ended(local, first).status is JobState.COMPLETED
    assert ended(local, second).inputs["word"] == "y"
    assert {run.run for run in local.schedules.get("file").last_runs} == {first, second}
    inline = InlinePipeline(path.read_text(), str(small_pipeline(tmp_path / "r").with_name("schedule.yml")))
    local.schedules.create_or_update(CreateSchedule("inline", MONDAYS, inline=inline, enabled=False))
    assert ended(local, local.schedules.begin_trigger("inline")).status is JobState.COMPLETED


class Times:
    """A clock that stands where it is put."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


def quiet(local: LocalWorkspace, made: Schedule) -> Times:
    """The service is down, and the time is when the schedule is due next."""
    assert local.service.down(jobs=False, dry_run=False)
    return Times(parse(made.next_runs[0]))


def test_missed_times_are_made_up_for_by_one_run(local: LocalWorkspace) -> None:
    daily = RecurrenceTrigger(Frequency.DAY, 1, (6,), (0,))
    made = local.schedules.create_or_update(CreateSchedule("daily", daily, pipeline="small")).schedule
    clock = quiet(local, made)
    assert "is down" in local.schedules.get("daily").notes[0]
    scheduler = Scheduler(local.store, local.schedules.runs, clock)
    clock.moment -= timedelta(seconds=0.25)
    assert scheduler.tick() == pytest.approx(0.25)
    assert not local.jobs.list()
    clock.moment += timedelta(days=4, hours=1)
    scheduler.tick()
    scheduler.tick()
    (run,) = local.schedules.get("daily").last_runs
    assert parse(run.due) == parse(made.next_runs[4])
    ended(local, run.run)
    clock.moment += timedelta(days=1)
    scheduler.tick()
    assert len(local.schedules.get("daily").last_runs) == 2
    # Set back: what ran does not run again.
    clock.moment -= timedelta(days=3)
    scheduler.tick()
    runs = local.schedules.get("daily").last_runs
    assert len(runs) == 2
    for each in runs:
        ended(local, each.run)


def test_a_clock_that_was_ahead_and_is_set_right_makes_no_schedule_silent(local: LocalWorkspace) -> None:
    daily = RecurrenceTrigger(Frequency.DAY, 1, (6,), (0,))
    made = local.schedules.create_or_update(CreateSchedule("daily", daily, pipeline="small")).schedule
    clock = quiet(local, made)
    scheduler = Scheduler(local.store, local.schedules.runs, clock)
    clock.moment += timedelta(days=5, minutes=1)
    scheduler.tick()
    assert len(local.schedules.get("daily").last_runs) == 1
    clock.moment -= timedelta(days=5)
    scheduler.tick()
    for day in range(1, 5):
        clock.moment = parse(made.next_runs[day])
        scheduler.tick()
        scheduler.tick()
        assert len(local.schedules.get("daily").last_runs) == day + 1
    clock.moment = parse(made.next_runs[0]) + timedelta(days=5)
    scheduler.tick()
    runs = local.schedules.get("daily").last_runs
    assert len(runs) == 5, "the time that had its run already gets no other"
    assert len({run.due for run in runs}) == 5
    for each in runs:
        ended(local, each.run)


def test_a_schedule_made_while_the_clock_was_ahead_runs_when_it_is_set_right(local: LocalWorkspace) -> None:
    hourly = RecurrenceTrigger(Frequency.HOUR, 1)
    made = local.schedules.create_or_update(CreateSchedule("hourly", hourly, pipeline="small")).schedule
    clock = quiet(local, made)
    clock.moment -= timedelta(days=5)
    scheduler = Scheduler(local.store, local.schedules.runs, clock)
    scheduler.tick()
    clock.moment += timedelta(hours=1, minutes=1)
    scheduler.tick()
    (run,) = local.schedules.get("hourly").last_runs
    ended(local, run.run)


def test_a_run_that_cannot_begin_is_told_and_the_schedule_goes_on(local: LocalWorkspace) -> None:
    made = local.schedules.create_or_update(CreateSchedule("orphan", MONDAYS, pipeline="small")).schedule
    clock = quiet(local, made)
    local.pipelines.delete("small")
    Scheduler(local.store, local.schedules.runs, clock).tick()
    found = local.schedules.get("orphan")
    assert found.error == f"{made.next_runs[0]}: the pipeline small of the schedule orphan is gone"
    assert found.last_runs == ()
    with local.store.read() as connection:
        record = schedule_records.load(connection, "orphan")
    assert record is not None
    assert record.next_at == made.next_runs[1]


def test_what_rests_is_not_made_up_for(local: LocalWorkspace) -> None:
    made = local.schedules.create_or_update(CreateSchedule("rests", soon(0.2), pipeline="small", enabled=False)).schedule
    assert made.next_runs == ()
    until(lambda: datetime.now(UTC) > parse(made.created_at) + timedelta(seconds=0.4))
    found = local.schedules.enable("rests")
    assert parse(found.next_runs[0]) > datetime.now(UTC)
    assert found.last_runs == ()
