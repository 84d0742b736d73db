"""What `data register` may be given: a file, a folder, standard input or an http(s) URL, and its bytes.

A source is described without credentials: neither user and password nor the query of a URL (signatures stand there) is
ever stored or shown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from opsml_cli.domain.data import DataType
from opsml_cli.domain.errors import InvalidInputError, NotAllowedError, NotFoundError, OpsmlError, QuotaError, UsageError
from opsml_cli.domain.proxies import usable_proxies

if TYPE_CHECKING:
    from opsml_cli.domain.progress import Progress

CHUNK = 1 << 20
MLTABLE = "MLTable"  # the file that makes a folder a table
MAX_REDIRECTS = 5
_TRANSIENT = "the network or the server failed; run the same command again"


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Of a download: bytes, seconds for all of it, and seconds without any byte."""

    total_bytes: int = 50 << 30
    total_seconds: float = 6 * 3600.0
    idle_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """`kind`: file, folder, stdin or url. `shown` names it in messages and records; `path` only for files and folders."""

    kind: str
    shown: str
    path: Path | None = None
    url: str | None = None

    @property
    def origin(self) -> str:
        """Where it came from, for the record."""
        return self.shown if self.path is None else str(self.path.absolute())

    def __repr__(self) -> str:
        return f"Source({self.kind}, {self.shown!r})"


def parse_source(text: str) -> Source:
    """What `text` names. NotFoundError when a path is missing; UsageError for a scheme that is not read here."""
    if text == "-":
        return Source("stdin", "standard input")
    scheme, separator, _ = text.partition("://")
    if separator:
        if scheme.lower() in ("http", "https"):
            _check_url(text)
            return Source("url", without_credentials(text), url=text)
        if scheme.lower() in ("azureml", "wasbs", "abfss"):
            raise UsageError(
                f"the local workspace cannot read {without_credentials(text)}",
                cause="it lies on Azure",
                fix="register it in an Azure workspace with -w azure, or download it first",
            )
        raise UsageError(
            f"{scheme}:// is no source that can be registered", fix="give a path, - for standard input, or an http(s) URL"
        )
    if "\0" in text:
        raise UsageError(f"{text!r} is no path")
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - Path's own raises for a user that does not exist
    try:
        if path.is_dir():
            return Source("folder", text, path=path)
        if path.is_file():
            return Source("file", text, path=path)
        if path.exists():
            raise InvalidInputError(f"{text} is no regular file", fix="for a stream, pipe it in and give - as the source")
    except OSError as error:
        raise InvalidInputError(f"{text} cannot be read: {error.strerror}") from error
    raise NotFoundError(f"no file or folder {text}", cause=_near(path), fix="check the path")


def _near(path: Path) -> str | None:
    from opsml_cli.domain.fields import nearest

    try:
        found = nearest(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return f"the folder {path.parent} does not exist" if not path.parent.exists() else None
    return f"did you mean {path.parent / found}?" if found else None


def _check_url(text: str) -> None:
    """UsageError for what cannot be an address."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it checks it
        problem = None if parts.hostname else "it names no host"
    except ValueError as error:
        problem = str(error)
    if problem is not None:
        raise UsageError(f"{without_credentials(text)} is no address", cause=problem, fix="check the URL")


def without_credentials(url: str) -> str:
    """`url` without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an address that cannot be: what it holds is not known, so nothing of it but the scheme is shown
        return f"{url.partition('://')[0]}://…"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def chunks(source: Source, limits: FetchLimits | None = None) -> Iterator[bytes]:
    """The bytes of a file, of standard input or of a URL, in order and whole: a cut-off download is an error."""
    if source.url is not None:
        yield from _download(source.url, source.shown, limits or FetchLimits())
        return
    if source.path is None:
        while part := sys.stdin.buffer.read(CHUNK):
            yield part
        return
    try:
        with source.path.open("rb") as file:
            while part := file.read(CHUNK):
                yield part
    except FileNotFoundError:
        raise NotFoundError(f"no file {source.shown}", fix="check the path") from None
    except PermissionError as error:
        raise NotAllowedError(f"{source.shown} cannot be read", cause=error.strerror, fix="check the file's rights") from error


def _download(url: str, shown: str, limits: FetchLimits) -> Iterator[bytes]:
    import httpx

    deadline = time.monotonic() + limits.total_seconds
    timeout = httpx.Timeout(limits.idle_seconds, connect=min(15.0, limits.idle_seconds))
    # Compressed transport would only hide the size that the limits count.
    headers = {"Accept-Encoding": "identity", "User-Agent": "opsml"}
    received = 0
    try:
        with usable_proxies():
            made = httpx.Client(timeout=timeout, follow_redirects=False, headers=headers)
        with made as client:
            for _ in range(MAX_REDIRECTS + 1):
                with client.stream("GET", url) as response:
                    if response.is_redirect:
                        url = _next_url(url, response.headers.get("location", ""), shown)
                        continue
                    _check_status(response.status_code, shown)
                    announced = response.headers.get("content-length", "")
                    if announced.isdigit() and int(announced) > limits.total_bytes:
                        raise _too_large(shown, limits)
                    for part in response.iter_bytes():
                        received += len(part)
                        if received > limits.total_bytes:
                            raise _too_large(shown, limits)
                        if time.monotonic() > deadline:
                            raise OpsmlError(f"{shown} took longer than {limits.total_seconds:.0f} s", fix="download it first")
                        yield part
                    return
    except httpx.InvalidURL as error:
        raise UsageError(f"{shown} is no URL that can be fetched", cause=str(error)) from error
    except httpx.TimeoutException as error:
        raise OpsmlError(f"{shown} did not answer in time", cause=type(error).__name__, fix=_TRANSIENT) from None
    except httpx.HTTPError as error:
        # The exception's own text may hold the URL with its credentials.
        raise OpsmlError(f"{shown} could not be fetched", cause=_reason(error), fix=_TRANSIENT) from None
    raise OpsmlError(f"{shown} redirects more than {MAX_REDIRECTS} times")


def _reason(error: Exception) -> str:
    below = error.__cause__ or error.__context__
    while below is not None and (below.__cause__ or below.__context__):
        below = below.__cause__ or below.__context__
    reason = getattr(below, "strerror", None)
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _next_url(url: str, location: str, shown: str) -> str:
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme.lower()
    except ValueError:
        scheme = target = ""
    if scheme not in ("http", "https") or (scheme == "http" and urlsplit(url).scheme.lower() == "https"):
        raise InvalidInputError(f"{shown} redirects to something that is not followed", cause=f"the scheme {scheme!r}")
    return target


def _check_status(status: int, shown: str) -> None:
    if status in (404, 410):
        raise NotFoundError(f"{shown} does not exist (HTTP {status})", fix="check the URL")
    if status in (401, 403, 407):
        raise NotAllowedError(f"{shown} refuses access (HTTP {status})", fix="check the URL's signature or rights")
    if status != 200:
        raise OpsmlError(
            f"{shown} answered HTTP {status}", fix=_TRANSIENT if status >= 500 or status == 429 else "check the URL"
        )


def _too_large(shown: str, limits: FetchLimits) -> QuotaError:
    return QuotaError(
        f"{shown} is larger than {limits.total_bytes >> 20:,} MiB", fix="download it yourself and register the file"
    )


def data_type(source: Source, wanted: DataType | None) -> DataType:
    """The type of asset that `source` is: `wanted` when that fits; UsageError or InvalidInputError otherwise."""
    if source.kind != "folder":
        if wanted not in (None, DataType.URI_FILE):
            raise UsageError(f"{source.shown} is a file, not {wanted}", fix="leave --type out, or give a folder")
        return DataType.URI_FILE
    assert source.path is not None
    described = (source.path / MLTABLE).is_file()
    if wanted is DataType.URI_FILE:
        raise UsageError(f"{source.shown} is a folder, not {wanted}", fix="leave --type out, or give a file")
    if wanted is DataType.MLTABLE and not described:
        raise InvalidInputError(f"{source.shown} has no {MLTABLE} file", fix="add one, or leave --type out")
    return wanted or (DataType.MLTABLE if described else DataType.URI_FOLDER)


def counted(parts: Iterator[bytes], total: int | None, progress: Progress) -> Iterator[bytes]:
    """`parts`, telling `progress` how far they are."""
    done = 0
    for part in parts:
        yield part
        done += len(part)
        progress.amount(done, total, "bytes")
