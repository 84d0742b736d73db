"""What Azure's SDK says of a file or value before it sends anything, taken apart: the field, what was given, what is expected.

It says so in several ways: a sentence, a tree of messages by field, or a list of messages with paths, and these inside each
other, with advice around them that is of no use to the reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opsml_cli.azureml.refusals import short
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.fields import did_you_mean

_INTRODUCTION = re.compile(r"Validation for \w+ failed:\s*(?=\{)")
_MISSING = "missing data for required field"
_UNKNOWN = "unknown field"
# The SDK says the last of a file that is not there.
_NO_FILE = re.compile(r"no such file|does not exist|can(?:no|')t find|not found|path does not match asset type", re.IGNORECASE)
_DEEPEST = 20
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """`field` is dotted, empty where the SDK names none. `given` None: nothing, or it does not say. `place` is a file, with
    its line."""

    field: str
    expected: str
    given: object = None
    place: str | None = None


def origin_of(error: BaseException) -> BaseException | None:
    """The refusal of a schema or value that `error` is, or that the SDK wrapped into it; None when there is none."""
    for each in _chain(error):
        module, kinds = type(each).__module__.partition(".")[0], {kind.__name__ for kind in type(each).__mro__}
        if module in ("marshmallow", "jsonschema") or kinds & {"ValidationException", "UserErrorException"}:
            return each
    return None


def problems_of(error: BaseException) -> list[Problem]:
    """What is wrong according to an exception of the SDK or of the schemas that it uses, at least one."""
    data = next((found for each in _chain(error) if isinstance(found := getattr(each, "data", None), Mapping)), {})
    told = _of_text(str(getattr(error, "message", None) or error), 0)
    return [one if one.given is not None else replace(one, given=_at(data, one.field)) for one in told]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it came from, nearest first."""
    following: BaseException | None = error
    for _ in range(_DEEPEST):
        if following is None:
            return
        yield following
        following = following.__cause__ or following.__context__


def _at(data: Mapping[str, Any], field: str) -> object:
    found: Any = data
    for part in field.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def invalid(error: BaseException, what: str) -> InvalidInputError:
    """The error to show for it: the first problem in the message, all of them in the cause."""
    problems = problems_of(error)
    first = problems[0]
    where = f"{first.field}: " if first.field else ""
    causes = [_told(problem) for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        causes.append(f"and {len(problems) - _SHOWN} more")
    return InvalidInputError(
        f"{what}: {where}{short(first.expected).rstrip('.')}", cause="; ".join(causes), fix=_next(first, problems)
    )


def _told(problem: Problem) -> str:
    given = "nothing was given" if _is(problem, _MISSING) else ""
    if problem.given is not None:
        given = f"given {short(json.dumps(problem.given, default=str))}"
    said = f"{problem.field or 'the SDK says'}: {short(problem.expected).rstrip('.')}"
    return said + (f" ({given})" if given else "")


def _next(first: Problem, problems: Sequence[Problem]) -> str:
    name = first.field.rpartition(".")[2]
    place = f" in {first.place.replace('#line ', ', line ')}" if first.place else ""
    if _is(first, _UNKNOWN):
        missing = [one.field.rpartition(".")[2] for one in problems if _is(one, _MISSING)]
        hint = did_you_mean(name, missing) if missing else None
        return f"take {first.field} out{place}, or correct its spelling" + (f": {hint}" if hint else "")
    if _is(first, _MISSING):
        return f"add {first.field}{place}, and run the same command again"
    if _NO_FILE.search(first.expected):
        return f"check the path{place}: it is read from the folder of the file that names it; then run the same command again"
    return f"correct {first.field or 'what was given'}{place}, and run the same command again"


def _is(problem: Problem, sentence: str) -> bool:
    return problem.expected.casefold().startswith(sentence)


def _of_text(text: str, depth: int) -> Iterator[Problem]:
    begin = _INTRODUCTION.search(text)
    start = begin.end() if begin is not None else 0
    document = None
    if text[start:].lstrip().startswith("{") and depth < _DEEPEST:
        try:
            document, _ = json.JSONDecoder().raw_decode(text[start:].lstrip())
        except (ValueError, RecursionError):
            document = None
    if not isinstance(document, Mapping):
        yield Problem("", _sentence(text))
        return
    listed = document.get("errors")
    if "result" not in document or not isinstance(listed, Sequence):
        yield from _of_tree(document, ())
        return
    for one in listed:
        path = str(one.get("path") or "").strip("*")
        for inner in _of_text(str(one.get("message") or ""), depth + 1):
            field = ".".join(part for part in (path, inner.field) if part)
            given = inner.given if inner.given is not None else one.get("value")
            yield Problem(field, inner.expected, given, inner.place or one.get("location"))


def _of_tree(tree: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[Problem]:
    """Messages by field, as deep as they go. Marshmallow puts a dictionary's entries below `key` and `value`."""
    for key, below in tree.items():
        deeper = path if key == "_schema" or (path and key in ("key", "value")) else (*path, str(key))
        if isinstance(below, Mapping) and len(deeper) < _DEEPEST:
            yield from _of_tree(below, deeper)
            continue
        for message in below if isinstance(below, list) else [below]:
            for inner in _of_text(str(message), len(deeper) + 1):
                yield replace(inner, field=".".join(part for part in (*deeper, inner.field) if part))


def _sentence(text: str) -> str:
    """The message without the advice behind it."""
    return " ".join(text.partition("If you are trying to configure")[0].partition("Visit this link")[0].split())
