"""The files that a host works on: the bundle that it runs, and copies of code and model that it may write to.

Copies, not links: a script that writes beside itself changes nothing that is registered."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import opsml_cli
from opsml_cli.content import model_folder
from opsml_cli.content.files import temporary_name
from opsml_cli.domain.errors import ContractError, NotFoundError
from opsml_cli.domain.model import Model
from opsml_cli.local.processes import pid_alive
from opsml_cli.local.serving.host.main import MODEL, SCRIPT, HostSettings

# Of the package: what a host runs, without any other package.
_PARTS = ("domain", "local/serving/host", "local/serving/compiled")
_OF_THE_FRONT = "local/serving/compiled/scorer.py"
_MAIN = "local/serving/host/start.py"
MODELS = "azureml-models"  # the folder of models in a container


@dataclass(frozen=True, slots=True)
class Source:
    """What a host loads, as it was registered. `code` with its hash and the path `entry` in it; without it the model folder
    is loaded as an MLflow model. `mount` is the name under which a script finds the model ("": the model's folder itself)."""

    name: str = ""
    version: str = ""
    model: Path | None = None
    model_sha256: str = ""
    code: Path | None = None
    code_sha256: str = ""
    entry: str | None = None
    mount: str = "model"


def source_of(model: Model) -> Source:
    """A registered MLflow folder, to be loaded as such."""
    return Source(model.name, model.version, Path(model.path), model.sha256)


@dataclass(frozen=True, slots=True)
class Copy:
    """A host's own files: all of them lie below `folder`. `variables` are those that tell where."""

    folder: Path
    working: Path
    settings: HostSettings
    variables: dict[str, str]

    def remove(self) -> None:
        for _ in range(3):  # a process that is ending may still write
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return


def bundle(root: Path) -> Path:
    """A folder below the workspace `root` that a plain interpreter runs as a host, with none of opsml's packages installed."""
    package = Path(opsml_cli.__file__).parent
    found = list(_bundled(package))
    digest = hashlib.sha256()
    for name, path in found:
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    folder = root / "hosts" / f"bundle-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = temporary_name(folder.parent)
    try:
        for name, path in found:
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        shutil.copyfile(package / _MAIN, temporary / "__main__.py")
        if not folder.exists():
            temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # somebody else may have been faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _bundled(package: Path) -> Iterator[tuple[str, Path]]:
    """Names in the bundle and files, in a fixed order."""
    for part in _PARTS:
        for parent in reversed(Path(part).parents):
            yield f"opsml_cli/{(parent / '__init__.py').as_posix()}", package / parent / "__init__.py"
        for path in sorted((package / part).rglob("*.py")):
            name = path.relative_to(package).as_posix()
            if name != _OF_THE_FRONT:
                yield f"opsml_cli/{name}", path


def make(place: Path, source: Source, *, compiling: bool = False) -> Copy:
    """Copy what is registered into a new folder of `place`, and prove the copies by their hashes; with `compiling` the host is
    to compile the model. ContractError for files that were changed, NotFoundError for files that are gone."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = place / f"{os.getpid()}-{os.urandom(6).hex()}"
    folder.mkdir(mode=0o700)
    try:
        copy = _filled(folder, source)
        settings = replace(copy.settings, compiled=str(folder / "compiled"))
        return replace(copy, settings=settings) if compiling and copy.settings.kind == MODEL else copy
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def sweep(place: Path) -> None:
    """Remove the copies of processes that were killed."""
    try:
        entries = list(place.iterdir())
    except OSError:
        return
    for entry in entries:
        owner = entry.name.partition("-")[0]
        if not (owner.isdigit() and pid_alive(int(owner))):
            shutil.rmtree(entry, ignore_errors=True)


def _filled(folder: Path, source: Source) -> Copy:
    variables: dict[str, str] = {}
    model = None
    if source.model is not None:
        mounted = folder / MODELS / source.name / source.version
        model = mounted / source.mount if source.mount else mounted
        _copy_model(source, model)
        variables["AZUREML_MODEL_DIR"] = str(mounted)
    if source.code is None:
        assert model is not None
        return Copy(folder, folder, HostSettings(MODEL, model=str(model)), variables)
    assert source.entry is not None
    code = folder / "code"
    _copy_code(source, code)
    variables.setdefault("AZUREML_MODEL_DIR", str(code))
    variables |= {"AZUREML_ENTRY_SCRIPT": source.entry, "AML_APP_ROOT": str(code)}
    settings = HostSettings(SCRIPT, model=str(model) if model else None, code=str(code), entry=source.entry, paths=(str(code),))
    return Copy(folder, code, settings, variables)


def _copy_model(source: Source, target: Path) -> None:
    assert source.model is not None
    title = f"model {source.name}:{source.version}"
    if not source.model.is_dir():
        raise NotFoundError(f"the files of {title} are gone: {source.model}")
    target.mkdir(parents=True)
    model_folder.copy_files(source.model, target)
    if model_folder.folder_hash(target).sha256 != source.model_sha256:
        raise ContractError(
            f"the files of {title} are not those that were registered", cause=f"somebody changed {source.model}"
        )


def _copy_code(source: Source, target: Path) -> None:
    from opsml_cli.local.pipelines.snapshot import hash_path

    assert source.code is not None
    if not source.code.is_dir():
        raise ContractError(f"the files of the scoring script {source.entry} are gone")
    shutil.copytree(source.code, target, symlinks=True, copy_function=shutil.copy)
    if hash_path(target) != source.code_sha256:
        model_folder.drop_caches(target)  # written by whoever imported the files where they are registered
    if hash_path(target) != source.code_sha256:
        raise ContractError(f"the files of the scoring script {source.entry} are not those that were registered")
    for root, _, files in os.walk(target):
        for name in files:
            path = Path(root, name)
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
