"""Rehearsed failures: what Azure answers when things go wrong, before or after the effect.

A fault is written `KIND[:KEY=VALUE,…]`, such as `throttle:verb=PUT,route=/jobs/,count=2`. On the wire it looks like Azure's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.emulator.wire import WireError

if TYPE_CHECKING:
    from opsml_cli.emulator.identity import Identity

# Kind, and which requests it is for when no `route` says: parts of a path.
KINDS: dict[str, tuple[str, ...]] = {
    "throttle": ("",),
    "error": ("",),
    "unauthorized": ("",),
    "drop": ("",),
    "quota": ("/deployments/", "/computes/"),
    "crash": ("/deployments/",),
    "slow": ("",),
}
_KEYS = ("verb", "route", "count", "skip", "when", "seconds", "status")
_CHANGING = ("PUT", "POST", "PATCH", "DELETE")


class Dropped(Exception):  # noqa: N818 - no error of ours: the connection ends without an answer
    """The connection is to be closed without an answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`verb` None: any; `routes`: one of these is part of the path; the first `skip` fitting requests are spared, the next
    `count` (None: all) meet it, `before` or `after` the effect. `seconds`: of Retry-After, or how much longer an operation
    takes; `status` of `error`."""

    kind: str
    verb: str | None
    routes: tuple[str, ...]
    count: int | None = 1
    skip: int = 0
    when: str = "before"
    seconds: float = 1.0
    status: int = 500

    def fits(self, method: str, path: str) -> bool:
        lower = path.lower()
        verbs = (self.verb,) if self.verb else _CHANGING if self.kind in ("quota", "crash", "slow") else (method,)
        return method in verbs and any(route.lower() in lower for route in self.routes)


class Faults:
    """The faults of one emulator, counted as they happen."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._seen: dict[int, int] = {}
        self._struck = 0
        self._faults = list(faults)

    def add(self, text: str) -> None:
        """One more, from now on. UsageError."""
        with self._lock:
            self._faults.extend(read_faults([text]))

    def clear(self) -> None:
        """None from now on."""
        with self._lock:
            self._faults.clear()
            self._seen.clear()
            self._struck = 0

    @property
    def struck(self) -> int:
        """How many requests have met a fault of these since the last `clear`."""
        with self._lock:
            return self._struck

    def strike(self, when: str, method: str, path: str, identity: Identity, *, signed_in: bool) -> None:
        """Raise what a request meets `before` or `after` its effect: WireError or Dropped; nothing for most. Without a bearer
        token (`signed_in`) none can have expired."""
        others = ("crash", "slow") if signed_in else ("crash", "slow", "unauthorized")
        fault = self._due(method, path, lambda each: each.when == when and each.kind not in others)
        if fault is None:
            return
        if fault.kind == "drop":
            raise Dropped
        if fault.kind == "unauthorized":
            raise identity.expired()
        raise _refusal(fault)

    def crash(self, method: str, path: str) -> bool:
        """Whether the container that this request deploys is to crash."""
        return self._due(method, path, lambda each: each.kind == "crash") is not None

    def delay(self, method: str, path: str) -> float:
        """How many seconds longer the operation that this request begins is to take."""
        fault = self._due(method, path, lambda each: each.kind == "slow")
        return 0.0 if fault is None else fault.seconds

    def _due(self, method: str, path: str, which: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            for number, fault in enumerate(self._faults):
                if not which(fault) or not fault.fits(method, path):
                    continue
                seen = self._seen[number] = self._seen.get(number, 0) + 1
                if seen > fault.skip and (fault.count is None or seen <= fault.skip + fault.count):
                    self._struck += 1
                    return fault
        return None


def _refusal(fault: Fault) -> WireError:
    if fault.kind == "throttle":
        seconds = max(1, round(fault.seconds))
        return WireError(
            429,
            f"Number of requests for subscription exceeded the limit. Please try again after {seconds} seconds.",
            code="TooManyRequests",
            form="plain",
            headers={"retry-after": str(seconds), "x-ms-ratelimit-remaining-subscription-writes": "0"},
        )
    if fault.kind == "quota":
        return WireError(
            400,
            "Not enough quota available for Standard_DS3_v2 in SubscriptionId. Current usage/limit: 96/100. "
            "Additional needed: 8. Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-outofquota",
            code="BadRequest",
            inner=("OutOfQuota",),
        )
    message = "An internal server error occurred. Please try again. If the problem persists, contact support."
    return WireError(fault.status, message, code="InternalServerError", form="plain")


def read_faults(texts: Sequence[str]) -> list[Fault]:
    """UsageError naming what is wrong."""
    return [_read(text) for text in texts]


def _read(text: str) -> Fault:
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        raise UsageError(
            f"{kind!r} is no fault to inject", cause=did_you_mean(kind, list(KINDS)), fix="see docs/reference/emulator.md"
        )
    given: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if key not in _KEYS or not equals:
            raise UsageError(f"--inject {text!r}: {part!r} is none of {', '.join(f'{each}=…' for each in _KEYS)}")
        given[key] = value
    try:
        count = None if given.get("count") == "always" else int(given.get("count", "1"))
        fault = Fault(
            kind,
            given["verb"].upper() if "verb" in given else None,
            (given["route"],) if "route" in given else KINDS[kind],
            count,
            int(given.get("skip", "0")),
            given.get("when", "before"),
            float(given.get("seconds", "60" if kind == "slow" else "1")),
            int(given.get("status", "500")),
        )
    except ValueError as error:
        raise UsageError(f"--inject {text!r}: {error}") from error
    if fault.when not in ("before", "after") or not 500 <= fault.status <= 599 or fault.skip < 0 or fault.seconds < 0:
        raise UsageError(f"--inject {text!r}: when is before or after, status 500 to 599, skip and seconds at least 0")
    return fault
