"""Durations as people write them: `5m`, `90s`, `1h30m`, or plain seconds."""

from __future__ import annotations

import re

from opsml_cli.domain.errors import UsageError

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?\Z", re.ASCII)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])", re.ASCII)
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z", re.ASCII)
_LONGEST = 366 * 86400.0


def parse_duration(text: str, what: str = "duration") -> float:
    """Seconds, more than zero and at most a year. Units go from large to small, each once; UsageError otherwise."""
    body = text.strip().lower()
    seconds = float(body) if _PLAIN.match(body) else _sum_of_parts(body)
    if seconds is None or not 0 < seconds <= _LONGEST:
        raise UsageError(
            f"{text!r} is no valid {what}",
            cause="expected for example 90s, 5m, 1h30m or plain seconds, more than zero, at most 366d",
        )
    return seconds


def parse_iso(text: str) -> float:
    """Seconds of a duration as Azure's documents write it: `PT30S`, `P1DT2H`. UsageError otherwise."""
    found = _ISO.match(text)
    if found is None or not any(found.groups()):
        raise UsageError(f"{text!r} is no duration", cause="expected ISO 8601, for example PT30S")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def format_iso(seconds: float) -> str:
    """As `parse_iso` reads it."""
    return f"PT{seconds:g}S"


def _sum_of_parts(body: str) -> float | None:
    order = list(_UNITS)
    total, position, last = 0.0, 0, -1
    while position < len(body):
        part = _PART.match(body, position)
        if part is None or order.index(part[2]) <= last:
            return None
        last = order.index(part[2])
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    return total if body else None


def format_duration(seconds: float) -> str:
    """`seconds` in at most two units: `0.4s`, `42s`, `5m`, `1h30m`. Text that `parse_duration` reads when not zero."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}".removesuffix(".0") + "s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
