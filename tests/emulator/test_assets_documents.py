"""Codes, environments and components over the wire: what Azure answers, and what the SDK makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_support import Emulated

IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04"
CONDA = "name: env\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.11\n  - pip:\n      - scikit-learn\n"


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        yield found


@pytest.fixture(scope="module")
def ml(emulator: Emulated) -> Any:
    return emulator.ml_client()


def put(client: httpx.Client, emulator: Emulated, path: str, **properties: Any) -> httpx.Response:
    return client.put(f"{emulator.ws}/{path}", json={"properties": properties})


def inner(reply: httpx.Response) -> list[str]:
    info = {each["type"]: each["info"]["value"] for each in reply.json()["error"]["additionalInfo"]}
    found, chain = info["InnerError"], []
    while found:
        chain.append(found["code"])
        found = found["innerError"]
    return chain


def code_labels(digest: str) -> dict[str, str]:
    return {"hash_sha256": digest, "hash_version": "202208"}


class TestCodes:
    def test_a_hash_is_found_under_any_name(self, emulator: Emulated, client: httpx.Client) -> None:
        uri = f"{emulator.url}/_blob/{emulator.names.account}.blob.core.windows.net:443/container-one/src"
        made = put(client, emulator, "codes/codeB/versions/1", codeUri=uri, properties=code_labels("h1"))
        assert made.status_code == 201
        assert made.json()["properties"]["provisioningState"] == "Succeeded"
        found = client.get(f"{emulator.ws}/codes/codeA/versions", params={"hash": "h1", "hashVersion": "202208"}).json()[
            "value"
        ]
        assert [each["id"] for each in found] == [f"{emulator.ws}/codes/codeB/versions/1"]
        other = client.get(f"{emulator.ws}/codes/codeA/versions", params={"hash": "h1", "hashVersion": "1"}).json()
        assert other == {"value": []}

    def test_an_identical_version_is_an_update(self, emulator: Emulated, client: httpx.Client) -> None:
        uri = f"{emulator.url}/_blob/x.blob.core.windows.net:443/container-two/src"
        first = put(client, emulator, "codes/again/versions/1", codeUri=uri).json()
        reply = put(client, emulator, "codes/again/versions/1", codeUri=uri)
        assert reply.status_code == 200
        assert reply.json()["systemData"]["createdAt"] == first["systemData"]["createdAt"]
        assert put(client, emulator, "codes/again/versions/1", codeUri=uri + "2").status_code == 409
        assert put(client, emulator, "codes/again/versions/2", codeUri="azureml://x").status_code == 400
        assert put(client, emulator, "codes/again/versions/2").status_code == 400

    def test_an_upload_has_a_container_of_its_own(self, emulator: Emulated, client: httpx.Client) -> None:
        url = f"{emulator.ws}/codes/uploaded/versions/1/startPendingUpload"
        first = client.post(url, json={"pendingUploadType": "TemporaryBlobReference"}).json()
        reference = first["blobReferenceForConsumption"]
        assert re.search(r"\.blob\.core\.windows\.net:443/[0-9a-f-]{36}-[0-9a-z]{26}\Z", reference["blobUri"])
        assert reference["credential"]["credentialType"] == "SAS"
        second = client.post(url, json={"pendingUploadType": "TemporaryBlobReference"}).json()
        assert second["pendingUploadId"] == first["pendingUploadId"]
        with emulator.plain() as stranger:
            target = reference["credential"]["sasUri"].replace("?", "/main.py?")
            assert stranger.put(target, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 201
            assert stranger.get(target).content == b"x"
            elsewhere = target.replace(
                reference["blobUri"].rpartition("/")[2], f"azureml-blobstore-{emulator.names.workspace_id}"
            )
            assert stranger.get(elsewhere).status_code == 403

    def test_the_sdk_uploads_code_once_and_downloads_it(self, emulator: Emulated, ml: Any, tmp_path: Path) -> None:
        from azure.ai.ml.entities._assets import Code

        folder = tmp_path / "src"
        (folder / "deep").mkdir(parents=True)
        (folder / "main.py").write_text("print('x')\n")
        (folder / "deep" / "more.py").write_text("y = 1\n")
        first = ml._code.create_or_update(Code(name="sdkcode", version="1", path=str(folder)))
        second = ml._code.create_or_update(Code(name="othername", version="7", path=str(folder)))
        assert (second.name, second.version) == (first.name, first.version)
        ml._code.download("sdkcode", "1", tmp_path / "down")
        assert (tmp_path / "down" / "main.py").read_text() == "print('x')\n"
        assert (tmp_path / "down" / "deep" / "more.py").read_text() == "y = 1\n"


class TestEnvironments:
    def test_conda_comes_back_as_json(self, emulator: Emulated, client: httpx.Client) -> None:
        reply = put(client, emulator, "environments/conda/versions/1", image=IMAGE, condaFile=CONDA)
        assert reply.status_code == 201
        assert reply.headers["build-id"]
        found = reply.json()["properties"]
        assert json.loads(found["condaFile"])["dependencies"][1] == {"pip": ["scikit-learn"]}
        assert found["condaFile"].startswith("{\n")
        assert found["environmentType"] == "UserCreated"
        assert (found["osType"], found["autoRebuild"], found["stage"]) == ("Linux", "Disabled", "Development")
        assert found["properties"] == {"azureml.labels": "latest"}
        put(client, emulator, "environments/conda/versions/2", image=IMAGE)
        old = client.get(f"{emulator.ws}/environments/conda/versions/1").json()["properties"]
        assert old["properties"] == {}

    def test_an_anonymous_one_is_created_again_as_it_was(self, emulator: Emulated, client: httpx.Client) -> None:
        path = "environments/CliV2AnonymousEnvironment/versions/0123456789abcdef0123456789abcdef"
        first = put(client, emulator, path, image=IMAGE, condaFile=CONDA, isAnonymous=True)
        second = put(client, emulator, path, image=IMAGE, condaFile=CONDA, isAnonymous=True)
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["systemData"]["createdAt"] == second.json()["systemData"]["createdAt"]
        names = [each["name"] for each in client.get(f"{emulator.ws}/environments").json()["value"]]
        assert "CliV2AnonymousEnvironment" not in names

    @pytest.mark.parametrize(
        "properties",
        [
            {},
            {"condaFile": CONDA},
            {"image": IMAGE, "condaFile": "a: [1"},
            {"image": IMAGE, "condaFile": "- 1"},
            {"image": IMAGE, "osType": "Mac"},
            {"image": IMAGE, "build": {"contextUri": "https://x/y"}},
            {"build": {}},
            {"image": 1},
        ],
    )
    def test_what_is_refused(self, emulator: Emulated, client: httpx.Client, properties: dict[str, Any]) -> None:
        reply = put(client, emulator, "environments/wrong/versions/1", **properties)
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] == "UserError"
        assert client.get(f"{emulator.ws}/environments/wrong").status_code == 404

    def test_azures_own_are_there_and_cannot_be_made(self, emulator: Emulated, client: httpx.Client, ml: Any) -> None:
        name = "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu"
        assert ml.environments.get(name, version="33").image.endswith("sklearn-1.0-ubuntu20.04-py38-cpu:33")
        assert ml.environments.get(name, label="latest").version == "1"
        shown = client.get(f"{emulator.ws}/environments/{name}")
        assert (shown.status_code, shown.json()["properties"]["latestVersion"]) == (200, "1")
        assert client.put(f"{emulator.ws}/environments/{name}", json={"properties": {"tags": {}}}).status_code == 400
        assert put(client, emulator, f"environments/{name}/versions/33", image=IMAGE).status_code == 400
        assert put(client, emulator, "environments/with.dot/versions/1", image=IMAGE).status_code == 400

    def test_the_sdk_creates_lists_and_archives(self, emulator: Emulated, ml: Any, tmp_path: Path) -> None:
        from azure.ai.ml.entities import Environment

        file = tmp_path / "conda.yml"
        file.write_text(CONDA)
        made = ml.environments.create_or_update(Environment(name="sdkenv", image=IMAGE, conda_file=str(file), tags={"a": "b"}))
        assert made.version == "1"
        assert ml.environments.get("sdkenv", label="latest").conda_file["name"] == "env"
        assert "sdkenv" in [each.name for each in ml.environments.list()]
        ml.environments.archive("sdkenv", version="1")
        assert list(ml.environments.list("sdkenv")) == []
        ml.environments.restore("sdkenv", version="1")
        assert [each.version for each in ml.environments.list("sdkenv")] == ["1"]


def spec(**more: Any) -> dict[str, Any]:
    return {
        "name": "comp",
        "version": "1",
        "type": "command",
        "command": "echo ${{inputs.n}}",
        "environment": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:33",
        "is_deterministic": True,
        "inputs": {"n": {"type": "number", "default": 10.99}, "data": {"type": "uri_folder", "optional": True}},
        "outputs": {"out": {"type": "uri_folder"}},
        "_source": "YAML.COMPONENT",
        **more,
    }


class TestComponents:
    def test_the_service_rewrites_the_specification(self, emulator: Emulated, client: httpx.Client) -> None:
        reply = put(client, emulator, "components/comp/versions/1", componentSpec=spec())
        assert reply.status_code == 201
        found = reply.json()["properties"]["componentSpec"]
        assert found["is_deterministic"] == "True"
        assert found["version"] == "1"
        assert found["environment"] == (
            "azureml://registries/azureml/environments/AzureML-sklearn-1.0-ubuntu20.04-py38-cpu/versions/33"
        )
        assert found["resources"] == {"instance_count": "1"}
        assert "_source" not in found
        assert found["inputs"]["n"] == {"type": "number", "default": "10.99", "optional": "False"}
        assert found["inputs"]["data"]["optional"] == "True"
        assert reply.json()["properties"]["stage"] == "Development"
        # What runs it has the client's own words.
        kept = emulator.workspace.assets.find("components", "comp", "1")
        assert kept is not None
        assert kept.document["spec"]["is_deterministic"] is True

    def test_a_container_tells_the_time_and_no_latest(self, emulator: Emulated, client: httpx.Client) -> None:
        missing = client.get(f"{emulator.ws}/components/unknown")
        assert missing.status_code == 404
        assert missing.json()["error"]["message"] == "Not found component unknown."
        assert inner(missing) == ["NotFound", "ComponentNotFound"]
        put(client, emulator, "components/timed/versions/1", componentSpec=spec(name="timed"))
        found = client.get(f"{emulator.ws}/components/timed").json()["properties"]
        assert found["latestVersion"] is None
        assert re.fullmatch(r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{7}", found["nextVersion"])
        assert (found["description"], found["tags"], found["properties"]) == ("", {}, {})

    def test_equal_anonymous_ones_are_one(self, emulator: Emulated, client: httpx.Client) -> None:
        first = put(client, emulator, "components/azureml_anonymous/versions/aaa", componentSpec=spec(), isAnonymous=True)
        again = spec(version="bbb")
        second = put(client, emulator, "components/azureml_anonymous/versions/bbb", componentSpec=again, isAnonymous=True)
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.json()["id"] == second.json()["id"]
        assert re.search(
            r"/components/azureml_anonymous/versions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", first.json()["id"]
        )
        assert first.json()["systemData"]["createdAt"] == second.json()["systemData"]["createdAt"]
        assert first.json()["properties"]["stage"] == "Logged"
        other = put(
            client, emulator, "components/azureml_anonymous/versions/aaa", componentSpec=spec(command="x"), isAnonymous=True
        )
        assert other.json()["id"] != first.json()["id"]

    def test_code_is_immutable_and_labels_are_not(self, emulator: Emulated, client: httpx.Client) -> None:
        code = f"azureml:{emulator.ws}/codes/a/versions/1"
        put(client, emulator, "components/fixed/versions/1", componentSpec=spec(name="fixed", code=code))
        reply = put(client, emulator, "components/fixed/versions/1", componentSpec=spec(name="fixed", code=code + "2"))
        assert reply.status_code == 400
        assert reply.json()["error"]["message"] == (
            'Failed to update component fixed since field "code" is immutable, try specifying a new version.'
        )
        assert inner(reply) == ["BadArgument", "ArgumentInvalid", "UpdateComponentFailed"]
        kept = client.get(f"{emulator.ws}/components/fixed/versions/1").json()["properties"]
        labelled = put(client, emulator, "components/fixed/versions/1", **{**kept, "tags": {"a": "b"}})
        assert labelled.status_code == 200
        assert labelled.json()["properties"]["tags"] == {"a": "b"}
        assert labelled.json()["properties"]["componentSpec"] == kept["componentSpec"]

    @pytest.mark.parametrize(
        ("wrong", "status"),
        [
            ({"type": "unheard_of"}, 400),
            ({"command": None}, 400),
            ({"environment": None}, 400),
            ({"environment": "azureml:NotThere:1"}, 404),
            ({"inputs": {"x": {"type": "table"}}}, 400),
            ({"inputs": {"x": {}}}, 400),
        ],
    )
    def test_what_is_refused(self, emulator: Emulated, client: httpx.Client, wrong: dict[str, Any], status: int) -> None:
        reply = put(client, emulator, "components/wrong/versions/1", componentSpec=spec(**wrong))
        assert reply.status_code == status
        assert client.get(f"{emulator.ws}/components/wrong").status_code == 404

    def test_the_sdk_creates_and_lists_in_pages(
        self, emulator: Emulated, ml: Any, client: httpx.Client, tmp_path: Path
    ) -> None:
        from azure.ai.ml import Input, command
        from azure.ai.ml.entities import Environment

        ml.environments.create_or_update(Environment(name="compenv", version="1", image=IMAGE))
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "a.py").write_text("print(1)\n")
        component = command(
            name="sdkcomp", command="python a.py ${{inputs.n}}", environment="compenv@latest",
            code=str(tmp_path / "src"), inputs={"n": Input(type="integer", default=3)}, compute="x",
        ).component  # fmt: skip
        component.name = "sdkcomp"
        made = ml.components.create_or_update(component)
        assert made.name == "sdkcomp"
        again = ml.components.create_or_update(component, version="1")
        assert again.version == "1"
        assert {each.version for each in ml.components.list("sdkcomp")} == {made.version, "1"}
        assert ml.components.get("sdkcomp", label="latest").version == "1"
        for number in range(60):
            put(client, emulator, f"components/many{number}/versions/1", componentSpec=spec(name=f"many{number}"))
        first = client.get(f"{emulator.ws}/components", params={"listViewType": "ActiveOnly"}).json()
        assert "$skipToken=" in first["nextLink"]
        assert "listViewType=ActiveOnly" in first["nextLink"]
        assert "nextLink" not in client.get(first["nextLink"]).json()
        assert len([each for each in ml.components.list() if each.name.startswith("many")]) == 60
