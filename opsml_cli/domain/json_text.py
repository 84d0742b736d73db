"""One reader of JSON for every server and file: what it lets through can be kept, and answered again."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 100
_LONG = 1000  # digits of an integer that nobody means


class JsonError(ValueError):
    """The text is no JSON, or holds what no answer can say; the message says which, and where."""


def read(content: bytes | str, *, depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text in UTF-8. JsonError for text that is no JSON, and for what could not be written again: halves of
    surrogate pairs, NaN and infinities, numbers beyond all floats, integers of thousands of digits, values nested deeper than
    `depth`."""
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_constant, parse_float=_number, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise JsonError(f"it is no UTF-8: byte {error.start}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(str(error)) from None
    _check(value, depth)
    return value


def writable(text: str) -> bool:
    """Whether the text can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _constant(word: str) -> NoReturn:
    raise JsonError(f"{word} is no JSON value")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonError(f"{text[:40]} is beyond all numbers")
    return value


def _integer(text: str) -> int:
    if len(text) > _LONG:
        raise JsonError(f"an integer of {len(text):,} digits")
    return int(text)


def _check(value: Any, depth: int) -> None:
    """Level by level, so that no nesting ends the interpreter's stack."""
    level: list[tuple[str, Any]] = [("", value)]
    for _ in range(depth + 1):
        inner: list[tuple[str, Any]] = []
        for where, item in level:
            if isinstance(item, str):
                _check_text(item, where)
            elif isinstance(item, dict):
                for key, each in item.items():
                    _check_text(key, where)
                    inner.append((f"{where}.{key}", each))
            elif isinstance(item, list):
                inner += [(f"{where}[{index}]", each) for index, each in enumerate(item)]
        if not inner:
            return
        level = inner
    raise JsonError("it is nested too deeply")


def _check_text(text: str, where: str) -> None:
    if not writable(text):
        place = f" at {where.removeprefix('.')[:200]}" if where else ""
        raise JsonError(f"a text{place} holds half of a surrogate pair: \\u{_half(text):04x}")


def _half(text: str) -> int:
    return next(ord(letter) for letter in text if 0xD800 <= ord(letter) <= 0xDFFF)
