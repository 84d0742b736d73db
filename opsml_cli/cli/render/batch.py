"""How batch endpoints and their runs are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opsml_cli.cli import formats
from opsml_cli.cli.render.base import Rendering
from opsml_cli.cli.text import escape_line
from opsml_cli.domain.batch import BatchDeployed, BatchDeployment, BatchEndpoint, BatchRun
from opsml_cli.domain.durations import format_duration
from opsml_cli.services.batch import BatchDeleted, BatchResult

_MAIN = ("endpoint", "state", "default", "deployments", "created_at")
_RUN = ("run", "endpoint", "deployment", "status", "results", "failed_files", "outputs")


def _deployment(found: BatchDeployment) -> dict[str, object]:
    return {
        "deployment": found.name,
        "type": found.type,
        "state": found.state,
        "model": found.model,
        "scoring_script": found.scoring_script,
        "component": found.component,
        "compute": found.compute,
        "settings": found.settings,
        "description": found.description,
        "tags": found.tags,
        "created_at": found.created_at,
        "detail": found.detail,
    }


def _endpoint(found: BatchEndpoint) -> dict[str, object]:
    return {
        "endpoint": found.name,
        "state": found.state,
        "default": found.default,
        "deployments": [_deployment(each) for each in found.deployments],
        "scoring_uri": found.scoring_uri,
        "auth_mode": found.auth_mode,
        "description": found.description,
        "tags": found.tags,
        "created_at": found.created_at,
    }


def _deployed(done: BatchDeployed) -> dict[str, object]:
    return {
        "endpoint": done.endpoint.name,
        **_deployment(done.deployment),
        "default": done.endpoint.default,
        "unchanged": done.unchanged,
    }


def _what(found: BatchDeployment) -> str:
    parts = []
    if found.scoring_script is not None:
        parts.append(f"script {found.scoring_script}")
    if found.model is not None:
        parts.append(f"model {found.model.name}:{found.model.version}")
    if found.component is not None:
        parts.append(f"pipeline {found.component}")
    return escape_line(", ".join(parts))


def _deployment_line(found: BatchDeployment, default: str | None) -> str:
    line = f"  {found.name}  {found.state}  {_what(found)}" + ("  (default)" if found.name == default else "")
    return line + (f"\n    {escape_line(found.detail)}" if found.detail else "")


def _settings_lines(found: BatchDeployment) -> list[str]:
    if found.settings is None:
        return []
    said = found.settings
    retries = said.retry_settings
    return [
        f"    mini_batch_size {said.mini_batch_size}, max_concurrency_per_instance {said.max_concurrency_per_instance}, "
        f"instance_count {said.instance_count}",
        f"    error_threshold {said.error_threshold}, max_retries {retries.max_retries}, "
        f"timeout {format_duration(retries.timeout)}",
        f"    output_action {said.output_action}, output_file_name {escape_line(said.output_file_name)}",
    ]


def _endpoint_view(found: BatchEndpoint, _width: int) -> str:
    lines = [f"{found.name}  {found.state}"]
    if found.description:
        lines.append(f"  {escape_line(found.description)}")
    if found.scoring_uri:
        lines.append(f"  {found.scoring_uri}")
    for each in found.deployments:
        lines += [_deployment_line(each, found.default), *_settings_lines(each)]
    if not found.deployments:
        lines.append(f"  no deployment yet: opsml batch deploy MODEL --endpoint {found.name}")
    return "\n".join(lines)


def _list_view(found: Sequence[BatchEndpoint], width: int) -> str:
    rows = [
        [each.name, str(each.state), each.default or "", ", ".join(one.name for one in each.deployments), each.created_at]
        for each in found
    ]
    return formats.to_table(["endpoint", "state", "default", "deployments", "created"], rows, width)


def _deployed_view(done: BatchDeployed, _width: int) -> str:
    head = f"{'unchanged' if done.unchanged else 'deployed'} {done.endpoint.name}/{done.deployment.name}"
    lines = [head, _deployment_line(done.deployment, done.endpoint.default)]
    lines.append(f"  next   opsml batch run {done.endpoint.name} INPUT")
    return "\n".join(lines)


def _run(found: BatchRun) -> dict[str, object]:
    return {
        "run": found.run,
        "endpoint": found.endpoint,
        "deployment": found.deployment,
        "status": found.status,
        "results": found.results,
        "failed_files": found.failed_files,
        "mini_batches": found.mini_batches,
        "outputs": found.outputs,
        "inputs": found.inputs,
        "experiment": found.experiment,
        "workspace": found.workspace,
        "created_at": found.created_at,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
        "duration_seconds": found.duration_seconds,
        "error": found.error,
    }


def _result(found: BatchResult) -> dict[str, object]:
    return {**_run(found.run), "files": list(found.files)}


def _result_view(result: BatchResult, _width: int) -> str:
    found = result.run
    took = f" in {format_duration(found.duration_seconds)}" if found.duration_seconds is not None else ""
    lines = [f"{found.run}  {found.status}{took}  {found.endpoint}/{found.deployment}"]
    if found.results is not None:
        lines.append(f"  results  {found.results:,}, {found.failed_files or 0} files failed")
    lines += [f"  output   {name}: {escape_line(text)}" for name, text in found.outputs.items()]
    lines += [f"  file     {escape_line(name)}" for name in result.files]
    if found.status.finished and not result.files:
        lines.append(f"  next     opsml jobs download {found.run}")
    return "\n".join(lines)


def _outputs(result: BatchResult) -> Mapping[str, str]:
    found = {"run": result.run.run, "status": result.run.status.value}
    return found if result.run.results is None else {**found, "results": str(result.run.results)}


RENDERINGS: dict[type, Rendering] = {
    BatchEndpoint: Rendering(document=_endpoint, columns=_MAIN, view=_endpoint_view, list_view=_list_view),
    BatchDeployed: Rendering(
        document=_deployed,
        columns=("endpoint", "deployment", "type", "state", "model", "default", "unchanged"),
        view=_deployed_view,
        outputs=lambda done: {"endpoint": done.endpoint.name, "deployment": done.deployment.name},
    ),
    BatchResult: Rendering(document=_result, columns=_RUN, view=_result_view, outputs=_outputs),
    BatchDeleted: Rendering(
        document=lambda found: {"endpoint": found.endpoint, "deployment": found.deployment, "deleted": True},
        view=lambda found, _width: (
            f"deleted batch endpoint {found.endpoint}" + (f"/{found.deployment}" if found.deployment else "")
        ),
    ),
}
