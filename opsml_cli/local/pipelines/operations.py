"""Pipelines of a local workspace: checked, published, triggered over HTTP, run, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import JobState
from opsml_cli.domain.pipeline import (
    PipelineEndpoint,
    PipelineRun,
    Published,
    PublishPipeline,
    Step,
    TriggerPipeline,
)
from opsml_cli.local import leftovers
from opsml_cli.local.clock import now
from opsml_cli.local.layout import Layout
from opsml_cli.local.pipelines import published, records
from opsml_cli.local.pipelines.records import RunRecord, Version
from opsml_cli.local.pipelines.runs import Labels, Runs, plain
from opsml_cli.local.pipelines.values import Inputs, Value
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    import sqlite3

    from opsml_cli.local.data import LocalData
    from opsml_cli.local.jobs import LocalJobs
    from opsml_cli.local.pipelines.definition import PipelineDefinition
    from opsml_cli.local.pipelines.snapshot import Snapshot


class LocalPipelines:
    """The pipelines of one local workspace."""

    def __init__(self, layout: Layout, store: Store, workspace: str, data: LocalData, jobs: LocalJobs) -> None:
        self._layout = layout
        self._store = store
        self._workspace = workspace
        self._data = data
        self._jobs = jobs
        self.runs = Runs(layout, store, workspace, jobs)

    # Published pipelines

    def validate(self, path: str) -> PipelineEndpoint:
        """As the port says. `notes` of the result are settings without effect on this machine."""
        from opsml_cli.local.pipelines import snapshot

        definition, base, folder = snapshot.read_file(Path(path).expanduser())
        snapshot.take(None, definition, base, folder)
        self._check_assets(definition)
        return PipelineEndpoint(
            name=Path(path).stem,
            version="",
            default_version="",
            url=None,
            inputs=published.inputs_of(definition),
            steps=tuple(step.name for step in definition.steps),
            created_at=now(),
            description=definition.description,
            notes=definition.notes,
        )

    def publish(self, spec: PublishPipeline) -> Published:
        from opsml_cli.local.pipelines import snapshot

        names.asset_name(spec.name, "pipeline name")
        if spec.version is not None:
            names.version(spec.version)
        definition, base, folder = snapshot.read_file(Path(spec.path).expanduser())
        self._check_assets(definition)
        taken = snapshot.take(None if spec.dry_run else self._layout, definition, base, folder)
        if not spec.dry_run:
            leftovers.sweep(self._layout.blobs)
        if spec.dry_run:
            with self._store.read() as connection:
                version, unchanged = self._version_for(connection, spec, taken)
        else:
            with self._store.write() as connection:
                version, unchanged = self._insert(connection, spec, taken, definition)
        if spec.dry_run:
            endpoint = PipelineEndpoint(
                name=spec.name,
                version=version,
                default_version=version,
                url=None,
                inputs=published.inputs_of(definition),
                steps=tuple(step.name for step in definition.steps),
                created_at=now(),
                description=spec.description or definition.description,
                notes=definition.notes,
            )
            return Published(endpoint, unchanged)
        self.service_up()
        return Published(replace(self.get(spec.name, version), notes=definition.notes), unchanged)

    def _version_for(self, connection: sqlite3.Connection, spec: PublishPipeline, taken: Snapshot) -> tuple[str, bool]:
        """The version that this content has or would get, and whether it has it already.

        ConflictError when `spec.version` holds other content."""
        existing = records.versions(connection, spec.name)
        if spec.version is not None:
            for item in existing:
                if names.key(item.version) == names.key(spec.version):
                    if item.sha256 == taken.sha256:
                        return item.version, True
                    raise ConflictError(
                        f"version {item.version} of pipeline {item.name} exists with other content",
                        cause="a published version never changes",
                        fix="leave --version out for the next one",
                    )
            return spec.version, False
        if existing and existing[-1].sha256 == taken.sha256:
            return existing[-1].version, True
        number = records.next_number(connection, spec.name)
        taken_names = {item.version for item in existing}
        while str(number) in taken_names:
            number += 1
        return str(number), False

    def _insert(
        self, connection: sqlite3.Connection, spec: PublishPipeline, taken: Snapshot, definition: PipelineDefinition
    ) -> tuple[str, bool]:
        version, unchanged = self._version_for(connection, spec, taken)
        known = records.default_version(connection, spec.name)
        name = known[0] if known is not None else spec.name
        if known is None or (spec.default and not (unchanged and known[1] == version)):
            records.set_default(connection, name, version)
        if not unchanged:
            steps = tuple(step.name for step in definition.steps)
            description = spec.description or definition.description
            row = Version(name, version, taken.sha256, now(), published.inputs_of(definition), steps, description)
            records.insert_version(connection, row, records.next_number(connection, name), taken.document())
        published.of_pipeline(connection, name)
        return version, unchanged

    def get(self, name: str, version: str | None = None) -> PipelineEndpoint:
        with self._store.read() as connection:
            known, wanted = self._default(connection, name)
            found = records.versions(connection, name)
        wanted = version or wanted
        for item in found:
            if names.key(item.version) == names.key(wanted):
                return self._endpoint(known, item, found)
        raise NotFoundError(
            f"pipeline {known} has no version {wanted!r}",
            cause=f"it has {', '.join(item.version for item in found[-10:])}",
            fix=f"opsml pipeline show {known}",
        )

    def list(self) -> Sequence[PipelineEndpoint]:
        with self._store.read() as connection:
            known = records.pipeline_names(connection)
        found = [self.get(name) for name in known]
        return sorted(found, key=lambda item: item.created_at, reverse=True)

    def delete(self, name: str, version: str | None = None) -> None:
        """Its runs stay. ConflictError for the default version while there are others."""
        endpoint = self.get(name, version)
        with self._store.write() as connection:
            _, default = self._default(connection, name)
            if version is not None and len(endpoint.versions) > 1:
                if names.key(version) == names.key(default):
                    raise ConflictError(
                        f"version {default} is the default of pipeline {endpoint.name}",
                        fix="publish another version as the default first, or delete the pipeline",
                    )
                records.delete(connection, name, endpoint.version)
            else:
                records.delete(connection, name, None)
            published.of_pipeline(connection, name)

    def _default(self, connection: sqlite3.Connection, name: str) -> tuple[str, str]:
        found = records.default_version(connection, name)
        if found is None:
            known = records.pipeline_names(connection)
            raise NotFoundError(
                f"no pipeline {name!r}", cause=did_you_mean(name, known), fix="opsml pipeline list shows what is published"
            )
        return found

    def _endpoint(self, name: str, item: Version, found: Sequence[Version]) -> PipelineEndpoint:
        from opsml_cli.local.service.place import ServicePlace

        with self._store.read() as connection:
            _, default = self._default(connection, name)
        return PipelineEndpoint(
            name=name,
            version=item.version,
            default_version=default,
            url=ServicePlace(self._layout).url(f"/pipelines/{name}/jobs"),
            inputs=item.inputs,
            steps=item.steps,
            created_at=item.created_at,
            description=item.description,
            versions=tuple(other.version for other in found),
        )

    def _check_assets(self, definition: PipelineDefinition) -> None:
        """Registered data that the YAML names must be there, and of the type that it says."""
        from opsml_cli.domain.names import AssetRef
        from opsml_cli.local.pipelines.definition import Port

        inputs = self.resolver(remote=False)
        for port in definition.inputs.values():
            if isinstance(port.default, AssetRef):
                inputs.asset(port.default, port)
        for step in definition.steps:
            for item in step.inputs.values():
                if item.asset is not None:
                    inputs.asset(item.asset, Port(item.name, item.type))

    # Runs

    def begin_trigger(self, spec: TriggerPipeline) -> PipelineRun:
        """As the port says; starts the local service when it is down. A dry run checks the inputs and sends nothing."""
        endpoint = self.get(spec.name, spec.version)
        if spec.dry_run:
            return self._plan(endpoint, spec)
        from opsml_cli.local.service.client import ServiceClient

        self.service_up()
        given = {name: self._asset_text(endpoint, name, text) for name, text in spec.inputs.items()}
        run = ServiceClient(self._layout).trigger(endpoint, given, spec.experiment, endpoint.version)
        return self.run(run)

    def _asset_text(self, endpoint: PipelineEndpoint, name: str, text: str) -> str:
        """`bank` and `bank:2` mean registered data where the input is no literal."""
        from opsml_cli.local.pipelines.definition import LITERAL_TYPES
        from opsml_cli.local.pipelines.values import looks_like_a_name

        declared = next((item for item in endpoint.inputs if item.name == name), None)
        if declared is None or declared.type in LITERAL_TYPES or not looks_like_a_name(text):
            return text
        return f"azureml:{text}"

    def resolver(self, *, remote: bool) -> Inputs:
        """What turns inputs as they were given into values. `remote`: they came from afar, and name no content of here."""
        return Inputs(self._layout, self._store, self._data, remote=remote)

    def check_inputs(self, endpoint: PipelineEndpoint, inputs: Mapping[str, str]) -> Mapping[str, str]:
        """`inputs` as a request would have them, found to fit the published version as things are now."""
        given = {name: self._asset_text(endpoint, name, text) for name, text in inputs.items()}
        self._resolved(endpoint, given)
        return given

    def _resolved(self, endpoint: PipelineEndpoint, given: Mapping[str, object]) -> tuple[PipelineDefinition, dict[str, Value]]:
        snapshot, definition = self.content(endpoint.name, endpoint.version)
        hashes = {key: tree.sha256 for key, tree in snapshot.trees.items()}
        return definition, self.resolver(remote=True).resolve(definition, given, hashes)

    def keep(
        self, definition: PipelineDefinition, base: Snapshot, folder: Path, inputs: Mapping[str, str], *, dry_run: bool
    ) -> str:
        """Store a pipeline file that runs later, found to be sound and to fit `inputs`; the hash of its snapshot."""
        from opsml_cli.local.pipelines import snapshot

        self._check_assets(definition)
        self.resolver(remote=False).resolve(definition, inputs, dict.fromkeys(definition.locals(), ""))
        taken = snapshot.take(None if dry_run else self._layout, definition, base, folder)
        if not dry_run:
            with self._store.write() as connection:
                records.insert_snapshot(connection, taken.sha256, taken.document())
        return taken.sha256

    def _plan(self, endpoint: PipelineEndpoint, spec: TriggerPipeline) -> PipelineRun:
        given = {name: self._asset_text(endpoint, name, text) for name, text in spec.inputs.items()}
        definition, values = self._resolved(endpoint, given)
        steps = tuple(Step(step.name, JobState.NOT_STARTED, type=step.type, needs=step.needs) for step in definition.steps)
        return PipelineRun(
            run="",
            pipeline=endpoint.name,
            version=endpoint.version,
            status=JobState.NOT_STARTED,
            steps=steps,
            outputs={},
            experiment=spec.experiment or definition.experiment or "Default",
            created_at=now(),
            workspace=self._workspace,
            inputs={name: plain(value) for name, value in values.items()},
        )

    def start_published(
        self,
        name: str,
        version: str | None,
        given: Mapping[str, object],
        experiment: str | None,
        *,
        labels: Labels | None = None,
        request_key: str | None = None,
        request_body: str | None = None,
    ) -> tuple[str, bool]:
        """Start a run of a published pipeline for a request that came over HTTP; its name, and whether this call made it.

        A repeated `request_key` gives the run that the first one started; ConflictError when `request_body` (a digest of
        what was asked) is not the same."""
        if request_key is not None and (earlier := self.runs.of_request(request_key, request_body)) is not None:
            return earlier, False
        endpoint = self.get(name, version)
        snapshot, definition = self.content(endpoint.name, endpoint.version)
        hashes = {key: tree.sha256 for key, tree in snapshot.trees.items()}
        values = self.resolver(remote=True).resolve(definition, given, hashes)
        run = RunRecord("", snapshot.sha256, endpoint.name, endpoint.version, values, False, request_key, request_body)
        return self.runs.start(run, definition, snapshot, experiment, labels)

    def begin_run(self, path: str, inputs: Mapping[str, str], experiment: str | None) -> PipelineRun:
        """As the port says. Inputs may name registered data, outputs of jobs, or literals."""
        from opsml_cli.local.pipelines import snapshot

        definition, base, folder = snapshot.read_file(Path(path).expanduser())
        self._check_assets(definition)
        resolver = self.resolver(remote=False)
        # Before anything is stored: a wrong input leaves nothing behind.
        keys = dict.fromkeys(definition.locals(), "")
        resolver.resolve(definition, inputs, keys)
        taken = snapshot.take(self._layout, definition, base, folder)
        values = resolver.resolve(definition, inputs, {key: tree.sha256 for key, tree in taken.trees.items()})
        run = RunRecord("", taken.sha256, None, None, values)
        name, _ = self.runs.start(run, definition, taken, experiment)
        return self.run(name)

    def begin_snapshot(
        self, snapshot: Snapshot, labels: Labels, experiment: str | None, version: tuple[str, str] | None = None
    ) -> str:
        """Run a pipeline that was put together without a folder, its files stored already; its name. A command job is one
        such, of one step. `version`: the published pipeline and version that it came from. InvalidInputError, NotFoundError,
        or ConflictError for a name that is taken."""
        if labels.name is not None:
            names.asset_name(labels.name, "job name")
        definition = snapshot.definition()
        self._check_assets(definition)
        values = self.resolver(remote=False).resolve(definition, {}, {key: tree.sha256 for key, tree in snapshot.trees.items()})
        pipeline, number = version or (None, None)
        run = RunRecord("", snapshot.sha256, pipeline, number, values)
        name, _ = self.runs.start(run, definition, snapshot, experiment, labels)
        return name

    def content(self, name: str, version: str) -> tuple[Snapshot, PipelineDefinition]:
        """What a published version holds."""
        from opsml_cli.local.pipelines.snapshot import from_document

        with self._store.read() as connection:
            item = next(item for item in records.versions(connection, name) if item.version == version)
            text = records.snapshot(connection, item.sha256)
        assert text is not None
        snapshot = from_document(text)
        return snapshot, snapshot.definition()

    def run(self, name: str) -> PipelineRun:
        return self.runs.read(name)

    def cancel(self, name: str) -> PipelineRun:
        """Ask a run to end. Returns at once."""
        self.run(name)
        self._jobs.cancel(name)
        return self.run(name)

    # The REST endpoint

    def trigger_command(self, name: str) -> str:
        from opsml_cli.local.service.client import curl_command

        endpoint = self.get(name)
        if endpoint.url is None:
            self.service_up()
            endpoint = self.get(name)
        return curl_command(endpoint, self._workspace)

    def service_up(self) -> None:
        from opsml_cli.local.service.process import LocalService

        LocalService(self._layout).up()

    def service_running(self) -> bool:
        from opsml_cli.local.service.process import LocalService

        return LocalService(self._layout).running() is not None
