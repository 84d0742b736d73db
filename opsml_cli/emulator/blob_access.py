"""Who may do what with a container or blob, and how storage refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from opsml_cli.emulator import storage_keys
from opsml_cli.emulator.site import Served
from opsml_cli.emulator.storage_keys import RefusedError
from opsml_cli.emulator.wire import Call, WireError
from opsml_cli.local.storage.account import account_key
from opsml_cli.local.storage.engine import LocalStorage
from opsml_cli.local.storage.views import BLOBSTORE

SUFFIX = ".blob.core.windows.net"
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}\Z|\$(?:root|web|logs)\Z", re.ASCII)
_MESSAGES = {
    "AuthenticationFailed": "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
    "correctly including the signature.",
    "NoAuthenticationInformation": "Server failed to authenticate the request. Please refer to the information in the "
    "www-authenticate header.",
    "AuthorizationPermissionMismatch": "This request is not authorized to perform this operation using this permission.",
    "AuthorizationResourceTypeMismatch": "This request is not authorized to perform this operation using this resource type.",
    "AuthorizationServiceMismatch": "This request is not authorized to perform this operation using this service.",
    "AuthorizationSourceIPMismatch": "This request is not authorized to perform this operation using this source IP.",
    "BlobAlreadyExists": "The specified blob already exists.",
    "BlobImmutableDueToPolicy": "This operation is not permitted as the blob is immutable due to a policy.",
    "BlobNotFound": "The specified blob does not exist.",
    "ConditionNotMet": "The condition specified using HTTP conditional header(s) is not met.",
    "ContainerAlreadyExists": "The specified container already exists.",
    "ContainerNotFound": "The specified container does not exist.",
    "InvalidBlobOrBlock": "The specified blob or block content is invalid.",
    "InvalidBlockList": "The specified block list is invalid.",
    "InvalidHeaderValue": "The value for one of the HTTP headers is not in the correct format.",
    "InvalidMd5": "The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64 encoded.",
    "InvalidMetadata": "The metadata specified is invalid. It has characters that are not permitted.",
    "InvalidQueryParameterValue": "Value for one of the query parameters specified in the request URI is invalid.",
    "InvalidRange": "The range specified is invalid for the current size of the resource.",
    "InvalidResourceName": "The specified resource name contains invalid characters.",
    "InvalidXmlDocument": "XML specified is not syntactically valid.",
    "Md5Mismatch": "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
    "MissingRequiredHeader": "An HTTP header that's mandatory for this request is not specified.",
    "NotImplemented": "The requested operation is not implemented by this emulator.",
    "OutOfRangeQueryParameterValue": "One of the query parameters specified in the request URI is outside the permissible "
    "range.",
    "ResourceNotFound": "The specified resource does not exist.",
    "UnsupportedHttpVerb": "The resource doesn't support specified Http Verb.",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request names: the workspace, the container as the wire and as the workspace calls it, the blob (None: the
    container itself), and what the caller's signature allows."""

    served: Served
    wire_container: str
    container: str
    blob: str | None
    grant: storage_keys.Grant

    @property
    def storage(self) -> LocalStorage:
        return self.served.local.storage

    def require(self, permissions: str) -> None:
        """Refuse unless one of `permissions` is granted on this kind of thing."""
        try:
            storage_keys.require(self.grant, "c" if self.blob is None else "o", permissions)
        except RefusedError as error:
            raise refusal(error.status, error.code) from error


def refusal(status: int, code: str, detail: str = "", **headers: str) -> WireError:
    """A refusal in storage's form; its message follows from the code."""
    message = _MESSAGES.get(code, "The request is not valid.") + (f" {detail}" if detail else "")
    return WireError(status, message, code=code, headers={name.replace("_", "-"): text for name, text in headers.items()})


def account_name(call: Call, served: Served) -> str:
    """The account as a datastore names it to clients: a host with a path, so that it works without DNS."""
    return f"{call.site.base.removeprefix('https://')}/_blob/{served.account}"


def account_url(call: Call, served: Served) -> str:
    return f"{call.site.base}/_blob/{served.account}{SUFFIX}"


def default_container(served: Served) -> str:
    return f"azureml-blobstore-{served.workspace_id}"


def wire_container(served: Served, container: str) -> str:
    return default_container(served) if container == BLOBSTORE else container


def local_container(served: Served, name: str) -> str | None:
    """The workspace's word for a container of the wire; None for what can be none."""
    if name == default_container(served):
        return BLOBSTORE
    return name if _CONTAINER.match(name) else None


def blob_url(call: Call, container: str, path: str) -> str:
    """The URL of an object, by the workspace's word for its container; without a signature."""
    served = call.served
    return f"{account_url(call, served)}/{wire_container(served, container)}/{quote(path)}"


def signed_url(call: Call, container: str, path: str, *, permissions: str = "r", hours: float = 8.0) -> str:
    """The URL of one object with a token for it, as run history gives it for log files."""
    served = call.served
    token = storage_keys.service_sas(
        served.account,
        account_key(served.local.layout),
        wire_container(served, container),
        path,
        permissions=permissions,
        hours=hours,
        now=call.site.clock.now(),
    )
    return f"{blob_url(call, container, path)}?{token}"


def target(call: Call) -> Target:
    """What the request names, its signature checked. Refuses as storage does."""
    served = call.served
    container = call.parameters["container"]
    blob = call.parameters.get("blob")
    if call.parameters["account"].lower().removesuffix(":443") != served.account + SUFFIX:
        raise refusal(404, "ResourceNotFound")
    grant = _grant(call, served, container, blob)
    local = local_container(served, container)
    if local is None:
        raise refusal(400, "InvalidResourceName")
    making = blob is None and call.method == "PUT" and "comp" not in call.query
    if not making and not served.local.storage.has(local):
        raise refusal(404, "ContainerNotFound")
    if blob is not None and not 1 <= len(blob) <= 1024:
        raise refusal(400, "InvalidResourceName")
    return Target(served, container, local, blob, grant)


def _grant(call: Call, served: Served, container: str, blob: str | None) -> storage_keys.Grant:
    key = account_key(served.local.layout)
    mine = account_name(call, served)
    authorization = call.headers.get("authorization", "")
    try:
        if "sig" in call.query:
            return storage_keys.check_sas((served.account, mine), key, container, blob, call.query, now=call.site.clock.now())
        scheme, _, given = authorization.partition(" ")
        if scheme == "SharedKey":
            known = (served.account, f"_blob/{served.account}{SUFFIX}", mine)
            return storage_keys.check_shared_key(
                known, key, given, method=call.method, path=call.path, query=call.query, headers=call.headers
            )
    except RefusedError as error:
        raise refusal(error.status, error.code, error.detail) from error
    if authorization.lower().startswith("bearer "):
        # A role on the workspace is none on its storage.
        raise refusal(403, "AuthorizationPermissionMismatch")
    if authorization:
        raise refusal(403, "AuthenticationFailed")
    challenge = f"Bearer authorization_uri={call.site.base}/adfs/oauth2/authorize resource_id=https://storage.azure.com"
    raise refusal(401, "NoAuthenticationInformation", WWW_Authenticate=challenge)
