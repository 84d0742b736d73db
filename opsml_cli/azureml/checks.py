"""What can be out of order between this machine and an Azure ML workspace, from the settings to the storage."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from opsml_cli.azureml.auth import FIXES
from opsml_cli.domain.access import Check
from opsml_cli.domain.errors import NotAllowedError, NotFoundError, OpsmlError

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

_ROLES_VERSION = "2022-04-01"
_USAGES_VERSION = "2024-10-01"
# What serves and trains by default.
_FAMILY = "standardDSv2Family"
_LEAST_CORES = 4
# What helps when the error itself does not say.
_CLOUD = "check azure.cloud and azure.authority: opsml config show tells where each comes from"
_WORKSPACE = (
    "check azure.subscription_id, azure.resource_group and azure.workspace_name (opsml config show); "
    "opsml -w azure workspace create makes it"
)
_DATA_PLANE = "let this network reach the regional hosts of Azure Machine Learning, then run opsml doctor again"
_STORAGE = (
    "let this network reach the workspace's storage account, and give the identity the role Storage Blob Data Contributor on it"
)
_ROLES = 'ask the owner: opsml -w azure workspace share PRINCIPAL --role "AzureML Data Scientist"'
_QUOTA = "run opsml doctor again in a moment; https://status.azure.com tells of large failures"


def checks(context: Context) -> Iterator[Check]:
    """One after the other: what cannot be looked at because of one before it is left out."""
    yield _sdk()
    cloud = _tried("cloud", lambda: f"{context.cloud.name}: {context.cloud.resource_manager}", _CLOUD)
    yield cloud
    if not cloud.ok:
        return
    token = _tried("identity", lambda: _identity(context), FIXES[context.settings.auth])
    yield token
    if not token.ok:
        return
    reach = _tried(
        "workspace", lambda: f"{context.place.workspace_name} in {context.region}, {_provisioned(context)}", _WORKSPACE
    )
    yield reach
    if not reach.ok:
        return
    yield _tried("data plane", lambda: context.data_plane, _DATA_PLANE)
    yield _roles(context)
    yield _quota(context)
    yield _storage(context)


def _fix(error: OpsmlError, otherwise: str) -> str:
    """What the error says, unless it is only to try again: doctor has just tried."""
    return otherwise if error.fix is None or error.retryable else error.fix


def _tried(name: str, look: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, True, look())
    except OpsmlError as error:
        detail = f"{error.message} ({error.cause})" if error.cause else error.message
        return Check(name, False, detail, _fix(error, fix))


def _sdk() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Check("azure-ai-ml", True, f"{version('azure-ai-ml')}, azure-identity {version('azure-identity')}")
    except PackageNotFoundError as error:
        return Check(
            "azure-ai-ml", False, f"{error.name} is missing", "install opsml-azure again, in an environment of its own"
        )


def _identity(context: Context) -> str:
    token = context.identity.token(context.cloud.scope("arm"))
    claims = _claims(token)
    who = claims.get("upn") or claims.get("unique_name") or claims.get("appid") or claims.get("oid")
    return f"{context.identity.told()}" + (f": {who}" if who else "")


def _claims(token: str) -> dict[str, str]:
    """What the token says of its owner; nothing when it is no JWT. It is Azure that checks it, not this."""
    parts = token.split(".")
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _provisioned(context: Context) -> str:
    return str(context.record["properties"].get("provisioningState") or "Succeeded")


def _roles(context: Context) -> Check:
    """The roles that the identity holds on the workspace, inherited ones included."""
    owner = _claims(context.identity.token(context.cloud.scope("arm"))).get("oid")
    base = "{ws}/providers/Microsoft.Authorization"
    try:
        condition = {"$filter": f"assignedTo('{owner}')"} if owner else {"$filter": "atScope()"}
        held = list(context.rest.pages(f"{base}/roleAssignments", _ROLES_VERSION, **condition))
        names = {str(one["name"]).casefold(): one["properties"]["roleName"] for one in context.rest.pages(
            f"{base}/roleDefinitions", _ROLES_VERSION)}  # fmt: skip
    except (NotAllowedError, NotFoundError) as error:
        return Check("roles", True, f"cannot be looked at: {error.message}")
    except OpsmlError as error:
        return Check("roles", False, error.message, _fix(error, _ROLES))
    found = sorted({str(names.get(one["properties"]["roleDefinitionId"].rpartition("/")[2].casefold(), "a role of its own"))
                    for one in held})  # fmt: skip
    enough = bool({"Owner", "Contributor", "AzureML Data Scientist", "a role of its own"} & set(found))
    return Check("roles", enough, ", ".join(found) or "none on the workspace", None if enough else _ROLES)


def _quota(context: Context) -> Check:
    """The cores that are left for what opsml asks for by default."""
    path = (
        f"/subscriptions/{context.place.subscription_id}/providers/Microsoft.MachineLearningServices"
        f"/locations/{context.region}/usages"
    )
    try:
        usages = list(context.rest.pages(path, _USAGES_VERSION))
    except (NotAllowedError, NotFoundError) as error:
        return Check("quota", True, f"cannot be looked at: {error.message}")
    except OpsmlError as error:
        return Check("quota", False, error.message, _fix(error, _QUOTA))
    found = next((one for one in usages if str(one["name"]["value"]).casefold() == _FAMILY.casefold()), None)
    if found is None:
        return Check("quota", True, f"nothing is known of {_FAMILY}")
    free = int(found["limit"]) - int(found["currentValue"])
    detail = f"{free} of {found['limit']} cores of {_FAMILY} are free"
    fix = None if free >= _LEAST_CORES else "ask for more at https://portal.azure.com (Quotas), or give --instance-type"
    return Check("quota", free >= _LEAST_CORES, detail, fix)


def _storage(context: Context) -> Check:
    """Whether the default datastore can be read with the rights that the workspace hands out."""

    def look() -> str:
        container = context.storage.container()
        next(container.below("opsml/"), None)
        return f"{container.datastore} can be read"

    return _tried("storage", look, _STORAGE)
