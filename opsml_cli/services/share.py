"""Sharing a workspace: with somebody who is there, or with a service principal that is made for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.access import ShareWorkspace
from opsml_cli.domain.errors import ConfigError, ConflictError

if TYPE_CHECKING:
    from opsml_cli.domain.workspace import AccessOperations


@dataclass(frozen=True, slots=True)
class SharedWorkspace:
    """Whom it is shared with. `client_id`, `tenant_id` and `secret_file` are of a principal that was made."""

    principal: str
    object_id: str
    role: str
    scope: str
    unchanged: bool
    client_id: str | None = None
    tenant_id: str | None = None
    secret_file: str | None = None


def share_with(access: AccessOperations, principal: str, role: str) -> SharedWorkspace:
    """Share with a principal that is there."""
    shared = access.share(ShareWorkspace(principal, role))
    return SharedWorkspace(shared.principal, shared.object_id, shared.role, shared.scope, shared.unchanged)


def share_with_new(
    access: AccessOperations, name: str, role: str, secret_file: Path, hide: Callable[[str], None]
) -> SharedWorkspace:
    """Make the principal `name`, its secret in `secret_file`, and share with it; `hide` gets the secret, to keep it out of
    every output. The file is there before the secret is: none is lost, and none lies open."""
    try:
        handle = os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConflictError(f"{secret_file} exists already", fix="give another --secret-file, or remove it") from error
    except OSError as error:
        raise ConfigError(f"{secret_file} cannot be written: {error.strerror}", fix="give another --secret-file") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            made = access.create_principal(name)
            hide(made.secret)
            file.write(
                f"AZURE_TENANT_ID={made.tenant_id}\nAZURE_CLIENT_ID={made.client_id}\nAZURE_CLIENT_SECRET={made.secret}\n"
            )
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        secret_file.unlink(missing_ok=True)
        raise
    shared = access.share(ShareWorkspace(made.object_id, role))
    return SharedWorkspace(
        made.name, made.object_id, shared.role, shared.scope, shared.unchanged, made.client_id, made.tenant_id, str(secret_file)
    )
