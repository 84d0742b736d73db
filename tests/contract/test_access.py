"""Sharing a workspace, on both kinds: roles, and principals made for it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from opsml_cli.domain.access import ShareWorkspace
from opsml_cli.domain.errors import NotAllowedError, NotFoundError, UsageError
from opsml_cli.domain.workspace import Workspace

if TYPE_CHECKING:
    from opsml_cli.azureml.workspace import AzureWorkspace
    from tests.conftest import Opsml


@pytest.fixture
def workspace(either_workspace: Workspace) -> Workspace:
    return either_workspace


def test_a_principal_is_made_and_gets_a_role_once(workspace: Workspace) -> None:
    made = workspace.access.create_principal("retrain")
    assert (made.name, made.existing, made.tenant_id) == ("retrain", False, "adfs")
    assert made.secret
    assert made.secret not in repr(made)
    shared = workspace.access.share(ShareWorkspace(made.object_id))
    assert (shared.object_id, shared.role, shared.unchanged) == (made.object_id, "AzureML Data Scientist", False)
    assert shared.scope.startswith("/subscriptions/")
    assert workspace.access.share(ShareWorkspace("retrain", "azureml data scientist")).unchanged
    assert not workspace.access.share(ShareWorkspace("retrain", "Reader")).unchanged


def test_the_same_name_is_the_same_principal_with_a_new_secret(workspace: Workspace) -> None:
    first = workspace.access.create_principal("retrain")
    again = workspace.access.create_principal("retrain")
    assert again.existing
    assert (again.object_id, again.client_id) == (first.object_id, first.client_id)
    assert again.secret != first.secret


def test_a_dry_run_gives_no_role(workspace: Workspace) -> None:
    made = workspace.access.create_principal("retrain")
    for _ in range(2):
        assert not workspace.access.share(ShareWorkspace(made.object_id, dry_run=True)).unchanged


def test_who_and_what_is_unknown(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError):
        workspace.access.share(ShareWorkspace("nobody"))
    made = workspace.access.create_principal("retrain")
    with pytest.raises(UsageError) as caught:
        workspace.access.share(ShareWorkspace(made.object_id, "AzureML Data Scientis"))
    assert "AzureML Data Scientist" in str(caught.value.cause)


def test_the_command_writes_the_secret_for_its_owner_alone(opsml: Opsml, tmp_path: Path) -> None:
    ran = opsml("workspace", "share", "--create-principal", "ci", "--role", "Reader", "-o", "json")
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    file = tmp_path / "ci.env"
    assert told["secret_file"] == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert values["AZURE_CLIENT_ID"] == told["client_id"]
    assert values["AZURE_CLIENT_SECRET"] not in ran.stdout + ran.stderr
    # A file that is there is never written over, and no principal is made for it.
    again = opsml("workspace", "share", "--create-principal", "ci", "-o", "json")
    assert again.exit_code == 2
    assert opsml("workspace", "share", "ci", "--role", "Reader", "-o", "json").exit_code == 0
    assert opsml("workspace", "share", "-o", "json").exit_code == 2
    planned = opsml("workspace", "share", "--create-principal", "other", "--dry-run", "-o", "json")
    assert json.loads(planned.stdout)["dry_run"] is True
    assert not (tmp_path / "other.env").exists()


def test_a_principal_can_do_what_its_role_allows(
    azure_workspace: AzureWorkspace, azure_environment: dict[str, str], opsml: Opsml, tmp_path: Path
) -> None:
    made = azure_workspace.access.create_principal("reader")
    azure_workspace.access.share(ShareWorkspace(made.object_id, "Reader"))
    environment = azure_environment | {"AZURE_CLIENT_ID": made.client_id, "AZURE_CLIENT_SECRET": made.secret}
    assert opsml("compute", "list", "-o", "json", env=environment).exit_code == 0
    ran = opsml("compute", "create", "cpu", "-o", "json", env=environment)
    assert ran.exit_code == NotAllowedError.exit_code
    error = json.loads(ran.stderr.strip().splitlines()[-1])["error"]
    assert error["code"] == "not_allowed"
    assert "AzureML Compute Operator" in error["message"]
    assert made.secret not in ran.stdout + ran.stderr


@pytest.mark.slow
def test_doctor_looks_at_everything_on_azure(azure_environment: dict[str, str], opsml: Opsml) -> None:
    ran = opsml("doctor", "-o", "json", env=azure_environment)
    assert ran.exit_code == 0, ran.stdout + ran.stderr
    checks = {each["check"]: each for each in json.loads(ran.stdout)["checks"]}
    assert checks.keys() >= {
        "azure-ai-ml", "cloud", "identity", "workspace", "data plane", "roles", "quota", "storage",
    }  # fmt: skip
    assert "Owner" in checks["roles"]["detail"]
    assert "environment" in checks["identity"]["detail"]


@pytest.mark.slow
def test_doctor_tells_the_first_thing_that_is_out_of_order(azure_environment: dict[str, str], opsml: Opsml) -> None:
    ran = opsml("doctor", "-o", "json", env=azure_environment | {"AZURE_CLIENT_SECRET": "canary-wrong"})
    assert ran.exit_code == 2
    checks = {each["check"]: each for each in json.loads(ran.stdout)["checks"]}
    assert not checks["identity"]["ok"]
    assert checks["identity"]["fix"]
    assert "workspace" not in checks
    assert "canary" not in ran.stdout + ran.stderr
    ran = opsml("doctor", "-o", "json", env=azure_environment | {"OPSML_AZURE__WORKSPACE_NAME": "absent"})
    checks = {each["check"]: each for each in json.loads(ran.stdout)["checks"]}
    assert not checks["workspace"]["ok"]
    assert ran.exit_code == 2


def test_a_workspace_is_made_once(workspace: Workspace) -> None:
    from opsml_cli.domain.access import CreateWorkspace

    workspace.creation.begin(CreateWorkspace())
    state = workspace.creation.state()
    assert (state.name, state.state) == (workspace.name, "Succeeded")
    assert workspace.creation.begin(CreateWorkspace()).unchanged


@pytest.mark.slow
def test_the_template_of_a_new_workspace_is_deployed(opsml: Opsml, azure_environment: dict[str, str], tmp_path: Path) -> None:
    new = azure_environment | {"OPSML_AZURE__WORKSPACE_NAME": "My_second-1"}
    planned = opsml("workspace", "create", "--dry-run", "-o", "json", env=new)
    assert planned.exit_code == 0, planned.stderr
    assert opsml("data", "list", env=new).exit_code != 0, "it is not there"
    made = opsml("workspace", "create", "--description", "for tries", "-o", "json", env=new)
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["state"] == "Succeeded"
    assert opsml("data", "list", env=new).exit_code == 0
    assert json.loads(opsml("workspace", "create", "-o", "json", env=new).stdout)["unchanged"]
    secret = tmp_path / "ci.env"
    shared = opsml("workspace", "share", "--create-principal", "ci", "--role", "Reader", "--secret-file", secret, env=new)
    assert shared.exit_code == 0, shared.stderr
    assert secret.stat().st_mode & 0o777 == 0o600
    value = next(line.partition("=")[2] for line in secret.read_text().splitlines() if "SECRET" in line)
    assert value not in shared.stdout + shared.stderr
    nowhere = opsml("workspace", "create", env=new | {"OPSML_AZURE__RESOURCE_GROUP": "nowhere"})
    assert nowhere.exit_code == 3
    assert "az group create" in nowhere.stderr


def test_a_secret_file_that_cannot_be_written(opsml: Opsml, tmp_path: Path) -> None:
    ran = opsml("workspace", "share", "--create-principal", "ci", "--secret-file", "absent/ci.env", "-o", "json")
    assert ran.exit_code == 2
    assert not (tmp_path / "absent").exists()
