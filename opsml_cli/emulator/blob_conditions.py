"""Conditional headers and ranges of blob requests: pure logic over one object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC

from opsml_cli.emulator.blob_access import refusal
from opsml_cli.emulator.blob_text import http_moment
from opsml_cli.local.clock import parse
from opsml_cli.local.storage.objects import StoredObject

_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z", re.ASCII)


def check_write(item: StoredObject | None, headers: Mapping[str, str]) -> None:
    """Refuse a write whose conditions the object does not meet; None: there is none."""
    if item is not None and headers.get("if-none-match") == "*":
        raise refusal(409, "BlobAlreadyExists")
    if _failed(item, headers) or _matches(item, headers.get("if-none-match")) or _unmodified(item, headers):
        raise refusal(412, "ConditionNotMet")


def check_read(item: StoredObject, headers: Mapping[str, str]) -> bool:
    """Whether the object is to be sent; False when the reader has it already (304). Refuses with 412."""
    if _failed(item, headers):
        raise refusal(412, "ConditionNotMet")
    return not (_matches(item, headers.get("if-none-match")) or _unmodified(item, headers))


def asked_range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """The first byte and the length that were asked for; None: everything. Refuses a range behind the end, so every range
    of an empty object. A header in another form than storage knows is no range."""
    found = _RANGE.match(headers.get("x-ms-range") or headers.get("range") or "")
    if found is None:
        return None
    start, end = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and end < start:
        return None
    if start >= size:
        raise refusal(416, "InvalidRange", Content_Range=f"bytes */{size}")
    return start, min(end, size - 1) - start + 1


def _failed(item: StoredObject | None, headers: Mapping[str, str]) -> bool:
    wanted = headers.get("if-match")
    if wanted is not None and not _matches(item, wanted):
        return True
    until = http_moment(headers.get("if-unmodified-since", ""))
    return until is not None and item is not None and _seconds(item) > until.timestamp()


def _matches(item: StoredObject | None, tags: str | None) -> bool:
    if item is None or tags is None:
        return False
    return tags.strip() == "*" or item.etag in {tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")}


def _unmodified(item: StoredObject | None, headers: Mapping[str, str]) -> bool:
    since = http_moment(headers.get("if-modified-since", ""))
    return since is not None and item is not None and _seconds(item) <= since.timestamp()


def _seconds(item: StoredObject) -> float:
    """The time of the last change, as exact as HTTP tells it."""
    return parse(item.modified_at).astimezone(UTC).replace(microsecond=0).timestamp()
