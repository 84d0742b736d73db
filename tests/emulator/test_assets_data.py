"""Data assets over the wire: what Azure answers, what the SDK makes of it, and that the workspace holds the same."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_support import Emulated

from opsml_cli.domain.data import DataType, RegisterData
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent

VERSION = "2024-10-01-preview"  # what the fixture's client sends


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        yield found


@pytest.fixture(scope="module")
def ml(emulator: Emulated) -> Any:
    return emulator.ml_client()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "job", "y"])
        draw = random.Random(1)
        writer.writerows([draw.randint(18, 90), draw.choice(["a", "b"]), draw.choice(["yes", "no"])] for _ in range(40))
    return path


def put(client: httpx.Client, emulator: Emulated, name: str, version: str, **properties: Any) -> httpx.Response:
    body = {"properties": {"dataType": "uri_file", "dataUri": f"https://example.org/{name}", **properties}}
    return client.put(f"{emulator.ws}/data/{name}/versions/{version}", json=body)


def inner(reply: httpx.Response) -> list[str]:
    """The chain of semantic codes of a refusal."""
    info = {each["type"]: each["info"]["value"] for each in reply.json()["error"]["additionalInfo"]}
    found, chain = info["InnerError"], []
    while found:
        chain.append(found["code"])
        found = found["innerError"]
    return chain


def test_a_new_version_is_created_in_the_long_form(emulator: Emulated, client: httpx.Client) -> None:
    short = "azureml://datastores/workspaceblobstore/paths/a/b.csv"
    reply = put(client, emulator, "long-form", "2", dataUri=short)
    assert reply.status_code == 201
    url = f"{emulator.url}{emulator.ws}/data/long-form/versions/2?api-version={VERSION}"
    assert reply.headers["location"] == url
    body = reply.json()
    assert body["type"] == "Microsoft.MachineLearningServices/workspaces/data/versions"
    assert body["name"] == "2"
    assert body["properties"]["dataUri"] == (
        f"azureml://subscriptions/{emulator.subscription}/resourcegroups/{emulator.resource_group}/workspaces/"
        f"{emulator.workspace_name}/datastores/workspaceblobstore/paths/a/b.csv"
    )
    assert {"autoDeleteSetting", "stage", "intellectualProperty", "isAnonymous", "isArchived"} <= set(body["properties"])
    assert {"createdAt", "createdBy", "createdByType", "lastModifiedAt"} == set(body["systemData"])


def test_archiving_is_an_update_of_the_same_version(emulator: Emulated, client: httpx.Client) -> None:
    created = put(client, emulator, "archived", "1").json()
    reply = put(client, emulator, "archived", "1", isArchived=True)
    assert reply.status_code == 200
    assert "location" not in reply.headers
    system = reply.json()["systemData"]
    assert system["createdAt"] == created["systemData"]["createdAt"]
    assert system["lastModifiedAt"] > created["systemData"]["lastModifiedAt"]
    assert system["lastModifiedBy"]
    put(client, emulator, "archived", "2")
    url = f"{emulator.ws}/data/archived/versions"

    def shown(view: str) -> list[str]:
        return [each["name"] for each in client.get(url, params={"listViewType": view}).json()["value"]]

    assert shown("ActiveOnly") == ["2"]
    assert shown("archivedonly") == ["1"]
    assert shown("All") == ["2", "1"]
    assert client.get(url, params={"listViewType": "Some"}).status_code == 400


def test_another_content_is_refused(emulator: Emulated, client: httpx.Client) -> None:
    put(client, emulator, "immutable", "1", tags={"a": "1"})
    reply = put(client, emulator, "immutable", "1", dataUri="https://example.org/other")
    assert reply.status_code == 409
    error = reply.json()["error"]
    assert error["code"] == "UserError"
    assert error["message"].startswith("A data version with this name and version already exists.")
    assert error["message"].endswith("Only tags, description, and isArchived can be updated.")
    changed = put(client, emulator, "immutable", "1", tags={"b": "2"}, description="new", properties={"p": "q"}).json()[
        "properties"
    ]
    assert (changed["tags"], changed["description"], changed["properties"]) == ({"b": "2"}, "new", {})


def test_an_address_elsewhere_is_taken_as_it_is(emulator: Emulated, client: httpx.Client) -> None:
    reply = put(client, emulator, "elsewhere", "1", dataUri="https://bla", dataType="uri_folder")
    assert reply.status_code == 201
    assert reply.json()["properties"]["dataUri"] == "https://bla"
    asset = emulator.workspace.data.get(AssetRef("elsewhere"))
    assert (asset.uri, asset.sha256, asset.rows) == ("https://bla", "", None)
    with pytest.raises(InvalidInputError, match="not in this workspace"):
        emulator.workspace.data.locate(AssetRef("elsewhere"))


def test_containers_tell_latest_and_next(emulator: Emulated, client: httpx.Client) -> None:
    put(client, emulator, "latest", "foobar")
    found = client.get(f"{emulator.ws}/data/latest").json()["properties"]
    assert (found["latestVersion"], found["nextVersion"], found["dataType"], found["tags"]) == ("foobar", "1", "uri_file", None)
    put(client, emulator, "latest", "7")
    put(client, emulator, "latest", "3")
    found = client.get(f"{emulator.ws}/data/latest").json()["properties"]
    assert (found["latestVersion"], found["nextVersion"]) == ("3", "8")


def test_what_is_not_there(emulator: Emulated, client: httpx.Client) -> None:
    assert client.get(f"{emulator.ws}/data/none/versions").json() == {"value": []}
    for path in ("data/none", "data/none/versions/1"):
        reply = client.get(f"{emulator.ws}/{path}")
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "UserError"
        assert inner(reply)[0] == "NotFound"
        assert reply.headers["x-ms-response-type"] == "error"


@pytest.mark.parametrize(
    ("name", "version", "properties"),
    [
        ("bad.name", "1", {}),
        ("-x", "1", {}),
        ("x" * 256, "1", {}),
        ("good", "a b", {}),
        ("good", "..x", {}),
        ("good", "1", {"dataType": "table"}),
        ("good", "1", {"dataType": None}),
        ("good", "1", {"dataUri": None}),
        ("good", "1", {"dataUri": ""}),
        ("good", "1", {"tags": ["a"]}),
        ("good", "1", {"isArchived": "yes"}),
        ("good", "1", {"tags": {"a": ["b"]}}),
    ],
)
def test_what_azure_refuses(emulator: Emulated, client: httpx.Client, name: str, version: str, properties: Any) -> None:
    reply = put(client, emulator, name, version, **properties)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["code"] == "UserError"
    assert client.get(f"{emulator.ws}/data/good").status_code == 404


def test_pages_follow_links_to_the_end(emulator: Emulated, client: httpx.Client) -> None:
    for number in range(1, 8):
        put(client, emulator, "paged", str(number))
    url: str | None = f"{emulator.url}{emulator.ws}/data/paged/versions?$top=3&listViewType=All&api-version={VERSION}"
    found: list[str] = []
    pages = 0
    while url is not None:
        body = client.get(url).json()
        found += [each["name"] for each in body["value"]]
        url = body.get("nextLink")
        pages += 1
        if url is not None:
            assert url.startswith(emulator.url)
            assert "listViewType=All" in url
            assert "$skipToken=" in url
            # A version that is added meanwhile repeats nothing.
            put(client, emulator, "paged", f"x{len(found)}")
    assert pages == 3
    assert found == ["7", "6", "5", "4", "3", "2", "1"]
    wrong = client.get(f"{emulator.ws}/data/paged/versions", params={"$skipToken": "%%%"})
    assert wrong.status_code == 400
    ordered = client.get(f"{emulator.ws}/data/paged/versions", params={"$orderBy": "createdtime asc", "$top": "1"}).json()
    assert ordered["value"][0]["name"] == "1"
    assert client.get(f"{emulator.ws}/data/paged/versions", params={"$orderBy": "size"}).status_code == 400


def test_a_file_of_the_sdk_is_data_of_the_workspace(emulator: Emulated, ml: Any, table: Path) -> None:
    from azure.ai.ml.entities import Data

    made = ml.data.create_or_update(Data(name="from-sdk", path=str(table), type="uri_file", tags={"k": "v"}, description="d"))
    assert made.version == "1"
    assert made.path.endswith("/table.csv")
    asset = emulator.workspace.data.get(AssetRef("from-sdk"))
    assert (asset.rows, asset.columns, asset.type, dict(asset.tags)) == (40, 3, DataType.URI_FILE, {"k": "v"})
    assert [column.name for column in asset.profile.columns] == ["age", "job", "y"]  # type: ignore[union-attr]
    path, _ = emulator.workspace.data.locate(AssetRef("from-sdk"))
    assert path.read_bytes() == table.read_bytes()
    # The same file again: found by its hash, a new version of the same content.
    assert ml.data.create_or_update(Data(name="from-sdk", path=str(table), type="uri_file")).version == "2"
    assert ml.data.get("from-sdk", label="latest").version == "2"
    assert [each.version for each in ml.data.list("from-sdk")] == ["2", "1"]
    assert "from-sdk" in [each.name for each in ml.data.list()]
    ml.data.archive("from-sdk", version="2")
    assert [each.version for each in ml.data.list("from-sdk")] == ["1"]
    ml.data.archive("from-sdk")
    assert "from-sdk" not in [each.name for each in ml.data.list()]
    ml.data.restore("from-sdk")
    assert "from-sdk" in [each.name for each in ml.data.list()]


def test_an_mltable_of_the_sdk_is_a_table(emulator: Emulated, ml: Any, table: Path) -> None:
    from azure.ai.ml.entities import Data

    folder = table.parent / "folder"
    folder.mkdir()
    table.rename(folder / "table.csv")
    (folder / "MLTable").write_text(
        "paths:\n  - file: ./table.csv\ntransformations:\n  - read_delimited:\n      delimiter: ','\n"
    )
    data = Data(name="tables", version="1", path=str(folder), type="mltable")
    data._skip_validation = True
    data._mltable_schema_url = f"{emulator.url}/no/schema"  # the SDK asks for it even so
    made = ml.data.create_or_update(data)
    assert made.path.endswith("/folder/")
    asset = emulator.workspace.data.get(AssetRef("tables"))
    assert (asset.type, asset.rows) == (DataType.MLTABLE, 40)
    assert len(emulator.workspace.data.frame(AssetRef("tables"))) == 40


def test_a_folder_without_a_table_is_kept_as_one(emulator: Emulated, ml: Any, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Data

    (tmp_path / "things" / "deep").mkdir(parents=True)
    (tmp_path / "things" / "deep" / "a.bin").write_bytes(b"\0\1")
    made = ml.data.create_or_update(Data(name="things", version="1", path=str(tmp_path / "things"), type="uri_folder"))
    assert made.path.endswith("/things/")
    path, _ = emulator.workspace.data.locate(AssetRef("things"))
    assert (path / "deep" / "a.bin").read_bytes() == b"\0\1"


def test_data_of_the_command_line_can_be_downloaded_by_the_sdk(
    emulator: Emulated, ml: Any, table: Path, tmp_path: Path
) -> None:
    import azure.ai.ml._artifacts._artifact_utilities as artifacts

    emulator.workspace.data.register(RegisterData("from-cli", str(table), description="here"), Silent())
    shown = ml.data.get("from-cli", version="1")
    assert (shown.type, shown.description) == ("uri_file", "here")
    assert shown.path.endswith("/from-cli/1/table.csv")
    artifacts.download_artifact_from_aml_uri(shown.path, str(tmp_path / "down"), ml.datastores)
    assert (tmp_path / "down" / "table.csv").read_bytes() == table.read_bytes()
    # Labels may be changed over the wire, and are the workspace's own.
    shown.tags = {"from": "sdk"}
    ml.data.create_or_update(shown)
    assert dict(emulator.workspace.data.get(AssetRef("from-cli")).tags) == {"from": "sdk"}


def test_a_repeated_registration_after_a_restart_finds_the_version(emulator: Emulated, client: httpx.Client) -> None:
    from opsml_cli.local.workspace import LocalWorkspace

    put(client, emulator, "durable", "1", tags={"a": "b"})
    again = LocalWorkspace(emulator.workspace.root)
    try:
        asset = again.data.get(AssetRef("durable", "1"))
    finally:
        again.store.close()
    assert dict(asset.tags) == {"a": "b"}
    assert put(client, emulator, "durable", "1", tags={"a": "b"}).status_code == 200
    assert json.loads(client.get(f"{emulator.ws}/data/durable/versions/1").text)["properties"]["tags"] == {"a": "b"}


def test_of_clients_that_create_one_version_at_once_one_is_the_first(emulator: Emulated, table: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with emulator.client() as client, ThreadPoolExecutor(6) as pool:
        same = list(pool.map(lambda _: put(client, emulator, "raced", "1").status_code, range(6)))
        other = list(
            pool.map(
                lambda each: put(client, emulator, "raced", "2", dataUri=f"https://example.org/{each}").status_code, range(6)
            )
        )
    assert sorted(same) == [200] * 5 + [201]
    assert sorted(other) == [201] + [409] * 5


def test_an_upload_is_found_by_its_url_whatever_the_port(emulator: Emulated, client: httpx.Client, table: Path) -> None:
    from opsml_cli.local.storage.engine import Written
    from opsml_cli.local.storage.objects import Labels

    emulator.workspace.storage.put("@blobstore", "moved/table.csv", [table.read_bytes()], Written(Labels(), {}))
    account = f"_blob/{emulator.names.account}.blob.core.windows.net"
    uri = f"https://localhost:1/{account}/azureml-blobstore-{emulator.names.workspace_id}/moved/table.csv"
    put(client, emulator, "moved", "1", dataUri=uri)
    assert emulator.workspace.data.get(AssetRef("moved")).rows == 40
    put(client, emulator, "stranger", "1", dataUri=uri.replace(emulator.names.account, "someone"))
    assert emulator.workspace.data.get(AssetRef("stranger")).sha256 == ""
