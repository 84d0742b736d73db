"""Storage's ways to sign: shared access signatures (of an account, a container, a blob) and shared keys.

All of them are HMAC-SHA256 over a text that both sides put together; the key is the storage account's."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from opsml_cli.guard import same_secret

VERSION = "2021-08-06"
# Since this version an encryption scope is part of what is signed.
_WITH_SCOPE = "2020-12-06"
_OLDEST = "2018-11-09"
_STAMPS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid signature allows. `permissions` are storage's letters; `resources` the kinds of things (`c` container,
    `o` blob); None for both: everything."""

    permissions: str | None = None
    resources: str | None = None


class RefusedError(Exception):
    """The signature does not allow this. `status` and `code` as storage answers; `detail` explains, and tells no secret."""

    def __init__(self, status: int, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail


def account_sas(account: str, key: bytes, hours: float, now: datetime | None = None) -> str:
    """A token for every container and blob of the account, with its leading `?`."""
    expiry = _stamp((now or datetime.now(UTC)) + timedelta(hours=hours))
    token = {"sv": VERSION, "sig": "", "se": expiry, "srt": "co", "ss": "bf", "sp": "rcuwdl"}
    token["sig"] = _sign(key, _account_text(account, token))
    return "?" + urlencode(token, quote_via=quote)


def service_sas(
    account: str, key: bytes, container: str, blob: str | None, *, permissions: str, hours: float, now: datetime | None = None
) -> str:
    """A token for one blob, or for a container (`blob` None), without a leading `?`."""
    now = now or datetime.now(UTC)
    token = {
        "sv": VERSION,
        "sr": "c" if blob is None else "b",
        "st": _stamp(now - timedelta(minutes=10)),
        "se": _stamp(now + timedelta(hours=hours)),
        "sp": permissions,
    }
    token["sig"] = _sign(key, _service_text(account, container, blob, token))
    return urlencode(token, quote_via=quote)


def check_sas(
    accounts: Iterable[str],
    key: bytes,
    container: str,
    blob: str | None,
    query: Mapping[str, str],
    *,
    now: datetime | None = None,
) -> Grant:
    """What the token in `query` allows on this container or blob. RefusedError when it is no valid token for it.

    `accounts` are the names by which a client may know the account."""
    version = query.get("sv", "")
    if not _OLDEST <= version <= "9999":
        raise RefusedError(403, "AuthenticationFailed", "sv is missing, or a version that is not supported")
    if "ss" in query:
        texts = [_account_text(account, query) for account in accounts]
        grant = Grant(query.get("sp", ""), query.get("srt", ""))
    else:
        kind = query.get("sr", "")
        if kind not in ("b", "c") or (kind == "b" and blob is None):
            raise RefusedError(403, "AuthenticationFailed", "the token is for another kind of resource")
        signed = blob if kind == "b" else None
        texts = [_service_text(account, container, signed, query) for account in accounts]
        grant = Grant(query.get("sp", ""), "o" if kind == "b" else "co")
    given = query.get("sig", "")
    if not any(same_secret(given, _sign(key, text)) for text in texts):
        raise RefusedError(403, "AuthenticationFailed", "Signature did not match.")
    _check_time(query, now or datetime.now(UTC))
    if "ss" in query and "b" not in query["ss"]:
        raise RefusedError(403, "AuthorizationServiceMismatch")
    if "sip" in query and not query["sip"].startswith("127."):
        raise RefusedError(403, "AuthorizationSourceIPMismatch")
    return grant


def check_shared_key(
    accounts: Iterable[str], key: bytes, given: str, *, method: str, path: str, query: Mapping[str, str],
    headers: Mapping[str, str],
) -> Grant:  # fmt: skip
    """What `Authorization: SharedKey account:signature` (`given` is what follows the scheme) allows: everything, or
    RefusedError. `path` as it was sent; header names are lower case."""
    account, _, signature = given.rpartition(":")
    length = headers.get("content-length", "")
    named = ("content-encoding", "content-language", "", "content-md5", "content-type", "date", "if-modified-since",
             "if-match", "if-none-match", "if-unmodified-since", "range")  # fmt: skip
    lines = [method, *(headers.get(name, "") if name else ("" if length == "0" else length) for name in named)]
    if "x-ms-date" in headers:
        lines[6] = ""
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
    resource = f"/{account}{path}" + "".join(f"\n{name.lower()}:{value}" for name, value in sorted(query.items()))
    text = "\n".join(lines) + "\n" + canonical + resource
    if account not in accounts or not same_secret(signature, _sign(key, text)):
        raise RefusedError(403, "AuthenticationFailed", "The MAC signature found in the HTTP request is not the same.")
    return Grant()


def require(grant: Grant, resource: str, permissions: str) -> None:
    """RefusedError unless `grant` covers this kind of resource with one of `permissions`."""
    if grant.resources is not None and resource not in grant.resources:
        raise RefusedError(403, "AuthorizationResourceTypeMismatch")
    if grant.permissions is not None and not set(permissions) & set(grant.permissions):
        raise RefusedError(403, "AuthorizationPermissionMismatch")


def _check_time(query: Mapping[str, str], now: datetime) -> None:
    start, expiry = query.get("st"), query.get("se")
    if expiry is None:
        raise RefusedError(403, "AuthenticationFailed", "se is mandatory. Cannot be empty")
    begins, ends = (_parse(start) if start else None), _parse(expiry)
    if ends is None or (start and begins is None):
        raise RefusedError(403, "AuthenticationFailed", "st or se is no time")
    if now >= ends or (begins is not None and now < begins):
        raise RefusedError(
            403,
            "AuthenticationFailed",
            f"Signature not valid in the specified time frame: Start [{start or ''}] - Expiry [{expiry}] - "
            f"Current [{_stamp(now)}]",
        )


def _account_text(account: str, token: Mapping[str, str]) -> str:
    lines = [account, *(token.get(name, "") for name in ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv"))]
    if token.get("sv", "") >= _WITH_SCOPE:
        lines.append(token.get("ses", ""))
    return "\n".join(lines) + "\n"


def _service_text(account: str, container: str, blob: str | None, token: Mapping[str, str]) -> str:
    resource = f"/blob/{account}/{container}" + (f"/{blob}" if blob is not None else "")
    names = ["si", "sip", "spr", "sv", "sr", "snapshot"]
    if token.get("sv", "") >= _WITH_SCOPE:
        names.append("ses")
    names += ["rscc", "rscd", "rsce", "rscl", "rsct"]
    head = [token.get(name, "") for name in ("sp", "st", "se")]
    return "\n".join([*head, resource, *(token.get(name, "") for name in names)])


def _sign(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_STAMPS[0])


def _parse(text: str) -> datetime | None:
    for form in _STAMPS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
