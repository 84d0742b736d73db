"""`opsml doctor`"""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

import typer

from opsml_cli.cli.result import Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain.access import Check
from opsml_cli.domain.errors import ConfigError, OpsmlError

_NEEDED = ("numpy", "pandas", "pyarrow", "sklearn", "mlflow", "skops", "uvicorn", "starlette", "orjson", "httpx", "rich")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    ok: bool
    checks: tuple[Check, ...]


def doctor(
    session: Session,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read all of a local workspace: the database, the data and the models.")
    ] = False,
) -> Verdict:
    """Check this machine and these settings. Exit code 2 when something needs care.

    Example: opsml doctor --deep
    """
    checks = tuple(_checks(session, deep=deep))
    failed = [check.check for check in checks if not check.ok]
    error = ConfigError(f"not in order: {', '.join(failed)}", fix="do what the fixes above say") if failed else None
    return Verdict(Diagnosis(not failed, checks), error)


def _checks(session: Session, *, deep: bool) -> Iterator[Check]:
    yield _python()
    yield _packages()
    yield _lightgbm()
    yield _loopback()
    try:
        workspace = session.workspace
    except OpsmlError as error:
        yield Check("settings", False, error.message, error.fix or error.cause)
        return
    yield Check("settings", True, f"workspace {workspace.name}, from {session.loaded.origins.get('workspace', 'default')}")
    yield from workspace.checks(deep=deep)
    if workspace.kind == "local":
        yield _azure(session)


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check(
        "python", ok, f"{platform.python_version()} on {platform.system()}", None if ok else "install Python 3.11 or newer"
    )


def _packages() -> Check:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        return Check(
            "packages", False, f"missing: {', '.join(missing)}", "install opsml-azure again, in an environment of its own"
        )
    return Check("packages", True, f"{len(_NEEDED)} packages are there")


def _lightgbm() -> Check:
    try:
        import lightgbm
    except OSError as error:
        # Its wheel carries no OpenMP runtime and takes the system's.
        fix = "install the OpenMP runtime: apt-get install libgomp1, dnf install libgomp, or brew install libomp"
        return Check("lightgbm", False, f"cannot be loaded: {error}", fix)
    except ImportError as error:
        return Check(
            "lightgbm", False, f"cannot be imported: {error}", "install opsml-azure again, in an environment of its own"
        )
    return Check("lightgbm", True, f"{lightgbm.__version__} loads")


def _loopback() -> Check:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        return Check("loopback", False, f"no port on 127.0.0.1: {error.strerror}", "allow this user to listen on 127.0.0.1")
    return Check("loopback", True, "ports on 127.0.0.1 can be had")


def _azure(session: Session) -> Check:
    azure = session.settings.azure
    missing = [key for key in ("subscription_id", "resource_group", "workspace_name") if not getattr(azure, key)]
    if len(missing) == 3:
        return Check("azure settings", True, "none; not needed for the local workspace")
    if missing:
        variables = ", ".join(f"OPSML_AZURE__{key.upper()}" for key in missing)
        return Check(
            "azure settings", True, f"incomplete, so unused: {', '.join(missing)} missing", f"to use them set {variables}"
        )
    return Check("azure settings", True, f"complete: {azure.workspace_name} in {azure.resource_group}")
