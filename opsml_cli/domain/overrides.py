"""`--set key.path=value`: changes to a parsed document, as `az ml … --set` has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opsml_cli.domain.fields import FieldError, Where


def apply(value: object, overrides: Sequence[tuple[str, object]]) -> object:
    """The document with every `key.path` set to its value, as `--set` has it; `None` takes the key out. Lists are reached by
    position. FieldError for a path through a plain value."""
    found: object = dict(value) if isinstance(value, Mapping) else value
    for path, given in overrides:
        found = _set(found, tuple(path.split(".")), given, ())
    return found


def _set(value: object, path: tuple[str, ...], given: object, where: Where) -> object:
    head, *rest = path
    if not head:
        raise FieldError(where, "the path has an empty part", "expected key.path=value")
    if isinstance(value, list):
        if not head.isdecimal() or int(head) > len(value):
            raise FieldError(where, f"{head!r} is no position of a list of {len(value)}")
        items, place = list(value), int(head)
        before = items[place] if place < len(items) else None
        items[place : place + 1] = [_set(before, tuple(rest), given, (*where, place)) if rest else given]
        return items
    if value is not None and not isinstance(value, Mapping):
        raise FieldError(where, f"{'.'.join(map(str, where))} is {value!r}, and has no key {head!r}")
    entries = dict(value or {})
    if rest:
        entries[head] = _set(entries.get(head), tuple(rest), given, (*where, head))
    elif given is None:
        entries.pop(head, None)
    else:
        entries[head] = given
    return entries
