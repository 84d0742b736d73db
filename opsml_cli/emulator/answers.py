"""The headers that Azure adds to every answer."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime

from opsml_cli.emulator.site import REGION
from opsml_cli.emulator.wire import Reply

_APPLICATION = f"appId=cid-v1:{uuid.UUID(int=0x0B5E11)}"
_CLUSTER = "vienna-local-01"


# What is left in Azure's hourly account of a principal's requests, by the kind of request.
_LEFT = {"GET": ("reads", 11999), "DELETE": ("deletes", 14999)}
_WRITES = ("writes", 1199)


def headers(  # noqa: PLR0917 - one call, and each is needed
    reply: Reply, form: str, method: str, correlation: str, now: datetime, seconds: float
) -> dict[str, str]:
    """All headers of an answer, names in lower case; the reply's own win. `seconds`: how long the request took."""
    own = {name.lower(): value for name, value in reply.headers.items()}
    common = {"date": now.strftime("%a, %d %b %Y %H:%M:%S GMT"), "x-content-type-options": "nosniff"}
    if reply.content != b"" or "content-type" in own:
        common["content-type"] = reply.media_type
    if form == "blob":
        blob = {"server": "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0", "x-ms-version": "2021-08-06"}
        return {**common, **blob, "x-ms-request-id": secrets.token_hex(16), **own}
    if form == "online":
        return {**common, "server": "azureml-frontdoor", **own}
    kind = "error" if reply.status >= 400 else "standard"
    common |= {
        "request-context": _APPLICATION,
        "azureml-served-by-cluster": _CLUSTER,
        "x-ms-response-type": kind,
        "x-request-time": f"{seconds:.3f}",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
    }
    if form == "data":
        return {**common, **own}
    count, left = _LEFT.get(method, _WRITES)
    return {
        **common,
        "cache-control": "no-cache",
        "pragma": "no-cache",
        "expires": "-1",
        "x-ms-correlation-request-id": correlation,
        "x-ms-routing-request-id": f"{REGION.upper()}:{now.strftime('%Y%m%dT%H%M%SZ')}:{correlation}",
        f"x-ms-ratelimit-remaining-subscription-{count}": str(left),
        **own,
    }
