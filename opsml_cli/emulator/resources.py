"""What the resources of the resource manager have in common: envelope, times, pages, views."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from opsml_cli.emulator.clock import stamp
from opsml_cli.emulator.wire import Call, WireError
from opsml_cli.local.clock import parse

Item = TypeVar("Item")
PROVIDER = "Microsoft.MachineLearningServices"
PAGE = 50
_VIEWS = {"activeonly": (False,), "archivedonly": (True,), "all": (False, True)}
_ORDERS = {
    "createdtime desc": True,
    "createdtime asc": False,
    "createdtime": False,
    "createdat desc": True,
    "createdat asc": False,
}


def envelope(
    call: Call, path: Sequence[str], kind: str, properties: Mapping[str, Any], system: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """A resource of the workspace: `path` are the segments below the workspace (`data`, name, `versions`, version), `kind`
    its type below `workspaces` (`data/versions`); its name is the path's last segment."""
    return {
        "id": "/".join((call.served.arm_id, *path)),
        "name": path[-1],
        "type": f"{PROVIDER}/workspaces/{kind}",
        **more,
        "properties": dict(properties),
        "systemData": dict(system),
    }


def when(text: str) -> str:
    """A stamp of the workspace as the resource manager writes it."""
    return stamp(parse(text))


def who(call: Call) -> str:
    """Who calls, as records keep it."""
    return call.principal.name if call.principal is not None else "opsml"


def system_data(
    created_at: str, created_by: str | None, modified_at: str | None = None, modified_by: str | None = None
) -> dict[str, Any]:
    """`createdBy` and its kin; `lastModifiedBy` only once somebody changed the resource."""
    found = {"createdAt": when(created_at), "createdBy": created_by or "opsml", "createdByType": "Application"}
    if modified_at is not None:
        found["lastModifiedAt"] = when(modified_at)
    if modified_by is not None:
        found |= {"lastModifiedBy": modified_by, "lastModifiedByType": "Application"}
    return found


def location(call: Call) -> str:
    """The resource's own URL, as the answer to a PUT names it."""
    return f"{call.site.base}{call.path}?api-version={call.api_version}"


def location_of(text: str) -> str:
    """An Azure region as the resource manager writes it: lower case, without spaces."""
    return text.replace(" ", "").lower()


def viewed(call: Call, items: Iterable[Item], archived: Callable[[Item], bool]) -> list[Item]:
    """The items that `listViewType` asks for: the active ones unless it says otherwise."""
    text = call.query.get("listViewType", "ActiveOnly")
    wanted = _VIEWS.get(text.lower())
    if wanted is None:
        raise WireError(400, f"The listViewType '{text}' is not valid.", inner=("BadArgument", "ArgumentInvalid"))
    return [item for item in items if archived(item) in wanted]


def ordered(call: Call, items: Sequence[Item], created: Callable[[Item], Any]) -> list[Item]:
    """The items by their creation, newest first unless `$orderBy` says otherwise."""
    text = call.query.get("$orderBy", call.query.get("orderBy", "createdtime desc"))
    newest = _ORDERS.get(text.strip().lower())
    if newest is None:
        raise WireError(400, f"The $orderBy '{text}' is not supported.", inner=("BadArgument", "ArgumentInvalid"))
    return sorted(items, key=created, reverse=newest)


def page(call: Call, items: Sequence[Item], key: Callable[[Item], str], document: Callable[[Item], Any]) -> dict[str, Any]:
    """One page of `items`. `nextLink` is absolute and keeps the query; it is left out on the last page. `key` names an item
    for ever, so that a page goes on where the one before ended, whatever was added meanwhile."""
    start = _start(call, [key(item) for item in items])
    size = min(_count(call), PAGE)
    found = {"value": [document(item) for item in items[start : start + size]]}
    if start + size < len(items):
        token = base64.b64encode(json.dumps([start + size, key(items[start + size])]).encode()).decode()
        query = urlencode(
            {**{name: text for name, text in call.query.items() if name != "$skipToken"}}, quote_via=quote, safe="$"
        )
        return {**found, "nextLink": f"{call.site.base}{call.path}?{query}&$skipToken={quote(token, safe='')}"}
    return found


def _count(call: Call) -> int:
    for name in ("$top", "count"):
        text = call.query.get(name)
        if text is not None:
            if not (text.isascii() and text.isdigit()) or int(text) < 1:
                raise WireError(400, f"The {name} '{text}' is not valid.", inner=("BadArgument", "ArgumentInvalid"))
            return int(text)
    return PAGE


def _start(call: Call, keys: Sequence[str]) -> int:
    text = call.query.get("$skipToken", call.query.get("$skip"))
    if text is None:
        return 0
    try:
        offset, key = json.loads(base64.b64decode(text, validate=True))
        return keys.index(key) if key in keys else int(offset)
    except (ValueError, TypeError):
        raise WireError(400, "The skip token is not valid.", inner=("BadArgument", "ArgumentInvalid")) from None
