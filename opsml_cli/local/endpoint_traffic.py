"""Settings of a whole endpoint, and the rules of its traffic."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from opsml_cli.domain.errors import ConflictError, NotFoundError, UsageError
from opsml_cli.local.clock import now
from opsml_cli.local.endpoint_records import DeploymentRecord, EndpointRecord

AUTH_MODES = ("Key", "AMLToken", "AADToken")
MOST_MIRRORED = 50  # percent, Azure's own limit


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What is said of an endpoint beside its deployments. `traffic` and `mirror`: percent by deployment; None: as it is."""

    auth_mode: str = "Key"
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, int] | None = None
    mirror: Mapping[str, int] | None = None


def apply(record: EndpointRecord, settings: EndpointSettings) -> None:
    """Give the record these settings, every rule checked first."""
    if settings.auth_mode not in AUTH_MODES:
        raise UsageError(f"the auth mode {settings.auth_mode!r} is unknown", cause=f"expected one of {', '.join(AUTH_MODES)}")
    traffic = None if settings.traffic is None else checked(record, settings.traffic)
    mirror = None if settings.mirror is None else _checked_mirror(record, settings.mirror, traffic or record.traffic)
    record.auth_mode = settings.auth_mode
    record.description = settings.description
    record.tags = dict(settings.tags)
    if traffic is not None:
        record.set_traffic(traffic)
    if mirror is not None:
        record.mirror = mirror


def preview(before: EndpointRecord | None, name: str, settings: EndpointSettings) -> EndpointRecord:
    """A record of its own with these settings, for whoever wants to know what would change."""
    record = EndpointRecord("", name, now()) if before is None else deepcopy(before)
    apply(record, settings)
    return record


def checked(record: EndpointRecord, traffic: Mapping[str, int]) -> dict[str, int]:
    """`traffic` under the deployments' own names. NotFoundError for one that is not there, ConflictError for one that cannot
    take requests, UsageError for numbers that do not add up to 0 or 100."""
    wanted = {}
    for name, percent in traffic.items():
        found = _able(record, name, percent)
        wanted[found.name] = percent
    total = sum(wanted.values())
    if total not in (0, 100):
        raise UsageError(f"the traffic adds up to {total} percent", cause="expected 100, or 0 for none")
    return wanted


def _checked_mirror(record: EndpointRecord, mirror: Mapping[str, int], traffic: Mapping[str, int]) -> dict[str, int]:
    """One deployment at most is mirrored to, with at most half of the requests, and never one that serves them too."""
    wanted = {}
    for name, percent in mirror.items():
        found = _able(record, name, percent)
        if not percent:
            continue
        if percent > MOST_MIRRORED:
            raise UsageError(f"mirror traffic {percent} for {name!r} is too much", cause=f"expected 0 to {MOST_MIRRORED}")
        if traffic.get(found.name):
            raise UsageError(f"deployment {found.name!r} cannot have traffic and mirror traffic at once")
        wanted[found.name] = percent
    if len(wanted) > 1:
        raise UsageError("the mirror traffic names more than one deployment", cause="expected one at most")
    return wanted


def _able(record: EndpointRecord, name: str, percent: int) -> DeploymentRecord:
    found = deployment_of(record, name)
    if not 0 <= percent <= 100:
        raise UsageError(f"traffic {percent} for {name!r} is no percentage", cause="expected 0 to 100")
    if percent and found.active is None:
        raise ConflictError(
            f"deployment {found.name!r} is {found.state} and cannot take traffic", fix=f"opsml endpoints show {record.name}"
        )
    return found


def deployment_of(record: EndpointRecord, name: str) -> DeploymentRecord:
    found = record.deployment(name)
    if found is None:
        known = ", ".join(each.name for each in record.deployments.values()) or "none"
        raise NotFoundError(
            f"endpoint {record.name!r} has no deployment {name!r}",
            cause=f"it has: {known}",
            fix=f"opsml endpoints show {record.name}",
        )
    return found
