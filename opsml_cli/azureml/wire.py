"""Azure's documents in our words: times, names out of ARM ids, types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opsml_cli.domain.errors import ContractError

_FRACTION = re.compile(r"(\.\d{6})\d+")


def stamp(text: str | None) -> str:
    """A time of Azure (up to seven fractional digits, `Z` or an offset) as ISO 8601 UTC with milliseconds and `Z`; empty for
    none."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except ValueError as error:
        raise ContractError(f"Azure gave {text!r} as a time") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def created_at(document: Mapping[str, Any]) -> str:
    """When a resource was made."""
    return stamp((document.get("systemData") or {}).get("createdAt"))


def from_id(arm_id: str, kind: str) -> str:
    """The name behind `kind` in an ARM id: `from_id(…/data/bank/versions/1, "data")` is `bank`."""
    parts = arm_id.split("/")
    for place, part in enumerate(parts[:-1]):
        # The provider's own name may hold such a word; only what stands behind the workspace counts.
        if part.casefold() == kind.casefold() and "workspaces" in (other.casefold() for other in parts[:place]):
            return parts[place + 1]
    raise ContractError(f"Azure gave {arm_id!r} as the id of one of {kind}")
