"""What a line that some program printed says of itself: when, and how serious."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_OWN_STAMP = re.compile(r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?)\]?\s*", re.ASCII)
_OWN_LEVEL = re.compile(r"\[?(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b\]?(?:\s*[:-])?\s+(?=\S)", re.ASCII)
_ERROR = re.compile(r"\b(?:CRITICAL|FATAL|ERROR)\b|^Traceback |^\w+(?:\.\w+)*(?:Error|Exception)\b", re.ASCII)
_WARNING = re.compile(r"\bWARN(?:ING)?\b|^\S+:\d+: \w*Warning:", re.ASCII)
_SEARCHED = 500  # characters
TRACEBACK = "Traceback (most recent call last):"
LONGEST_BLOCK = 6000  # characters


def split_time(text: str) -> tuple[float | None, str]:
    """The time at the line's beginning (seconds since the epoch; UTC where it names no zone) and the rest of the line."""
    own = _OWN_STAMP.match(text)
    if own is None:
        return None, text
    try:
        parsed = datetime.fromisoformat(own[1].replace(",", "."))
    except ValueError:
        return None, text
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp(), text[own.end() :]


def split_level(text: str) -> tuple[str, str]:
    """The level of a line whose time is split off, and its words without the level that a logger wrote before them."""
    own = _OWN_LEVEL.match(text)
    if own is None:
        return level_of(text), text
    level, rest = level_named(own[1]), text[own.end() :]
    return ("error" if level_of(rest) == "error" and rest.startswith(TRACEBACK) else level), rest


def level_of(text: str) -> str:
    """`error`, `warning` or `info`, by the words that loggers and tracebacks use."""
    head = text[:_SEARCHED]
    return "error" if _ERROR.search(head) else "warning" if _WARNING.search(head) else "info"


def level_named(value: object) -> str:
    """A level's name in any spelling, as one of debug, info, warning, error."""
    text = str(value or "info").lower()
    return {"warn": "warning", "critical": "error", "fatal": "error"}.get(
        text, text if text in ("debug", "info", "warning", "error") else "info"
    )


class Blocks:
    """Puts the lines of one stream together that belong together: a traceback is one message, with its level and its words."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._size = 0

    def feed(self, line: str) -> list[str]:
        """The messages that are whole now that `line` came."""
        if not self._open:
            if line.startswith(TRACEBACK):
                self._open, self._size = [line], len(line)
                return []
            return [line]
        inside = line[:1] in (" ", "\t", "|", "+") and self._size < LONGEST_BLOCK
        self._open.append(line)
        self._size += len(line)
        # The first line at the margin is the exception itself.
        return [] if inside else self.rest()

    def rest(self) -> list[str]:
        """What is open, at the end of the stream."""
        found, self._open, self._size = self._open, [], 0
        return ["\n".join(found)] if found else []
