"""Signing in to Azure: which identity is used, why not another, and tokens that are renewed when refused.

Everything rests on azure-identity. What is added: the setting `auth` that names the way instead of guessing it, assertions of
GitHub Actions and Azure Pipelines fetched anew whenever a token is needed, and a line that tells who won."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import ConfigError, NotSignedInError
from opsml_cli.domain.proxies import usable_proxies

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenCredential

    from opsml_cli.azureml.cloud import Cloud
    from opsml_cli.settings import AzureSettings

log = logging.getLogger("opsml.azure.auth")

GITHUB_URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
GITHUB_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - a variable's name
PIPELINES_URL = "SYSTEM_OIDCREQUESTURI"
PIPELINES_TOKEN = "SYSTEM_ACCESSTOKEN"  # noqa: S105 - a variable's name
PIPELINES_CONNECTION = ("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "AZURE_SERVICE_CONNECTION_ID")
_TENANT = ("AZURE_TENANT_ID", "AZURESUBSCRIPTION_TENANT_ID")
_CLIENT = ("AZURE_CLIENT_ID", "AZURESUBSCRIPTION_CLIENT_ID")

FIXES = {
    "default": "run `az login`, or set azure.auth and what it needs (opsml help environment)",
    "cli": "run `az login`, then the same command again",
    "service-principal": "check azure.tenant_id, azure.client_id and the secret in OPSML_AZURE__CLIENT_SECRET",
    "oidc": "check that the application trusts this repository or service connection (federated credential)",
    "managed-identity": "assign a managed identity to this machine, or set azure.client_id to the one to use",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way of signing in that was tried. `reason` None: it won."""

    way: str
    reason: str | None = None


class Identity:
    """The identity of one workspace; itself a credential for Azure's SDK. `attempts` tell how it was found, once a token was
    asked for. Every call may raise NotSignedInError."""

    def __init__(self, settings: AzureSettings, cloud: Cloud, environment: Mapping[str, str] | None = None) -> None:
        self.auth = settings.auth
        self.attempts: tuple[Attempt, ...] = ()
        self._settings = settings
        self._cloud = cloud
        self._environment = os.environ if environment is None else environment
        self._winner: TokenCredential | None = None

    def token(self, scope: str) -> str:
        """A bearer token for `scope`, from memory while it is good."""
        return str(self.get_token(scope).token)

    def renew(self) -> None:
        """Forget every token: the service refused one that looked good."""
        self.close()

    def close(self) -> None:
        """End the connections of the credential; the next token is asked for by a new one."""
        winner: Any = self._winner
        self._winner = None
        if hasattr(winner, "close"):
            winner.close()

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """As azure-core's TokenCredential."""
        from azure.core.credentials import AccessToken

        info = self._ask(scopes, options)
        return AccessToken(info.token, info.expires_on)

    def get_token_info(self, *scopes: str, options: Mapping[str, Any] | None = None) -> AccessTokenInfo:
        """As azure-core's SupportsTokenInfo."""
        return self._ask(scopes, dict(options or {}))

    def told(self) -> str:
        """One line: which identity won, and why the others did not."""
        won = next((attempt.way for attempt in self.attempts if attempt.reason is None), None)
        lost = [f"{attempt.way}: {attempt.reason}" for attempt in self.attempts if attempt.reason is not None]
        line = f"signed in by {won} (auth {self.auth})" if won else f"not signed in (auth {self.auth})"
        return f"{line}; not by {'; '.join(lost)}" if lost else line

    def _ask(self, scopes: Sequence[str], options: Mapping[str, Any]) -> AccessTokenInfo:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        if self._winner is not None:
            try:
                return self._request(self._winner, scopes, options)
            except AzureError as error:
                way = self.attempts[-1].way
                raise self._refused(f"{way} gave no token any more", [Attempt(way, _reason(error))]) from error
        attempts: list[Attempt] = []
        for way, make in self._ways():
            try:
                credential = make()
                info = self._request(credential, scopes, options)
            except (AzureError, ValueError) as error:
                attempts.append(Attempt(way, _reason(error)))
                self.attempts = tuple(attempts)
                if way in _MEANT and isinstance(error, ClientAuthenticationError) and not _unavailable(error):
                    break  # somebody gave these values, and Azure refused them: no other identity is meant
                continue
            self._winner = credential
            self.attempts = (*attempts, Attempt(way))
            log.debug("%s", self.told())
            return info
        raise self._refused("Azure gave no token", attempts)

    @staticmethod
    def _request(credential: Any, scopes: Sequence[str], options: Mapping[str, Any]) -> AccessTokenInfo:
        if hasattr(credential, "get_token_info"):
            info: AccessTokenInfo = credential.get_token_info(*scopes, options=options or None)
            return info
        from azure.core.credentials import AccessTokenInfo

        token = credential.get_token(*scopes, **options)
        return AccessTokenInfo(token.token, token.expires_on)

    def _refused(self, message: str, attempts: Sequence[Attempt]) -> NotSignedInError:
        self.attempts = tuple(attempts)
        cause = "; ".join(f"{attempt.way}: {attempt.reason}" for attempt in attempts)
        log.debug("%s", self.told())
        return NotSignedInError(f"not signed in to Azure (auth {self.auth}): {message}", cause=cause, fix=FIXES[self.auth])

    # --- the ways

    def _ways(self) -> list[tuple[str, Callable[[], Any]]]:
        """Name and maker of each credential to try, in order."""
        if self.auth == "cli":
            return [("Azure CLI", self._cli)]
        if self.auth == "service-principal":
            return [("service principal", self._service_principal)]
        if self.auth == "oidc":
            return self._oidc()
        if self.auth == "managed-identity":
            return [("managed identity", self._managed_identity)]
        return self._default()

    def _options(self) -> dict[str, Any]:
        from opsml_cli.azureml.tls import bundle

        options: dict[str, Any] = {"authority": self._cloud.authority}
        if self._cloud.private:
            options["disable_instance_discovery"] = True
        found = bundle(self._settings.ca_bundle)
        if found is not None:
            options["connection_verify"] = found[0]
        return options

    def _need(self, setting: str, variables: Sequence[str]) -> str:
        given = getattr(self._settings, setting)
        if given is not None:
            return str(given.get_secret_value() if setting == "client_secret" else given)
        found = next((self._environment[name] for name in variables if self._environment.get(name)), None)
        if found is None:
            raise ConfigError(
                f"auth {self.auth} needs azure.{setting}",
                fix=f"set OPSML_AZURE__{setting.upper()} or {variables[0]}",
            )
        return found

    def _cli(self) -> Any:
        from azure.identity import AzureCliCredential

        return AzureCliCredential(tenant_id=self._settings.tenant_id or "")

    def _service_principal(self) -> Any:
        from azure.identity import ClientSecretCredential

        return ClientSecretCredential(
            self._need("tenant_id", _TENANT),
            self._need("client_id", _CLIENT),
            self._need("client_secret", ("AZURE_CLIENT_SECRET",)),
            **self._options(),
        )

    def _managed_identity(self) -> Any:
        from azure.identity import ManagedIdentityCredential

        client = self._settings.client_id or self._environment.get("AZURE_CLIENT_ID")
        return ManagedIdentityCredential(client_id=client) if client else ManagedIdentityCredential()

    def _oidc(self) -> list[tuple[str, Callable[[], Any]]]:
        """The federated identity of the CI that this runs in; ConfigError outside of any."""
        if self._environment.get(GITHUB_URL):
            return [("GitHub Actions OIDC", lambda: self._federated(self._github_assertion))]
        if self._environment.get(PIPELINES_URL):
            return [("Azure Pipelines OIDC", lambda: self._federated(self._pipelines_assertion))]
        raise ConfigError(
            f"auth oidc needs {GITHUB_URL} (GitHub Actions) or {PIPELINES_URL} (Azure Pipelines)",
            cause="neither is set, so this does not run in such a job, or the job may not ask for a token",
            fix="give the job `permissions: id-token: write` on GitHub, or run it in an AzureCLI task on Azure Pipelines",
        )

    def _federated(self, assertion: Callable[[], str]) -> Any:
        from azure.identity import ClientAssertionCredential

        # The assertion lives minutes, the wait may last hours: it is fetched whenever a token is.
        return ClientAssertionCredential(
            self._need("tenant_id", _TENANT), self._need("client_id", _CLIENT), assertion, **self._options()
        )

    def _github_assertion(self) -> str:
        url = self._environment[GITHUB_URL]
        token = self._environment.get(GITHUB_TOKEN)
        if not token:
            raise ConfigError(f"{GITHUB_TOKEN} is not set", fix="give the job `permissions: id-token: write`")
        joined = f"{url}{'&' if '?' in url else '?'}audience={self._cloud.federation}"
        return self._fetched("GET", joined, {"Authorization": f"bearer {token}"}, "value")

    def _pipelines_assertion(self) -> str:
        token = self._environment.get(PIPELINES_TOKEN)
        connection = next((self._environment[name] for name in PIPELINES_CONNECTION if self._environment.get(name)), None)
        if not token or not connection:
            missing = PIPELINES_TOKEN if not token else PIPELINES_CONNECTION[0]
            raise ConfigError(
                f"{missing} is not set", fix="map it in the task's `env`, e.g. SYSTEM_ACCESSTOKEN: $(System.AccessToken)"
            )
        url = f"{self._environment[PIPELINES_URL].rstrip('/')}?api-version=7.1&serviceConnectionId={connection}"
        headers = {"Authorization": f"Bearer {token}", "X-TFS-FedAuthRedirect": "Suppress"}
        return self._fetched("POST", url, headers, "oidcToken")

    def _fetched(self, method: str, url: str, headers: Mapping[str, str], field: str) -> str:
        from opsml_cli.azureml.tls import client_context, load_httpx

        load_httpx()
        import httpx

        host = url.partition("?")[0]
        try:
            with usable_proxies():
                made = httpx.Client(verify=client_context(self._settings.ca_bundle), timeout=30.0)
            with made as client:
                answer = client.request(method, url, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotSignedInError(f"no OIDC assertion from {host}: {error}", fix="run the job again") from error
        try:
            value = answer.json()[field]
        except (ValueError, KeyError, TypeError):
            value = None
        if answer.status_code != 200 or not isinstance(value, str):
            raise NotSignedInError(
                f"no OIDC assertion from {host}: HTTP {answer.status_code}",
                cause="the job may not ask for one, or its token has ended",
                fix=FIXES["oidc"],
            )
        return value

    def _default(self) -> list[tuple[str, Callable[[], Any]]]:
        """The credentials of azure-identity's default chain, in its order, with the settings' tenant and client."""
        from azure.identity import DefaultAzureCredential

        options = self._options()
        if self._settings.client_id:
            options["managed_identity_client_id"] = self._settings.client_id
        if self._settings.tenant_id:
            options["workload_identity_tenant_id"] = self._settings.tenant_id
        chain = DefaultAzureCredential(**options)
        first = [("service principal of the settings", self._service_principal)] if self._settings.client_secret else []
        return first + [(_WAYS.get(type(one).__name__, type(one).__name__), lambda one=one: one) for one in chain.credentials]


# Ways that only exist because somebody configured them.
_MEANT = ("environment", "service principal of the settings")
_WAYS = {
    "EnvironmentCredential": "environment",
    "WorkloadIdentityCredential": "workload identity",
    "FailedDACCredential": "workload identity",
    "ManagedIdentityCredential": "managed identity",
    "SharedTokenCacheCredential": "shared token cache",
    "VisualStudioCodeCredential": "Visual Studio Code",
    "AzureCliCredential": "Azure CLI",
    "AzurePowerShellCredential": "Azure PowerShell",
    "AzureDeveloperCliCredential": "Azure Developer CLI",
    "BrokerCredential": "broker",
}


def _unavailable(error: Exception) -> bool:
    from azure.identity import CredentialUnavailableError

    return isinstance(error, CredentialUnavailableError)


def _reason(error: Exception) -> str:
    """The first telling sentence of what a credential said: the rest is links and traces."""
    text = " ".join(str(getattr(error, "message", None) or error).split())
    said, _, more = text.partition("authentication unavailable. ")
    text = more or said
    for stop in (". ", " Trace ID:", " Visit ", " To "):
        text = text.partition(stop)[0]
    return text.rstrip(".")[:300] or type(error).__name__
