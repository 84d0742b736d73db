"""Reading an untyped mapping (a parsed YAML or JSON document) into values, with errors that name the field.

    fields = Fields(mapping)
    metric = fields.text("primary_metric")
    limits = fields.section("limits")
    fields.done()          # what nobody asked for is an unknown key

Whoever loaded the document turns a FieldError into an error with file and line (`opsml_cli.documents`).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence

Where = tuple[str | int, ...]


class FieldError(ValueError):
    """The value at `where` (keys and list positions from the top) is wrong: `message`, and what was expected in `cause`."""

    def __init__(self, where: Where, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.where = where
        self.message = message
        self.cause = cause


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, compared without case; None when nothing is near."""
    by_key = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_key, n=1, cutoff=0.6)
    return by_key[found[0]] if found else None


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """A line for an error's cause: the near word, or the choices when they are few."""
    near = nearest(word, known)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"known are: {', '.join(known)}" if 0 < len(known) <= 24 else None


def dotted(where: Where) -> str:
    """`where` as people write it: `limits.max_trials`, `steps[2].name`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Fields:
    """The keys of one mapping, each asked for once. Values of None count as absent."""

    def __init__(self, value: object, where: Where = ()) -> None:
        if not isinstance(value, Mapping):
            raise FieldError(where, f"{dotted(where) or 'the document'} is no mapping", "expected `key: value` lines")
        self._values = value
        self._asked: set[str] = set()
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def raw(self, key: str) -> object:
        """The value as it was parsed, or None."""
        self._asked.add(key)
        return self._values.get(key)

    def problem(self, key: str, expected: str) -> FieldError:
        where = (*self.where, key)
        return FieldError(where, f"{dotted(where)} is {self._values.get(key)!r}", f"expected {expected}")

    def text(self, key: str) -> str | None:
        """Text; numbers are taken as they are written (a column may be named 2026)."""
        value = self.raw(key)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        raise self.problem(key, "text")

    def flag(self, key: str) -> bool | None:
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return value
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        raise self.problem(key, "true or false")

    def integer(self, key: str, *, least: int = 0) -> int | None:
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.problem(key, f"a whole number of at least {least}")
        return value

    def number(self, key: str) -> float | None:
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise self.problem(key, "a number")
        return float(value)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text."""
        value = self.raw(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if isinstance(value, Sequence) and all(isinstance(item, str | int) and not isinstance(item, bool) for item in value):
            return tuple(str(item) for item in value)
        raise self.problem(key, "a list of texts")

    def texts(self, key: str) -> dict[str, str]:
        """A mapping of texts, such as tags."""
        section = self.section(key)
        if section is None:
            return {}
        return {name: section.text(name) or "" for name in list(section._values)}

    def section(self, key: str) -> Fields | None:
        value = self.raw(key)
        return None if value is None else Fields(value, (*self.where, key))

    def keys(self) -> tuple[str, ...]:
        return tuple(str(key) for key in self._values)

    def done(self, known: Iterable[str] = ()) -> None:
        """Refuse the first key that nobody asked for; `known` adds keys to the suggestions."""
        for key in self._values:
            if key not in self._asked and key not in known:
                where = (*self.where, str(key))
                raise FieldError(
                    where, f"unknown key {dotted(where)!r}", did_you_mean(str(key), sorted({*self._asked, *known}))
                )
