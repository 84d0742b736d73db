"""The settings of a batch deployment as Azure's resource manager writes them, which is how both kinds of workspace keep
them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsml_cli.domain.batch import PREDICTIONS, BatchSettings, OutputAction, RetrySettings
from opsml_cli.domain.durations import format_iso, parse_iso

_ACTIONS = {OutputAction.APPEND_ROW: "AppendRow", OutputAction.SUMMARY_ONLY: "SummaryOnly"}


def written(settings: BatchSettings) -> dict[str, Any]:
    """The properties of the resource."""
    retries = settings.retry_settings
    return {
        "environmentVariables": dict(settings.environment_variables),
        "errorThreshold": settings.error_threshold,
        "loggingLevel": settings.logging_level.capitalize(),
        "maxConcurrencyPerInstance": settings.max_concurrency_per_instance,
        "miniBatchSize": settings.mini_batch_size,
        "outputAction": _ACTIONS[settings.output_action],
        "outputFileName": settings.output_file_name,
        "resources": {"instanceCount": settings.instance_count, "instanceType": None, "properties": None},
        "retrySettings": {"maxRetries": retries.max_retries, "timeout": format_iso(retries.timeout)},
    }


def read(properties: Mapping[str, Any]) -> BatchSettings:
    """As `written` wrote it, with Azure's defaults for what is missing."""
    retries = properties.get("retrySettings") or {}
    threshold, most = properties.get("errorThreshold"), retries.get("maxRetries")
    action = str(properties.get("outputAction") or "AppendRow").casefold()
    return BatchSettings(
        mini_batch_size=int(properties.get("miniBatchSize") or 10),
        max_concurrency_per_instance=int(properties.get("maxConcurrencyPerInstance") or 1),
        instance_count=int((properties.get("resources") or {}).get("instanceCount") or 1),
        error_threshold=-1 if threshold is None else int(threshold),
        retry_settings=RetrySettings(3 if most is None else int(most), parse_iso(str(retries.get("timeout") or "PT30S"))),
        output_action=OutputAction.SUMMARY_ONLY if action == "summaryonly" else OutputAction.APPEND_ROW,
        output_file_name=str(properties.get("outputFileName") or PREDICTIONS),
        logging_level=str(properties.get("loggingLevel") or "info").lower(),
        environment_variables=dict(properties.get("environmentVariables") or {}),
    )
