"""Commands run in a checkout that somebody else wrote: its files neither say where tokens go, nor whom to believe.

A trap listens where the hostile files point. What counts is that nobody ever connects to it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsml_cli import settings

# A whole sign-in, in the user's own environment: there is a secret to lose.
IDENTITY = {
    "OPSML_WORKSPACE": "azure",
    "OPSML_AZURE__SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
    "OPSML_AZURE__RESOURCE_GROUP": "group",
    "OPSML_AZURE__WORKSPACE_NAME": "workspace",
    "OPSML_AZURE__AUTH": "service-principal",
    "OPSML_AZURE__TENANT_ID": "00000000-0000-0000-0000-000000000002",
    "OPSML_AZURE__CLIENT_ID": "00000000-0000-0000-0000-000000000003",
    "OPSML_AZURE__CLIENT_SECRET": "canary-secret-of-the-user",
}


class Trap:
    """A listener that counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.visits = 0
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def _wait(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def trap() -> Iterator[Trap]:
    found = Trap()
    yield found
    found.close()


@pytest.fixture
def closed_port() -> int:
    """A port of loopback where nobody listens: whoever goes where the user says ends there at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("file", ["opsml.toml", ".env"])
@pytest.mark.parametrize("key", settings.USER_ONLY)
def test_a_file_that_says_where_tokens_go_is_refused_by_name(opsml, tmp_path: Path, trap: Trap, key: str, file: str) -> None:
    value = trap.url if key.endswith("_url") or key == "authority" else str(tmp_path / "hostile")
    text = f'[azure]\n{key} = "{value}"\n' if file == "opsml.toml" else f"{settings.variable(('azure', key))}={value}\n"
    (tmp_path / file).write_text(text)
    ran = opsml("data", "list", "-o", "json", env=IDENTITY)
    assert ran.exit_code == 2, ran.stderr
    error = json.loads(ran.stderr.splitlines()[-1])["error"]
    assert f"azure.{key}" in error["message"]
    assert file in error["message"]
    assert "canary" not in ran.stdout + ran.stderr
    assert trap.visits == 0


def test_variables_of_other_tools_in_a_dotenv_are_not_taken(opsml, tmp_path: Path, trap: Trap, closed_port: int) -> None:
    names = ("AZURE_AUTHORITY_HOST", "ARM_CLOUD_METADATA_URL", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "IDENTITY_ENDPOINT",
             "MSI_ENDPOINT", "AZUREML_RUN_TOKEN", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")  # fmt: skip
    (tmp_path / ".env").write_text("".join(f"{name}={trap.url}\n" for name in names))
    home = f"https://localhost:{closed_port}"
    own = {"OPSML_AZURE__AUTHORITY": home, "OPSML_AZURE__ARM_URL": home}
    ran = opsml("endpoints", "list", "-o", "json", env=IDENTITY | own, timeout=300)
    assert ran.exit_code != 0
    assert "Traceback" not in ran.stderr
    assert "canary" not in ran.stdout + ran.stderr
    assert trap.visits == 0


def test_a_config_json_names_a_workspace_and_nothing_else(opsml, tmp_path: Path, trap: Trap) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "subscription_id": "00000000-0000-0000-0000-000000000009",
                "resource_group": "theirs",
                "workspace_name": "theirs",
                "authority": trap.url,
                "arm_url": trap.url,
                "ca_bundle": "hostile.pem",
                "Scope": f"{trap.url}/subscriptions",
            }
        )
    )
    ran = opsml("config", "show", "-o", "json")
    assert ran.exit_code == 0, ran.stderr
    assert str(trap.port) not in ran.stdout
    assert "hostile.pem" not in ran.stdout


def test_the_folder_puts_no_module_before_the_installed_ones(opsml, tmp_path: Path) -> None:
    """A checkout may hold files named as modules that commands import."""
    marker = tmp_path / "ran"
    for module in ("typer", "yaml", "httpx", "sqlite3", "azure", "numpy", "jmespath", "opsml_cli_plugin", "sitecustomize"):
        (tmp_path / f"{module}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    import os
    import subprocess
    import sys

    script = Path(sys.executable).parent / "opsml"
    if not script.exists():
        pytest.skip("opsml is not installed as a script here")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "OPSML_TEST_SESSION") if name in os.environ}
    for words in (("data", "list"), ("jobs", "list", "-o", "yaml"), ("config", "show")):
        environment = kept | {"HOME": str(tmp_path)}
        done = subprocess.run([script, *words], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert not marker.exists()
