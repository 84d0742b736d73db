"""Every setting: its name, its type, its default and its meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "OPSML_"
# Whoever sets these decides where tokens are sent and which servers are believed.
USER_ONLY = ("cloud", "authority", "arm_url", "inference_url", "ca_bundle")
# Never in a file that is committed.
NOT_IN_PROJECT_FILE = ("client_secret",)
BUILT_IN = ("local", "azure")

Path_ = tuple[str, ...]


# Built once, as parts of Settings, and not each for itself.
_PART = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class AzureSettings(BaseModel):
    """An Azure ML workspace, and how to sign in."""

    model_config = _PART

    subscription_id: str | None = None
    resource_group: str | None = None
    workspace_name: str | None = None
    auth: Literal["default", "cli", "service-principal", "oidc", "managed-identity"] = "default"
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    cloud: str | None = None
    authority: str | None = None
    arm_url: str | None = None
    inference_url: str | None = None
    ca_bundle: str | None = None
    longest_wait: float = Field(default=60.0, ge=0, le=3600)

    @field_validator("subscription_id", "resource_group", "workspace_name", "tenant_id", "client_id", mode="before")
    @classmethod
    def _trimmed(cls, value: object) -> object:
        """Without the blanks and line breaks that a copied value brings along; Azure would only say that it finds nothing."""
        if not isinstance(value, str):
            return value
        found = value.strip()
        if any(character.isspace() and character != " " for character in found) or "\0" in found:
            raise ValueError("it holds a line break or tab")
        return found or None

    @field_validator("subscription_id", "tenant_id", "client_id")
    @classmethod
    def _one_word(cls, value: str | None) -> str | None:
        if value is not None and " " in value:
            raise ValueError("it holds a blank")
        return value

    @property
    def complete(self) -> bool:
        """Whether these name a workspace."""
        return bool(self.subscription_id and self.resource_group and self.workspace_name)


class LocalSettings(BaseModel):
    """The workspace in a folder."""

    model_config = _PART

    path: str | None = None


class NamedWorkspace(AzureSettings):
    """A workspace with a name of its own: `path` for kind local, the rest for kind azure."""

    kind: Literal["local", "azure"]
    path: str | None = None


class Settings(BaseSettings):
    """Every setting. Built by `load` alone: the sources are read there, for the origins."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    workspace: str = "local"
    # The empty mapping becomes the model, in the validator that is there anyway.
    local: LocalSettings = Field(default={}, validate_default=True)
    azure: AzureSettings = Field(default={}, validate_default=True)
    workspaces: dict[str, NamedWorkspace] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' own signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def variable(path: Path_) -> str:
    """The environment variable of a setting."""
    return PREFIX + "__".join(path).upper()


def environment_variables() -> list[tuple[str, str, str]]:
    """Variable, default and meaning of every setting, for the help topic and the docs."""
    rows = []
    for name, default, meaning in _DESCRIPTIONS:
        rows.append((variable(tuple(name.split("."))), default, meaning))
    return rows


_DESCRIPTIONS = (
    ("workspace", "local", "the workspace to act on: local, azure, or a named one (flag: -w)"),
    ("local.path", "", "the local workspace's folder; without it the nearest .opsml"),
    ("azure.subscription_id", "", "the Azure subscription"),
    ("azure.resource_group", "", "the resource group"),
    ("azure.workspace_name", "", "the Azure ML workspace"),
    ("azure.auth", "default", "how to sign in: default, cli, service-principal, oidc, managed-identity"),
    ("azure.tenant_id", "", "the tenant, for service-principal and oidc"),
    ("azure.client_id", "", "the application, for service-principal, oidc and managed-identity"),
    ("azure.client_secret", "", "the application's secret; never in opsml.toml"),
    ("azure.cloud", "", "the Azure cloud; only here or in the user's own settings"),
    ("azure.authority", "", "where to sign in; only here or in the user's own settings"),
    ("azure.arm_url", "", "the management endpoint; only here or in the user's own settings"),
    ("azure.inference_url", "", "the base of scoring URLs; only here or in the user's own settings"),
    ("azure.ca_bundle", "", "certificates to believe; only here or in the user's own settings"),
    ("azure.longest_wait", "60", "seconds at most between two attempts at a request that Azure throttles or fails"),
)
