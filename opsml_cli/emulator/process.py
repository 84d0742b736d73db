"""The emulator from outside: started, found, ended, and what a client's environment must say to reach it.

Asking whether it runs reads one small file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.emulator import EmulatorState, Variable
from opsml_cli.domain.errors import UsageError
from opsml_cli.local.background import Address, Background, Place, check_port

if TYPE_CHECKING:
    from opsml_cli.local.azure_names import AzureNames
    from opsml_cli.local.layout import Layout
    from opsml_cli.local.workspace import LocalWorkspace

MODULE = "opsml_cli.emulator.server"
BASE = "https://localhost"
CLOUD = "OpsmlLocal"


@dataclass(frozen=True, slots=True)
class Options:
    """How it is started. `port` None: the last one when it is free, else any; `trust`: what clients register may run."""

    pace: str = "fast"
    inject: tuple[str, ...] = ()
    port: int | None = None
    trust: bool = False

    def document(self) -> dict[str, Any]:
        return {"pace": self.pace, "inject": list(self.inject), "port": self.port, "trust": self.trust}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Options:
        return cls(document["pace"], tuple(document["inject"]), document["port"], document.get("trust", False))


def place_of(layout: Layout) -> Place:
    return Place(layout.root / "emulator", "emulator")


class EmulatorProcess:
    """The emulator over one local workspace. `wanted` are the Azure names (subscription, resource group, workspace) that
    the user's settings give it; None: it keeps its own."""

    def __init__(self, workspace: LocalWorkspace, wanted: tuple[str, str, str] | None = None) -> None:
        self._workspace = workspace
        self._wanted = wanted
        self._place = place_of(workspace.layout)
        self._background = Background(self._place, MODULE, "the emulator", self._answers)

    def state(self) -> EmulatorState:
        return _state(self._place.running(), unchanged=True)

    def up(
        self, *, pace: str | None = None, inject: Sequence[str] = (), port: int | None = None, trust: bool = False
    ) -> EmulatorState:
        """Start it; one that runs with other options is started again with these. None: as it runs, or `fast`."""
        from opsml_cli.emulator.faults import read_faults
        from opsml_cli.emulator.operations import Pace

        if port is not None and not 1 <= port <= 65535:
            raise UsageError(f"--port {port} is no port", cause="ports are 1 to 65535")
        Pace.read(pace or "fast")
        read_faults(inject)
        self._name()
        running = self._place.running()
        asked = pace is not None or bool(inject) or port is not None or trust
        options = Options(pace or "fast", tuple(inject), port, trust)
        if port is not None and (running is None or running.port != port):
            check_port(port)
        if running is not None and asked and Options.read(running.options or Options().document()) != options:
            self._background.down()
        address, started = self._background.up([str(self._workspace.root), json.dumps(options.document())])
        return _state(address, unchanged=not started)

    def down(self) -> bool:
        """End it; False when it was down."""
        return self._background.down()

    def environment(self) -> tuple[Variable, ...]:
        """The variables with which an unmodified script reaches the running emulator."""
        from opsml_cli.emulator.tls import places
        from opsml_cli.local.principals import Principals

        address = self._place.address()
        url = BASE if address is None else address.url
        names = self._name()
        workspace = self._workspace
        application, secret = Principals(workspace.layout, workspace.store).default(f"/subscriptions/{names.subscription}")
        bundle = str(places(workspace.layout).bundle)
        return (
            Variable("ARM_CLOUD_METADATA_URL", f"{url}/metadata/endpoints?api-version=2019-05-01"),
            Variable("REQUESTS_CA_BUNDLE", bundle),
            Variable("SSL_CERT_FILE", bundle),
            Variable("AZURE_AUTHORITY_HOST", url),
            Variable("AZURE_TENANT_ID", "adfs"),
            Variable("AZURE_CLIENT_ID", application.client_id),
            Variable("AZURE_CLIENT_SECRET", secret, secret=True),
            Variable("AZURE_SUBSCRIPTION_ID", names.subscription),
            Variable("AZURE_RESOURCE_GROUP", names.resource_group),
            Variable("AZUREML_WORKSPACE_NAME", names.name),
            Variable("OPSML_AZURE__SUBSCRIPTION_ID", names.subscription),
            Variable("OPSML_AZURE__RESOURCE_GROUP", names.resource_group),
            Variable("OPSML_AZURE__WORKSPACE_NAME", names.name),
            Variable("OPSML_AZURE__AUTH", "service-principal"),
            Variable("OPSML_AZURE__TENANT_ID", "adfs"),
            Variable("OPSML_AZURE__CLIENT_ID", application.client_id),
            Variable("OPSML_AZURE__CLIENT_SECRET", secret, secret=True),
            Variable("OPSML_AZURE__CLOUD", CLOUD),
            Variable("OPSML_AZURE__ARM_URL", url),
            Variable("OPSML_AZURE__AUTHORITY", url),
            Variable("OPSML_AZURE__CA_BUNDLE", bundle),
        )

    def _name(self) -> AzureNames:
        from opsml_cli.local.azure_names import Directory

        return Directory(self._workspace).first(self._wanted)

    def _answers(self, address: Address) -> bool:
        """Whether it is the process of `address` that answers there."""
        import http.client
        import ssl

        from opsml_cli.emulator.tls import places

        try:
            context = ssl.create_default_context(cafile=str(places(self._workspace.layout).authority))
            connection = http.client.HTTPSConnection("localhost", address.port, timeout=5.0, context=context)
            try:
                connection.request("GET", "/")
                reply = connection.getresponse()
                body = json.loads(reply.read())
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException):
            return False
        return reply.status == 200 and isinstance(body, dict) and body.get("pid") == address.pid


def _state(address: Address | None, *, unchanged: bool) -> EmulatorState:
    if address is None:
        return EmulatorState(False)
    options = Options.read(address.options or Options().document())
    return EmulatorState(True, address.pid, address.url, options.pace, options.inject, unchanged, options.trust)
