"""Bringing a job's outputs and logs to this machine: every file verified, all of them or none.

The SDK's own download stops at a model and silently brings nothing for a folder, so this reads run history itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.azureml.job_logs import JobLogs
from opsml_cli.azureml.job_mapping import state_of
from opsml_cli.azureml.run_history import RunHistory, RunOutput
from opsml_cli.content import files
from opsml_cli.domain.errors import ConflictError, ContractError, NotFoundError
from opsml_cli.domain.fields import did_you_mean

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context


def download(  # noqa: PLR0917 - two that read, one that is read, and the port's own two
    context: Context, history: RunHistory, logs: JobLogs, job: str, destination: str, output: str | None
) -> Sequence[str]:
    """Copy outputs and logs of `job` (or one output) below `destination`/JOB; the paths written."""
    outputs = history.outputs(job)
    if output is not None:
        if output not in outputs:
            raise NotFoundError(
                f"job {job} has no output {output!r}",
                cause=did_you_mean(output, sorted(outputs)) or ("it has no outputs yet" if not outputs else None),
            )
        outputs = {output: outputs[output]}
    final = Path(destination).expanduser().absolute() / job
    if final.exists():
        raise ConflictError(f"{final} exists already", fix="give another folder with --to, or remove it")
    with files.new_folder(final) as temporary:
        _outputs(context, history, job, outputs, temporary / "outputs")
        if output is None:
            _logs(history, logs, job, temporary / "logs")
        if not any(path.is_file() for path in temporary.rglob("*")):
            raise NotFoundError(f"job {job} has no outputs and no logs yet", fix=f"opsml jobs show {job}")
    return sorted(str(path) for path in final.rglob("*") if path.is_file())


def _outputs(context: Context, history: RunHistory, job: str, outputs: Mapping[str, RunOutput], folder: Path) -> None:
    from opsml_cli.azureml.storage import parse_location
    from opsml_cli.azureml.transfer import download_folder

    for name, output in outputs.items():
        uri = history.resolved(output.asset_id)
        if uri is None:
            raise ContractError(
                f"Azure does not say where output {name!r} of job {job} lies", fix=f"opsml jobs show {job}; try again later"
            )
        location = parse_location(uri)
        written = download_folder(context.storage.container(location.datastore), location.path, folder / _harmless(name))
        if not written:
            raise ContractError(f"output {name!r} of job {job} brought no file", fix="run the same command again")


def _logs(history: RunHistory, logs: JobLogs, job: str, folder: Path) -> None:
    """The job's own logs, and those of its children in a folder each."""
    runs = {job: folder, **{str(run["runId"]): folder / _harmless(str(run["runId"])) for run in history.children(job)}}
    ended = {str(run["runId"]): state_of(run.get("status")).finished for run in history.children(job)}
    for run, place in runs.items():
        for file in logs.files(run, finished=ended.get(run, False)):
            target = place.joinpath(*(_harmless(part) for part in file.path.split("/")))
            target.parent.mkdir(parents=True, exist_ok=True)
            with files.disk_errors(target.name), target.open("xb") as copy:
                for part in logs.content(file):
                    copy.write(part)


def _harmless(name: str) -> str:
    if name in ("", ".", "..") or any(sign in name for sign in "/\\\0:"):
        raise ContractError(f"Azure gave {name!r} as a name, which leaves its folder")
    return name
