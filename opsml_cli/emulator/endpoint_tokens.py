"""Tokens of endpoints whose auth mode is AMLToken: issued for a day, refreshed from half of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsml_cli.emulator.wire import Call

LIFETIME_SECONDS = 86400
_ISSUER = "azureml"


def issue(call: Call, endpoint: str, endpoint_id: str) -> dict[str, Any]:
    """The answer of the token operation; times are whole seconds since the epoch."""
    served = call.served
    issued = int(call.site.clock.now().timestamp())
    claims = {
        "iss": _ISSUER,
        "aud": _ISSUER,
        "iat": issued,
        "nbf": issued,
        "exp": issued + LIFETIME_SECONDS,
        "tid": call.site.workspaces()[0].tenant,
        "workspaceId": served.workspace_id,
        "endpointName": endpoint,
        "endpointId": endpoint_id,
        "actions": "[Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action]",
    }
    return {
        "accessToken": call.site.identity.sign(claims),
        "tokenType": "Bearer",
        "expiryTimeUtc": issued + LIFETIME_SECONDS,
        "refreshAfterTimeUtc": issued + LIFETIME_SECONDS // 2,
    }


def fits(call: Call, token: bytes, endpoint_id: str) -> bool:
    """Whether the token was issued for this very endpoint and has not expired."""
    claims = call.site.identity.claims(token)
    return (
        claims is not None
        and claims.get("iss") == _ISSUER
        and claims.get("endpointId") == endpoint_id
        and int(claims["exp"]) > call.site.clock.now().timestamp()
    )
