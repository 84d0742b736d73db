"""Which cloud this is: how the SDK learns where to sign in and where the resource manager is."""

from __future__ import annotations

import os

import opsml_cli
from opsml_cli.emulator.identity import ML_AUDIENCE
from opsml_cli.emulator.process import CLOUD
from opsml_cli.emulator.wire import Call, Reply, Route

STORAGE_SUFFIX = "core.windows.net"


def endpoints(call: Call) -> Reply:
    """The clouds that the resource manager tells of: this one. The SDK takes the one whose `resourceManager` is part of the
    URL that it asked, and makes the machine-learning audience of the portal's domain."""
    base = call.site.base
    return Reply(
        value=[
            {
                "name": CLOUD,
                "portal": f"https://portal.azure.{ML_AUDIENCE.removeprefix('https://ml.azure.')}/",
                "authentication": {
                    "loginEndpoint": f"{base}/",
                    "audiences": [f"{base}/", base],
                    "tenant": "adfs",
                    "identityProvider": "ADFS",
                },
                "resourceManager": f"{base}/",
                "graph": f"{base}/",
                "graphAudience": f"{base}/",
                "microsoftGraphResourceId": f"{base}/",
                "media": f"{base}/",
                "suffixes": {"storage": STORAGE_SUFFIX},
            }
        ]
    )


def about(_: Call) -> Reply:
    """Who answers here: for `opsml local up`, which waits for it."""
    return Reply(value={"service": "opsml emulator", "version": opsml_cli.__version__, "pid": os.getpid()})


def discovery(call: Call) -> Reply:
    """Where the data plane's services are: all of them here."""
    base = call.site.base
    names = "api catalog experimentation gallery history hyperdrive labeling modelmanagement pipelines"
    return Reply(value={**dict.fromkeys(names.split(), base), "studio": "https://ml.azure.com"})


ROUTES = (
    Route("GET", "/", about, access="open", note="not Azure's: who answers here"),
    Route("GET", "/metadata/endpoints", endpoints, access="open"),
    Route("GET", "/discovery", discovery, access="open"),
    Route("GET", "/discovery/{rest:path}", discovery, access="open"),
)
