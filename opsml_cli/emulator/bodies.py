"""Reading the JSON bodies of requests as Azure does: unknown members are ignored, wrong types and unknown enum values refused.

    properties = Body.of(call).section("properties", required=True)
    mode = properties.choice("mode", ("Auto", "Off"), default="Auto")

A member that is null is a member that is not there. Every refusal is a 400 that names the member."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from opsml_cli.emulator.wire import Call, WireError

_DURATION = re.compile(
    r"(?P<sign>-)?P(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?\Z",
    re.ASCII,
)
_UNITS = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0}


class Body:
    """One JSON object of a request's body and its place there."""

    def __init__(self, value: Mapping[str, Any], place: str = "") -> None:
        self.value = value
        self.place = place

    @classmethod
    def of(cls, call: Call) -> Body:
        return cls(call.document())

    def __contains__(self, key: str) -> bool:
        return self.value.get(key) is not None

    def wrong(self, key: str, message: str, *inner: str) -> WireError:
        """A refusal of the member `key`."""
        return WireError(400, f"{self._path(key)}: {message}", inner=("BadArgument", *(inner or ("ArgumentInvalid",))))

    @overload
    def section(self, key: str, *, required: bool) -> Body: ...
    @overload
    def section(self, key: str) -> Body | None: ...

    def section(self, key: str, *, required: bool = False) -> Body | None:
        value = self._typed(key, Mapping, "an object", required)
        return None if value is None else Body(value, self._path(key))

    def sections(self, key: str) -> Iterator[tuple[str, Body]]:
        """The named objects below `key`; none when it is not there."""
        outer = self.section(key)
        for name in () if outer is None else outer.value:
            inner = outer.section(name) if outer is not None else None
            if inner is not None:
                yield name, inner

    @overload
    def text(self, key: str, *, required: bool) -> str: ...
    @overload
    def text(self, key: str) -> str | None: ...

    def text(self, key: str, *, required: bool = False) -> str | None:
        value = self._typed(key, str, "a string", required)
        if required and not value.strip():
            raise self.wrong(key, "a value is required.", "ArgumentNullOrEmpty")
        return None if value is None else str(value)

    def texts(self, key: str) -> dict[str, str]:
        """An object of strings, such as tags. Null values stay out."""
        found = self.section(key)
        if found is None:
            return {}
        return {name: text for name in found.value if (text := found.text(name)) is not None}

    def words(self, key: str) -> list[str] | None:
        value = self._typed(key, list, "an array", False)
        if value is None:
            return None
        if not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "the value must be an array of strings.")
        return list(value)

    def flag(self, key: str) -> bool | None:
        value = self._typed(key, bool, "true or false", False)
        return None if value is None else bool(value)

    def integer(self, key: str, least: int | None = None) -> int | None:
        value = self.value.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, "the value must be a whole number.")
        if least is not None and value < least:
            raise self.wrong(key, f"the value {value} is out of range: it must be at least {least}.", "ArgumentOutOfRange")
        return value

    def number(self, key: str) -> float | None:
        value = self.value.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(key, "the value must be a number.")
        return float(value)

    def seconds(self, key: str) -> float | None:
        """A duration of ISO 8601, such as `PT10M`, in seconds."""
        text = self.text(key)
        if text is None:
            return None
        seconds = duration_seconds(text)
        if seconds is None:
            raise self.wrong(key, f"the value {text!r} is no ISO 8601 duration.")
        return seconds

    @overload
    def choice(self, key: str, allowed: Sequence[str], *, required: bool) -> str: ...
    @overload
    def choice(self, key: str, allowed: Sequence[str]) -> str | None: ...

    def choice(self, key: str, allowed: Sequence[str], *, required: bool = False) -> str | None:
        """One of an enumeration's values, in its own spelling; case does not count."""
        text = self.text(key, required=required)
        return None if text is None else self.canonical(key, text, allowed)

    def choices(self, key: str, allowed: Sequence[str]) -> list[str] | None:
        """Each of an array's values as `choice` reads it."""
        found = self.words(key)
        return None if found is None else [self.canonical(key, text, allowed) for text in found]

    def canonical(self, key: str, text: str, allowed: Sequence[str]) -> str:
        """`text` as the enumeration spells it."""
        for value in allowed:
            if value.casefold() == text.casefold():
                return value
        raise self.wrong(key, f"the value {text!r} is not valid. Expected one of: {', '.join(allowed)}.")

    def _typed(self, key: str, kind: type, what: str, required: bool) -> Any:
        value = self.value.get(key)
        if value is None:
            if required:
                raise self.wrong(key, "a value is required.", "ArgumentNullOrEmpty")
            return None
        if not isinstance(value, kind):
            raise self.wrong(key, f"the value must be {what}.")
        return value

    def _path(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key


def duration_seconds(text: str) -> float | None:
    """A duration of ISO 8601 without years and months in seconds; None when it is none."""
    match = _DURATION.match(text)
    if match is None or not any(match[unit] for unit in _UNITS):
        return None
    total = sum(factor * float(match[unit]) for unit, factor in _UNITS.items() if match[unit])
    return -total if match["sign"] else total


def duration_text(seconds: float) -> str:
    """Seconds as the shortest ISO 8601 duration of that length: `PT10M`, `P1DT2H`, `PT0.5S`."""
    whole = round(seconds, 3)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    text = f"{int(days)}D" if days else ""
    time = f"{int(hours)}H" if hours else ""
    time += f"{int(minutes)}M" if minutes else ""
    if left or not (text or time):
        time += f"{left:.3f}".rstrip("0").rstrip(".") + "S"
    return f"P{text}T{time}" if time else f"P{text}"
