"""HTTP to Azure when it throttles, fails, drops the connection or refuses a token: real requests to a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from azure_server import Asked, AzureServer, Say

from opsml_cli.azureml.context import Context
from opsml_cli.azureml.rest import ATTEMPTS, HttpRest, retry_after
from opsml_cli.domain.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    ContractError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    OpsmlError,
    WorkFailedError,
)

WS = "/subscriptions/sub/resourceGroups/group/providers/Microsoft.MachineLearningServices/workspaces/space"
DROP = Say(drop=True)


def test_asks_below_the_workspace_with_version_query_and_token(context: Context, server: AzureServer) -> None:
    server.script(Say(value={"name": "bank"}))
    assert context.rest.get("{ws}/data/bank", "2024-10-01", listViewType="ActiveOnly") == {"name": "bank"}
    asked = server.asked[0]
    assert asked.path == f"{WS}/data/bank?api-version=2024-10-01&listViewType=ActiveOnly"
    assert asked.token == "token-1"
    # One token serves many requests.
    context.rest.get("{ws}", "2024-10-01")
    assert len(server.tokens) == 1


def test_absent_is_none_or_an_error(context: Context, server: AzureServer) -> None:
    server.script(Say(404, {"error": {"code": "UserError", "message": "Job x not found."}}))
    assert context.rest.find("{ws}/jobs/x", "1") is None
    with pytest.raises(NotFoundError) as caught:
        context.rest.get("{ws}/jobs/x", "1")
    assert "jobs/x" in caught.value.message
    assert caught.value.cause == "Job x not found."


def test_pages_are_followed(context: Context, server: AzureServer) -> None:
    def answer(asked: Asked) -> Say:
        if "skip" in asked.path:
            return Say(value={"value": [{"name": "b"}]})
        return Say(value={"value": [{"name": "a"}], "nextLink": f"{server.url}{WS}/data?api-version=1&$skip=1"})

    server.answer = answer
    assert [one["name"] for one in context.rest.pages("{ws}/data", "1")] == ["a", "b"]


def test_a_page_may_not_lead_elsewhere_or_in_a_circle(context: Context, server: AzureServer) -> None:
    server.script(Say(value={"value": [], "nextLink": "https://example.com/next"}))
    with pytest.raises(ContractError, match=r"example\.com"):
        list(context.rest.pages("{ws}/data", "1"))
    server.script(Say(value={"value": [], "nextLink": f"{server.url}{WS}/data?api-version=1"}))
    with pytest.raises(ContractError, match="circle"):
        list(context.rest.pages("{ws}/data", "1"))
    server.script(Say(value=[1]))
    with pytest.raises(ContractError, match="no page"):
        list(context.rest.pages("{ws}/data", "1"))


@pytest.mark.parametrize("fault", [Say(429), Say(500), Say(502), Say(503), Say(504), Say(408), DROP])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_may_be_done_twice_is_repeated(context: Context, server: AzureServer, clock, fault: Say, method: str) -> None:
    server.script(fault, fault, Say(value={"done": True}))
    assert context.rest.send(method, "{ws}/x", "1", {"a": 1} if method == "PUT" else None).value == {"done": True}
    assert len(server.asked) == 3
    assert len({(asked.path, asked.body) for asked in server.asked}) == 1
    assert len(clock.slept) == 2
    assert clock.slept[0] < clock.slept[1]


@pytest.mark.parametrize("fault", [Say(500), Say(503), DROP])
def test_a_post_that_may_have_been_carried_out_is_not_repeated(context: Context, server: AzureServer, fault: Say) -> None:
    server.script(fault, Say(value={}))
    with pytest.raises(BusyError) as caught:
        context.rest.send("POST", "{ws}/x", "1", {})
    assert len(server.asked) == 1
    assert caught.value.retryable
    if fault.drop:
        assert "may have been carried out" in str(caught.value.cause)


def test_a_post_is_repeated_when_it_was_surely_not_carried_out_or_when_told_so(context: Context, server: AzureServer) -> None:
    server.script(Say(429), Say(value={"a": 1}))
    assert context.rest.send("POST", "{ws}/x", "1", {}).value == {"a": 1}
    server.script(DROP, Say(value={"a": 2}))
    assert context.rest.send("POST", "{ws}/x", "1", {}, repeatable=True).value == {"a": 2}


def test_patience_ends(context: Context, server: AzureServer) -> None:
    server.script(Say(503, {"error": {"code": "ServerBusy", "message": "later"}}))
    with pytest.raises(BusyError, match="fault") as caught:
        context.rest.get("{ws}", "1")
    assert len(server.asked) == ATTEMPTS
    assert caught.value.cause == "later"
    server.script(Say(429))
    with pytest.raises(BusyError, match="throttles"):
        context.rest.get("{ws}", "1")


def test_a_delete_that_took_effect_before_the_connection_broke_is_done(context: Context, server: AzureServer) -> None:
    server.script(DROP, Say(404, {"error": {"code": "UserError", "message": "gone"}}))
    assert context.rest.send("DELETE", "{ws}/x", "1").status == 404
    server.script(Say(404, {"error": {"code": "UserError", "message": "gone"}}))
    with pytest.raises(NotFoundError):
        context.rest.send("DELETE", "{ws}/x", "1")


def test_the_service_says_how_long_to_wait(context: Context, server: AzureServer, clock) -> None:
    context.rest._jitter = lambda: 0.0
    server.script(
        Say(429, headers={"retry-after": "7"}),
        Say(429, headers={"retry-after-ms": "250"}),
        Say(503, headers={"retry-after": "99999"}),
        Say(value={}),
    )
    context.rest.get("{ws}", "1")
    assert clock.slept == [7.0, 0.25, 60.0]


def test_the_longest_wait_is_a_setting(context: Context, server: AzureServer, clock) -> None:
    rest = HttpRest(context.place, context.cloud, context.identity, longest_wait=2.0, clock=clock, jitter=lambda: 0.0)
    rest.client = context.rest.client
    server.script(Say(429, headers={"retry-after": "7"}), Say(503), Say(value={}))
    rest.get("{ws}", "1")
    assert clock.slept == [2.0, 1.0]


def test_jitter_spreads_the_waits(context: Context, server: AzureServer, clock) -> None:
    for share in (0.0, 1.0):
        context.rest._jitter = lambda share=share: share
        server.script(Say(429, headers={"retry-after": "4"}), Say(value={}))
        context.rest.get("{ws}", "1")
    assert clock.slept == [4.0, 6.0]


def test_retry_after_in_every_form() -> None:
    assert retry_after({}) is None
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "0"}) == 0.0
    assert retry_after({"x-ms-retry-after-ms": "1500"}) == 1.5
    later = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)})
    assert later is not None
    assert 25 < later <= 30
    assert retry_after({"retry-after": format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)}) == 0.0


def test_a_token_that_is_refused_mid_wait_is_renewed_once(context: Context, server: AzureServer, clock) -> None:
    server.answer = lambda asked: Say(401, {"error": {"code": "ExpiredAuthenticationToken", "message": "old"}}) if (
        asked.token == "token-1"
    ) else Say(value={"ok": True})  # fmt: skip
    assert context.rest.send("POST", "{ws}/x", "1", {}).value == {"ok": True}
    assert [asked.token for asked in server.asked] == ["token-1", "token-2"]
    assert clock.slept == []


def test_a_token_that_is_always_refused_is_told(context: Context, server: AzureServer) -> None:
    server.script(Say(401, {"error": {"code": "InvalidAuthenticationToken", "message": "no"}}))
    with pytest.raises(NotSignedInError) as caught:
        context.rest.get("{ws}", "1")
    assert len(server.asked) == 2
    assert caught.value.exit_code == 4
    assert "token-" not in f"{caught.value}{caught.value.cause}{caught.value.fix}"


def test_operations_are_read_once_a_call(context: Context, server: AzureServer) -> None:
    status = f"{server.url}/subscriptions/sub/providers/x/mfeOperationsStatus/od:1?api-version=1&t=9&s=a%2Bb%3D"
    states = iter(["Updating", "Succeeded", "Failed"])
    error = {"code": "UserError", "message": "User container has crashed or terminated"}

    def answer(asked: Asked) -> Say:
        if "mfeOperationsStatus" in asked.path:
            state = next(states)
            return Say(value={"status": state, **({"error": error} if state == "Failed" else {})})
        return Say(201, {}, {"azure-asyncoperation": status, "location": f"{server.url}{WS}/x"})

    server.answer = answer
    begun = context.rest.send("PUT", "{ws}/x", "1", {})
    assert context.rest.operation(begun).done is None
    # Signed addresses are replayed untouched.
    assert server.asked[-1].path == status.removeprefix(server.url)
    assert context.rest.operation(begun).done is True
    state = context.rest.operation(begun)
    assert state.done is False
    assert isinstance(state.error, WorkFailedError)


def test_operations_without_a_status_address(context: Context, server: AzureServer) -> None:
    results = f"{server.url}/subscriptions/sub/providers/x/mfeOperationResults/jc:1?api-version=1"
    server.script(Say(202, None, {"location": results}), Say(202, {}, {"location": results}), Say(200, text=""))
    begun = context.rest.send("POST", "{ws}/jobs/x/cancel", "1")
    assert context.rest.operation(begun).done is None
    assert context.rest.operation(begun).done is True
    server.script(Say(200, {}))
    assert context.rest.operation(context.rest.send("PUT", "{ws}/x", "1", {})).done is True


def test_an_operation_elsewhere_gets_no_token(context: Context, server: AzureServer) -> None:
    server.script(Say(202, None, {"azure-asyncoperation": "https://example.com/status"}))
    with pytest.raises(ContractError, match=r"example\.com"):
        context.rest.operation(context.rest.send("DELETE", "{ws}/x", "1"))


def test_no_token_is_sent_in_the_clear_or_after_a_redirect(context: Context, server: AzureServer) -> None:
    with pytest.raises(ContractError, match="https"):
        context.rest.send("GET", "http://localhost:1/x", "")
    server.script(Say(307, None, {"location": "https://example.com/"}))
    with pytest.raises(ContractError, match="redirects"):
        context.rest.get("{ws}", "1")
    server.script(Say(value={}))
    context.rest.send("GET", f"{server.url}/score", "", audience="none")
    assert server.asked[-1].token is None


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidInputError), (409, ConflictError), (412, ConflictError), (501, OpsmlError)]
)
def test_refusals_are_not_repeated(context: Context, server: AzureServer, status: int, kind: type[OpsmlError]) -> None:
    server.script(Say(status, {"error": {"code": "UserError", "message": "no"}}))
    with pytest.raises(kind):
        context.rest.get("{ws}", "1")
    assert len(server.asked) == 1


def test_a_server_that_is_not_there(context: Context, clock) -> None:
    rest = HttpRest(context.place, context.cloud, context.identity, clock=clock)
    with pytest.raises(BusyError, match="no connection") as caught:
        rest.send("POST", "https://localhost:1/x", "", audience="none")
    assert len(clock.slept) == ATTEMPTS - 1
    assert caught.value.fix is not None
    rest.close()


def test_a_certificate_that_nobody_vouches_for(
    context: Context, server: AzureServer, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, identity = context.cloud, context.identity
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    rest = HttpRest(context.place, cloud, identity, clock=clock)
    with pytest.raises(ConfigError, match="certificate") as caught:
        rest.send("GET", f"{server.url}/x", "", audience="none")
    assert "ca_bundle" in str(caught.value.fix)
    assert clock.slept == []
    rest.close()


def test_signed_queries_are_in_no_message(context: Context, server: AzureServer) -> None:
    server.script(Say(403, {"error": {"code": "AuthenticationFailed", "message": "no"}}))
    with pytest.raises(OpsmlError) as caught:
        context.rest.blob("GET", f"{server.url}/container/x?sig=s3cr3t", headers={}, audience="none")
    assert "s3cr3t" not in f"{caught.value}{caught.value.cause}{caught.value.fix}"
