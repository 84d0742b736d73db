"""When triggers are due: recurrences and cron, over changes of the clock; the words and the YAML that say so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsml_cli.documents import parse_document
from opsml_cli.domain.errors import InvalidInputError, UsageError
from opsml_cli.domain.schedule import CronTrigger, Frequency, RecurrenceTrigger, Trigger, WeekDay
from opsml_cli.domain.schedule_words import When, describe, read_trigger
from opsml_cli.domain.schedule_yaml import read_schedule
from opsml_cli.timing import due_times, zones

MADE = datetime(2026, 1, 5, 10, 30, tzinfo=UTC)  # a Monday


def times(trigger: Trigger, after: datetime = MADE, count: int = 3, made: datetime = MADE) -> list[str]:
    return [moment.strftime("%m-%d %H:%M") for moment in due_times.next_times(trigger, after, made, count)]


def zurich(**values: object) -> RecurrenceTrigger:
    return RecurrenceTrigger(time_zone="Europe/Zurich", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (RecurrenceTrigger(Frequency.MINUTE, 15), ["01-05 10:45", "01-05 11:00", "01-05 11:15"]),
        (RecurrenceTrigger(Frequency.HOUR, 5), ["01-05 15:30", "01-05 20:30", "01-06 01:30"]),
        (RecurrenceTrigger(Frequency.DAY), ["01-06 10:30", "01-07 10:30", "01-08 10:30"]),
        (RecurrenceTrigger(Frequency.DAY, 2, (6, 18), (0,)), ["01-05 18:00", "01-07 06:00", "01-07 18:00"]),
        (RecurrenceTrigger(Frequency.WEEK, 1, (6,), (0,)), ["01-12 06:00", "01-19 06:00", "01-26 06:00"]),
        (
            RecurrenceTrigger(Frequency.WEEK, 2, (6,), (0,), (WeekDay.FRIDAY, WeekDay.MONDAY)),
            ["01-09 06:00", "01-19 06:00", "01-23 06:00"],
        ),
        (RecurrenceTrigger(Frequency.MONTH, 1, (0,), (0,), (), (31,)), ["01-31 00:00", "03-31 00:00", "05-31 00:00"]),
        (RecurrenceTrigger(Frequency.MONTH, 3), ["04-05 10:30", "07-05 10:30", "10-05 10:30"]),
        (
            RecurrenceTrigger(Frequency.DAY, start_time="2026-02-01T08:00:00", end_time="2026-02-02T08:00:00"),
            ["02-01 08:00", "02-02 08:00"],
        ),
        (RecurrenceTrigger(Frequency.HOUR, start_time="2025-12-31T23:10:00"), ["01-05 11:10", "01-05 12:10", "01-05 13:10"]),
        (CronTrigger("0 6 * * 1"), ["01-12 06:00", "01-19 06:00", "01-26 06:00"]),
        (CronTrigger("0 6 * * 1", start_time="2026-01-19 06:00:00"), ["01-19 06:00", "01-26 06:00", "02-02 06:00"]),
        (CronTrigger("0 6 * * *", "W. Europe Standard Time"), ["01-06 05:00", "01-07 05:00", "01-08 05:00"]),
        (CronTrigger("*/30 * * * *", end_time="2026-01-05T11:00:00"), ["01-05 11:00"]),
    ],
)
def test_times(trigger: Trigger, expected: list[str]) -> None:
    assert times(trigger) == expected


def test_a_time_that_the_clock_jumps_over_comes_later_and_one_shown_twice_comes_once() -> None:
    # 2026-03-29: 02:00 becomes 03:00; 2026-10-25: 03:00 becomes 02:00.
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
    daily = zurich(frequency=Frequency.DAY, hours=(2,), minutes=(30,))
    assert times(daily, spring) == ["03-29 01:30", "03-30 00:30", "03-31 00:30"]
    assert times(daily, autumn) == ["10-25 00:30", "10-26 01:30", "10-27 01:30"]
    both = zurich(frequency=Frequency.DAY, hours=(2, 3), minutes=(30,))
    assert times(both, spring) == ["03-29 01:30", "03-30 00:30", "03-30 01:30"], "03:30 comes once"
    hourly = zurich(frequency=Frequency.HOUR, interval=1)
    assert times(hourly, datetime(2026, 10, 25, 0, tzinfo=UTC)) == ["10-25 00:30", "10-25 01:30", "10-25 02:30"]
    cron = CronTrigger("30 2 * * *", "Europe/Zurich")
    assert times(cron, autumn) == ["10-25 00:30", "10-26 01:30", "10-27 01:30"]
    assert times(cron, spring)[0].startswith("03-29 01:"), "the night is not left out"


TRIGGERS = st.one_of(
    st.builds(
        RecurrenceTrigger,
        frequency=st.sampled_from([Frequency.MINUTE, Frequency.HOUR]),
        interval=st.integers(1, 200),
        time_zone=st.sampled_from(["UTC", "Europe/Zurich", "America/New_York"]),
    ),
    st.builds(
        RecurrenceTrigger,
        frequency=st.sampled_from([Frequency.DAY]),
        interval=st.integers(1, 9),
        hours=st.lists(st.integers(0, 23), max_size=3).map(tuple),
        minutes=st.lists(st.integers(0, 59), max_size=3).map(tuple),
        time_zone=st.sampled_from(["UTC", "Europe/Zurich", "Australia/Lord_Howe"]),
    ),
    st.builds(
        RecurrenceTrigger,
        frequency=st.just(Frequency.WEEK),
        interval=st.integers(1, 5),
        hours=st.lists(st.integers(0, 23), max_size=2).map(tuple),
        week_days=st.lists(st.sampled_from(list(WeekDay)), max_size=3).map(tuple),
        time_zone=st.sampled_from(["UTC", "America/New_York"]),
    ),
    st.builds(
        RecurrenceTrigger,
        frequency=st.just(Frequency.MONTH),
        interval=st.integers(1, 12),
        month_days=st.lists(st.integers(1, 28), max_size=3).map(tuple),
    ),
    st.builds(
        CronTrigger,
        expression=st.builds("{} {} * * {}".format, st.integers(0, 59), st.integers(0, 23), st.sampled_from(["*", "1", "1-5"])),
        time_zone=st.sampled_from(["UTC", "Europe/Zurich", "America/New_York"]),
    ),
)
MOMENTS = st.datetimes(datetime(2026, 1, 5, 11), datetime(2028, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@settings(max_examples=150, deadline=None)
@given(TRIGGERS, MOMENTS)
def test_due_times_go_forward_and_do_not_depend_on_when_one_asks(trigger: Trigger, after: datetime) -> None:
    due_times.check(trigger)
    found = due_times.next_times(trigger, after, MADE, 5)
    assert list(found) == sorted(set(found))
    assert found[0] > after
    for earlier, later in pairwise(found):
        assert due_times.next_due(trigger, earlier, MADE) == later
        middle = earlier + (later - earlier) / 2
        assert due_times.next_due(trigger, middle, MADE) == later
        assert due_times.newest_due(trigger, found[0], middle, MADE) == earlier


def test_the_newest_of_a_million_missed_times_is_found_at_once() -> None:
    trigger = RecurrenceTrigger(Frequency.MINUTE)
    now = MADE + timedelta(days=900, seconds=30)
    assert due_times.newest_due(trigger, MADE, now, MADE) == now - timedelta(seconds=30)


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (CronTrigger("0 6 * *"), "no cron expression"),
        (CronTrigger("0 0 6 * * 1"), "no cron expression"),
        (CronTrigger("0 0 30 2 *"), "no cron expression"),
        (CronTrigger("61 6 * * 1"), "no cron expression"),
        (CronTrigger("0 6 * * 1", "Europe/Zürich"), "no time zone"),
        (CronTrigger("0 6 * * 1", "../../etc/passwd"), "no time zone"),
        (CronTrigger("0 6 * * 1", start_time="tomorrow"), "no valid start time"),
        (CronTrigger("0 6 * * 1", start_time="2026-02-01", end_time="2026-01-01"), "not after the start time"),
        (RecurrenceTrigger(Frequency.DAY, 0), "interval 0"),
        (RecurrenceTrigger(Frequency.DAY, hours=(24,)), "24 is no hour"),
        (RecurrenceTrigger(Frequency.HOUR, hours=(2,)), "no times of day"),
        (RecurrenceTrigger(Frequency.DAY, week_days=(WeekDay.MONDAY,)), "belong to weeks"),
        (RecurrenceTrigger(Frequency.WEEK, month_days=(1,)), "belong to months"),
    ],
)
def test_what_is_wrong_is_said(trigger: Trigger, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        due_times.check(trigger)


def test_zones_have_two_names() -> None:
    assert zones.iana("W. Europe Standard Time") == "Europe/Berlin"
    assert zones.windows("Europe/Zurich") == "W. Europe Standard Time"
    assert zones.iana("kamchatka standard time") == "Asia/Kamchatka"
    assert (zones.iana("utc"), zones.windows("UTC")) == ("UTC", "UTC")


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (When(cron="0  6 * * 1", time_zone="Europe/Zurich"), "cron 0 6 * * 1 (Europe/Zurich)"),
        (When(every="15m"), "every 15 minutes"),
        (When(every="day", at=("06:30",)), "every day at 06:30"),
        (When(every="2 weeks", on="mon,FRI", at=("06:00,18:00",)), "every 2 weeks on monday, friday at 06:00, 18:00"),
        (When(every="month", on="15,1"), "every month on 1, 15"),
    ],
)
def test_words(when: When, said: str) -> None:
    trigger = read_trigger(when)
    due_times.check(trigger)
    assert describe(trigger) == said


@pytest.mark.parametrize(
    "when",
    [
        When(),
        When(cron="* * * * *", every="day"),
        When(cron="* * * * *", at=("06:00",)),
        When(every="0m"),
        When(every="fortnight"),
        When(every="day", at=("6",)),
        When(every="day", at=("06:00", "18:30")),
        When(every="hour", at=("06:00",)),
        When(every="day", on="mon"),
        When(every="week", on="t"),
        When(every="month", on="32"),
    ],
)
def test_wrong_words(when: When) -> None:
    with pytest.raises(UsageError):
        read_trigger(when)


YAML = """\
$schema: https://azuremlschemas.azureedge.net/latest/schedule.schema.json
name: nightly
display_name: Every night
tags: {team: risk}
trigger:
  type: recurrence
  frequency: week
  interval: 1
  schedule: {hours: [4, 5], minutes: 10, week_days: [monday, friday]}
  start_time: "2026-07-10T10:00:00"
  time_zone: Pacific Standard Time
create_job:
  job: ./pipeline.yml
  inputs:
    rows: 10
    data: {type: uri_file, path: azureml:bank:1}
"""


def test_azures_schedule_yaml() -> None:
    document = parse_document(YAML, source="schedule.yml", folder=Path("/somewhere"))
    found = document.read(lambda value: read_schedule(value, document.folder))
    assert found.trigger == RecurrenceTrigger(
        Frequency.WEEK, 1, (4, 5), (10,), (WeekDay.MONDAY, WeekDay.FRIDAY), (), "Pacific Standard Time", "2026-07-10T10:00:00"
    )
    assert (found.name, found.display_name, found.tags) == ("nightly", "Every night", {"team": "risk"})
    assert found.path == str(Path("/somewhere/pipeline.yml"))
    assert found.inputs == {"rows": "10", "data": "azureml:bank:1"}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("frequency: week", "frequency: fortnight", "line 7: trigger.frequency is 'fortnight'"),
        ("monday, friday", "monday, someday", "'someday' is no day"),
        ("interval: 1", "intervall: 1", "trigger.interval is missing"),
        ("./pipeline.yml", "azureml:simple-pipeline", "names a job that ran"),
        ("tags:", "taggs:", "unknown key 'taggs'"),
    ],
)
def test_wrong_yaml_is_told_with_its_line(before: str, after: str, message: str) -> None:
    document = parse_document(YAML.replace(before, after), source="schedule.yml", folder=Path())
    with pytest.raises(InvalidInputError, match=message):
        document.read(lambda value: read_schedule(value, document.folder))


def test_a_series_ends_with_time_itself() -> None:
    assert len(list(islice(due_times.due_after(RecurrenceTrigger(Frequency.MONTH, 1000), MADE, MADE), 200))) < 200
