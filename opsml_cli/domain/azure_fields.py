"""Fields of Azure ML's YAML that its own reader takes more widely than `Fields` does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError, Fields


def whole(fields: Fields, key: str, least: int) -> int | None:
    """A whole number; Azure's reader takes one that is written as text too."""
    value = fields.raw(key)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()):
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise fields.problem(key, f"a whole number of at least {least}")
    return value


def share(fields: Fields, key: str) -> float | None:
    text = fields.text(key)
    try:
        share = None if text is None else float(text)
    except ValueError:
        share = -1.0
    if share is not None and not 0 <= share <= 1:
        raise fields.problem(key, "a share between 0 and 1")
    return share


def choice(fields: Fields, key: str, known: Mapping[str, str]) -> str | None:
    text = fields.text(key)
    if text is None:
        return None
    if text.casefold() not in known:
        raise fields.problem(
            key, " or ".join(dict.fromkeys(each for each in known if known[each].casefold() == each or "_" in each))
        )
    return known[text.casefold()]


def checked(fields: Fields, key: str, check: Callable[[str], str]) -> str | None:
    text = fields.text(key)
    if text is None:
        return None
    try:
        return check(text)
    except UsageError as error:
        raise FieldError((*fields.where, key), error.message, error.cause) from error
