"""What is larger than one block arrives whole on Azure, also when the client was killed on the way and asked again."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure_live import azure_workspace
from emulator_support import Emulated
from foreign_model import foreign
from waiting import until

from opsml_cli.azureml.storage import parse_location
from opsml_cli.azureml.transfer import BLOCK, download_folder, md5_of, upload
from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.errors import NotAllowedError, NotFoundError
from opsml_cli.domain.model import RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent

SIZE = 2 * BLOCK + 12345


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AzureWorkspace, Emulated]]:
    with azure_workspace(tmp_path_factory.mktemp("uploads")) as found:
        yield found


def large(folder: Path, seed: int) -> Path:
    """A folder with one file of three blocks."""
    folder.mkdir()
    (folder / "large.bin").write_bytes(random.Random(seed).randbytes(SIZE))
    return folder


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def begun(emulator: Emulated, *words: str) -> subprocess.Popen[bytes]:
    """The command as a process of its own."""
    named = {
        "OPSML_WORKSPACE": "azure",
        "OPSML_AZURE__SUBSCRIPTION_ID": emulator.subscription,
        "OPSML_AZURE__RESOURCE_GROUP": emulator.resource_group,
        "OPSML_AZURE__WORKSPACE_NAME": emulator.workspace_name,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "opsml_cli", *words], env=os.environ | named, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def killed_behind_a_block(emulator: Emulated, *words: str) -> None:
    """Kill the command when a block of its upload has arrived and the next is held back by a service that has faults."""
    staging = emulator.workspace.layout.staging
    before = _files(staging)
    emulator.faults.add("error:verb=PUT,route=/_blob/,skip=1,count=100,status=503,seconds=30")
    process = begun(emulator, *words)
    try:
        until(lambda: (_files(staging) - before) or (process.poll() is not None) or None, 60.0)
        assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    finally:
        emulator.faults.clear()
        process.kill()
        process.communicate()
    assert _files(staging) - before


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else set()


@pytest.mark.slow
def test_data_whose_upload_was_killed_is_registered_once_and_whole(
    azure: tuple[AzureWorkspace, Emulated], tmp_path: Path
) -> None:
    workspace, emulator = azure
    folder = large(tmp_path / "folder", 1)
    killed_behind_a_block(emulator, "data", "register", "killed", str(folder))
    with pytest.raises(NotFoundError):
        workspace.data.get(AssetRef("killed"))
    again = begun(emulator, "data", "register", "killed", str(folder))
    assert again.wait(120) == 0, again.communicate()[1].decode()
    assert [one.version for one in workspace.data.list("killed")] == ["1"]
    assert workspace.data.register(RegisterData("killed", str(folder)), Silent()).unchanged
    place = parse_location(workspace.data.get(AssetRef("killed")).uri)
    [written] = download_folder(workspace.context.storage.container(place.datastore), place.path, tmp_path / "back")
    assert digest(written) == digest(folder / "large.bin")


@pytest.mark.slow
def test_a_model_whose_upload_was_killed_is_registered_once_and_whole(
    azure: tuple[AzureWorkspace, Emulated], tmp_path: Path
) -> None:
    workspace, emulator = azure
    folder = foreign(tmp_path / "strange", tmp_path / "canary")
    (folder / "0.bin").write_bytes(random.Random(2).randbytes(SIZE))  # the first file in the order of names
    killed_behind_a_block(emulator, "models", "register", "killed", str(folder), "--trust")
    with pytest.raises(NotFoundError):
        workspace.models.get(AssetRef("killed"))
    again = begun(emulator, "models", "register", "killed", str(folder), "--trust")
    assert again.wait(120) == 0, again.communicate()[1].decode()
    assert [one.version for one in workspace.models.list("killed")] == ["1"]
    assert workspace.models.register(RegisterModel("killed", str(folder))).unchanged
    workspace.models.download(AssetRef("killed"), str(tmp_path / "back"))
    assert digest(tmp_path / "back" / "killed-1" / "0.bin") == digest(folder / "0.bin")


@pytest.mark.slow
def test_blocks_of_a_dead_client_are_not_mixed_with_other_content(
    azure: tuple[AzureWorkspace, Emulated], tmp_path: Path
) -> None:
    """Two contents under one path: what was staged for the first must not end up in the second."""
    container = azure[0].context.storage.container()
    first, second = large(tmp_path / "a", 3) / "large.bin", large(tmp_path / "b", 4) / "large.bin"
    block = base64.b64encode(b"00000000").decode()
    content = first.read_bytes()[:BLOCK]
    container.write_block("LocalUpload/mixed/large.bin", block, content, md5_of(content))
    upload(container, "LocalUpload/mixed/large.bin", second, lambda _: None)
    [written] = download_folder(container, "LocalUpload/mixed", tmp_path / "back")
    assert digest(written) == digest(second)


def test_a_datastore_without_credentials_needs_a_role_of_the_caller(azure: tuple[AzureWorkspace, Emulated]) -> None:
    """The caller's own identity is sent there, and a role on the workspace is none on its storage."""
    workspace = azure[0]
    default = workspace.context.rest.get("{ws}/datastores/workspaceblobstore", "2024-10-01")["properties"]
    kept = {name: default[name] for name in ("accountName", "containerName", "endpoint", "protocol")}
    body = {"properties": {"datastoreType": "AzureBlob", "credentials": {"credentialsType": "None"}, **kept}}
    workspace.context.rest.send("PUT", "{ws}/datastores/mine", "2024-10-01", body)
    with pytest.raises(NotAllowedError) as caught:
        workspace.data.register(RegisterData("mine", "azureml://datastores/mine/paths/some/"), Silent())
    assert "Storage Blob Data" in f"{caught.value.message} {caught.value.cause} {caught.value.fix}"
    with pytest.raises(NotFoundError):
        workspace.data.list("mine")
