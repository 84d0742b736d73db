"""The model registry of an Azure ML workspace: MLflow folders in the default datastore under their hash, or outputs of jobs
where they lie."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml.model_records import ModelFacts, body_of, model_of
from opsml_cli.azureml.storage import DEFAULT, Location, parse_location
from opsml_cli.azureml.versions import Versions
from opsml_cli.content import files, model_folder
from opsml_cli.domain import names
from opsml_cli.domain.deployment import ModelFormat
from opsml_cli.domain.errors import (
    ConflictError,
    ContractError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    OpsmlError,
    UnsupportedError,
)
from opsml_cli.domain.model import Model, RegisteredModel, RegisterModel, Signature
from opsml_cli.domain.names import AssetRef

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.storage import Container
    from opsml_cli.domain.comparison import CompareModels, Comparison
    from opsml_cli.domain.endpoint import ScoreRequest, ScoreResult
    from opsml_cli.domain.explanation import ExplainModel, Explanation
    from opsml_cli.domain.scoring import RowScorer, ScorePlan

_LARGEST_MANIFEST = 4 << 20


class AzureModels:
    """The ModelOperations port on Azure, and `adopt` for what jobs have trained."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @cached_property
    def _versions(self) -> Versions:
        return Versions(self._context.rest, "models")

    # --- the port

    def get(self, ref: AssetRef) -> Model:
        """As the port says; the signature is read from the model's files."""
        found = self._versions.find(ref)
        if found is None:
            raise self._missing(ref)
        read, signature = self._signature(str(found["properties"].get("modelUri") or ""))
        return model_of(found, signature, read=read)

    def list(self, name: str | None = None) -> Sequence[Model]:
        """As the port says, without signatures."""
        documents = self._versions.latest() if name is None else self._versions.of(name)
        if name is not None and not documents:
            raise self._missing(AssetRef(name))
        return sorted((model_of(one) for one in documents), key=lambda model: model.created_at, reverse=True)

    def register(self, spec: RegisterModel) -> RegisteredModel:
        """As the port says. The folder is uploaded; the container of an endpoint runs its code, so a foreign one needs
        `trust` here too."""
        name = names.asset_name(spec.name, "model name")
        if spec.version is not None:
            names.version(spec.version)
        if spec.path.startswith("azureml:"):
            return self._register_in_place(spec)
        source = Path(spec.path).expanduser().absolute()
        if spec.format is not ModelFormat.MLFLOW:
            return self._register_custom(spec, source)
        if source.is_file():
            return self._register_file(spec, source)
        manifest = model_folder.read_manifest(source)
        found = model_folder.folder_hash(source)
        held = self._versions.find(AssetRef(name, spec.version))
        known = None if held is None else model_of(held, manifest.signature, read=True)
        if known is not None and known.sha256 == found.sha256 and (known.own or known.trusted):
            return RegisteredModel(known, unchanged=True)
        if known is not None and spec.version is not None:
            raise _taken(known)
        origin = next((one for one in self._named(name) if one.own and one.sha256 == found.sha256), None)
        if origin is None and not spec.trust:
            raise _untrusted(spec, f"flavors {', '.join(manifest.flavors)}")
        facts = ModelFacts(
            sha256=found.sha256,
            size_bytes=found.size_bytes,
            job=origin.job if origin else None,
            trusted=spec.trust,
            algorithm=origin.algorithm if origin else next((f for f in manifest.flavors if f != "python_function"), None),
            task=origin.task if origin else None,
            metrics=origin.metrics if origin else None,
            data=origin.data if origin else None,
        )
        location = Location(DEFAULT, f"LocalUpload/{found.sha256}/model")
        body = body_of(
            self._context.storage.long_uri(location),
            {**spec.properties, **facts.properties()},
            flavors=_flavors(source / model_folder.MANIFEST),
            description=spec.description,
            tags=spec.tags,
        )
        if spec.dry_run:
            return RegisteredModel(self._planned(name, spec.version, body, manifest.signature), unchanged=False)
        self._upload(source, location)
        created = self._versions.create(name, spec.version, body)
        return RegisteredModel(model_of(created, manifest.signature, read=True), unchanged=False)

    def adopt(
        self,
        name: str,
        uri: str,
        facts: ModelFacts,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        kind: str = "mlflow_model",
    ) -> RegisteredModel:
        """Register what lies at `uri` (a job's output, or a datastore's path) as the next version of `name`; unchanged when
        a version of that name is of the same place."""
        for held in self._named(name):
            if _same_place(held.path, uri):
                return RegisteredModel(held, unchanged=True)
        located = self._located(uri)
        flavors = self._remote_flavors(located) if located is not None and kind == "mlflow_model" else {}
        body = body_of(uri, facts.properties(), flavors=flavors, description=description, tags=tags or {}, kind=kind)
        return RegisteredModel(model_of(self._versions.create(name, None, body)), unchanged=False)

    def download(self, ref: AssetRef, destination: str) -> Sequence[str]:
        """Copy the model to `destination`/NAME-VERSION: every file is checked by size and MD5, and the whole by its hash when
        opsml registered it; a copy that is there already is kept."""
        from opsml_cli.azureml.transfer import download_folder

        found = self._versions.find(ref)
        if found is None:
            raise self._missing(ref)
        model = model_of(found)
        final = Path(destination).expanduser().absolute() / f"{model.name}-{model.version}"
        if final.exists():
            if model.sha256 and final.is_dir() and model_folder.folder_hash(final).sha256 == model.sha256:
                return [str(path) for path in model_folder.files_of(final)]
            raise ConflictError(f"{final} exists already", fix="give another folder with --to, or remove it")
        location = self._located(model.path)
        if location is None:
            raise UnsupportedError(f"the files of {model.name}:{model.version} lie at {model.path}, which opsml does not read")
        with files.new_folder(final) as folder:
            download_folder(self._context.storage.container(location.datastore), location.path, folder)
            if model.sha256 and model_folder.folder_hash(folder).sha256 != model.sha256:
                raise ContractError(
                    f"the files of model {model.name}:{model.version} are not those that were registered",
                    cause=f"somebody changed {model.path}",
                    fix="train or register the model again, and use the new version",
                )
        return [str(path) for path in model_folder.files_of(final)]

    def score(self, ref: AssetRef, request: ScoreRequest) -> ScoreResult:  # noqa: ARG002 - the port's
        raise _elsewhere("scores no model without an endpoint", ref, f"opsml -w local score --model {ref.name} INPUT")

    def scorer(self, ref: AssetRef, plan: ScorePlan) -> RowScorer:  # noqa: ARG002 - the port's
        raise _elsewhere("scores no model without an endpoint", ref, f"opsml -w local score --model {ref.name} INPUT")

    def compare(self, spec: CompareModels) -> Comparison:
        raise _elsewhere("compares no models", spec.a, f"opsml -w local models compare {spec.a.name} {spec.b.name} --data …")

    def explain(self, spec: ExplainModel) -> Explanation:
        raise _elsewhere("explains no models", spec.model, f"opsml -w local models explain {spec.model.name}")

    # --- registering

    def _register_file(self, spec: RegisterModel, source: Path) -> RegisteredModel:
        """A model file: wrapped into a folder in MLflow format, by a process of this machine that loads it."""
        from opsml_cli.content import model_file

        kind = model_file.kind_of(source)
        if not spec.trust:
            raise _untrusted(spec, f"it is a {kind} file, and loading it may run what it holds")
        with model_file.wrapped(source, spec.example) as folder:
            return self.register(replace(spec, path=str(folder), example=()))

    def _register_custom(self, spec: RegisterModel, source: Path) -> RegisteredModel:
        """Any file or folder, which only a scoring script reads: it lies below AZUREML_MODEL_DIR under its own name."""
        if not source.exists():
            raise NotFoundError(f"no file or folder {source}", fix="check the path of the model")
        found = model_folder.content_hash(source)
        location = Location(DEFAULT, f"LocalUpload/{found.sha256}/{source.name}")
        uri = self._context.storage.long_uri(location)
        held = self._versions.find(AssetRef(spec.name, spec.version))
        known = None if held is None else model_of(held)
        if known is not None and known.sha256 == found.sha256 and _same_place(known.path, uri):
            return RegisteredModel(known, unchanged=True)
        if known is not None and spec.version is not None:
            raise _taken(known)
        if not spec.trust:
            raise _untrusted(spec, "it is not in MLflow format: only a scoring script can load it")
        facts = ModelFacts(sha256=found.sha256, size_bytes=found.size_bytes, trusted=True)
        body = body_of(
            uri,
            {**spec.properties, **facts.properties()},
            flavors={},
            description=spec.description,
            tags=spec.tags,
            kind=spec.format.value,
        )
        if spec.dry_run:
            return RegisteredModel(self._planned(spec.name, spec.version, body, None), unchanged=False)
        self._upload(source, location)
        return RegisteredModel(model_of(self._versions.create(spec.name, spec.version, body)), unchanged=False)

    def _register_in_place(self, spec: RegisterModel) -> RegisteredModel:
        """A model that lies on Azure already: a job's output, or a datastore's path."""
        if not spec.trust:
            raise _untrusted(spec, "it was made by a job or by somebody else")
        for held in self._named(spec.name):
            if _same_place(held.path, spec.path) and spec.version in (None, held.version):
                return RegisteredModel(held, unchanged=True)
        located = self._located(spec.path)
        flavors = self._remote_flavors(located) if located is not None else {}
        facts = ModelFacts(trusted=True)
        body = body_of(
            spec.path,
            {**spec.properties, **facts.properties()},
            flavors=flavors,
            description=spec.description,
            tags=spec.tags,
            kind=spec.format.value,
        )
        if spec.dry_run:
            return RegisteredModel(self._planned(spec.name, spec.version, body, None), unchanged=False)
        return RegisteredModel(model_of(self._versions.create(spec.name, spec.version, body)), unchanged=False)

    def _planned(self, name: str, version: str | None, body: Mapping[str, Any], signature: Signature | None) -> Model:
        wanted = version or self._versions.next_version(name)
        place = f"{self._context.place.arm_id}/models/{name}/versions/{wanted}"
        return model_of({"id": place, "name": wanted, **body}, signature, read=signature is not None)

    def _upload(self, source: Path, location: Location) -> None:
        from opsml_cli.azureml.transfer import upload

        container = self._context.storage.container(location.datastore)
        if source.is_file():
            upload(container, location.path, source, lambda _: None)
            return
        for path in model_folder.files_of(source):
            upload(container, f"{location.path}/{path.relative_to(source).as_posix()}", path, lambda _: None)

    # --- finding

    def _named(self, name: str) -> Sequence[Model]:
        """Every version of `name`, newest first."""
        return sorted((model_of(one) for one in self._versions.of(name)), key=lambda model: model.created_at, reverse=True)

    def _missing(self, ref: AssetRef) -> OpsmlError:
        from opsml_cli.domain.fields import did_you_mean

        versions = self._named(ref.name)
        if versions:
            held = ", ".join(sorted(model.version for model in versions))
            return NotFoundError(f"model {ref.name} has no version {ref.version}", cause=f"it has {held}")
        known = self._versions.names()
        return NotFoundError(
            f"no model {ref.name!r}", cause=did_you_mean(ref.name, sorted(known)), fix="opsml models list shows what there is"
        )

    # --- the model's files

    def _located(self, uri: str) -> Location | None:
        try:
            return parse_location(uri)
        except InvalidInputError:
            return None

    def _manifest(self, location: Location) -> bytes | None:
        """The file MLmodel at a place; None when it has none."""
        container: Container = self._context.storage.container(location.datastore)
        path = f"{location.path.rstrip('/')}/{model_folder.MANIFEST}"
        stored = container.find(path)
        if stored is None or not 0 < stored.size <= _LARGEST_MANIFEST:
            return None
        return container.read(path, 0, stored.size)

    def _signature(self, uri: str) -> tuple[bool, Signature | None]:
        """Whether the model's files could be looked into, and the signature found."""
        import tempfile

        location = self._located(uri)
        content = None if location is None else self._manifest(location)
        if content is None:
            return False, None
        with tempfile.TemporaryDirectory(prefix="opsml-") as scratch:
            (Path(scratch) / model_folder.MANIFEST).write_bytes(content)
            return True, model_folder.read_manifest(Path(scratch)).signature

    def _remote_flavors(self, location: Location) -> Mapping[str, Mapping[str, Any]]:
        import tempfile

        content = self._manifest(location)
        if content is None:
            return {}
        with tempfile.TemporaryDirectory(prefix="opsml-") as scratch:
            path = Path(scratch) / model_folder.MANIFEST
            path.write_bytes(content)
            return _flavors(path)


def _flavors(manifest: Path) -> Mapping[str, Mapping[str, Any]]:
    """What MLmodel says of each flavor."""
    from opsml_cli.documents import read_document

    value = read_document(manifest).value
    flavors = value.get("flavors") if isinstance(value, Mapping) else None
    if not isinstance(flavors, Mapping):
        return {}
    return {str(name): dict(of) if isinstance(of, Mapping) else {} for name, of in flavors.items()}


def _same_place(held: str, wanted: str) -> bool:
    """Whether two URIs name one place: Azure gives a datastore's path back in its long form."""
    try:
        one, other = parse_location(held), parse_location(wanted)
    except InvalidInputError:
        return held.rstrip("/").casefold() == wanted.rstrip("/").casefold()
    return replace(one, path=one.path.rstrip("/")) == replace(other, path=other.path.rstrip("/"))


def _taken(held: Model) -> ConflictError:
    return ConflictError(
        f"model {held.name}:{held.version} exists with other content", fix="leave the version out, or give a new one"
    )


def _untrusted(spec: RegisterModel, cause: str) -> NotAllowedError:
    path = spec.path if "://" in spec.path else os.path.normpath(spec.path)
    return NotAllowedError(
        f"{path} was not trained by opsml in this workspace, and a model is code: an endpoint runs what it holds",
        cause=cause,
        fix="if you trust where it comes from, run the same command with --trust",
    )


def _elsewhere(message: str, ref: AssetRef, then: str) -> UnsupportedError:
    return UnsupportedError(
        f"an Azure workspace {message}",
        cause="models run in containers there, and only opsml's local workspace loads one on this machine",
        fix=f"opsml -w azure models download {ref}, opsml -w local models register {ref.name} FOLDER --trust, then {then}",
    )
