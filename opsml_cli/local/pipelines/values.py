"""What a run's inputs and outputs hold: literals, registered data, files of the snapshot, outputs of other jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import JobKind, JobState
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import job_records
from opsml_cli.local.pipelines.definition import LITERAL_TYPES, Local, PipelineDefinition, Port, accepts
from opsml_cli.local.pipelines.ports import Scalar, literal

if TYPE_CHECKING:
    from opsml_cli.local.data import LocalData
    from opsml_cli.local.layout import Layout
    from opsml_cli.local.store import Store

_OUTPUT = re.compile(r"azureml://jobs/([^/]+)/outputs/([^/]+)/?\Z")
_LIKE_A_PATH = re.compile(r"[/\\]|\A\.|\A[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Value:
    """One value. Exactly one of `literal`, `asset`, `local` and `path` is set; `sha256` names the content of the last
    three. `path` lies below the workspace's folder, as seen from there, and `uri` says how others name it."""

    type: str
    literal: Scalar | None = None
    asset: str | None = None
    local: str | None = None
    path: str | None = None
    uri: str | None = None
    sha256: str | None = None

    @property
    def identity(self) -> object:
        """Equal for equal content."""
        return [self.type, self.literal] if self.sha256 is None else [self.type, self.sha256]

    def __str__(self) -> str:
        return str(self.literal if self.literal is not None else self.asset or self.uri or self.local or self.path)


def value_of(document: Mapping[str, Any]) -> Value:
    return Value(**document)


class Inputs:
    """Turns what was asked for into values, each checked against the pipeline's declaration.

    `remote`: it came over HTTP, so a value is a literal, a registered asset or a job's output, and nothing else."""

    def __init__(self, layout: Layout, store: Store, data: LocalData, *, remote: bool) -> None:
        self._layout = layout
        self._store = store
        self._data = data
        self._remote = remote

    def resolve(
        self, definition: PipelineDefinition, given: Mapping[str, object], hashes: Mapping[str, str]
    ) -> dict[str, Value]:
        """The value of every input; those without are optional. `hashes`: of the snapshot's files, by key.

        InvalidInputError names the input; NotFoundError the asset or job."""
        for name in given:
            if name not in definition.inputs:
                raise InvalidInputError(
                    f"the pipeline has no input {name!r}",
                    cause=did_you_mean(name, tuple(definition.inputs)) or "it has no inputs at all",
                )
        values: dict[str, Value] = {}
        for name, port in definition.inputs.items():
            asked = given.get(name)
            if asked is not None:
                values[name] = self._asked(port, asked)
            elif port.default is not None:
                values[name] = self._default(port, hashes)
            elif not port.optional:
                raise InvalidInputError(f"the input {name} is required", fix=f"give it: --set {name}={_example(port)}")
        return values

    def _default(self, port: Port, hashes: Mapping[str, str]) -> Value:
        if isinstance(port.default, Local):
            return Value(port.type, local=port.default.key, sha256=hashes[port.default.key])
        if isinstance(port.default, AssetRef):
            return self.asset(port.default, port)
        return Value(port.type, literal=port.default)

    def _asked(self, port: Port, asked: object) -> Value:
        if port.type in LITERAL_TYPES:
            try:
                return Value(port.type, literal=literal(port, asked))
            except ValueError as error:
                raise InvalidInputError(f"the input {port.name}: {error}") from error
        if not isinstance(asked, str):
            raise InvalidInputError(
                f"the input {port.name} is of type {port.type}, and wants a registered asset", fix=_set(port)
            )
        output = _OUTPUT.match(asked)
        if output is not None:
            return self._output(port, output[1], output[2])
        if self._remote and not asked.startswith("azureml:"):
            raise self._refused(port, asked)
        if "://" in asked or asked.startswith("file:") or _LIKE_A_PATH.search(asked):
            raise self._refused(port, asked)
        try:
            return self.asset(names.parse_ref(asked), port)
        except UsageError as error:
            raise InvalidInputError(f"the input {port.name}: {error.message}", cause=error.cause, fix=_set(port)) from error

    def _refused(self, port: Port, asked: str) -> InvalidInputError:
        return InvalidInputError(
            f"the input {port.name} is {asked[:200]!r}: no registered asset and no output of a job",
            cause="a path or URL is never an input of a triggered run",
            fix="register it first: opsml data register NAME SOURCE, then " + _set(port),
        )

    def asset(self, ref: AssetRef, port: Port) -> Value:
        """The registered data behind `ref`, its version fixed now."""
        asset = self._data.get(ref)
        if not accepts(port.type, asset.type.value):
            raise InvalidInputError(
                f"the input {port.name} wants {port.type}, and {asset.name}:{asset.version} is {asset.type.value}",
                fix=f"register it with --type {port.type}, or declare the input as {asset.type.value}",
            )
        name = f"{asset.name}:{asset.version}"
        return Value(asset.type.value, asset=name, uri=f"azureml:{name}", sha256=asset.sha256)

    def _output(self, port: Port, job: str, output: str) -> Value:
        """The output of a completed pipeline run, or the model of a completed training."""
        try:
            names.asset_name(job, "job name")
            names.step_name(output, "output name")
        except UsageError as error:
            raise InvalidInputError(f"the input {port.name}: {error.message}", cause=error.cause) from error
        from opsml_cli.local.pipelines import records

        with self._store.read() as connection:
            record = job_records.load(connection, job)
            run = records.load_run(connection, job)
        if record is None:
            raise NotFoundError(f"no job {job!r}", fix="opsml jobs list shows what there is")
        if record.job.status is not JobState.COMPLETED:
            raise InvalidInputError(f"the job {job} is {record.job.status}: it has no outputs to use")
        uri = f"azureml://jobs/{record.job.name}/outputs/{output}"
        if record.job.kind is JobKind.PIPELINE and run is not None:
            found = run.outputs.get(output)
            if found is None:
                raise NotFoundError(f"the run {job} has no output {output!r}", cause=did_you_mean(output, tuple(run.outputs)))
            value = Value(found.type, path=found.path, uri=uri, sha256=found.sha256)
        else:
            value = self._model_of(record, output, uri)
        if not accepts(port.type, value.type):
            raise InvalidInputError(f"the input {port.name} wants {port.type}, and {uri} is {value.type}")
        return value

    def _model_of(self, record: job_records.Record, output: str, uri: str) -> Value:
        pointer = None if record.job.automl is None else record.job.automl.model
        if pointer is None or output != "best_model":
            raise NotFoundError(f"the job {record.job.name} has no output {output!r}", cause="a training has best_model")
        folder = self._layout.model(pointer.name, pointer.version)
        with self._store.read() as connection:
            row = connection.execute(
                "SELECT sha256 FROM model_versions WHERE name_key=? AND version=?", (names.key(pointer.name), pointer.version)
            ).fetchone()
        if row is None:
            raise NotFoundError(f"the model {pointer.name}:{pointer.version} is gone")
        return Value("mlflow_model", path=relative(self._layout, folder), uri=uri, sha256=row["sha256"])


def relative(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def looks_like_a_name(text: str) -> bool:
    """Whether `text` can be `NAME`, `NAME:VERSION` or `NAME@latest` of registered data."""
    if text.startswith("azureml:"):
        return False
    try:
        names.parse_ref(text)
    except UsageError:
        return False
    return True


def _example(port: Port) -> str:
    return "azureml:NAME:VERSION" if port.type not in LITERAL_TYPES else port.type.upper()


def _set(port: Port) -> str:
    return f"--set {port.name}=azureml:NAME:VERSION"
