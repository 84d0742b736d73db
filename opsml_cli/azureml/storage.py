"""The workspace's datastores: containers of objects, reached with the short-lived rights that the workspace hands out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree

from opsml_cli.domain.errors import ContractError, InvalidInputError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    import httpx

    from opsml_cli.azureml.context import Context

VERSION = "2024-10-01"
DEFAULT = "workspaceblobstore"
ARTIFACTS = "workspaceartifactstore"
_STORAGE_VERSION = "2021-08-06"
_SAS_SECONDS = 3600.0
_LONG = re.compile(
    r"azureml://subscriptions/([^/]+)/resource[gG]roups/([^/]+)/(?:providers/[^/]+/)?workspaces/([^/]+)/datastores/([^/]+)/paths/(.*)"
)
_SHORT = re.compile(r"azureml://datastores/([^/]+)/paths/(.*)")


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a datastore. `path` has no slash in front; it ends with one when a folder was named."""

    datastore: str
    path: str

    @property
    def short(self) -> str:
        return f"azureml://datastores/{self.datastore}/paths/{self.path}"


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its whole path in the container, its size in bytes, and its MD5 in base64 where the service keeps one."""

    path: str
    size: int
    md5: str | None = None
    etag: str | None = None


def parse_location(uri: str) -> Location:
    """Read `azureml://…/datastores/D/paths/P`, long or short. InvalidInputError for another URI."""
    found = _LONG.fullmatch(uri)
    if found is not None:
        return Location(found.group(4), found.group(5).lstrip("/"))
    found = _SHORT.fullmatch(uri)
    if found is None:
        raise InvalidInputError(f"{uri} names no path of a datastore", fix="expected azureml://datastores/NAME/paths/PATH")
    return Location(found.group(1), found.group(2).lstrip("/"))


class Storage:
    """The datastores of one workspace; a container's address is asked for once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._containers: dict[str, Container] = {}

    def container(self, datastore: str = DEFAULT) -> Container:
        """The container behind a datastore. NotFoundError for an unknown one; UnsupportedError for file shares and the like."""
        key = datastore.casefold()
        if key not in self._containers:
            found = self._context.rest.find(f"{{ws}}/datastores/{datastore}", VERSION)
            if found is None:
                known = [one["name"] for one in self._context.rest.pages("{ws}/datastores", VERSION)]
                raise NotFoundError(f"no datastore {datastore!r}", cause=f"the workspace has {', '.join(sorted(known))}")
            self._containers[key] = Container(self._context, datastore, found["properties"])
        return self._containers[key]

    def long_uri(self, location: Location) -> str:
        """The URI that names this workspace too, for documents that other tools read."""
        place = self._context.place
        return (
            f"azureml://subscriptions/{place.subscription_id}/resourcegroups/{place.resource_group}"
            f"/workspaces/{place.workspace_name}/datastores/{location.datastore}/paths/{location.path}"
        )


class Container:
    """A container of objects. Rights are asked for when they are needed, and again before they end."""

    def __init__(self, context: Context, datastore: str, properties: Mapping[str, object]) -> None:
        kind = str(properties.get("datastoreType", ""))
        if kind.casefold() not in ("azureblob", "azuredatalakegen2"):
            raise UnsupportedError(f"the datastore {datastore} is {kind or 'of an unknown kind'}", fix="use a blob datastore")
        self._context = context
        self.datastore = datastore
        account, suffix = properties.get("accountName"), properties.get("endpoint") or context.cloud.storage_suffix
        name = properties.get("containerName") or properties.get("filesystem")
        self.url = f"{properties.get('protocol') or 'https'}://{account}.blob.{suffix}/{name}"
        credentials = properties.get("credentials")
        held = credentials.get("credentialsType") if isinstance(credentials, Mapping) else None
        self._own_identity = held in (None, "None")
        self._account = str(account).rpartition("/")[2]
        self._sas: str | None = None
        self._sas_until = 0.0

    def find(self, path: str) -> Stored | None:
        """The object at `path`; None when there is none."""
        try:
            answer = self._call("HEAD", path)
        except NotFoundError:
            return None
        headers = answer.headers
        return Stored(path, int(headers.get("content-length", 0)), headers.get("content-md5"), _tag(headers.get("etag")))

    def below(self, prefix: str) -> Iterator[Stored]:
        """Every object whose path begins with `prefix`, in the order of their paths."""
        marker = ""
        while True:
            query = f"restype=container&comp=list&prefix={quote(prefix, safe='')}"
            query += f"&marker={quote(marker, safe='')}" if marker else ""
            text = self._call("GET", "", query).content.decode("utf-8-sig")
            try:
                root = ElementTree.fromstring(text)  # noqa: S314 - expat bounds the expansion of entities
            except ElementTree.ParseError as error:
                raise ContractError(f"the list of {self.datastore} cannot be read: {error}") from error
            for blob in root.iter("Blob"):
                yield Stored(
                    blob.findtext("Name") or "",
                    int(blob.findtext("Properties/Content-Length") or 0),
                    blob.findtext("Properties/Content-MD5") or None,
                    _tag(blob.findtext("Properties/Etag")),
                )
            marker = root.findtext("NextMarker") or ""
            if not marker:
                return

    def read(self, path: str, start: int, length: int) -> bytes:
        """`length` bytes from `start`; fewer at the object's end."""
        headers = {"x-ms-range": f"bytes={start}-{start + length - 1}", "Range": f"bytes={start}-{start + length - 1}"}
        return self._call("GET", path, headers=headers).content

    def write(self, path: str, content: bytes, md5: str) -> None:
        """Write a small object at once; the service checks `md5` (base64) against what arrived."""
        self._call("PUT", path, content=content, headers={"x-ms-blob-type": "BlockBlob", "Content-MD5": md5})

    def write_block(self, path: str, block: str, content: bytes, md5: str) -> None:
        """Write one block of an object that `commit` will make. `block` is its id in base64; all are of one length."""
        self._call("PUT", path, f"comp=block&blockid={quote(block, safe='')}", content, {"Content-MD5": md5})

    def commit(self, path: str, blocks: list[str], md5: str) -> None:
        """Make the object of its blocks, in order; `md5` is that of the whole."""
        listed = "".join(f"<Latest>{block}</Latest>" for block in blocks)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        self._call("PUT", path, "comp=blocklist", body, {"x-ms-blob-content-md5": md5, "Content-Type": "application/xml"})

    def _call(
        self,
        method: str,
        path: str,
        query: str = "",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        signed = "" if self._own_identity else self._right()
        url = f"{self.url}/{quote(path)}" if path else self.url
        joined = "&".join(part for part in (query, signed) if part)
        audience = "storage" if self._own_identity else "none"
        sent = {"x-ms-version": _STORAGE_VERSION, **(headers or {})}
        return self._context.rest.blob(method, f"{url}?{joined}" if joined else url, content, headers=sent, audience=audience)

    def _right(self) -> str:
        """A signature that is good for some minutes at least."""
        now = self._context.clock.monotonic()
        if self._sas is None or now > self._sas_until:
            body = {"expirableSecret": True, "expireAfterHours": 1}
            path = f"{{ws}}/datastores/{self.datastore}/listSecrets"
            answer = self._context.rest.send("POST", path, VERSION, body, repeatable=True).value
            token = answer.get("sasToken") if isinstance(answer, dict) else None
            if isinstance(answer, dict) and isinstance(answer.get("key"), str):
                # Some datastores hand out the account's key: a signature of our own goes over the wire in its place.
                token = signed_by(answer["key"], self._account)
            if not isinstance(token, str) or not token:
                raise ContractError(f"the workspace hands out no signature for the datastore {self.datastore}")
            self._sas, self._sas_until = token.lstrip("?"), now + _SAS_SECONDS - 600
        return self._sas


def signed_by(key: str, account: str) -> str:
    """An account's shared access signature for its containers and objects, good for an hour. `key` is in base64."""
    import base64
    import hashlib
    import hmac
    from datetime import UTC, datetime, timedelta
    from urllib.parse import urlencode

    expiry = (datetime.now(UTC) + timedelta(seconds=_SAS_SECONDS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = {"sv": _STORAGE_VERSION, "ss": "b", "srt": "co", "sp": "rcuwdl", "se": expiry, "spr": "https"}
    fields = [account, *(token.get(name, "") for name in ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses"))]
    signature = hmac.new(base64.b64decode(key), ("\n".join(fields) + "\n").encode(), hashlib.sha256).digest()
    return urlencode({**token, "sig": base64.b64encode(signature).decode()}, quote_via=quote)


def _tag(text: str | None) -> str | None:
    return text.strip('"') if text else None
