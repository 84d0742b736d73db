"""The computes of a local workspace: this machine, and the clusters that Azure's clients know it by."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from opsml_cli.domain.compute import THIS_MACHINE, Compute, ComputeCreated, ComputeState, CreateCompute
from opsml_cli.domain.errors import ConflictError, NotFoundError, QuotaError, UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.local import vm_sizes
from opsml_cli.local.clock import now
from opsml_cli.local.compute_records import ComputeRecord, ComputeRecords


class LocalComputes:
    """The ComputeOperations port. Jobs run on this machine, whatever compute they name."""

    def __init__(self, records: ComputeRecords) -> None:
        self._records = records

    def list(self) -> Sequence[Compute]:
        """This machine first."""
        return [this_machine(), *map(_compute, self._records.list())]

    def get(self, name: str) -> Compute:
        if name.casefold() == THIS_MACHINE:
            return this_machine()
        found = self._records.find(name)
        if found is None:
            known = [one.name for one in self.list()]
            raise NotFoundError(f"no compute {name!r}", cause=did_you_mean(name, known), fix="opsml compute list")
        return _compute(found)

    def begin_create(self, spec: CreateCompute) -> ComputeCreated:
        """Record a cluster under its name, so that what names it finds it here too; it is there at once."""
        spec.check()
        size = vm_sizes.find(spec.size)
        if size.cores * spec.max_nodes > size.limit:
            raise QuotaError(
                f"{spec.max_nodes} nodes of {size.name} are more than a subscription's cores",
                cause=f"{size.cores * spec.max_nodes} cores are needed, {size.limit} is the limit",
                fix="fewer nodes, or a smaller size",
            )
        held = self._records.find(spec.name)
        if held is not None and held.size.casefold() != size.name.casefold():
            raise ConflictError(f"compute {held.name} exists with the size {held.size}", fix="give another name")
        same = held is not None and (held.least, held.most) == (spec.min_nodes, spec.max_nodes)
        if spec.dry_run or same:
            planned = _compute(held) if held is not None and same else _planned(spec, size.name)
            return ComputeCreated(planned, same)
        said = _said(spec) if held is None else {**held.document, "scaleSettings": _said(spec)["scaleSettings"]}
        made = self._records.save(spec.name, size.name, spec.min_nodes, spec.max_nodes, said)
        return ComputeCreated(_compute(made), False)


def this_machine() -> Compute:
    """The machine that everything of a local workspace runs on."""
    import psutil

    return Compute(
        name=THIS_MACHINE,
        type="this machine",
        state=ComputeState.SUCCEEDED,
        size=platform.machine() or None,
        min_nodes=1,
        max_nodes=1,
        nodes=1,
        cores=os.cpu_count(),
        memory_gb=round(psutil.virtual_memory().total / (1 << 30), 1),
        location=platform.node() or None,
    )


def _compute(record: ComputeRecord) -> Compute:
    said = record.document
    try:
        size = vm_sizes.find(record.size)
    except UsageError:
        size = None
    return Compute(
        name=record.name,
        type="AmlCompute",
        state=ComputeState.SUCCEEDED,
        size=record.size,
        min_nodes=record.least,
        max_nodes=record.most,
        nodes=0,
        cores=None if size is None else size.cores,
        memory_gb=None if size is None else size.memory,
        low_priority=said.get("vmPriority") == "LowPriority",
        location=said.get("location"),
        created_at=record.created_at,
        description=said.get("description"),
    )


def _planned(spec: CreateCompute, size: str) -> Compute:
    return _compute(ComputeRecord(spec.name, size, spec.min_nodes, spec.max_nodes, now(), now(), _said(spec)))


def _said(spec: CreateCompute) -> dict[str, object]:
    """What a client of Azure would have said of the same cluster."""
    return {
        "location": "local",
        "tags": None,
        "identity": None,
        "description": spec.description,
        "disableLocalAuth": False,
        "vmPriority": "LowPriority" if spec.low_priority else "Dedicated",
        "scaleSettings": {
            "maxNodeCount": spec.max_nodes,
            "minNodeCount": spec.min_nodes,
            "nodeIdleTimeBeforeScaleDown": f"PT{spec.idle_seconds:g}S",
        },
        "subnet": None,
        "remoteLoginPortPublicAccess": "NotSpecified",
        "enableNodePublicIp": True,
        "userAccountCredentials": None,
    }
