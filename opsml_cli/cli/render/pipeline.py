"""How pipelines and their runs are shown."""

from __future__ import annotations

from collections.abc import Mapping

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.cli.text import escape_line
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.pipeline import PipelineEndpoint, PipelineRun, Published, Step
from opsml_cli.services.pipeline import PipelineDeleted, PipelineUrl


def run_document(run: PipelineRun) -> dict[str, object]:
    """The fields of `pipeline trigger` and of `jobs show` for a run."""
    return {
        "run": run.run,
        "pipeline": run.pipeline,
        "version": run.version,
        "status": run.status.value,
        "steps": [_step(step) for step in run.steps],
        "outputs": dict(run.outputs),
        "experiment": run.experiment,
        "inputs": dict(run.inputs),
        "duration_seconds": run.duration_seconds,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "workspace": run.workspace,
        "error": run.error,
    }


def _step(step: Step) -> dict[str, object]:
    return {
        "name": step.name,
        "status": step.status.value,
        "duration_seconds": step.duration_seconds,
        "reused": step.reused,
        "type": step.type,
        "needs": list(step.needs),
        "job": step.job,
        "detail": step.detail,
    }


def _run_view(run: PipelineRun, width: int) -> str:
    head = f"run {run.run}  {run.status.value}"
    if run.duration_seconds is not None:
        head += f"  {format_duration(run.duration_seconds)}"
    lines = [head, f"  pipeline    {run.pipeline or '(not published)'}" + (f":{run.version}" if run.version else "")]
    lines.append(f"  experiment  {run.experiment}")
    lines += [f"  input       {name} = {escape_line(str(value))}" for name, value in run.inputs.items()]
    rows = [[step.name, step.status.value, _took(step), "reused" if step.reused else "", step.job or ""] for step in run.steps]
    table = formats.to_table(("step", "status", "duration", "", "job"), rows, width - 2)
    lines += ["", *(f"  {line}" for line in table.splitlines()), ""]
    failed = [step for step in run.steps if step.detail and not step.reused]
    lines += [f"  {step.name}: {escape_line(step.detail or '')}" for step in failed]
    lines += [f"  output {name}: {escape_line(uri)}" for name, uri in run.outputs.items()]
    if run.error:
        lines.append(f"  error: {escape_line(run.error)}")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _took(step: Step) -> str:
    return "" if step.duration_seconds is None else format_duration(step.duration_seconds)


def _run_outputs(run: PipelineRun) -> Mapping[str, str]:
    return {"run": run.run, "status": run.status.value}


def _run_summary(run: PipelineRun) -> str:
    lines = [f"### Run {run.run}: {run.status.value}", "", "| step | status | duration | reused |", "|---|---|---|---|"]
    lines += [f"| {step.name} | {step.status.value} | {_took(step)} | {'yes' if step.reused else ''} |" for step in run.steps]
    return "\n".join(lines) + "\n"


def pipeline_document(pipeline: PipelineEndpoint, unchanged: bool = True) -> dict[str, object]:
    """The fields of `pipeline publish` and `pipeline show`."""
    return {
        "name": pipeline.name,
        "version": pipeline.version,
        "url": pipeline.url,
        "unchanged": unchanged,
        "default_version": pipeline.default_version,
        "versions": list(pipeline.versions),
        "steps": list(pipeline.steps),
        "inputs": [
            {"name": item.name, "type": item.type, "default": item.default, "optional": item.optional}
            for item in pipeline.inputs
        ],
        "description": pipeline.description,
        "created_at": pipeline.created_at,
        "notes": list(pipeline.notes),
    }


def _pipeline_view(pipeline: PipelineEndpoint, _width: int) -> str:
    head = f"{pipeline.name}:{pipeline.version}" if pipeline.version else f"{pipeline.name}: sound"
    if pipeline.default_version and pipeline.default_version == pipeline.version:
        head += "  (default)"
    lines = [head]
    if pipeline.description:
        lines.append(f"  {escape_line(pipeline.description)}")
    if pipeline.url:
        lines.append(f"  url    {pipeline.url}")
    if len(pipeline.versions) > 1:
        lines.append(f"  versions  {', '.join(pipeline.versions)}")
    lines.append(f"  steps  {' -> '.join(pipeline.steps)}")
    for item in pipeline.inputs:
        default = "required" if item.default is None else f"default {item.default}"
        lines.append(f"  input  {item.name} ({item.type}): {escape_line('optional' if item.optional else default)}")
    return "\n".join(lines)


def _published_view(published: Published, width: int) -> str:
    verb = "unchanged" if published.unchanged else "published"
    view = _pipeline_view(published.pipeline, width)
    return f"{verb} {view}\n  next   opsml pipeline trigger {published.pipeline.name}"


def _published_outputs(published: Published) -> Mapping[str, str]:
    found = published.pipeline
    return {"pipeline": found.name, "version": found.version, "url": found.url or ""}


def _url_document(found: PipelineUrl) -> dict[str, object]:
    document: dict[str, object] = {"pipeline": found.pipeline, "version": found.version, "url": found.url}
    return document if found.command is None else {**document, "command": found.command}


def _url_view(found: PipelineUrl, _width: int) -> str:
    return found.command or found.url or ""


RENDERINGS: dict[type, Rendering] = {
    PipelineRun: Rendering(
        document=run_document,
        columns=("run", "pipeline", "version", "status", "steps", "outputs"),
        view=_run_view,
        outputs=_run_outputs,
        summary=_run_summary,
    ),
    PipelineEndpoint: Rendering(
        document=pipeline_document,
        columns=("name", "version", "url", "default_version", "steps", "created_at"),
        view=_pipeline_view,
    ),
    Published: Rendering(
        document=lambda published: pipeline_document(published.pipeline, published.unchanged),
        columns=("name", "version", "url", "unchanged"),
        view=_published_view,
        outputs=_published_outputs,
    ),
    PipelineDeleted: Rendering(
        document=lambda deleted: {"pipeline": deleted.pipeline, "versions": list(deleted.versions), "deleted": True},
        view=lambda deleted, _width: f"deleted pipeline {deleted.pipeline}: version {', '.join(deleted.versions)}",
    ),
    PipelineUrl: Rendering(document=_url_document, columns=("url",), view=_url_view),
}
