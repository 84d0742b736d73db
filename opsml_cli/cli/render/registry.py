"""Which render module knows which type: only that module is loaded for a result.

A module `render/<name>.py` holds `RENDERINGS: dict[type, Rendering]`; its types are listed here by class name."""

from __future__ import annotations

from importlib import import_module

from opsml_cli.cli.render.base import Rendering

MODULES: dict[str, str] = {
    # config, doctor, init, workspace, help
    "Setting": "config",
    "Choice": "workspace",
    "WorkspaceState": "workspace",
    "SharedWorkspace": "workspace",
    "Compute": "compute",
    "ComputeCreated": "compute",
    "Diagnosis": "doctor",
    "WrittenSettings": "config",
    "ExitCode": "topic",
    "Variable": "topic",
    "Format": "topic",
    "Planned": "planned",
    "DemoResult": "demo",
    # data
    "DataAsset": "data",
    "DataProfile": "data",
    "Registered": "data",
    # train, jobs, models
    "Job": "job",
    "Trial": "job",
    "Watched": "job",
    "JobLogLine": "job",
    "Downloaded": "job",
    "JobReport": "report",
    "SavedReport": "report",
    "Model": "model",
    "RegisteredModel": "model",
    "Comparison": "comparison",
    "Explanation": "explanation",
    # endpoints, deploy, score
    "OnlineEndpoint": "endpoint",
    "Deployed": "endpoint",
    "ShownKeys": "endpoint",
    "DeletedEndpoint": "endpoint",
    "Invoked": "invoke",
    "Backup": "backup",
    "ScoreResult": "score",
    "ScoredFile": "score",
    "Bench": "bench",
    "BatchEndpoint": "batch",
    "BatchDeployed": "batch",
    "BatchResult": "batch",
    "BatchDeleted": "batch",
    # insights, logs, swagger
    "WatchedStats": "insights",
    "Alert": "alert",
    "AlertDeleted": "alert",
    "EndpointCheck": "alert",
    "LogLine": "insights",
    "InsightsSwitched": "insights",
    "SwaggerDocument": "swagger",
    "SwaggerCheck": "swagger",
    "SavedDocument": "swagger",
    "SwaggerUi": "swagger",
    # pipeline, local
    "PipelineRun": "pipeline",
    "PipelineEndpoint": "pipeline",
    "Published": "pipeline",
    "PipelineUrl": "pipeline",
    "PipelineDeleted": "pipeline",
    "Schedule": "schedule",
    "ScheduleSaved": "schedule",
    "ScheduleTriggered": "schedule",
    "ScheduleDeleted": "schedule",
    "ServiceStatus": "service",
    "ServiceEnded": "service",
    "ServiceToken": "service",
    "Environment": "service",
}


def rendering_of(kind: type) -> Rendering | None:
    """The Rendering of `kind`, or None for plain values (mappings, texts, numbers)."""
    module = MODULES.get(kind.__name__)
    if module is None:
        return None
    found = import_module(f"opsml_cli.cli.render.{module}").RENDERINGS
    rendering: Rendering | None = found.get(kind)
    return rendering
