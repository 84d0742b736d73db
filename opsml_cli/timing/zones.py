"""Time zones under both of their names: IANA's, and the Windows names that Azure's schedules use."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opsml_cli.domain.errors import UsageError

# Azure still offers these two; Windows dropped them.
_FORMER = {"Mid-Atlantic Standard Time": "Etc/GMT+2", "Kamchatka Standard Time": "Asia/Kamchatka"}


def zone(name: str) -> ZoneInfo:
    """The zone that either name means; UsageError for a name that is none."""
    return ZoneInfo(iana(name))


def iana(name: str) -> str:
    """`Europe/Zurich` for itself, `Europe/Berlin` for `W. Europe Standard Time`; UsageError for a name that is none."""
    if name.upper() == "UTC":
        return "UTC"
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    from tzlocal.windows_tz import win_tz

    known = {each.casefold(): found for each, found in {**win_tz, **_FORMER}.items()}
    found = known.get(name.casefold())
    if found is None:
        raise _unknown(name)
    return str(found)


def windows(name: str) -> str:
    """The Windows name, as Azure wants it: `W. Europe Standard Time` for `Europe/Zurich`, `UTC` for itself."""
    if name.upper() == "UTC":
        return "UTC"
    from tzlocal.windows_tz import tz_win, win_tz

    for each in (*win_tz, *_FORMER):
        if each.casefold() == name.casefold():
            return str(each)
    found = tz_win.get(iana(name))
    if found is None:
        raise UsageError(f"Azure has no time zone for {name!r}", fix="give one of its own names, or one as Europe/Berlin")
    return str(found)


def _unknown(name: str) -> UsageError:
    import difflib
    from zoneinfo import available_timezones

    known = {each.casefold(): each for each in available_timezones()}
    near = difflib.get_close_matches(name.casefold().replace(" ", "_"), known, n=1)
    cause = f"did you mean {known[near[0]]!r}?" if near else "expected a name such as UTC, Europe/Zurich, America/New_York"
    return UsageError(f"{name[:80]!r} is no time zone", cause=cause)
