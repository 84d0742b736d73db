"""The model registry: immutable folders in MLflow format, their hashes, and who may run them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.content import files, model_folder
from opsml_cli.content.model_folder import FolderHash
from opsml_cli.domain import names
from opsml_cli.domain.deployment import ModelFormat
from opsml_cli.domain.endpoint import ScoreRequest, ScoreResult
from opsml_cli.domain.errors import ConflictError, ContractError, InvalidInputError, NotAllowedError, NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.model import Model, ModelColumn, RegisteredModel, RegisterModel, Signature
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import leftovers
from opsml_cli.local.clock import now
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.domain.comparison import CompareModels, Comparison
    from opsml_cli.domain.explanation import ExplainModel, Explanation
    from opsml_cli.domain.scoring import RowScorer, ScorePlan


@dataclass(frozen=True, slots=True)
class Staged:
    """A copy of a model folder that is durable and waits for its version."""

    folder: Path
    hash: FolderHash
    signature: Signature | None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model beside its files."""

    own: bool
    trusted: bool
    algorithm: str | None = None
    task: str | None = None
    metrics: Mapping[str, float] | None = None
    threshold: float | None = None
    job: str | None = None
    data: AssetRef | None = None
    description: str | None = None
    tags: Mapping[str, str] | None = None


class LocalModels:
    """The models of one local workspace."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout = layout
        self._store = store

    def get(self, ref: AssetRef) -> Model:
        with self._store.read() as connection:
            model = self.find(connection, ref)
            if model is None:
                raise self._unknown(connection, ref)
        return model

    def list(self, name: str | None = None) -> Sequence[Model]:
        latest = "sequence=(SELECT MAX(sequence) FROM model_versions AS other WHERE other.name_key=model_versions.name_key)"
        where, values = ("name_key=?", (names.key(name),)) if name is not None else (latest, ())
        with self._store.read() as connection:
            rows = connection.execute(
                f"SELECT * FROM model_versions WHERE {where} ORDER BY created_at DESC, sequence DESC", values
            ).fetchall()
            if name is not None and not rows:
                raise self._unknown(connection, AssetRef(name))
        return [self._model(row) for row in rows]

    def versions(self, name: str | None = None) -> Sequence[Model]:
        """Every version of every model, or of `name`; newest first; empty when there is none."""
        where, values = ("WHERE name_key=?", (names.key(name),)) if name is not None else ("", ())
        with self._store.read() as connection:
            rows = connection.execute(
                f"SELECT * FROM model_versions {where} ORDER BY name_key, sequence DESC", values
            ).fetchall()
        return [self._model(row) for row in rows]

    def register(self, spec: RegisterModel) -> RegisteredModel:
        name = names.asset_name(spec.name, "model name")
        if spec.version is not None:
            names.version(spec.version)
        if "://" in spec.path:
            raise InvalidInputError(
                f"the model {spec.path} lies elsewhere, and this workspace holds models of this machine",
                fix="copy it here first: opsml -w azure models download NAME",
            )
        if spec.format is not ModelFormat.MLFLOW:
            from opsml_cli.local import custom_models

            return custom_models.register(self._layout, self._store, self, spec)
        source = Path(spec.path).expanduser().absolute()
        if source.is_file():
            return self._register_file(spec, source)
        manifest = model_folder.read_manifest(source)
        found = model_folder.folder_hash(source)
        with self._store.read() as connection:
            origin = self.own_origin(connection, found.sha256)
            known = self.find(connection, AssetRef(name, spec.version))
        if known is not None and known.sha256 == found.sha256 and (known.own or known.trusted):
            return RegisteredModel(known, unchanged=True)
        if known is not None and known.sha256 == found.sha256 and spec.trust:
            return RegisteredModel(known if spec.dry_run else self.trust(known), unchanged=False)
        if known is not None and known.sha256 != found.sha256 and spec.version is not None:
            raise ConflictError(
                f"model {known.name}:{known.version} exists with other content", fix="leave the version out, or give a new one"
            )
        if origin is None and not spec.trust:
            raise NotAllowedError(
                f"{os.path.normpath(spec.path)} was not trained by opsml in this workspace, and a model is code: "
                "scoring it runs what it holds",
                cause=f"flavors {', '.join(manifest.flavors)}" + (f", loader {manifest.loader}" if manifest.loader else ""),
                fix="if you trust where it comes from, run the same command with --trust",
            )
        facts = ModelFacts(
            own=origin is not None,
            trusted=spec.trust,
            algorithm=origin.algorithm if origin else algorithm_of(manifest.flavors, manifest.loader),
            task=origin.task if origin else None,
            metrics=origin.metrics if origin else None,
            threshold=origin.threshold if origin else None,
            job=origin.job if origin else None,
            data=origin.data if origin else None,
            description=spec.description,
            tags=spec.tags,
        )
        if spec.dry_run:
            with self._store.read() as connection:
                version = spec.version or str(_next_sequence(connection, name))
            planned = Staged(self._layout.model(name, version), found, manifest.signature)
            return RegisteredModel(self._value(name, version, now(), planned, facts), unchanged=False)
        with self.stage(source, name) as staged, self._store.write() as connection:
            return RegisteredModel(self.adopt(connection, staged, name, facts, spec.version), unchanged=False)

    def _register_file(self, spec: RegisterModel, source: Path) -> RegisteredModel:
        """A model file: wrapped into a folder in MLflow format, by a process that loads it."""
        from opsml_cli.content import model_file

        kind = model_file.kind_of(source)
        if not spec.trust:
            raise NotAllowedError(
                f"{os.path.normpath(spec.path)} was not made by opsml, and loading a model file may run what it holds",
                cause=f"it is a {kind} file",
                fix="if you trust where it comes from, run the same command with --trust",
            )
        with model_file.wrapped(source, spec.example) as folder:
            return self.register(replace(spec, path=str(folder), example=()))

    def next_version(self, name: str) -> str:
        """The number that the next version of `name` gets, unless somebody is quicker."""
        with self._store.read() as connection:
            return _free_version(connection, name, _next_sequence(connection, name))

    def trust(self, model: Model) -> Model:
        """The version that is there already, which somebody answers for from now on."""
        trusted = replace(model, trusted=True)
        with self._store.write() as connection:
            connection.execute(
                "UPDATE model_versions SET document=? WHERE name_key=? AND version=?",
                (document(trusted), names.key(model.name), names.key(model.version)),
            )
        return trusted

    def download(self, ref: AssetRef, destination: str) -> Sequence[str]:
        """Copy the model to `destination`/NAME-VERSION, proven by its hash; a copy that is there already is kept."""
        model = self.get(ref)
        _check_present(model)
        final = Path(destination).expanduser().absolute() / f"{model.name}-{model.version}"
        if final.exists():
            if final.is_dir() and model_folder.folder_hash(final).sha256 == model.sha256:
                return [str(path) for path in model_folder.files_of(final)]
            raise ConflictError(f"{final} exists with other content", fix="give another folder with --to, or remove it")
        with files.new_folder(final) as folder:
            model_folder.copy_files(Path(model.path), folder)
            self._prove(model, folder)
        return [str(path) for path in model_folder.files_of(final)]

    def score(self, ref: AssetRef, request: ScoreRequest) -> ScoreResult:
        from opsml_cli.local import model_scoring

        return model_scoring.score(self._layout.root, self._answerable(ref), request)

    def scorer(self, ref: AssetRef, plan: ScorePlan) -> RowScorer:
        from opsml_cli.local import model_scoring

        return model_scoring.ModelScorer(self._layout.root, self._answerable(ref), plan)

    def _answerable(self, ref: AssetRef) -> Model:
        """The model that may be run: one of our own with its files proven, or one that somebody trusts."""
        return self.verified(ref) if self.get(ref).own else self.trusted(ref)

    def compare(self, spec: CompareModels) -> Comparison:
        from opsml_cli.local import model_comparison
        from opsml_cli.local.data import LocalData

        return model_comparison.compare(self, LocalData(self._layout, self._store), spec)

    def explain(self, spec: ExplainModel) -> Explanation:
        from opsml_cli.local import model_explanation
        from opsml_cli.local.data import LocalData

        return model_explanation.explain(self, LocalData(self._layout, self._store), spec)

    def verified(self, ref: AssetRef) -> Model:
        """The model, when its files are what was registered and somebody answers for them. To be called before every
        load. NotAllowedError for a foreign model without trust; ContractError when a file was changed."""
        model = self.trusted(ref)
        folder = Path(model.path)
        if not folder.is_dir():
            raise NotFoundError(f"the files of model {model.name}:{model.version} are gone: {folder}")
        model_folder.drop_caches(folder)
        self._prove(model, folder)
        return model

    def trusted(self, ref: AssetRef) -> Model:
        """The model, when somebody answers for it: whoever copies its files proves the copy. NotAllowedError for a foreign
        model without trust."""
        model = self.get(ref)
        if not (model.own or model.trusted):
            raise NotAllowedError(
                f"model {model.name}:{model.version} was not trained by opsml, and nobody trusts it",
                fix=f"opsml models register {model.name} {model.path} --version {model.version} --trust",
            )
        _check_present(model)
        return model

    @contextmanager
    def stage(self, source: Path, name: str) -> Iterator[Staged]:
        """A durable copy of `source` beside the versions of `name`; removed at the end unless `adopt` took it."""
        parent = self._layout.model(name, "1").parent
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.sweep(parent)
        temporary = files.temporary_name(parent)
        temporary.mkdir(mode=0o700)
        try:
            with files.disk_errors(f"model {name}"):
                model_folder.copy_files(source, temporary)
                files.sync_tree(temporary)
            manifest = model_folder.read_manifest(temporary)
            yield Staged(temporary, model_folder.folder_hash(temporary), manifest.signature)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def adopt(
        self, connection: sqlite3.Connection, staged: Staged, name: str, facts: ModelFacts, version: str | None = None
    ) -> Model:
        """Make the staged folder the next version (or `version`), inside the caller's transaction: the model is there
        when that commits, and not before."""
        sequence = _next_sequence(connection, name)
        version = version or _free_version(connection, name, sequence)
        if self.find(connection, AssetRef(name, version)) is not None:
            raise ConflictError(f"model {name}:{version} exists", fix="leave the version out, or give a new one")
        final = self._layout.model(name, version)
        # No row names this folder: it is what a killed process left behind.
        shutil.rmtree(final, ignore_errors=True)
        staged.folder.rename(final)
        files.sync_folder(final.parent)
        # A name keeps the spelling of its first version.
        first = connection.execute(
            "SELECT document FROM model_versions WHERE name_key=? ORDER BY sequence LIMIT 1", (names.key(name),)
        ).fetchone()
        model = self._value(json.loads(first["document"])["name"] if first else name, version, now(), staged, facts)
        connection.execute(
            "INSERT INTO model_versions(name_key, version, sequence, sha256, created_at, document) VALUES(?,?,?,?,?,?)",
            (names.key(name), names.key(version), sequence, model.sha256, model.created_at, document(model)),
        )
        return model

    def _value(self, name: str, version: str, created_at: str, staged: Staged, facts: ModelFacts) -> Model:
        return Model(
            name=name,
            version=version,
            path=str(self._layout.model(name, version)),
            sha256=staged.hash.sha256,
            created_at=created_at,
            own=facts.own,
            trusted=facts.trusted,
            algorithm=facts.algorithm,
            task=facts.task,
            metrics=dict(facts.metrics or {}),
            threshold=facts.threshold,
            signature=staged.signature,
            job=facts.job,
            size_bytes=staged.hash.size_bytes,
            description=facts.description,
            tags=dict(facts.tags or {}),
            data=facts.data,
        )

    def find(self, connection: sqlite3.Connection, ref: AssetRef) -> Model | None:
        """The version, or the latest, inside the caller's transaction; None when there is none."""
        which, values = ("AND version=?", (names.key(ref.version),)) if ref.version is not None else ("", ())
        row = connection.execute(
            f"SELECT * FROM model_versions WHERE name_key=? {which} ORDER BY sequence DESC LIMIT 1",
            (names.key(ref.name), *values),
        ).fetchone()
        return None if row is None else self._model(row)

    def own_origin(self, connection: sqlite3.Connection, sha256: str) -> Model | None:
        """The model that this workspace trained with exactly these files. The record says so, never the folder."""
        rows = connection.execute("SELECT * FROM model_versions WHERE sha256=? ORDER BY created_at", (sha256,))
        return next((model for model in map(self._model, rows) if model.own), None)

    def _model(self, row: sqlite3.Row) -> Model:
        value = json.loads(row["document"])
        signature, data = value.pop("signature"), value.pop("data")
        return Model(
            **value,
            path=str(self._layout.model(value["name"], value["version"])),
            sha256=row["sha256"],
            created_at=row["created_at"],
            signature=None if signature is None else Signature(_columns(signature["inputs"]), _columns(signature["outputs"])),
            data=None if data is None else AssetRef(**data),
        )

    @staticmethod
    def _prove(model: Model, folder: Path) -> None:
        if model_folder.folder_hash(folder).sha256 != model.sha256:
            raise ContractError(
                f"the files of model {model.name}:{model.version} are not those that were registered",
                cause=f"somebody changed {model.path}",
                fix="train or register the model again, and use the new version",
            )

    @staticmethod
    def _unknown(connection: sqlite3.Connection, ref: AssetRef) -> NotFoundError:
        rows = connection.execute("SELECT document FROM model_versions WHERE name_key=?", (names.key(ref.name),)).fetchall()
        if rows:
            versions = sorted(json.loads(row["document"])["version"] for row in rows)
            return NotFoundError(f"model {ref.name} has no version {ref.version}", cause=f"it has {', '.join(versions)}")
        known = [json.loads(row["document"])["name"] for row in connection.execute("SELECT document FROM model_versions")]
        return NotFoundError(
            f"no model {ref.name!r}",
            cause=did_you_mean(ref.name, sorted(set(known))),
            fix="opsml models list shows what there is",
        )


def _check_present(model: Model) -> None:
    if not model.sha256:
        raise NotFoundError(
            f"the files of model {model.name}:{model.version} are not in this workspace",
            cause="it was registered by an address elsewhere",
            fix=f"register the files themselves: opsml models register {model.name} FOLDER",
        )


def quiet_mlflow() -> None:
    """MLflow calls home when it is used; nothing that opsml starts does."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def document(model: Model) -> str:
    """A model as its row keeps it."""
    held = asdict(model)
    for key in ("path", "sha256", "created_at"):
        del held[key]
    return json.dumps(held)


def _columns(values: Sequence[Mapping[str, Any]]) -> tuple[ModelColumn, ...]:
    return tuple(ModelColumn(**value) for value in values)


def _next_sequence(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT COALESCE(MAX(sequence), 0) + 1 FROM model_versions WHERE name_key=?", (names.key(name),))
    return int(row.fetchone()[0])


def _free_version(connection: sqlite3.Connection, name: str, sequence: int) -> str:
    """The next number that nobody took by hand."""
    taken = {row[0] for row in connection.execute("SELECT version FROM model_versions WHERE name_key=?", (names.key(name),))}
    while str(sequence) in taken:
        sequence += 1
    return str(sequence)


def algorithm_of(flavors: Sequence[str], loader: str | None) -> str | None:
    """The most telling flavor of a foreign model: the library's, else pyfunc's loader."""
    return next((flavor for flavor in flavors if flavor != "python_function"), loader)
