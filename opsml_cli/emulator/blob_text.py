"""Blob storage's XML and headers."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from opsml_cli.local.clock import parse
from opsml_cli.local.storage.blocks import Block
from opsml_cli.local.storage.listing import Page
from opsml_cli.local.storage.objects import StoredObject

XML = "application/xml"
BOM = "\ufeff"
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
# What XML 1.0 cannot hold, even as a character reference.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLOCK = re.compile(r"<(Latest|Committed|Uncommitted)>([^<>]*)</\1>")
_BLOCK_LIST = re.compile(
    r"\ufeff?\s*(?:<\?xml[^<>]*\?>\s*)?(?:<BlockList>((?:\s*<(?:Latest|Committed|Uncommitted)>[^<>]*</[A-Za-z]+>)*)\s*</BlockList>"
    r"|<BlockList\s*/>)\s*\Z"
)
# Response headers by the names under which the object's labels hold them.
_LABELS = ("cache-control", "content-encoding", "content-language", "content-disposition")


def http_date(stamp: str) -> str:
    """A workspace's stamp as HTTP writes it."""
    return format_datetime(parse(stamp).astimezone(UTC).replace(microsecond=0), usegmt=True)


def object_headers(item: StoredObject) -> dict[str, str]:
    """The headers of HEAD and GET, without those of the content's length."""
    headers = {
        "Content-Type": item.labels.content_type,
        "Last-Modified": http_date(item.modified_at),
        "ETag": f'"{item.etag}"',
        "Accept-Ranges": "bytes",
        "x-ms-creation-time": http_date(item.created_at),
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-server-encrypted": "true",
        "x-ms-access-tier": "Hot",
        "x-ms-access-tier-inferred": "true",
    }
    headers |= {name.title(): item.labels.headers[name] for name in _LABELS if name in item.labels.headers}
    return headers | {f"x-ms-meta-{name}": value for name, value in item.metadata.items()}


def encode_marker(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def decode_marker(marker: str) -> str | None:
    """The name behind a marker; None for one that was not given out."""
    try:
        return base64.urlsafe_b64decode(marker.encode()).decode()
    except ValueError:
        return None


def listing(endpoint: str, container: str, asked: Mapping[str, str], found: Page, with_metadata: bool) -> bytes:
    """The XML of a page. `asked` are the query's prefix, marker, maxresults and delimiter."""
    parts = [
        BOM,
        _DECLARATION,
        f'<EnumerationResults ServiceEndpoint="{_quoted(endpoint)}" ContainerName="{_quoted(container)}">',
    ]
    for name, tag in (("prefix", "Prefix"), ("marker", "Marker"), ("maxresults", "MaxResults"), ("delimiter", "Delimiter")):
        if asked.get(name):
            parts.append(_named(tag, asked[name]))
    parts.append("<Blobs>")
    parts += (_prefix(entry) if isinstance(entry, str) else _blob(entry, with_metadata) for entry in found.entries)
    parts.append("</Blobs>")
    parts.append("<NextMarker />" if found.marker is None else f"<NextMarker>{encode_marker(found.marker)}</NextMarker>")
    parts.append("</EnumerationResults>")
    return "".join(parts).encode()


def block_list(committed: Iterable[tuple[str, int]], staged: Iterable[tuple[str, int]], which: str) -> bytes:
    parts = [BOM, _DECLARATION, "<BlockList>"]
    for tag, kind, blocks in (("CommittedBlocks", "committed", committed), ("UncommittedBlocks", "uncommitted", staged)):
        if which in (kind, "all"):
            entries = "".join(f"<Block><Name>{escape(name)}</Name><Size>{size}</Size></Block>" for name, size in blocks)
            parts.append(f"<{tag}>{entries}</{tag}>")
    return "".join([*parts, "</BlockList>"]).encode()


def read_block_list(body: bytes) -> list[Block] | None:
    """The entries of a block list; None when the body is none. Document types and entities are no part of one."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not _BLOCK_LIST.match(text):
        return None
    return [Block(found[2].strip(), found[1]) for found in _BLOCK.finditer(text)]


def _blob(item: StoredObject, with_metadata: bool) -> str:
    labels = item.labels
    values: Iterator[tuple[str, str]] = iter(
        (
            ("Creation-Time", http_date(item.created_at)),
            ("Last-Modified", http_date(item.modified_at)),
            ("Etag", item.etag),
            ("Content-Length", str(item.size)),
            ("Content-Type", labels.content_type),
            ("Content-Encoding", labels.headers.get("content-encoding", "")),
            ("Content-Language", labels.headers.get("content-language", "")),
            ("Content-CRC64", ""),
            ("Content-MD5", labels.md5 or ""),
            ("Cache-Control", labels.headers.get("cache-control", "")),
            ("Content-Disposition", labels.headers.get("content-disposition", "")),
            ("BlobType", "BlockBlob"),
            ("AccessTier", "Hot"),
            ("AccessTierInferred", "true"),
            ("LeaseStatus", "unlocked"),
            ("LeaseState", "available"),
            ("ServerEncrypted", "true"),
        )
    )
    properties = "".join(_element(tag, value) for tag, value in values)
    metadata = ""
    if with_metadata:
        inner = "".join(_element(name, value) for name, value in item.metadata.items())
        metadata = f"<Metadata>{inner}</Metadata>" if inner else "<Metadata />"
    return f"<Blob>{_named('Name', item.path)}<Properties>{properties}</Properties>{metadata}<OrMetadata /></Blob>"


def _prefix(name: str) -> str:
    return f"<BlobPrefix>{_named('Name', name)}</BlobPrefix>"


def _named(tag: str, name: str) -> str:
    """A name, percent-encoded when it holds what XML cannot."""
    if _NOT_XML.search(name):
        return f'<{tag} Encoded="true">{quote(name)}</{tag}>'
    return f"<{tag}>{escape(name)}</{tag}>"


def _element(tag: str, value: str) -> str:
    return f"<{tag}>{escape(_NOT_XML.sub('?', value))}</{tag}>" if value else f"<{tag} />"


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})


def http_moment(text: str) -> datetime | None:
    """The moment of an HTTP date header; None when it is none."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, TypeError):
        return None
