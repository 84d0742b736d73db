"""`doctor` on Azure: each thing that can be out of order is told, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure_live import azure_workspace
from emulator_support import Emulated

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.access import Check, ShareWorkspace
from opsml_cli.domain.endpoint import DeploymentState
from opsml_cli.local import endpoint_records
from opsml_cli.local.endpoint_records import DeploymentRecord, EndpointRecord, Release
from opsml_cli.settings import AzureSettings


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with azure_workspace(tmp_path_factory.mktemp("doctor")) as (_, emulator):
        yield emulator


@pytest.fixture(autouse=True)
def _no_faults(site: Emulated) -> Iterator[None]:
    yield
    site.faults.clear()


def checks(site: Emulated, **settings: str) -> dict[str, Check]:
    """What doctor finds, by name."""
    given = {
        "subscription_id": site.subscription,
        "resource_group": site.resource_group,
        "workspace_name": site.workspace_name,
        "longest_wait": 0.02,
        **settings,
    }
    workspace = AzureWorkspace(AzureSettings(**given))
    try:
        return {each.check: each for each in workspace.checks()}
    finally:
        workspace.context.close()


def out_of_order(found: dict[str, Check]) -> dict[str, str]:
    """The fix of each check that is not ok. There is always one."""
    failed = {name: each.fix for name, each in found.items() if not each.ok}
    assert all(failed.values()), failed
    return {name: str(fix) for name, fix in failed.items()}


def test_all_is_well(site: Emulated) -> None:
    assert out_of_order(checks(site)) == {}


def test_a_workspace_that_is_not_there(site: Emulated) -> None:
    assert "workspace create" in out_of_order(checks(site, workspace_name="absent"))["workspace"]


def test_an_identity_that_may_only_read(site: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = AzureWorkspace(
        AzureSettings(subscription_id=site.subscription, resource_group=site.resource_group, workspace_name=site.workspace_name)
    )
    made = owner.access.create_principal("reader")
    owner.access.share(ShareWorkspace(made.object_id, "Reader"))
    owner.context.close()
    monkeypatch.setenv("AZURE_CLIENT_ID", made.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", made.secret)
    found = out_of_order(checks(site))
    assert "workspace share" in found["roles"]
    assert "workspace" not in found


@pytest.mark.parametrize(
    ("fault", "check", "told"),
    [
        ("drop:route=/_blob/,count=always", "storage", "storage account"),
        ("error:route=/usages,count=always,status=503", "quota", "doctor"),
        ("error:route=/roleAssignments,count=always,status=503", "roles", "workspace share"),
    ],
)
def test_a_service_that_does_not_answer(site: Emulated, fault: str, check: str, told: str) -> None:
    site.faults.add(fault)
    found = out_of_order(checks(site))
    assert site.faults.struck
    assert told in found[check]


def test_a_quota_that_is_used_up(site: Emulated) -> None:
    store = site.workspace.store
    release = Release("r", "bank", "1", "", "", True, instance_count=6, instance_type="Standard_DS5_v2")
    deployment = DeploymentRecord("blue", "2026-01-01T00:00:00Z", DeploymentState.FAILED, release)
    with store.write() as connection:
        endpoint_records.save(
            connection, EndpointRecord("id", "large", "2026-01-01T00:00:00Z", deployments={"blue": deployment})
        )
    try:
        found = checks(site)
        assert "Quotas" in out_of_order(found)["quota"]
        assert found["quota"].detail.startswith("-28 of 100")
    finally:
        with store.write() as connection:
            endpoint_records.remove(connection, "large")
    assert checks(site)["quota"].ok
