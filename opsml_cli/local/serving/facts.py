"""How a revision is served, as a process of the endpoint measures it and others read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

IN_PROCESS = "in-process"
COMPILED = "compiled"
PROCESS = "process"


@dataclass(frozen=True, slots=True)
class ServingFacts:
    """`mode` as `domain.endpoint.Serving` has it; `reason` why a foreign model is not compiled; `pids` the processes that
    answer; `seconds` from the start of loading to the end of it; `python` the version that runs it."""

    mode: str
    pids: tuple[int, ...]
    seconds: float
    python: str
    reason: str | None = None

    @staticmethod
    def read(document: Mapping[str, Any]) -> ServingFacts:
        return ServingFacts(**{**document, "pids": tuple(document["pids"])})


def together(found: Iterable[ServingFacts]) -> ServingFacts | None:
    """Those of all processes of an endpoint as one: the slowest start counts."""
    whole: ServingFacts | None = None
    for each in found:
        whole = (
            each if whole is None else replace(whole, pids=(*whole.pids, *each.pids), seconds=max(whole.seconds, each.seconds))
        )
    return whole
