"""What of a local workspace appears in its containers without being stored there: runs, and data and models by version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.data import DataAsset, DataType
from opsml_cli.domain.model import Model
from opsml_cli.local import data_records
from opsml_cli.local.artifacts import Blobs
from opsml_cli.local.layout import Layout
from opsml_cli.local.own_names import file_name
from opsml_cli.local.storage.mounts import Mount
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.local.run_files import RunFiles

# The containers of the workspace's own datastores. The first has a longer name on the wire, which no client can choose.
BLOBSTORE = "@blobstore"
ARTIFACTS = "azureml"

RUNS = "ExperimentRun/dcid."
OUTPUTS = "azureml/"
DATA = "opsml/data/"
MODELS = "opsml/models/"


def data_path(asset: DataAsset) -> str:
    """Where a version of data appears in BLOBSTORE: a file, or a folder with a slash at its end."""
    folder = f"{DATA}{asset.name}/{asset.version}/"
    return folder + file_name(asset) if asset.type is DataType.URI_FILE else folder


def model_path(model: Model) -> str:
    """Where a model's folder appears in BLOBSTORE, without a slash at its end."""
    return f"{MODELS}{model.name}/{model.version}/model"


def run_path(run: str, name: str = "") -> str:
    """Where a run's artifact appears in ARTIFACTS."""
    return f"{RUNS}{run}/{name}"


def output_path(run: str, output: str, name: str = "") -> str:
    """Where a run's named output appears in BLOBSTORE."""
    return f"{OUTPUTS}{run}/{output}/{name}".rstrip("/")


class WorkspaceViews:
    """The live views of one local workspace."""

    def __init__(self, layout: Layout, store: Store, runs: Callable[[], RunFiles]) -> None:
        self._layout = layout
        self._store = store
        self._runs = runs
        self._blobs = Blobs(layout.blobs)

    def below(self, container: str, prefix: str) -> Iterator[Mount]:
        """See Mounts. A name between the slashes of `prefix` narrows what is looked at."""
        if container == ARTIFACTS:
            if prefix.startswith(RUNS):
                yield from _files(self._runs().artifacts_below(prefix))
        elif container == BLOBSTORE:
            if prefix.startswith(OUTPUTS):
                yield from _files(self._runs().outputs_below(prefix))
            if _meets(prefix, DATA):
                yield from self._data(prefix)
            if _meets(prefix, MODELS):
                yield from self._models(prefix)

    def _data(self, prefix: str) -> Iterator[Mount]:
        name = _complete(prefix, DATA)
        with self._store.read() as connection:
            wanted = [name] if name is not None else [asset.name for asset in data_records.latest(connection)]
            found = [asset for each in wanted for asset in data_records.versions(connection, each)]
        for asset in found:
            path = data_path(asset)
            if asset.sha256 and _meets(prefix, path):
                yield Mount(path, self._blobs.path(asset.sha256))

    def _models(self, prefix: str) -> Iterator[Mount]:
        from opsml_cli.local.models import LocalModels

        name = _complete(prefix, MODELS)
        registry = LocalModels(self._layout, self._store)
        for model in registry.versions(name):
            path = model_path(model) + "/"
            if model.sha256 and _meets(prefix, path):
                yield Mount(path, self._layout.model(model.name, model.version))


def _files(found: Mapping[str, Path]) -> Iterator[Mount]:
    for name, path in found.items():
        yield Mount(name, path)


def _meets(one: str, other: str) -> bool:
    """Whether names can begin with both."""
    return one.startswith(other) or other.startswith(one)


def _complete(prefix: str, root: str) -> str | None:
    """The name behind `root`, when `prefix` tells it to its end."""
    name, slash, _ = prefix.removeprefix(root).partition("/") if prefix.startswith(root) else ("", "", "")
    return name if slash else None
