"""A deployment's settings as Azure's resource manager has them on the wire."""

from __future__ import annotations

from opsml_cli.domain.deployment import DataCollector, DeploymentSettings, ProbeSettings, RequestSettings


def settings_on_wire(settings: DeploymentSettings) -> dict[str, object]:
    """The members of `properties` that the settings ask for; what they leave out is the service's to say."""
    found: dict[str, object] = {
        "description": settings.description,
        "properties": dict(settings.properties) or None,
        "requestSettings": None if settings.requests is None else _requests(settings.requests),
        "livenessProbe": None if settings.liveness is None else _probe(settings.liveness),
        "readinessProbe": None if settings.readiness is None else _probe(settings.readiness),
        "modelMountPath": settings.model_mount_path,
        "egressPublicNetworkAccess": settings.egress,
        "dataCollector": None if settings.collector is None else _collector(settings.collector),
    }
    if settings.private_network:
        found["privateNetworkConnection"] = True
        found["properties"] = {**settings.properties, "private-network-connection": "true"}
    return {name: value for name, value in found.items() if value is not None}


def duration(milliseconds: int) -> str:
    """ISO 8601, as Azure's SDK writes it."""
    seconds, rest = divmod(milliseconds, 1000)
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    text = f"{hours}H" if hours else ""
    text += f"{minutes}M" if minutes else ""
    if rest:
        text += f"{seconds}.{rest:03d}".rstrip("0") + "S"
    elif seconds:
        text += f"{seconds}S"
    head = f"P{days}D" if days else "P"
    return f"{head}T{text}" if text else (head if days else "P0D")


def _given(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _requests(settings: RequestSettings) -> dict[str, object]:
    return _given(
        {
            "maxQueueWait": duration(settings.queue_wait_ms) if settings.queue_wait_ms else None,
            "maxConcurrentRequestsPerInstance": settings.concurrency,
            "requestTimeout": duration(settings.timeout_ms) if settings.timeout_ms else None,
        }
    )


def _probe(settings: ProbeSettings) -> dict[str, object]:
    return _given(
        {
            "failureThreshold": settings.failure_threshold,
            "successThreshold": settings.success_threshold,
            "timeout": duration(settings.timeout * 1000) if settings.timeout else None,
            "period": duration(settings.period * 1000) if settings.period else None,
            "initialDelay": duration(settings.initial_delay * 1000) if settings.initial_delay else None,
        }
    )


def _collector(settings: DataCollector) -> dict[str, object]:
    collections = {
        name: _given(
            {
                "dataCollectionMode": "Enabled" if one.enabled else "Disabled",
                "dataId": one.data,
                "samplingRate": settings.sampling_rate,
                "clientId": one.client_id,
            }
        )
        for name, one in settings.collections.items()
    }
    logging = {"captureHeaders": list(settings.headers)} if settings.headers else None
    return _given({"collections": collections, "rollingRate": settings.rolling_rate, "requestLogging": logging})
