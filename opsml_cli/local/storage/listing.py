"""Pages of a container's listing: names below a prefix, with what lies behind a delimiter drawn together."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opsml_cli.local.storage.objects import StoredObject


@dataclass(frozen=True, slots=True)
class Page:
    """Objects and prefixes (names up to the first delimiter behind the asked prefix) in the order of their names.
    `marker` is where the next page begins; None on the last one."""

    entries: tuple[StoredObject | str, ...]
    marker: str | None = None


def page(items: Iterable[StoredObject], prefix: str, delimiter: str, limit: int) -> Page:
    """The first `limit` entries of `items` (in order of their paths, all below `prefix`, the earlier pages left out)."""
    found: list[StoredObject | str] = []
    last: str | None = None
    for item in items:
        name = item.path
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            name = name[: end + len(delimiter)]
            if name == last:
                continue
            last = name
        if len(found) == limit:
            return Page(tuple(found), name)
        found.append(item if end < 0 else name)
    return Page(tuple(found))


def merged(stored: Iterator[StoredObject], seen: Iterator[StoredObject]) -> Iterator[StoredObject]:
    """Both in one order; where both have a path, the stored object hides the live one."""
    last: str | None = None
    for item in heapq.merge(stored, seen, key=lambda one: (one.path, one.read_only)):
        if item.path != last:
            yield item
        last = item.path
