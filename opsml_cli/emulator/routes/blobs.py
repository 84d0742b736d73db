"""Blob storage: what the SDK uploads to, lists and downloads from. Names of blobs never become paths."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping

from opsml_cli.domain.errors import ConflictError, NotFoundError
from opsml_cli.emulator import blob_conditions, blob_text
from opsml_cli.emulator.blob_access import Target, account_url, refusal, target
from opsml_cli.emulator.wire import Call, Reply, Route
from opsml_cli.local.storage.blocks import WrongBlocksError
from opsml_cli.local.storage.engine import Written
from opsml_cli.local.storage.objects import Labels, StoredObject

MAX_RESULTS = 5000
_PIECE = 1 << 20
_RANGE_WITH_MD5 = 4 << 20
_METADATA = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_LABELS = ("cache-control", "content-encoding", "content-language", "content-disposition")
_ENCRYPTED = {"x-ms-request-server-encrypted": "true"}


def read_blob(call: Call) -> Reply:
    """GET and HEAD of a blob, whole or a range; GET of its block list."""
    place = target(call)
    if call.query.get("comp"):
        return _read_component(call, place)
    place.require("r")
    item = _found(place)
    if not blob_conditions.check_read(item, call.headers):
        return Reply(304, content=b"", headers={"ETag": f'"{item.etag}"'}, media_type=item.labels.content_type)
    headers = blob_text.object_headers(item)
    if call.method == "HEAD":
        md5 = {"Content-MD5": item.labels.md5} if item.labels.md5 else {}
        return Reply(
            200, content=b"", headers=headers | md5 | {"Content-Length": str(item.size)}, media_type=item.labels.content_type
        )
    part = blob_conditions.asked_range(call.headers, item.size)
    if part is None:
        if item.labels.md5:
            headers["Content-MD5"] = item.labels.md5
        headers["Content-Length"] = str(item.size)
        return Reply(200, content=place.storage.read(item), headers=headers, media_type=item.labels.content_type)
    start, size = part
    if item.labels.md5:
        headers["x-ms-blob-content-md5"] = item.labels.md5
    if call.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
        if size > _RANGE_WITH_MD5:
            raise refusal(400, "OutOfRangeQueryParameterValue")
        headers["Content-MD5"] = _md5(b"".join(place.storage.read(item, start, size)))
    headers |= {"Content-Range": f"bytes {start}-{start + size - 1}/{item.size}", "Content-Length": str(size)}
    return Reply(206, content=place.storage.read(item, start, size), headers=headers, media_type=item.labels.content_type)


def write_blob(call: Call) -> Reply:
    """PUT of a blob, a block, a block list, metadata or properties."""
    place = target(call)
    component = call.query.get("comp", "")
    handler = {"": _put, "block": _put_block, "blocklist": _put_block_list, "metadata": _put_metadata,
               "properties": _put_properties}.get(component)  # fmt: skip
    if handler is None:
        raise refusal(501, "NotImplemented", f"comp={component}")
    if "x-ms-copy-source" in call.headers:
        raise refusal(501, "NotImplemented", "copying from a URL")
    place.require("cw" if component in ("", "block", "blocklist") else "w")
    try:
        return handler(call, place)
    except WrongBlocksError as error:
        raise refusal(400, error.reason) from error
    except ConflictError as error:
        raise refusal(409, "BlobImmutableDueToPolicy") from error
    except NotFoundError as error:
        raise refusal(404, "BlobNotFound") from error


def delete_blob(call: Call) -> Reply:
    place = target(call)
    place.require("d")
    assert place.blob is not None
    try:
        place.storage.delete(place.container, place.blob, lambda item: blob_conditions.check_write(item, call.headers))
    except NotFoundError as error:
        raise refusal(404, "BlobNotFound") from error
    except ConflictError as error:
        raise refusal(409, "BlobImmutableDueToPolicy") from error
    return Reply(202, content=b"", headers={"x-ms-delete-type-permanent": "true"}, media_type=blob_text.XML)


def read_container(call: Call) -> Reply:
    """GET and HEAD of a container: its properties, or a page of its blobs."""
    place = target(call)
    component = call.query.get("comp", "")
    if call.query.get("restype") != "container" or component not in ("", "list", "metadata"):
        raise refusal(501, "NotImplemented", f"restype={call.query.get('restype', '')} comp={component}")
    if component == "list" and call.method == "GET":
        place.require("l")
        return _list(call, place)
    place.require("r")
    headers = {
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
    }
    return Reply(200, content=b"", headers=headers, media_type=blob_text.XML)


def make_container(call: Call) -> Reply:
    place = target(call)
    if call.query.get("restype") != "container" or call.query.get("comp"):
        raise refusal(501, "NotImplemented", f"comp={call.query.get('comp', '')}")
    place.require("cw")
    if not place.storage.make(place.container):
        raise refusal(409, "ContainerAlreadyExists")
    return Reply(201, content=b"", media_type=blob_text.XML)


def _list(call: Call, place: Target) -> Reply:
    query = call.query
    limit = MAX_RESULTS
    if "maxresults" in query:
        if not query["maxresults"].isascii() or not query["maxresults"].isdigit() or int(query["maxresults"]) < 1:
            raise refusal(400, "OutOfRangeQueryParameterValue")
        limit = min(int(query["maxresults"]), MAX_RESULTS)
    marker = blob_text.decode_marker(query.get("marker", ""))
    if marker is None:
        raise refusal(400, "InvalidQueryParameterValue")
    found = place.storage.list(
        place.container, query.get("prefix", ""), delimiter=query.get("delimiter", ""), marker=marker, limit=limit
    )
    with_metadata = "metadata" in query.get("include", "").split(",")
    endpoint = account_url(call, place.served) + "/"
    content = blob_text.listing(endpoint, place.wire_container, query, found, with_metadata)
    return Reply(200, content=content, media_type=blob_text.XML)


def _read_component(call: Call, place: Target) -> Reply:
    if call.query["comp"] == "metadata":
        place.require("r")
        return Reply(200, content=b"", headers=blob_text.object_headers(_found(place)), media_type=blob_text.XML)
    if call.query["comp"] != "blocklist" or call.method != "GET":
        raise refusal(501, "NotImplemented", f"comp={call.query['comp']}")
    place.require("r")
    assert place.blob is not None
    committed, staged = place.storage.blocks(place.container, place.blob)
    if not staged and place.storage.find(place.container, place.blob) is None:
        raise refusal(404, "BlobNotFound")
    content = blob_text.block_list(committed, staged, call.query.get("blocklisttype", "committed").lower())
    return Reply(200, content=content, media_type=blob_text.XML)


def _put(call: Call, place: Target) -> Reply:
    kind = call.headers.get("x-ms-blob-type")
    if kind is None:
        raise refusal(400, "MissingRequiredHeader")
    if kind != "BlockBlob":
        raise (
            refusal(501, "NotImplemented", f"the blob type {kind}")
            if kind in ("AppendBlob", "PageBlob")
            else refusal(400, "InvalidHeaderValue")
        )
    md5 = _checked_md5(call)
    stated = call.headers.get("x-ms-blob-content-md5")
    if stated is not None and stated != md5:
        raise refusal(400, "Md5Mismatch")
    assert place.blob is not None
    item = place.storage.put(place.container, place.blob, _pieces(call.body), _written(call, place, md5))
    return _made(item, {"Content-MD5": md5})


def _put_block(call: Call, place: Target) -> Reply:
    block = call.query.get("blockid")
    if block is None:
        raise refusal(400, "InvalidQueryParameterValue")
    if not call.body:
        raise refusal(400, "InvalidHeaderValue")
    md5 = _checked_md5(call)
    assert place.blob is not None
    place.storage.stage(place.container, place.blob, block, call.body)
    return Reply(201, content=b"", headers={"Content-MD5": md5, **_ENCRYPTED}, media_type=blob_text.XML)


def _put_block_list(call: Call, place: Target) -> Reply:
    _checked_md5(call)
    listed = blob_text.read_block_list(call.body)
    if listed is None:
        raise refusal(400, "InvalidXmlDocument")
    assert place.blob is not None
    # The service does not compute the MD5 of what is made of blocks: it keeps the one that the client states.
    md5 = call.headers.get("x-ms-blob-content-md5")
    return _made(place.storage.commit(place.container, place.blob, listed, _written(call, place, md5)))


def _put_metadata(call: Call, place: Target) -> Reply:
    assert place.blob is not None
    metadata = _metadata(call.headers)
    item = place.storage.label(
        place.container, place.blob, metadata=metadata, check=lambda old: blob_conditions.check_write(old, call.headers)
    )
    return _made(item, status=200)


def _put_properties(call: Call, place: Target) -> Reply:
    assert place.blob is not None
    labels = _labels(call.headers, call.headers.get("x-ms-blob-content-md5"))
    item = place.storage.label(
        place.container, place.blob, labels=labels, check=lambda old: blob_conditions.check_write(old, call.headers)
    )
    return _made(item, status=200)


def _found(place: Target) -> StoredObject:
    assert place.blob is not None
    item = place.storage.find(place.container, place.blob)
    if item is None:
        raise refusal(404, "BlobNotFound")
    return item


def _written(call: Call, place: Target, md5: str | None) -> Written:
    may_replace = place.grant.permissions is None or "w" in place.grant.permissions

    def check(item: StoredObject | None) -> None:
        if item is not None and not may_replace:
            raise refusal(403, "AuthorizationPermissionMismatch")
        blob_conditions.check_write(item, call.headers)

    return Written(_labels(call.headers, md5), _metadata(call.headers), check)


def _labels(headers: Mapping[str, str], md5: str | None) -> Labels:
    kind = headers.get("x-ms-blob-content-type") or headers.get("content-type") or "application/octet-stream"
    return Labels(kind, md5, {name: headers[f"x-ms-blob-{name}"] for name in _LABELS if headers.get(f"x-ms-blob-{name}")})


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name.removeprefix("x-ms-meta-"): value for name, value in headers.items() if name.startswith("x-ms-meta-")}
    if any(not _METADATA.match(name) for name in found):
        raise refusal(400, "InvalidMetadata")
    return found


def _checked_md5(call: Call) -> str:
    """The MD5 of the body, base64; refuses one that is not what the client says."""
    given = call.headers.get("content-md5")
    found = _md5(call.body)
    if given is not None:
        try:
            length = len(base64.b64decode(given, validate=True))
        except (binascii.Error, ValueError):
            length = 0
        if length != 16:
            raise refusal(400, "InvalidMd5")
        if given != found:
            raise refusal(400, "Md5Mismatch")
    return found


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _pieces(content: bytes) -> Iterator[bytes]:
    view = memoryview(content)
    for start in range(0, len(content), _PIECE):
        yield bytes(view[start : start + _PIECE])


def _made(item: StoredObject, more: Mapping[str, str] | None = None, status: int = 201) -> Reply:
    headers = {"ETag": f'"{item.etag}"', "Last-Modified": blob_text.http_date(item.modified_at), **_ENCRYPTED}
    return Reply(status, content=b"", headers=headers | dict(more or {}), media_type=blob_text.XML)


_CONTAINER = "/_blob/{account}/{container}"
_BLOB = _CONTAINER + "/{blob:path}"
ROUTES = (
    Route("GET", _CONTAINER, read_container, access="sas", note="list blobs, container properties"),
    Route("HEAD", _CONTAINER, read_container, access="sas", note="container properties"),
    Route("PUT", _CONTAINER, make_container, access="sas", note="create a container"),
    Route("GET", _BLOB, read_blob, access="sas", note="whole or a range; block list"),
    Route("HEAD", _BLOB, read_blob, access="sas"),
    Route("PUT", _BLOB, write_blob, access="sas", note="block blobs, blocks, block lists, metadata, properties", early=target),
    Route("DELETE", _BLOB, delete_blob, access="sas"),
)
