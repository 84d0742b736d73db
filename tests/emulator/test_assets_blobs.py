"""Blob storage: the service's rules by raw requests, and what its own client does with them."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from emulator_support import Emulated, MovedClock


class Storage:
    """The emulator's storage as a raw client sees it."""

    def __init__(self, emulator: Emulated, client: httpx.Client) -> None:
        self.emulator = emulator
        self.client = client
        self.container = f"azureml-blobstore-{emulator.names.workspace_id}"
        self.account = f"{emulator.url}/_blob/{emulator.names.account}.blob.core.windows.net"
        with emulator.client() as signed_in:
            secrets = f"{emulator.ws}/datastores/workspaceblobstore/listSecrets"
            reply = signed_in.post(secrets, json={"expirableSecret": True, "expireAfterHours": 1})
            self.token = reply.json()["sasToken"].removeprefix("?")
            self.key = signed_in.post(secrets).json()["key"]

    def send(self, method: str, path: str, query: str = "", *, container: str | None = None, token: str | None = None,
             content: bytes = b"", headers: dict[str, str] | None = None) -> httpx.Response:  # fmt: skip
        signed = "&".join(part for part in (query, self.token if token is None else token) if part)
        url = f"{self.account}/{container or self.container}{'/' + path if path else ''}?{signed}"
        return self.client.request(method, url, content=content, headers=headers)

    def put(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("PUT", path, content=content, headers={"x-ms-blob-type": "BlockBlob", **named})

    def names(self, query: str) -> list[str]:
        reply = self.send("GET", "", f"restype=container&comp=list&{query}")
        assert reply.status_code == 200, reply.text
        return re.findall(r"<Name>([^<]*)</Name>", reply.text)


@pytest.fixture(scope="module")
def storage(emulator: Emulated) -> Iterator[Storage]:
    with emulator.plain() as client:
        yield Storage(emulator, client)


def code(reply: httpx.Response) -> tuple[int, str | None]:
    return reply.status_code, reply.headers.get("x-ms-error-code")


def test_an_object_comes_back_with_what_was_said_of_it(storage: Storage) -> None:
    content = b"a,b\n1,2\n"
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    made = storage.put("one/table.csv", content, x_ms_meta_name="x", x_ms_blob_content_type="text/csv")
    assert made.status_code == 201
    assert made.headers["content-md5"] == md5
    found = storage.send("HEAD", "one/table.csv")
    assert found.status_code == 200
    assert found.headers["content-length"] == str(len(content))
    assert found.headers["content-type"] == "text/csv"
    assert found.headers["x-ms-meta-name"] == "x"
    assert found.headers["content-md5"] == md5
    assert found.headers["x-ms-blob-type"] == "BlockBlob"
    assert found.headers["etag"] == made.headers["etag"]
    assert re.fullmatch(r'"0x[0-9A-F]+"', found.headers["etag"])
    assert storage.send("GET", "one/table.csv").content == content
    assert code(storage.send("HEAD", "one/")) == (404, "BlobNotFound")


def test_metadata_replaces_metadata_and_moves_the_etag(storage: Storage) -> None:
    made = storage.put("meta.txt", b"x", x_ms_meta_old="1")
    changed = storage.send("PUT", "meta.txt", "comp=metadata", headers={"x-ms-meta-upload_status": "completed"})
    assert changed.status_code == 200
    assert changed.headers["etag"] != made.headers["etag"]
    found = storage.send("HEAD", "meta.txt").headers
    assert found["x-ms-meta-upload_status"] == "completed"
    assert "x-ms-meta-old" not in found
    assert code(storage.send("PUT", "none.txt", "comp=metadata")) == (404, "BlobNotFound")
    assert code(storage.send("PUT", "meta.txt", "comp=metadata", headers={"x-ms-meta-a-b": "1"})) == (400, "InvalidMetadata")


@pytest.mark.parametrize(
    ("asked", "status", "content", "shown"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=-3", 200, b"0123456789", None),
        ("items=0-1", 200, b"0123456789", None),
    ],
)
def test_ranges(storage: Storage, asked: str, status: int, content: bytes | None, shown: str | None) -> None:
    storage.put("digits", b"0123456789")
    reply = storage.send("GET", "digits", headers={"x-ms-range": asked})
    assert reply.status_code == status
    assert reply.headers.get("content-range") == shown
    if content is None:
        assert reply.headers["x-ms-error-code"] == "InvalidRange"
        assert reply.content.startswith(b"\xef\xbb\xbf<?xml")
    else:
        assert reply.content == content
    if status == 206:
        assert reply.headers["x-ms-blob-content-md5"] == base64.b64encode(hashlib.md5(b"0123456789").digest()).decode()


def test_an_empty_object_has_no_range(storage: Storage) -> None:
    storage.put("empty", b"")
    assert storage.send("HEAD", "empty").headers["content-length"] == "0"
    ranged = storage.send("GET", "empty", headers={"x-ms-range": "bytes=0-33554431"})
    assert code(ranged) == (416, "InvalidRange")
    assert ranged.headers["content-range"] == "bytes */0"
    whole = storage.send("GET", "empty")
    assert (whole.status_code, whole.content) == (200, b"")


def test_conditions(storage: Storage) -> None:
    tag = storage.put("cond", b"1").headers["etag"]
    kept = set(storage.emulator.workspace.layout.blobs.iterdir())
    assert code(storage.put("cond", b"refused", If_None_Match="*")) == (409, "BlobAlreadyExists")
    assert set(storage.emulator.workspace.layout.blobs.iterdir()) == kept
    assert code(storage.put("cond", b"2", If_Match='"0x1"')) == (412, "ConditionNotMet")
    assert storage.put("cond", b"2", If_Match=tag).status_code == 201
    assert code(storage.send("GET", "cond", headers={"If-Match": tag})) == (412, "ConditionNotMet")
    now = storage.send("HEAD", "cond").headers["etag"]
    assert storage.send("GET", "cond", headers={"If-None-Match": now}).status_code == 304
    assert storage.send("GET", "cond").content == b"2"


def test_a_body_that_is_not_what_its_md5_says_is_refused(storage: Storage) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert code(storage.put("md5", b"1", Content_MD5=wrong)) == (400, "Md5Mismatch")
    assert code(storage.put("md5", b"1", Content_MD5="AAAA")) == (400, "InvalidMd5")
    assert code(storage.send("GET", "md5")) == (404, "BlobNotFound")
    assert code(storage.send("PUT", "md5", content=b"1")) == (400, "MissingRequiredHeader")


def block(number: int) -> str:
    return base64.b64encode(b"%04d" % number).decode()


def blocks(storage: Storage, path: str, listed: list[tuple[str, int]], **headers: str) -> httpx.Response:
    entries = "".join(f"<{where}>{block(number)}</{where}>" for where, number in listed)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{entries}</BlockList>'.encode()
    return storage.send("PUT", path, "comp=blocklist", content=body, headers=headers)


def stage(storage: Storage, path: str, number: int, content: bytes) -> httpx.Response:
    return storage.send("PUT", path, f"comp=block&blockid={block(number)}", content=content)


def test_blocks_become_an_object_when_they_are_committed(storage: Storage) -> None:
    for number in range(3):
        assert stage(storage, "blocks", number, b"%d" % number * 4).status_code == 201
    assert code(storage.send("HEAD", "blocks")) == (404, "BlobNotFound")
    assert "blocks" not in storage.names("prefix=blocks")
    assert code(blocks(storage, "blocks", [("Latest", 0), ("Latest", 7)])) == (400, "InvalidBlockList")
    made = blocks(storage, "blocks", [("Latest", 2), ("Latest", 0)], **{"x-ms-blob-content-type": "text/plain"})
    assert made.status_code == 201
    assert storage.send("GET", "blocks").content == b"22220000"
    assert "content-md5" not in storage.send("HEAD", "blocks").headers
    # What was staged and not committed is gone; what was committed may be used again.
    assert code(blocks(storage, "blocks", [("Latest", 1)])) == (400, "InvalidBlockList")
    stage(storage, "blocks", 5, b"new")
    assert blocks(storage, "blocks", [("Committed", 0), ("Uncommitted", 5)]).status_code == 201
    assert storage.send("GET", "blocks").content == b"0000new"
    assert not any(storage.emulator.workspace.layout.staging.iterdir())


def test_wrong_block_ids_and_lists_are_refused(storage: Storage) -> None:
    assert code(storage.send("PUT", "odd", "comp=block&blockid=***", content=b"1")) == (400, "InvalidQueryParameterValue")
    long = base64.b64encode(b"x" * 65).decode()
    assert code(storage.send("PUT", "odd", f"comp=block&blockid={long}", content=b"1")) == (400, "InvalidQueryParameterValue")
    assert stage(storage, "odd", 1, b"1").status_code == 201
    short = base64.b64encode(b"1").decode()
    assert code(storage.send("PUT", "odd", f"comp=block&blockid={short}", content=b"1")) == (400, "InvalidBlobOrBlock")
    for body in (b"", b"<BlockList>", b'<!DOCTYPE x [<!ENTITY a "b">]><BlockList></BlockList>', b"\xff\xfe"):
        assert code(storage.send("PUT", "odd", "comp=blocklist", content=body)) == (400, "InvalidXmlDocument")


def test_a_list_has_prefixes_pages_and_metadata(storage: Storage) -> None:
    for name in ("list/a.txt", "list/b/1.txt", "list/b/2.txt", "list/c&d.txt", "list/e.txt"):
        storage.put(name, b"x", x_ms_meta_k="v")
    assert storage.names("prefix=list/&delimiter=/") == ["list/a.txt", "list/b/", "list/c&amp;d.txt", "list/e.txt"]
    assert storage.names("prefix=list/b") == ["list/b/1.txt", "list/b/2.txt"]
    reply = storage.send("GET", "", "restype=container&comp=list&prefix=list/a&include=metadata")
    assert reply.content.startswith(b"\xef\xbb\xbf<?xml")
    assert "<Metadata><k>v</k></Metadata><OrMetadata />" in reply.text
    assert re.search("<Etag>0x[0-9A-F]+</Etag>", reply.text)
    assert reply.text.endswith("<NextMarker /></EnumerationResults>")
    found: list[str] = []
    marker = ""
    for _ in range(5):
        page = storage.send(
            "GET", "", f"restype=container&comp=list&prefix=list/&delimiter=/&maxresults=1&marker={marker}"
        ).text
        found += re.findall(r"<Name>([^<]*)</Name>", page)
        marker = (re.findall(r"<NextMarker>(.+)</NextMarker>", page) or [""])[0]
        if not marker:
            break
    assert found == ["list/a.txt", "list/b/", "list/c&amp;d.txt", "list/e.txt"]
    wrong = storage.send("GET", "", "restype=container&comp=list&maxresults=0")
    assert code(wrong) == (400, "OutOfRangeQueryParameterValue")


def test_delete(storage: Storage) -> None:
    storage.put("gone", b"x")
    assert storage.send("DELETE", "gone").status_code == 202
    assert code(storage.send("GET", "gone")) == (404, "BlobNotFound")
    assert code(storage.send("DELETE", "gone")) == (404, "BlobNotFound")


@pytest.mark.parametrize("name", ["../../escape.txt", "..%2F..%2Fescape.txt", "a/%00b", "C:%5Cx", "%2Fabs", "./././x", "con"])
def test_names_never_become_paths(storage: Storage, name: str) -> None:
    url = f"{storage.account}/{storage.container}/{name}?{storage.token}"
    before = set(storage.emulator.workspace.root.parent.iterdir())
    raw = httpx.URL(url).copy_with(raw_path=f"/_blob/{storage.emulator.names.account}.blob.core.windows.net/"
                                   f"{storage.container}/{name}?{storage.token}".encode())  # fmt: skip
    made = storage.client.put(raw, content=b"x", headers={"x-ms-blob-type": "BlockBlob"})
    assert made.status_code == (404 if name.startswith("../") else 201), made.text
    assert set(storage.emulator.workspace.root.parent.iterdir()) == before
    assert not list(storage.emulator.workspace.root.rglob("escape*"))


def test_tokens_are_checked(storage: Storage) -> None:
    storage.put("secret", b"x")
    missing = storage.send("GET", "secret", token="sp=r")
    assert code(missing) == (401, "NoAuthenticationInformation")
    assert "resource_id=https://storage.azure.com" in missing.headers["www-authenticate"]
    wrong = re.sub("sig=[^&]+", "sig=" + "A" * 43 + "%3D", storage.token)
    assert code(storage.send("GET", "secret", token=wrong)) == (403, "AuthenticationFailed")
    widened = storage.token.replace("sp=rcuwdl", "sp=rcuwdlx")
    assert code(storage.send("GET", "secret", token=widened)) == (403, "AuthenticationFailed")
    bearer = storage.client.get(f"{storage.account}/{storage.container}/secret", headers={"Authorization": "Bearer x"})
    assert code(bearer) == (403, "AuthorizationPermissionMismatch")
    assert code(storage.send("GET", "secret", container="nothere1")) == (404, "ContainerNotFound")
    text = storage.send("GET", "secret", token=wrong).text
    assert "<Code>AuthenticationFailed</Code>" in text
    assert storage.key not in text


def test_a_large_body_needs_its_right_before_it_is_taken(storage: Storage) -> None:
    refused = storage.send("PUT", "large", token="sp=w", content=b"x" * (3 << 20), headers={"x-ms-blob-type": "BlockBlob"})
    assert code(refused) == (401, "NoAuthenticationInformation")
    wrong = re.sub("sig=[^&]+", "sig=" + "A" * 43 + "%3D", storage.token)
    for content in (b"x" * (3 << 20), b"x"):
        reply = storage.send("PUT", "large", token=wrong, content=content, headers={"x-ms-blob-type": "BlockBlob"})
        assert code(reply) == (403, "AuthenticationFailed")
    assert storage.put("large", b"x" * (3 << 20)).status_code == 201


def test_tokens_end_with_their_scope(storage: Storage) -> None:
    from azure.storage.blob import generate_blob_sas, generate_container_sas

    storage.put("mine", b"x")
    storage.put("other", b"x")
    account, ends = storage.emulator.names.account, datetime.now(UTC) + timedelta(minutes=5)
    token = generate_blob_sas(account, storage.container, "mine", account_key=storage.key, permission="r", expiry=ends)
    assert storage.send("GET", "mine", token=token).status_code == 200
    assert code(storage.send("GET", "other", token=token)) == (403, "AuthenticationFailed")
    assert code(storage.send("DELETE", "mine", token=token)) == (403, "AuthorizationPermissionMismatch")
    late = generate_blob_sas(account, storage.container, "mine", account_key=storage.key, permission="r",
                             expiry=datetime.now(UTC) - timedelta(seconds=1))  # fmt: skip
    assert code(storage.send("GET", "mine", token=late)) == (403, "AuthenticationFailed")
    within = generate_container_sas(account, "azureml", account_key=storage.key, permission="rl", expiry=ends)
    assert code(storage.send("GET", "mine", token=within)) == (403, "AuthenticationFailed")
    listing = generate_container_sas(account, storage.container, account_key=storage.key, permission="l", expiry=ends)
    assert storage.send("GET", "", "restype=container&comp=list", token=listing).status_code == 200
    assert code(storage.send("GET", "mine", token=listing)) == (403, "AuthorizationPermissionMismatch")


def test_a_token_of_the_datastore_ends_after_its_hours(emulate: Callable[..., Emulated]) -> None:
    clock = MovedClock()
    emulator = emulate(clock=clock)
    with emulator.plain() as client:
        storage = Storage(emulator, client)
        assert storage.put("a", b"x").status_code == 201
        clock.move(3601)
        assert code(storage.send("GET", "a")) == (403, "AuthenticationFailed")


def test_the_storage_client_works_with_token_and_key(storage: Storage) -> None:
    from azure.storage.blob import BlobServiceClient

    for credential in (storage.token, storage.key):
        with BlobServiceClient(
            storage.account, credential=credential, connection_verify=str(storage.emulator.bundle)
        ) as service:
            container = service.get_container_client(storage.container)
            blob: Any = container.upload_blob("client/ä b&c.txt", b"hello", overwrite=True, validate_content=True)
            assert blob.download_blob(validate_content=True).readall() == b"hello"
            assert [item.name for item in container.list_blobs(name_starts_with="client/")] == ["client/ä b&c.txt"]
            assert next(item.name for item in container.walk_blobs())
            blob.set_blob_metadata({"upload_status": "completed"})
            assert blob.get_blob_properties().metadata == {"upload_status": "completed"}
            blob.delete_blob()
            assert not blob.exists()


def test_a_container_is_made_before_it_is_written_to(storage: Storage) -> None:
    assert code(storage.send("HEAD", "", "restype=container", container="fresh-one")) == (404, "ContainerNotFound")
    assert storage.send("PUT", "", "restype=container", container="fresh-one").status_code == 201
    assert code(storage.send("PUT", "", "restype=container", container="fresh-one")) == (409, "ContainerAlreadyExists")
    assert storage.send("HEAD", "", "restype=container", container="fresh-one").status_code == 200
    assert code(storage.send("PUT", "", "restype=container", container="No_Name")) == (400, "InvalidResourceName")
    assert code(storage.send("PUT", "", "restype=container", container="@blobstore")) == (400, "InvalidResourceName")


@pytest.mark.slow
def test_a_large_file_arrives_in_blocks(storage: Storage) -> None:
    from azure.storage.blob import BlobServiceClient

    content = os.urandom(100 << 20)
    with BlobServiceClient(
        storage.account, credential=storage.token, connection_verify=str(storage.emulator.bundle)
    ) as service:
        blob: Any = service.get_blob_client(storage.container, "large.bin")
        blob.upload_blob(content, max_concurrency=4, validate_content=True)
        assert hashlib.sha256(blob.download_blob(max_concurrency=4).readall()).digest() == hashlib.sha256(content).digest()
        blob.delete_blob()
    assert not any(storage.emulator.workspace.layout.staging.iterdir())
