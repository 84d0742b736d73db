"""Messages between the front process and a host: a kind of one byte, a head in JSON, and a body as it is.

Each has its lengths before it, so that a body of any content passes unread. Used on both sides."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from opsml_cli.local.serving.host.exchange import HostReply, HostRequest

SETTINGS = b"S"  # front to host, once: what to load
LOADED = b"L"  # host to front, once: the description
FAILED = b"F"  # host to front, in place of LOADED: why it cannot be loaded
REQUEST = b"Q"
REPLY = b"A"

_LENGTHS = struct.Struct(">cIQ")


class Frame(NamedTuple):
    kind: bytes
    head: dict[str, Any]
    body: bytes


class BrokenFrameError(Exception):
    """What came is no frame: the other side is not the program that it should be."""


def packed(kind: bytes, head: dict[str, Any], body: bytes = b"") -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(kind, len(text), len(body)), text, body))


def request_frame(request: HostRequest) -> bytes:
    head = {"method": request.method, "path": request.path, "query": request.query, "headers": request.headers}
    return packed(REQUEST, head, request.body)


def request_of(frame: Frame) -> HostRequest:
    head = frame.head
    headers = tuple((name, value) for name, value in head["headers"])
    return HostRequest(head["method"], head["path"], head["query"], headers, frame.body)


def reply_frame(reply: HostReply) -> bytes:
    head = {
        "status": reply.status,
        "media": reply.media,
        "headers": reply.headers,
        "rows": reply.rows,
        "converted": reply.converted,
        "ignored": reply.ignored,
    }
    return packed(REPLY, head, reply.body)


def reply_of(frame: Frame) -> HostReply:
    head = frame.head
    headers = tuple((str(name), str(value)) for name, value in head["headers"])
    return HostReply(
        int(head["status"]), frame.body, str(head["media"]), headers, head["rows"], head["converted"], bool(head["ignored"])
    )


def receive(channel: socket.socket) -> Frame | None:
    """The next frame of a blocking socket; None when the other side has closed it between two frames."""
    start = _exactly(channel, _LENGTHS.size)
    if start is None:
        return None
    kind, head, body = _LENGTHS.unpack(start)
    text, content = _exactly(channel, head), _exactly(channel, body)
    if text is None or content is None:
        return None
    return Frame(kind, _document(text), content)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    if size == 0:
        return b""
    first = channel.recv(min(size, 1 << 18))
    if len(first) == size:
        return first
    if not first:
        return None
    whole = bytearray(first)
    while len(whole) < size:
        part = channel.recv(min(size - len(whole), 1 << 20))
        if not part:
            return None
        whole += part
    return bytes(whole)


class FrameReader:
    """Frames out of pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTHS.size:
            kind, head, body = _LENGTHS.unpack_from(buffer)
            end = _LENGTHS.size + head + body
            if len(buffer) < end:
                return
            middle = _LENGTHS.size + head
            frame = Frame(kind, _document(bytes(buffer[_LENGTHS.size : middle])), bytes(buffer[middle:end]))
            del buffer[:end]
            yield frame


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BrokenFrameError(str(error)) from error
    if not isinstance(document, dict):
        raise BrokenFrameError("the head of a frame is no object")
    return document
