"""Compute clusters of an Azure ML workspace."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import errors, wire
from opsml_cli.domain.compute import Compute, ComputeCreated, ComputeState, CreateCompute, compute_name
from opsml_cli.domain.errors import ConflictError, NotFoundError
from opsml_cli.domain.fields import did_you_mean

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

VERSION = "2024-10-01"
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z", re.ASCII)


class AzureComputes:
    """The ComputeOperations port on Azure, over the resource manager alone."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(self) -> Sequence[Compute]:
        """Newest first."""
        found = [self._compute(one) for one in self._context.rest.pages("{ws}/computes", VERSION)]
        return sorted(found, key=lambda one: one.created_at or "", reverse=True)

    def get(self, name: str) -> Compute:
        found = self._find(name)
        if found is None:
            known = [str(one["name"]) for one in self._context.rest.pages("{ws}/computes", VERSION)]
            raise NotFoundError(
                f"no compute {name!r}", cause=did_you_mean(name, known), fix=f"opsml -w azure compute create {name}"
            )
        return self._compute(found)

    def begin_create(self, spec: CreateCompute) -> ComputeCreated:
        """As the port says. A cluster that failed is made anew."""
        spec.check()
        held = self._find(spec.name)
        known = None if held is None else self._compute(held)
        if known is not None:
            if known.type != "AmlCompute":
                raise ConflictError(f"{known.name} is a compute of another type: {known.type}", fix="give another name")
            if (known.size or "").casefold() != spec.size.casefold():
                raise ConflictError(f"compute {known.name} exists with the size {known.size}", fix="give another name")
            same = (known.min_nodes, known.max_nodes) == (spec.min_nodes, spec.max_nodes)
            if same and known.state is not ComputeState.FAILED:
                return ComputeCreated(known, True)
        body = self._body(spec)
        if spec.dry_run:
            place = f"{self._context.place.arm_id}/computes/{spec.name}"
            return ComputeCreated(self._compute({"id": place, "name": spec.name, **body}), False)
        with errors.translated(f"compute {spec.name}"):
            answer = self._context.rest.send("PUT", f"{{ws}}/computes/{spec.name}", VERSION, body)
        return ComputeCreated(self._compute(answer.value), False)

    def _find(self, name: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._context.rest.find(f"{{ws}}/computes/{compute_name(name)}", VERSION)
        return found

    def _body(self, spec: CreateCompute) -> dict[str, Any]:
        return {
            "location": self._context.region,
            "properties": {
                "computeType": "AmlCompute",
                "description": spec.description,
                "properties": {
                    "vmSize": spec.size,
                    "vmPriority": "LowPriority" if spec.low_priority else "Dedicated",
                    "scaleSettings": {
                        "minNodeCount": spec.min_nodes,
                        "maxNodeCount": spec.max_nodes,
                        "nodeIdleTimeBeforeScaleDown": f"PT{spec.idle_seconds:g}S",
                    },
                },
            },
        }

    @cached_property
    def _sizes(self) -> Mapping[str, Mapping[str, Any]]:
        """What the region knows of its sizes, by name."""
        place = self._context.place
        path = f"/subscriptions/{place.subscription_id}/providers/Microsoft.MachineLearningServices/locations"
        found = self._context.rest.find(f"{path}/{self._context.region}/vmSizes", VERSION) or {}
        return {str(one["name"]).casefold(): one for one in found.get("value") or ()}

    def _compute(self, document: Mapping[str, Any]) -> Compute:
        properties = document["properties"]
        inner = properties.get("properties") or {}
        scale = inner.get("scaleSettings") or {}
        size = inner.get("vmSize")
        of = self._sizes.get(str(size).casefold(), {}) if size else {}
        said = [str((one.get("error") or one).get("message") or "") for one in properties.get("provisioningErrors") or ()]
        state = str(properties.get("provisioningState") or "Creating")
        return Compute(
            name=str(document["name"]),
            type=str(properties["computeType"]),
            state=next((one for one in ComputeState if one.casefold() == state.casefold()), ComputeState.UPDATING),
            size=of.get("name") or size,
            min_nodes=scale.get("minNodeCount"),
            max_nodes=scale.get("maxNodeCount"),
            nodes=inner.get("currentNodeCount"),
            cores=of.get("vCPUs"),
            memory_gb=of.get("memoryGB"),
            low_priority=str(inner.get("vmPriority") or "").casefold() == "lowpriority",
            idle_seconds=_seconds(scale.get("nodeIdleTimeBeforeScaleDown")),
            location=document.get("location"),
            created_at=wire.stamp(properties.get("createdOn")) or None,
            description=properties.get("description") or None,
            error="; ".join(text for text in said if text) or None,
        )


def _seconds(text: object) -> float | None:
    found = _DURATION.match(str(text or ""))
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds
