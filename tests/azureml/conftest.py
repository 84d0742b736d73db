"""What the tests of the Azure adapter share: a server that answers as it is told, and a workspace that finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure_server import AzureServer, azure_server

from opsml_cli.azureml.context import Context, Place
from opsml_cli.settings import AzureSettings


class Steps:
    """A clock that moves when somebody sleeps, and remembers how long."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which one certificate serves all of them."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture
def server(certificates: Path) -> Iterator[AzureServer]:
    with azure_server(certificates) as found:
        yield found


@pytest.fixture
def clock() -> Steps:
    return Steps()


@pytest.fixture
def context(server: AzureServer, clock: Steps, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """A context whose cloud is `server`, signed in by the environment."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    found = Context(Place("azure", "sub", "group", "space"), AzureSettings(), clock=clock)
    yield found
    found.close()
