"""What a value of each type of column may be, and what text is read as one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

# What is read from text, as the OpenAPI document tells it; blank text is a missing value. An exponent of two digits keeps
# whatever fits into TEXT_LIMIT finite.
NUMBER_TEXT = r"^\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?0?[0-9]{1,2})?)?\s*$"
INTEGER_TEXT = r"^\s*([+-]?0*[0-9]{1,18}(\.0*)?)?\s*$"
LEAST, MOST = -(1 << 63), (1 << 63) - 1  # of an integer
BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "t", "1", "1.0", "on"), True),
    **dict.fromkeys(("false", "no", "n", "f", "0", "0.0", "off"), False),
}
TEXT_LIMIT = 64  # characters of a number or boolean that comes as text
EXPECTED: Mapping[str, str] = {
    "integer": "an integer of 64 bits or null",
    "number": "a finite number or null",
    "boolean": "true, false or null",
    "string": "text or null",
    "datetime": "a date or time as ISO 8601 text, or null",
}
WRONG = object()  # what `fitting_value` gives for a value that does not fit
# The types that need no look at the value itself, but at the bounds of numbers
PLAIN: Mapping[str, frozenset[type]] = {
    "integer": frozenset((int, float, NoneType)),
    "number": frozenset((int, float, NoneType)),
    "boolean": frozenset((bool,)),
    "string": frozenset((str, NoneType)),
    "datetime": frozenset((NoneType,)),
}
_DIGITS = 40  # of an integer that an error repeats
SHOWN = 200  # characters of a wrong value that an error repeats

_NUMBER = re.compile(NUMBER_TEXT.replace("$", r"\Z"))
_INTEGER = re.compile(INTEGER_TEXT.replace("$", r"\Z"))


def all_plain(kind: str, values: Sequence[object]) -> bool:
    """Whether every value is of its column's own type, so that no check can refuse or change one. It looks at the column as a
    whole, which takes a fraction of the time of looking at each value."""
    if kind == "string" and _all_text(values):
        return True
    types = set(map(type, values))
    if not types <= PLAIN[kind]:
        return False
    numbers: Any = [value for value in values if value is not None] if NoneType in types else values
    if kind not in ("number", "integer") or not numbers:
        return True
    try:
        if kind == "number":
            return float not in types or math.isfinite(sum(numbers))
        whole = float not in types or all(value.is_integer() for value in numbers if type(value) is float)
        return whole and bool(min(numbers) >= LEAST and max(numbers) <= MOST)
    except OverflowError:
        return False


def _all_text(values: Sequence[object]) -> bool:
    try:
        "".join(values)  # type: ignore[arg-type]  # refuses what is no text, sooner than a look at each type
    except TypeError:
        return False
    return True


def fitting_value(value: object, kind: str) -> object:
    """`value` as the column wants it, when it can be read as that without guessing; otherwise `WRONG`."""
    if isinstance(value, str):
        return _from_text(value, kind)
    if kind == "boolean":
        if isinstance(value, bool):
            return value
        return bool(value) if isinstance(value, int | float) and value in (0, 1) else WRONG
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return number_text(value)
    return WRONG


def number_text(value: float) -> str:
    """A finite number as the text of a category: 10001 and 10001.0 are one code, whatever a writer of JSON made of it."""
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))


def _from_text(value: str, kind: str) -> object:
    if kind == "datetime":
        return value if value.strip() else None
    if len(value) > TEXT_LIMIT:
        return WRONG
    text = value.strip()
    if not text:
        return None
    if kind == "boolean":
        return BOOLEANS.get(text.lower(), WRONG)
    if kind == "integer":
        return int(float(text)) if _INTEGER.match(value) and math.isfinite(float(text)) else WRONG
    return float(text) if _NUMBER.match(value) and math.isfinite(float(text)) else WRONG


def shown(value: object) -> object:
    """`value` as an error may repeat it: a JSON scalar of bounded length."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN else value[:SHOWN] + "…"
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return value
    if isinstance(value, int):  # beyond what every reader of JSON holds
        return _digits(value)
    return json_kind(value)


def written(value: object) -> str:
    """`value` in the words of an error: text and what else is quoted in quotes, numbers as they are."""
    return _digits(value) if isinstance(value, int) and not isinstance(value, bool) else repr(shown(value))


def _digits(value: int) -> str:
    """An integer of any length, the middle of a long one left out."""
    if value.bit_length() > 4000:  # Python refuses to write some of them
        return f"an integer of some {int(value.bit_length() * 0.30103) + 1} digits"
    text = str(value)
    return text if len(text) <= _DIGITS else f"{text[:20]}…{text[-5:]} ({len(text.lstrip('-'))} digits)"


def json_kind(value: object) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}.get(
        type(value), "no JSON value"
    )
