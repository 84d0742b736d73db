"""Every failure of Azure has its place in the error tree, with what the reader needs to go on."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import azure.ai.ml.exceptions
import azure.core.exceptions
import azure.identity
import httpx
import pytest

from opsml_cli.azureml import errors
from opsml_cli.azureml.limits import role_for
from opsml_cli.azureml.refusals import read_refusal
from opsml_cli.domain.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    ContractError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    OpsmlError,
    QuotaError,
    WorkFailedError,
)


def _arm(message: str, *inner: str, code: str = "UserError", **more: Any) -> str:
    chain: dict[str, Any] | None = None
    for each in reversed(inner):
        chain = {"code": each, "innerError": chain}
    info = [{"type": "ComponentName", "info": {"value": "managementfrontend"}}]
    if chain is not None:
        info.append({"type": "InnerError", "info": {"value": chain}})  # type: ignore[dict-item]
    return json.dumps({"error": {"code": code, "message": message, "details": [], "additionalInfo": info, **more}})


CASES = [
    (404, _arm("Job x not found.", "NotFound", "JobNotFound"), NotFoundError, "not found"),
    (401, _arm("expired", code="ExpiredAuthenticationToken"), NotSignedInError, "token"),
    (429, _arm("slow down", code="TooManyRequests"), BusyError, "throttles"),
    (500, "<html>oops</html>", BusyError, "fault"),
    (503, "", BusyError, "fault"),
    (409, _arm("busy", code="Conflict"), ConflictError, "state"),
    (412, "", ConflictError, "state"),
    (400, _arm("bad", "BadArgument"), InvalidInputError, "invalid"),
    (301, "", ContractError, "redirects"),
    (501, "", OpsmlError, "501"),
    (
        400,
        _arm(
            "Failed to update component c since field \"code\" is immutable, try specifying a new version.",
            "BadArgument", "ArgumentInvalid", "UpdateComponentFailed",
        ),
        ConflictError,
        "changed",
    ),
    (400, _arm("A data version with this name and version already exists. Only tags …"), ConflictError, "taken"),
    (
        400,
        _arm('x {"errors":{"":["There is already an endpoint with this name, try some other name."]},"title":"t"}'),
        ConflictError,
        "taken",
    ),
    (400, _arm("The environment image build failed", code="ImageBuildFailure"), WorkFailedError, "image"),
    (400, _arm("User container has crashed or terminated", code="ResourceNotReady"), WorkFailedError, "ended"),
    (400, _arm("Cannot delete an active trigger s"), ConflictError, "enabled"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "word"), CASES)
def test_answers_by_status_and_meaning(status: int, body: str, kind: type[OpsmlError], word: str) -> None:
    error = errors.refused(status, body, "PUT jobs/x")
    assert type(error) is kind
    assert error.message.startswith("PUT jobs/x: ")
    assert word in error.message


def test_validation_names_the_fields() -> None:
    body = json.dumps({"errors": {"InstanceType": ["is unknown"], "Name": ["too long"]}, "title": "One or more"})
    error = errors.refused(400, body, "PUT x")
    assert isinstance(error, InvalidInputError)
    assert "InstanceType, Name are not valid" in error.message
    assert "is unknown" in str(error.cause)
    detailed = {"error": {"code": "V", "message": "m", "details": [{"code": "c", "target": "properties.sku", "message": "no"}]}}
    assert "properties.sku is not valid" in errors.refused(422, json.dumps(detailed), "PUT x").message


@pytest.mark.parametrize(
    ("action", "role"),
    [
        ("Microsoft.MachineLearningServices/workspaces/jobs/write", "AzureML Data Scientist"),
        ("Microsoft.MachineLearningServices/workspaces/onlineEndpoints/listKeys/action", "AzureML Data Scientist"),
        ("Microsoft.MachineLearningServices/workspaces/computes/write", "AzureML Compute Operator"),
        ("Microsoft.MachineLearningServices/workspaces/read", "Reader"),
        ("Microsoft.MachineLearningServices/workspaces/write", "Contributor"),
        ("Microsoft.Insights/metricAlerts/write", "Monitoring Contributor"),
        ("Microsoft.Authorization/roleAssignments/write", "Role Based Access Control Administrator (or Owner)"),
        ("Microsoft.Resources/deployments/write", "Contributor"),
    ],
)
def test_403_names_the_role(action: str, role: str) -> None:
    assert role_for(action) == role
    text = f"The client 'a' with object id 'b' does not have authorization to perform action '{action}' over scope '/x'"
    error = errors.refused(403, _arm(text, code="AuthorizationFailed"), "PUT x")
    assert type(error) is NotAllowedError
    assert role in error.message
    assert "workspace share" in str(error.fix)


def test_403_of_storage_and_without_any_word() -> None:
    xml = "<Error><Code>AuthorizationPermissionMismatch</Code><Message>no</Message></Error>"
    assert "Storage Blob Data Contributor" in errors.refused(403, xml, "GET x").message
    assert "clock" in str(errors.refused(403, "", "GET x", {"x-ms-error-code": "AuthenticationFailed"}).fix)
    assert isinstance(errors.refused(403, "", "GET x"), NotAllowedError)


@pytest.mark.parametrize(
    ("text", "told", "fix"),
    [
        (
            "Not enough quota available for Standard_DS3_v2 in Subscription s. Current usage/limit: 4/6. Additional needed: 8",
            "8 cores are needed, 2 of 6 are free",
            "Standard_DS1_v2",
        ),
        (
            "Operation results in exceeding approved Total Regional Cores quota. Current Limit: 10, Current Usage: 4, "
            "Additional Required: 8",
            "8 cores are needed, 6 of 10 are free",
            "Standard_F4s_v2",
        ),
        ("Not enough quota available. Current usage/limit: 6/6. Additional needed: 4", "0 of 6 are free", "delete"),
        ("Insufficient capacity in this region", "not enough quota or capacity", "another region"),
    ],
)
def test_quota_tells_what_is_needed_what_there_is_and_what_fits(text: str, told: str, fix: str) -> None:
    for error in (errors.refused(400, _arm(text), "PUT d"), errors.failed({"error": {"code": "X", "message": text}}, "PUT d")):
        assert type(error) is QuotaError
        assert told in error.message
        assert fix in str(error.fix)
    assert isinstance(errors.refused(400, _arm("no", code="OutOfQuota"), "PUT d"), QuotaError)


def test_operations_that_failed() -> None:
    assert type(errors.failed({"status": "Failed", "error": {"code": "UserError", "message": "m"}}, "x")) is WorkFailedError
    assert type(errors.failed({"error": {"code": "BadArgument", "message": "m"}}, "x")) is InvalidInputError
    assert type(errors.failed({"status": "Canceled"}, "x")) is WorkFailedError


def test_bodies_of_every_form_are_read() -> None:
    data_plane = {
        "error": {
            "code": "UserError",
            "message": "m",
            "innerError": {"code": "NotFound", "innerError": {"code": "RunNotFound"}},
        },
        "correlation": {"operation": "o"},
    }
    assert read_refusal(json.dumps(data_plane)).codes == ("UserError", "NotFound", "RunNotFound")
    assert read_refusal('{"error":"invalid_client","error_description":"AADSTS7000215: wrong"}').codes == ("invalid_client",)
    assert read_refusal("\ufeff<?xml version='1.0'?><Error><Code>BlobNotFound</Code><Message>gone</Message></Error>").has(
        "blobnotfound"
    )
    assert read_refusal("[1]").message == "[1]"
    assert read_refusal("x" * 5000).message.endswith("…")
    assert read_refusal("{}").told() is None
    assert "(request r)" in str(read_refusal(_arm("m"), {"X-Ms-Correlation-Request-Id": "r"}).told())


# --- exceptions


def _classes(module: ModuleType, base: type) -> Iterator[type[BaseException]]:
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, base):
            yield found


def _made(kind: type[BaseException]) -> BaseException:
    """One of that kind, whatever its constructor wants."""
    made = kind.__new__(kind)
    Exception.__init__(made, "told by the library")
    for name in ("message", "no_personal_data_message"):
        if not hasattr(made, name):
            setattr(made, name, "told by the library")
    for name in ("status_code", "response", "reason", "error"):
        if not hasattr(made, name):
            setattr(made, name, None)
    return made


HTTPX = sorted(
    {*_classes(httpx, httpx.HTTPError), *_classes(httpx, httpx.StreamError), httpx.InvalidURL, httpx.CookieConflict} -
    {httpx.HTTPStatusError}, key=lambda kind: kind.__name__,
)  # fmt: skip
CORE = sorted(_classes(azure.core.exceptions, azure.core.exceptions.AzureError), key=lambda kind: kind.__name__)
IDENTITY = sorted(_classes(azure.identity, azure.core.exceptions.AzureError), key=lambda kind: kind.__name__)
SDK = sorted(_classes(azure.ai.ml.exceptions, azure.core.exceptions.AzureError), key=lambda kind: kind.__name__)

# By name: what each is told as. A class that a later version of the library adds is in none of these, and fails the test
# until somebody has decided.
TOLD: dict[type[OpsmlError], set[str]] = {
    BusyError: {
        "HTTPError", "RequestError", "TransportError", "TimeoutException", "ConnectTimeout", "ReadTimeout", "WriteTimeout",
        "PoolTimeout", "NetworkError", "ConnectError", "ReadError", "WriteError", "CloseError", "ProtocolError",
        "RemoteProtocolError", "ServiceRequestError", "ServiceResponseError", "ServiceRequestTimeoutError",
        "ServiceResponseTimeoutError", "IncompleteReadError", "HttpRequestTimeoutError",
    },
    ConfigError: {"InvalidURL", "UnsupportedProtocol", "CookieConflict", "ProxyError"},
    ContractError: {
        "DecodingError", "TooManyRedirects", "LocalProtocolError", "StreamError", "StreamConsumed", "StreamClosed",
        "ResponseNotRead", "RequestNotRead", "DecodeError", "TooManyRedirectsError", "StreamConsumedError",
        "StreamClosedError", "ResponseNotReadError", "SerializationError", "DeserializationError",
    },
    NotSignedInError: {"ClientAuthenticationError", "CredentialUnavailableError", "AuthenticationRequiredError"},
    # Without a status there is only the text.
    WorkFailedError: {
        "HttpResponseError", "ResourceExistsError", "ResourceModifiedError", "ResourceNotFoundError",
        "ResourceNotModifiedError", "ODataV4Error", "AzureError", "MlException", "DeploymentException", "ComponentException",
        "JobException", "ModelException", "AssetException", "ScheduleException", "LocalEndpointInFailedStateError",
        "DockerEngineNotAvailableError", "MultipleLocalDeploymentsFoundError", "InvalidLocalEndpointError",
        "LocalEndpointImageBuildError", "CloudArtifactsNotSupportedError", "JobParsingError", "PipelineChildJobError",
        "InvalidVSCodeRequestError", "LocalDeploymentGPUNotAvailable",
    },
    ConflictError: {"AssetPathException"},
    NotFoundError: {"LocalEndpointNotFoundError", "RequiredLocalArtifactsNotFoundError", "VSCodeCommandNotFound"},
    InvalidInputError: {
        "ValidationException", "EmptyDirectoryError", "UserErrorException", "CannotSetAttributeError",
        "UnsupportedParameterKindError", "KeywordError", "UnexpectedKeywordError", "UnexpectedAttributeError",
        "MissingPositionalArgsError", "TooManyPositionalArgsError", "MultipleValueError", "ParamValueNotExistsError",
        "UnsupportedOperationError",
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", [*HTTPX, *CORE, *IDENTITY, *SDK], ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_the_libraries_below_has_its_place(kind: type[BaseException]) -> None:
    expected = [told for told, known in TOLD.items() if kind.__name__ in known]
    assert len(expected) == 1, f"decide how {kind.__module__}.{kind.__name__} is told"
    found = errors.translate(_made(kind), "the work")
    assert type(found) is expected[0]
    assert found.message.startswith("the work")


def test_an_http_error_of_the_sdk_is_told_by_its_answer() -> None:
    class Response:
        status_code, reason, headers = 404, "Not Found", {"x-ms-correlation-request-id": "r"}

        def text(self) -> str:
            return _arm("Model m not found.", "NotFound")

    error = azure.core.exceptions.ResourceNotFoundError(response=Response())
    found = errors.translate(error, "models.get")
    assert type(found) is NotFoundError
    assert found.cause == "Model m not found. (request r)"


def test_strangers_are_left_alone() -> None:
    assert errors.translate(ZeroDivisionError(), "x") is None
    with pytest.raises(ZeroDivisionError), errors.translated("x"):
        raise ZeroDivisionError
    with pytest.raises(NotFoundError, match="ours"), errors.translated("x"):
        raise NotFoundError("ours")
    with pytest.raises(BusyError, match="the work"), errors.translated("the work"):
        raise httpx.ReadError("broken")
