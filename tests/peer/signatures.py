"""Storage requests signed with the account's key, signed again for the emulator's path of the same blob."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

NAMED = ("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since",
         "if-match", "if-none-match", "if-unmodified-since", "range")  # fmt: skip


def signed(key: bytes, account: str, method: str, target: str, headers: Mapping[str, str]) -> str:
    """The `Authorization` of a request to `target` (path and query), as Azure's storage clients make it."""
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("content-length") == "0":
        given["content-length"] = ""
    if "x-ms-date" in given:
        given["date"] = ""
    parts = urlsplit(target)
    lines = [method, *(given.get(name, "") for name in NAMED)]
    lines += [f"{name}:{given[name]}" for name in sorted(given) if name.startswith("x-ms-")]
    resource = f"/{account}{parts.path}"
    resource += "".join(f"\n{name.lower()}:{value}" for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True)))
    digest = hmac.new(key, ("\n".join(lines) + "\n" + resource).encode(), hashlib.sha256).digest()
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"
