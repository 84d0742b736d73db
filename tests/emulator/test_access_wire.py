"""Principals and roles on the wire: who may do what, role assignments, and applications of Microsoft Graph."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from emulator_support import Emulated

from opsml_cli.emulator.routes import batch_jobs
from opsml_cli.emulator.routing import every_route
from opsml_cli.local.roles import find

ROLES = "/providers/Microsoft.Authorization/roleAssignments"


def _principal(emulator: Emulated, role: str | None) -> tuple[httpx.Client, str]:
    """A signed-in client of a new principal with `role` on the workspace, and its object id: all made over the wire."""
    with emulator.client() as owner:
        application = owner.post("/v1.0/applications", json={"displayName": f"app {role}"}).json()
        made = owner.post("/v1.0/servicePrincipals", json={"appId": application["appId"]})
        assert made.status_code == 201
        secret = owner.post(f"/v1.0/applications/{application['id']}/addPassword", json={}).json()["secretText"]
        if role is not None:
            assert _assign(emulator, owner, made.json()["id"], role).status_code == 201
    token = emulator.token(client_id=application["appId"], secret=secret)
    client = emulator.plain(headers={"authorization": f"Bearer {token}"}, params={"api-version": "2024-10-01-preview"})
    return client, made.json()["id"]


def _assign(emulator: Emulated, owner: httpx.Client, principal: str, role: str, name: str | None = None) -> httpx.Response:
    known = find(role)
    definition = f"{emulator.ws}/providers/Microsoft.Authorization/roleDefinitions/{known.id if known else role}"
    body = {"properties": {"roleDefinitionId": definition, "principalId": principal}}
    return owner.put(f"{emulator.ws}{ROLES}/{name or uuid.uuid4()}", json=body)


def _refusal(reply: httpx.Response, action: str) -> None:
    assert reply.status_code == 403
    assert set(reply.json()["error"]) == {"code", "message"}
    assert reply.json()["error"]["code"] == "AuthorizationFailed"
    assert f"'Microsoft.MachineLearningServices/workspaces/{action}'" in reply.json()["error"]["message"]


def test_no_role_no_access(emulator: Emulated) -> None:
    client, _ = _principal(emulator, None)
    with client:
        _refusal(client.get(emulator.ws), "read")
        history = client.get(f"/history/v1.0{emulator.ws}/runs/x")
    assert history.status_code == 403
    assert history.json()["error"]["code"] == "AuthorizationFailed"
    assert history.json()["statusCode"] == 403


def test_a_reader_reads_and_changes_nothing(emulator: Emulated) -> None:
    client, _ = _principal(emulator, "Reader")
    with client:
        assert client.get(emulator.ws).status_code == 200
        _refusal(client.patch(emulator.ws, json={"tags": {"a": "b"}}), "write")
        _refusal(client.put(f"{emulator.ws}/data/x/versions/1", json={}), "data/versions/write")
        _refusal(
            client.post(f"{emulator.ws}/datastores/workspaceblobstore/listSecrets", json={}), "datastores/listSecrets/action"
        )
        assert client.post("/v1.0/applications", json={"displayName": "mine"}).status_code == 403


CHANGING = [each for each in every_route() if each.access == "write" and "{ws}" in each.template]


def test_a_reader_makes_nothing_run(emulator: Emulated) -> None:
    """Whoever may write jobs, components, schedules or deployments runs code on this machine: every such route is asked."""
    client, _ = _principal(emulator, "Reader")
    assert len(CHANGING) > 40
    allowed = []
    with client:
        for route in CHANGING:
            path = re.sub(r"\{[^}]+\}", "x", route.template.replace("{ws}", emulator.ws))
            if client.request(route.method, path, json={}).status_code != 403:
                allowed.append((route.method, route.template))
    assert not allowed
    reader = find("Reader")
    assert reader is not None
    assert not reader.allows(batch_jobs.ACTION), "nor by the scoring host, which asks for the role itself"
    assert not emulator.workspace.jobs.list()


@pytest.mark.parametrize("role", ["AzureML Data Scientist", "Contributor"])
def test_who_works_in_the_workspace_gives_no_roles(emulator: Emulated, role: str) -> None:
    client, principal = _principal(emulator, role)
    with client:
        body = {"properties": {"dataType": "uri_file", "dataUri": "https://example.com/x.csv"}}
        assert client.put(f"{emulator.ws}/data/{role.split(maxsplit=1)[0]}/versions/1", json=body).status_code == 201
        assert _assign(emulator, client, principal, "Owner").status_code == 403


def test_an_assignment_is_made_once_listed_and_taken_away(emulator: Emulated) -> None:
    client, principal = _principal(emulator, "Reader")
    with client, emulator.client() as owner:
        found = owner.get(
            f"{emulator.ws}{ROLES}", params={"api-version": "2022-04-01", "$filter": f"principalId eq '{principal}'"}
        )
        (held,) = found.json()["value"]
        assert held["properties"]["principalId"] == principal
        assert held["properties"]["scope"] == emulator.ws
        again = _assign(emulator, owner, principal, "Reader")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "RoleAssignmentExists")
        assert _assign(emulator, owner, principal, "Reader", held["name"]).status_code == 200
        moved = _assign(emulator, owner, principal, "Contributor", held["name"])
        assert (moved.status_code, moved.json()["error"]["code"]) == (409, "RoleAssignmentUpdateNotPermitted")
        stranger = _assign(emulator, owner, str(uuid.uuid4()), "Reader")
        assert (stranger.status_code, stranger.json()["error"]["code"]) == (400, "PrincipalNotFound")
        unknown = _assign(emulator, owner, principal, str(uuid.uuid4()))
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "RoleDefinitionDoesNotExist")
        assert owner.delete(f"{emulator.ws}{ROLES}/{held['name']}").status_code == 200
        assert owner.delete(f"{emulator.ws}{ROLES}/{held['name']}").status_code == 204
        assert client.get(emulator.ws).status_code == 403


def test_role_definitions_are_azures(emulator: Emulated) -> None:
    with emulator.client() as owner:
        query = {"api-version": "2022-04-01", "$filter": "roleName eq 'AzureML Data Scientist'"}
        found = owner.get(f"{emulator.ws}/providers/Microsoft.Authorization/roleDefinitions", params=query)
    (role,) = found.json()["value"]
    assert role["name"] == "f6c7c914-8db3-469d-8ca1-694a8f32e121"


def test_a_principal_reads_what_it_may_do(emulator: Emulated) -> None:
    client, _ = _principal(emulator, "Reader")
    with client:
        found = client.get(f"{emulator.ws}/providers/Microsoft.Authorization/permissions").json()["value"]
    assert found == [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}]


def test_graph_refuses_in_its_own_form(emulator: Emulated) -> None:
    with emulator.client() as owner:
        application = owner.post("/v1.0/applications", json={"displayName": "twice"}).json()
        assert application["passwordCredentials"] == []
        assert owner.post("/v1.0/servicePrincipals", json={"appId": application["appId"]}).status_code == 201
        twice = owner.post("/v1.0/servicePrincipals", json={"appId": application["appId"]})
        _graph(twice, 409, "Request_MultipleObjectsWithSameKeyValue")
        _graph(owner.post("/v1.0/servicePrincipals", json={"appId": str(uuid.uuid4())}), 400, "Request_BadRequest")
        _graph(owner.get(f"/v1.0/applications/{uuid.uuid4()}"), 404, "Request_ResourceNotFound")
        _graph(
            owner.get("/v1.0/applications", params={"$filter": "startswith(displayName,'a')"}), 400, "Request_UnsupportedQuery"
        )
        found = owner.get("/v1.0/servicePrincipals", params={"$filter": f"appId eq '{application['appId']}'"}).json()["value"]
        assert [each["appId"] for each in found] == [application["appId"]]
        assert owner.delete(f"/v1.0/applications/{application['id']}").status_code == 204
        owner.post("/v1.0/applications", json={"displayName": "Ada's"})
        named = owner.get("/v1.0/applications", params={"$filter": "displayName eq 'ada''s'"}).json()["value"]
        assert [each["displayName"] for each in named] == ["Ada's"]
        assert owner.get("/v1.0/users", params={"$filter": "mail eq 'a@b.c'"}).json()["value"] == []


def _graph(reply: httpx.Response, status: int, code: str) -> None:
    error: dict[str, Any] = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code)
    assert set(error) == {"code", "message", "innerError"}


@pytest.mark.slow
def test_the_sdk_makes_a_workspace_beside_the_first_works_in_it_and_deletes_it(emulator: Emulated) -> None:
    from azure.ai.ml.entities import Workspace

    client = emulator.ml_client()
    made = client.workspaces.begin_create(Workspace(name="second", description="words", tags={"team": "a"})).result()
    assert (made.name, made.description, made.tags["team"]) == ("second", "words", "a")
    assert {each.name for each in client.workspaces.list()} == {emulator.workspace_name, "second"}
    with emulator.client() as http:
        second = emulator.ws.rpartition("/")[0] + "/second"
        body = {"properties": {"dataType": "uri_file", "dataUri": "https://example.com/x.csv"}}
        assert http.put(f"{second}/data/there/versions/1", json=body).status_code == 201
        assert http.get(f"{emulator.ws}/data/there/versions/1").status_code == 404
        assert http.delete(emulator.ws).status_code == 409
    client.workspaces.begin_delete("second", delete_dependent_resources=False).result()
    assert [each.name for each in client.workspaces.list()] == [emulator.workspace_name]
    assert not list(emulator.workspace.root.glob("workspaces/*"))


def _template(emulator: Emulated) -> dict[str, Any]:
    """Of a workspace with what it stands on."""

    def part(type_: str, name: str, **more: Any) -> dict[str, Any]:
        return {"type": type_, "apiVersion": "2023-01-01", "name": name, "location": "local", **more}

    stands_on = {
        "storageAccount": part("Microsoft.Storage/storageAccounts", "stored", sku={"name": "Standard_LRS"}, kind="StorageV2"),
        "keyVault": part(
            "Microsoft.KeyVault/vaults",
            "vault-1",
            properties={
                "tenantId": "[subscription().tenantId]",
                "sku": {"family": "A", "name": "standard"},
                "accessPolicies": [],
            },
        ),
        "applicationInsights": part(
            "Microsoft.Insights/components", "seen", kind="web", properties={"Application_Type": "web"}
        ),
    }
    names = {key: f"[resourceId('{each['type']}', '{each['name']}')]" for key, each in stands_on.items()}
    kind = "Microsoft.MachineLearningServices/workspaces"
    workspace = part(kind, "third", identity={"type": "SystemAssigned"}, properties=names, dependsOn=list(names.values()))
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    return {"$schema": schema, "contentVersion": "1.0.0.0", "resources": [*stands_on.values(), workspace]}


def test_a_template_that_is_written_out_is_checked_as_a_whole(emulator: Emulated) -> None:
    path = f"{emulator.ws.partition('/providers/')[0]}/providers/Microsoft.Resources/deployments/third"

    def put(change: Callable[[dict[str, Any]], object], mode: str = "Incremental") -> tuple[int, str]:
        template = _template(emulator)
        change(template)
        body = {"properties": {"mode": mode, "template": template}}
        with emulator.client() as http:
            reply = http.put(path, json=body, params={"api-version": "2022-09-01"})
        return reply.status_code, "" if reply.status_code == 201 else reply.json()["error"]["code"]

    wrong: list[tuple[Callable[[dict[str, Any]], object], int, str]] = [
        (lambda it: it.pop("$schema"), 400, "InvalidTemplate"),
        (lambda it: it["resources"][0].pop("apiVersion"), 400, "InvalidTemplate"),
        (lambda it: it["resources"].pop(0), 400, "InvalidTemplate"),
        (lambda it: it["resources"].append(it["resources"][0]), 400, "InvalidTemplate"),
        (lambda it: it["resources"].append("a workspace"), 400, "InvalidTemplate"),
        (lambda it: it.update(resources=7), 400, "UserError"),
        (lambda it: it["resources"][0].update(name="Not_Allowed"), 400, "AccountNameInvalid"),
        (lambda it: it["resources"][1].update(name="-"), 400, "VaultNameNotValid"),
        (lambda it: it["resources"][1]["properties"].pop("sku"), 400, "BadRequest"),
        (lambda it: it["resources"][3].pop("identity"), 400, "BadRequest"),
        (lambda it: it["resources"][0].update(type="Microsoft.Web/sites"), 501, "NotImplemented"),
        (lambda it: it["resources"][0].update(location="[resourceGroup().location]"), 501, "NotImplemented"),
    ]
    for change, status, code in wrong:
        assert put(change) == (status, code)
    assert put(lambda _: None, "Complete")[0] == 501
    with emulator.client() as http:
        assert http.get(f"{emulator.ws.rpartition('/')[0]}/third").status_code == 404, "nothing was made"
        assert put(lambda _: None) == (201, "")
        assert http.get(f"{emulator.ws.rpartition('/')[0]}/third").json()["properties"]["provisioningState"] == "Succeeded"
        http.delete(f"{emulator.ws.rpartition('/')[0]}/third")


def test_places_that_are_not_there(emulator: Emulated) -> None:
    with emulator.client() as http:
        cases = {
            emulator.ws.rpartition("/")[0] + "/nowhere": "ResourceNotFound",
            emulator.ws.replace(f"/{emulator.resource_group}/", "/nowhere/"): "ResourceGroupNotFound",
            emulator.ws.replace(emulator.subscription, str(uuid.uuid4())): "SubscriptionNotFound",
        }
        for path, code in cases.items():
            reply = http.get(path)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, code)
        missing = http.get(f"/history/v1.0{emulator.ws.rpartition('/')[0]}/nowhere/runs/x")
    assert missing.json()["error"]["innerError"]["innerError"]["code"] == "WorkspaceNotFound"


def test_names_compare_without_case(emulator: Emulated) -> None:
    with emulator.client() as http:
        for path in (emulator.ws.lower(), emulator.ws.upper()):
            assert http.get(path).json()["name"] == emulator.workspace_name
