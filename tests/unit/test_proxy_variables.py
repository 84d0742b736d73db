"""Proxies of the environment that no HTTP client of opsml can use, and libraries that would talk on stderr."""

from __future__ import annotations

import json

import pytest
from command_line import Opsml

AZURE = {f"OPSML_AZURE__{name}": "x" for name in ("SUBSCRIPTION_ID", "RESOURCE_GROUP", "WORKSPACE_NAME")}


@pytest.mark.parametrize("value", ["socks5://user:secret@127.0.0.1:1", "foo://proxy", "http://[::1"])
@pytest.mark.parametrize("arguments", [("-w", "azure", "data", "list"), ("data", "register", "t", "http://example.com/t.csv")])
def test_a_proxy_that_cannot_be_used_is_a_wrong_setting(opsml: Opsml, value: str, arguments: tuple[str, ...]) -> None:
    ran = opsml(*arguments, "-o", "json", env={**AZURE, "ALL_PROXY": value})
    assert ran.exit_code == 2 and "secret" not in ran.stderr
    found = json.loads(ran.stderr.splitlines()[-1])["error"]
    assert found["code"] == "configuration" and "ALL_PROXY" in found["message"]


def test_nothing_precedes_the_error_when_nobody_is_signed_in(opsml: Opsml) -> None:
    ran = opsml("-w", "azure", "data", "list", "-o", "json", env={**AZURE, "OPSML_AZURE__AUTH": "cli", "PATH": "/nowhere"})
    assert ran.exit_code == 4
    assert json.loads(ran.stderr)["error"]["code"] == "not_signed_in"  # one document and nothing else
