"""Batch endpoints: deployed from words or a file, called with data that is registered first, waited for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from opsml_cli.domain import names
from opsml_cli.domain.batch import (
    SCORE,
    BatchDeployed,
    BatchDeployment,
    BatchEndpoint,
    BatchRun,
    BatchState,
    DeployBatch,
    InvokeBatch,
)
from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.data import DataType, RegisterData, Registered
from opsml_cli.domain.deployment import CodeSource
from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.errors import (
    CancelledError,
    ConflictError,
    InvalidInputError,
    NotFinishedError,
    NotFoundError,
    UsageError,
    WorkFailedError,
)
from opsml_cli.domain.job import JobState
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services.deploy import DeployRequest, endpoint_name, resolve
from opsml_cli.services.wait import slowest_poll, wait_for

_LONGEST = 32  # letters of an endpoint's name


@dataclass(frozen=True, slots=True)
class BatchDeleted:
    """What `batch delete` took away; runs stay."""

    endpoint: str
    deployment: str | None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """A run, and the files that `--out` copied."""

    run: BatchRun
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchInput:
    """What a run is given: `source` is registered data (NAME[:V]) or a path, `inputs` are a pipeline's."""

    source: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)


def deploy(
    workspace: Workspace,
    spec: DeployBatch,
    model: str | None,
    progress: Progress,
    *,
    wait: bool = True,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> BatchDeployed:
    """Deploy `model` (NAME[:V], or a folder in MLflow format, which is registered first), or what `spec` names itself.

    WorkFailedError when the deployment failed, NotFinishedError after `timeout` seconds, CancelledError on Ctrl-C; in the last
    two it goes on."""
    if model is not None or (spec.code is None and spec.component is None and spec.model is None):
        code = None if spec.code is None else CodeSource(spec.code.code, spec.code.scoring_script)
        found = resolve(workspace, DeployRequest(model, trust=spec.trust, dry_run=spec.dry_run, code=code), progress)
        assert found is not None  # only a script needs none, and then nobody names one
        spec = replace(spec, model=AssetRef(found.name, found.version))
    if not spec.endpoint:
        if spec.model is None:
            raise UsageError("--endpoint is missing", fix="give --endpoint NAME")
        spec = replace(spec, endpoint=_endpoint_of(spec.model.name))
    if workspace.kind == "local" and spec.code is not None and spec.environment is not None:
        progress.note("the environment is for Azure: here the script runs in the Python that opsml runs in")
    begun = workspace.batch_endpoints.begin_deploy(spec)
    if spec.dry_run or not wait or begun.deployment.state.finished:
        return _settled(begun)

    def of(endpoint: BatchEndpoint) -> BatchDeployment:
        return deployment_of(endpoint, spec.deployment)

    try:
        endpoint = wait_for(
            lambda: workspace.batch_endpoints.get(spec.endpoint),
            lambda found: of(found).state.finished,
            timeout=timeout,
            clock=clock or SystemClock(),
            on_update=lambda found: progress.phase(f"{spec.endpoint}/{spec.deployment}: {of(found).state}"),
            still_running=lambda found: NotFinishedError(
                f"deployment {spec.deployment} is {of(found).state} after {format_duration(timeout or 0)}; it goes on",
                fix=f"opsml batch show {spec.endpoint}",
            ),
            slowest=slowest_poll(workspace),
        )
    except KeyboardInterrupt as interrupt:
        raise CancelledError("interrupted; the deployment goes on", fix=f"opsml batch show {spec.endpoint}") from interrupt
    return _settled(BatchDeployed(endpoint, of(endpoint), begun.unchanged))


def _settled(found: BatchDeployed) -> BatchDeployed:
    if found.deployment.state is BatchState.FAILED:
        raise WorkFailedError(
            f"deployment {found.deployment.name} of batch endpoint {found.endpoint.name} failed", cause=found.deployment.detail
        )
    return found


def deployment_of(endpoint: BatchEndpoint, name: str) -> BatchDeployment:
    key = names.key(name)
    found = next((each for each in endpoint.deployments if names.key(each.name) == key), None)
    if found is None:
        known = ", ".join(each.name for each in endpoint.deployments) or "none"
        raise NotFoundError(f"batch endpoint {endpoint.name} has no deployment {name!r}", cause=f"it has: {known}")
    return found


def _endpoint_of(model: str) -> str:
    name = endpoint_name(model)
    return f"{name[: _LONGEST - 6].rstrip('-')}-batch"


def run(
    workspace: Workspace,
    spec: InvokeBatch,
    given: BatchInput,
    progress: Progress,
    *,
    out: str | None = None,
    force: bool = False,
    wait: bool = True,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> BatchResult:
    """Call the endpoint, and with `wait` follow the run to its end; then its results are copied to the folder `out`.

    A path is registered as data first. WorkFailedError when the run failed or was canceled, NotFinishedError after `timeout`
    seconds, CancelledError on Ctrl-C; in the last two the run goes on."""
    if out is not None:
        if not wait:
            raise UsageError("--out waits for the run", fix="leave --no-wait out, or copy later: opsml jobs download RUN")
        _check_free(Path(out), force=force)
    endpoint = workspace.batch_endpoints.get(spec.endpoint)
    wanted = spec.deployment or endpoint.default
    deployment = None if wanted is None else deployment_of(endpoint, wanted)
    script = deployment is not None and deployment.scoring_script is not None
    data = None
    if given.source is not None:
        data = _data(workspace, endpoint.name, given.source, progress, script=script, dry_run=spec.dry_run)
    if data is None and given.source is not None:  # a dry run of a path: nobody can know more before it is registered
        return BatchResult(_planned(workspace, spec, given.source))
    spec = replace(spec, data=data, inputs=given.inputs)
    begun = workspace.batch_endpoints.begin_invoke(spec)
    if spec.dry_run:
        return BatchResult(begun)
    if not wait:
        progress.note(f"run {begun.run} goes on; follow it with: opsml jobs watch {begun.run}")
        return BatchResult(begun)
    ended = _followed(workspace, begun, progress, timeout=timeout, clock=clock or SystemClock())
    if ended.failed_files:
        progress.warn(f"{ended.failed_files} files failed; the log names each: opsml jobs logs {ended.run}")
    failure = failure_of(ended)
    if failure is not None:
        raise failure
    return BatchResult(ended, _copied(workspace, ended, Path(out)) if out is not None else ())


def _data(
    workspace: Workspace, endpoint: str, source: str, progress: Progress, *, script: bool, dry_run: bool
) -> AssetRef | None:
    """The registered data that `source` means, the version fixed now. A `script` takes files of any kind."""
    path = Path(source).expanduser()
    found = _registered(workspace, source, path, progress)
    if found is not None:
        return found
    if not path.exists():
        raise NotFoundError(f"no file or folder {source}", fix="check the path, or name registered data as NAME[:VERSION]")
    kind, suffix = DataType.URI_FILE, "input"
    if path.is_dir():
        table = (path / "MLTable").is_file()
        kind, suffix = (DataType.MLTABLE, "table") if table else (DataType.URI_FOLDER, "folder")
        if not any(each.is_file() for each in path.rglob("*")):
            raise UsageError(f"the folder {source} holds no files")
    name = f"{re.sub(r'[^A-Za-z0-9_-]', '-', endpoint)}-{suffix}"
    try:
        registered = workspace.data.register(RegisterData(name, str(path), type=kind, dry_run=dry_run), progress)
    except InvalidInputError:
        if not script or kind is not DataType.URI_FILE:
            raise
        registered = _alone(workspace, f"{name.removesuffix(suffix)}folder", path, progress, dry_run=dry_run)
    asset = registered.asset
    if dry_run:
        return AssetRef(asset.name, asset.version) if registered.unchanged else None
    if not registered.unchanged:
        progress.note(f"registered {source} as data {asset.name}:{asset.version}")
    return AssetRef(asset.name, asset.version)


def _alone(workspace: Workspace, name: str, path: Path, progress: Progress, *, dry_run: bool) -> Registered:
    """A file that is no table, registered as a folder that holds it alone."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="opsml-") as folder:
        shutil.copyfile(path, Path(folder) / path.name)
        return workspace.data.register(RegisterData(name, folder, type=DataType.URI_FOLDER, dry_run=dry_run), progress)


def _registered(workspace: Workspace, source: str, path: Path, progress: Progress) -> AssetRef | None:
    """The registered data of that name; None when `source` is a path. Where both are there it is the data."""
    try:
        ref = names.parse_ref(source, "data name")
    except UsageError:
        return None
    try:
        found = workspace.data.get(ref)
    except NotFoundError:
        if path.exists():
            return None
        raise
    if path.exists():
        progress.note(f"{source} is the registered data {found.name}:{found.version}; for the path write ./{source}")
    return AssetRef(found.name, found.version)


def _planned(workspace: Workspace, spec: InvokeBatch, source: str) -> BatchRun:
    endpoint = workspace.batch_endpoints.get(spec.endpoint)
    wanted = spec.deployment or endpoint.default
    if wanted is None:
        raise ConflictError(f"batch endpoint {endpoint.name} has no default deployment", fix="name one: --deployment NAME")
    return BatchRun(
        run="",
        endpoint=endpoint.name,
        deployment=deployment_of(endpoint, wanted).name,
        status=JobState.NOT_STARTED,
        experiment=spec.experiment or endpoint.name,
        workspace=workspace.name,
        created_at="",
        inputs={"data": source},
    )


def _followed(workspace: Workspace, begun: BatchRun, progress: Progress, *, timeout: float | None, clock: Clock) -> BatchRun:
    name = begun.run
    try:
        return wait_for(
            lambda: workspace.batch_endpoints.run(name),
            lambda found: found.status.finished,
            timeout=timeout,
            clock=clock,
            on_update=lambda found: progress.phase(_phase(found)),
            still_running=lambda found: NotFinishedError(
                f"run {name} is {found.status} after {format_duration(timeout or 0)} of waiting; it goes on",
                fix=f"opsml jobs watch {name}",
            ),
            slowest=slowest_poll(workspace),
        )
    except KeyboardInterrupt as interrupt:
        raise CancelledError(
            f"interrupted; run {name} goes on", fix=f"opsml jobs watch {name}, or to end it: opsml jobs cancel {name} --yes"
        ) from interrupt


def _phase(found: BatchRun) -> str:
    text = f"{found.run}: {found.status}"
    if found.results is not None:
        text += f", {found.results:,} results, {found.mini_batches or 0:,} mini-batches, {found.failed_files or 0} files failed"
    return text


def failure_of(found: BatchRun) -> WorkFailedError | None:
    """The error that a finished run's verdict is; None when it completed."""
    if found.status is JobState.COMPLETED:
        return None
    if found.status is JobState.CANCELED:
        return WorkFailedError(f"run {found.run} was canceled", fix=f"opsml jobs show {found.run} says how far it came")
    return WorkFailedError(
        f"run {found.run} failed: {found.error or 'no reason is known'}",
        fix=f"the whole story: opsml jobs logs {found.run}; the same command again goes on where a killed run was",
    )


def _check_free(folder: Path, *, force: bool) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not force):
        raise ConflictError(f"{folder} exists", fix="give another folder, or --force to write into it")


def _copied(workspace: Workspace, found: BatchRun, folder: Path) -> tuple[str, ...]:
    """The run's results in `folder`, without the folders that `jobs download` puts around them."""
    import shutil
    import tempfile

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".opsml-") as scratch:
        only = SCORE if not found.outputs or SCORE in found.outputs else None
        written = [Path(each) for each in workspace.jobs.download(found.run, scratch, only)]
        root = _common([each for each in written if each.is_file()], only)
        made = []
        for path in written:
            if path.is_file() and root in path.parents:
                target = folder / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
                made.append(str(target))
    return tuple(sorted(made))


def _common(paths: Sequence[Path], name: str | None) -> Path:
    """The folder of the output `name` among downloaded files, or the one that holds them all."""
    for path in paths:
        for parent in path.parents:
            if name is not None and parent.name == name:
                return parent
    import os

    return Path(os.path.commonpath([each.parent for each in paths])) if paths else Path()
