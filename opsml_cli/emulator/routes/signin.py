"""Where clients sign in: the token endpoint, and the documents that lead to it."""

from __future__ import annotations

from urllib.parse import parse_qs

from opsml_cli.emulator.wire import Call, Reply, Route
from opsml_cli.local.principals import Principals


def token(call: Call) -> Reply:
    """The token endpoint: `client_credentials` with a secret. Errors in OAuth's form, worded as Entra's."""
    form = {name: values[-1] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
    if form.get("grant_type") != "client_credentials":
        return _oauth_error(400, "unsupported_grant_type", "AADSTS70003: The grant type is not supported by this service.")
    asked = form.get("scope") or form.get("resource", "")
    audience = asked.removesuffix(".default")
    # `https://host//.default` asks for `https://host/`, `https://host/.default` for `https://host`.
    audience = audience.removesuffix("/") if asked.endswith(".default") else audience
    if audience.rstrip("/") not in {each.rstrip("/") for each in call.site.identity.issued}:
        return _oauth_error(
            400, "invalid_resource", f"AADSTS500011: The resource principal named {audience} was not found in the tenant."
        )
    with call.site.first() as workspace:
        found = Principals(workspace.layout, workspace.store).signed_in(
            form.get("client_id", ""), form.get("client_secret", ""), call.site.clock.now()
        )
    if found is None:
        return _oauth_error(
            401, "invalid_client", "AADSTS7000215: Invalid client secret provided, or the application was not found."
        )
    text, seconds = call.site.identity.issue(found, audience, call.site.workspaces()[0].tenant)
    return Reply(
        value={"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": text},
        headers={"cache-control": "no-store", "pragma": "no-cache"},
    )


def _oauth_error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"error": code, "error_description": message, "error_codes": [int(message[6:].partition(":")[0])]})


def configuration(call: Call) -> Reply:
    """OpenID configuration of ADFS (`/adfs`) or of a tenant."""
    authority = call.path[: call.path.lower().index("/.well-known")]
    authority = authority.removesuffix("/v2.0")
    base = call.site.base
    adfs = authority.lower() == "/adfs"
    oauth = f"{base}{authority}/oauth2" if adfs else f"{base}{authority}/oauth2/v2.0"
    return Reply(
        value={
            "issuer": f"{base}{authority}" if adfs else f"{base}{authority}/v2.0",
            "authorization_endpoint": f"{oauth}/authorize",
            "token_endpoint": f"{oauth}/token",
            "jwks_uri": f"{base}/common/discovery/keys",
            "response_types_supported": ["code", "id_token", "token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "grant_types_supported": ["client_credentials"],
        }
    )


def keys(call: Call) -> Reply:
    return Reply(value=call.site.identity.key_set())


ROUTES = (
    Route("POST", "/adfs/oauth2/token", token, access="open", note="client_credentials with a secret"),
    Route("POST", "/{tenant}/oauth2/v2.0/token", token, access="open", note="client_credentials with a secret"),
    Route("GET", "/adfs/.well-known/openid-configuration", configuration, access="open"),
    Route("GET", "/{tenant}/v2.0/.well-known/openid-configuration", configuration, access="open"),
    Route("GET", "/common/discovery/keys", keys, access="open"),
)
