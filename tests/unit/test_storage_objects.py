"""The objects of datastores, below the wire: they behave as a plain mapping from names to bytes would, survive restarts and
kills, and listings find each name once."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotFoundError
from opsml_cli.emulator import blob_text
from opsml_cli.emulator.blob_conditions import asked_range
from opsml_cli.emulator.wire import WireError
from opsml_cli.local.storage import blocks
from opsml_cli.local.storage.blocks import Block, Part, WrongBlocksError
from opsml_cli.local.storage.engine import LocalStorage, Written
from opsml_cli.local.storage.listing import page
from opsml_cli.local.storage.mounts import Mount
from opsml_cli.local.storage.objects import Labels, StoredObject
from opsml_cli.local.workspace import LocalWorkspace

PLAIN = Written(Labels(), {})
BOX = "@blobstore"


class Fixed:
    """Views that a test says."""

    def __init__(self, *mounts: Mount) -> None:
        self.mounts = mounts

    def below(self, container: str, prefix: str) -> Iterator[Mount]:
        yield from self.mounts


@pytest.fixture
def storage(workspace: LocalWorkspace) -> LocalStorage:
    return workspace.storage


def listed(storage: LocalStorage, prefix: str = "", delimiter: str = "", limit: int = 5000) -> list[str]:
    """Every entry, page by page."""
    found: list[str] = []
    marker = ""
    while True:
        part = storage.list(BOX, prefix, delimiter=delimiter, marker=marker, limit=limit)
        assert len(part.entries) <= limit
        found += [entry if isinstance(entry, str) else entry.path for entry in part.entries]
        if part.marker is None:
            return found
        marker = part.marker


def expected(names: set[str], prefix: str, delimiter: str) -> list[str]:
    """What a listing holds, said in another way: every name cut behind its first delimiter."""
    below = [name for name in names if name.startswith(prefix)]
    if not delimiter:
        return sorted(below)
    cut = set()
    for name in below:
        head, found, _ = name[len(prefix) :].partition(delimiter)
        cut.add(prefix + head + found)
    return sorted(cut)


NAMES = st.text(st.sampled_from("ab/é\U0001f600 -."), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None)
@given(
    st.sets(NAMES, max_size=12),
    st.text(st.sampled_from("ab/é"), max_size=3),
    st.sampled_from(["", "/", "a", "/b"]),
    st.integers(1, 4),
)
def test_listings_hold_each_name_once_in_order(names: set[str], prefix: str, delimiter: str, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = LocalWorkspace(Path(folder) / ".opsml")
        try:
            for name in names:
                workspace.storage.put(BOX, name, [b"x"], PLAIN)
            assert listed(workspace.storage, prefix, delimiter, limit) == expected(names, prefix, delimiter)
        finally:
            workspace.store.close()


@given(
    st.lists(NAMES, unique=True),
    st.text(st.sampled_from("ab/"), max_size=2),
    st.sampled_from(["", "/", "ab"]),
    st.integers(1, 5),
)
def test_pages_are_cuts_of_one_listing(names: list[str], prefix: str, delimiter: str, limit: int) -> None:
    items = [_object(name) for name in sorted(names) if name.startswith(prefix)]
    found: list[str] = []
    marker: str | None = ""
    while marker is not None:
        part = page([item for item in items if item.path >= marker], prefix, delimiter, limit)
        found += [entry if isinstance(entry, str) else entry.path for entry in part.entries]
        marker = part.marker
        if marker is not None:
            assert blob_text.decode_marker(blob_text.encode_marker(marker)) == marker
    assert found == expected(set(names), prefix, delimiter)


@given(st.integers(0, 60), st.integers(0, 70), st.none() | st.integers(0, 70))
def test_a_range_is_a_slice(size: int, start: int, end: int | None) -> None:
    content = bytes(range(size))
    headers = {"range": f"bytes={start}-{'' if end is None else end}"}
    if end is not None and end < start:
        assert asked_range(headers, size) is None
        return
    if start >= size:
        with pytest.raises(WireError) as refused:
            asked_range(headers, size)
        assert (refused.value.status, refused.value.headers["Content-Range"]) == (416, f"bytes */{size}")
        return
    found = asked_range(headers, size)
    assert found is not None
    first, length = found
    assert content[first : first + length] == content[start : size if end is None else end + 1]


@given(st.text(max_size=30))
def test_no_header_is_a_range_by_accident(text: str) -> None:
    found = asked_range({"range": text}, 10)
    assert found is None or text.startswith("bytes=")


@given(
    st.dictionaries(st.integers(0, 5), st.binary(min_size=1, max_size=5)),
    st.dictionaries(st.integers(0, 5), st.binary(min_size=1, max_size=5)),
    st.lists(st.tuples(st.sampled_from(["Latest", "Committed", "Uncommitted"]), st.integers(0, 6)), max_size=6),
)
def test_a_block_list_chooses_from_what_is_there(
    old: dict[int, bytes], new: dict[int, bytes], wanted: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "object").write_bytes(b"".join(old.values()))
        item = _object("object", folder / "object", tuple((str(key), len(value)) for key, value in old.items()))
        for key, value in new.items():
            (folder / f"new{key}").write_bytes(value)
        uncommitted = {str(key): Part(str(key), folder / f"new{key}", 0, len(value)) for key, value in new.items()}
        answer: list[bytes] | None = []
        for where, key in wanted:
            pools = {"Latest": [new, old], "Committed": [old], "Uncommitted": [new]}[where]
            value = next((pool[key] for pool in pools if key in pool), None)
            answer = None if value is None or answer is None else [*answer, value]
        asked = [Block(str(key), where) for where, key in wanted]
        if answer is None:
            with pytest.raises(WrongBlocksError):
                blocks.chosen(asked, uncommitted, blocks.committed(item))
        else:
            parts = blocks.chosen(asked, uncommitted, blocks.committed(item))
            assert b"".join(blocks.content(parts)) == b"".join(answer)


@given(
    st.lists(st.tuples(st.sampled_from(["Latest", "Committed", "Uncommitted"]), st.binary(min_size=1, max_size=64)), max_size=5)
)
def test_block_lists_are_read_as_they_are_written(entries: list[tuple[str, bytes]]) -> None:
    named = [(where, base64.b64encode(name).decode()) for where, name in entries]
    body = "".join(f"<{where}>{name}</{where}>" for where, name in named)
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<BlockList>{body}</BlockList>'
    assert blob_text.read_block_list(text.encode()) == [Block(name, where) for where, name in named]


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reading_of_block_lists(body: bytes) -> None:
    found = blob_text.read_block_list(body)
    assert found is None or all(isinstance(each, Block) for each in found)


@given(st.text(max_size=20))
def test_every_name_makes_sound_xml(name: str) -> None:
    import xml.etree.ElementTree as Tree

    try:
        name.encode()
    except UnicodeEncodeError:
        return
    whole = blob_text.listing("https://x/", "c", {}, page([_object(name or "x")], "", "", 1), True)
    root = Tree.fromstring(whole.decode("utf-8-sig"))
    element = root.find("Blobs/Blob/Name")
    assert element is not None
    from urllib.parse import unquote

    shown = element.text or ""
    if element.get("Encoded"):
        shown = unquote(shown)
    assert shown.replace("\n", "\r") == (name or "x").replace("\n", "\r")


def test_objects_survive_a_restart(workspace: LocalWorkspace) -> None:
    made = workspace.storage.put(BOX, "a/b", [b"one", b"two"], Written(Labels("text/csv"), {"k": "v"}))
    workspace.storage.stage(BOX, "later", "AAAA", b"staged")
    again = LocalWorkspace(workspace.root)
    try:
        found = again.storage.get(BOX, "a/b")
        assert (found.etag, found.labels.content_type, dict(found.metadata)) == (made.etag, "text/csv", {"k": "v"})
        assert b"".join(again.storage.read(found)) == b"onetwo"
        assert again.storage.commit(BOX, "later", [Block("AAAA")], PLAIN).size == 6
    finally:
        again.store.close()


def test_a_write_that_fails_leaves_the_old_object(storage: LocalStorage, workspace: LocalWorkspace) -> None:
    storage.put(BOX, "a", [b"old"], PLAIN)

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        storage.put(BOX, "a", broken(), PLAIN)
    assert b"".join(storage.read(storage.get(BOX, "a"))) == b"old"
    assert len(list(workspace.layout.blobs.iterdir())) == 1


def test_what_a_killed_writer_staged_is_swept(workspace: LocalWorkspace) -> None:
    storage = workspace.storage
    storage.stage(BOX, "kept", "AAAA", b"1")
    orphan = workspace.layout.staging / "orphan"
    orphan.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    storage.put(BOX, "other", [b"x"], PLAIN)
    assert not orphan.exists()
    assert storage.commit(BOX, "kept", [Block("AAAA")], PLAIN).size == 1
    assert not any(workspace.layout.staging.iterdir())


def test_content_is_a_file_or_a_folder(storage: LocalStorage) -> None:
    storage.put(BOX, "set/a.csv", [b"1"], PLAIN)
    storage.put(BOX, "set/deep/b.csv", [b"2"], PLAIN)
    storage.put(BOX, "settle", [b"3"], PLAIN)
    with storage.content(BOX, "set/a.csv") as file:
        assert file.read_bytes() == b"1"
    for path in ("set", "set/"):
        with storage.content(BOX, path) as folder:
            assert sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()) == [
                "a.csv", "deep/b.csv",
            ]  # fmt: skip
        assert not folder.exists()
    with pytest.raises(NotFoundError), storage.content(BOX, "nothing/"):
        pass


@pytest.mark.parametrize("name", ["../x", "a/../b", "a//b", "a\\b", "a/.", "a\0b", "x" * 256])
def test_content_has_no_files_that_leave_their_folder(storage: LocalStorage, name: str) -> None:
    storage.put(BOX, f"set/{name}", [b"1"], PLAIN)
    with pytest.raises(InvalidInputError), storage.content(BOX, "set"):
        pass


def test_content_has_no_two_files_of_one_name(storage: LocalStorage) -> None:
    storage.put(BOX, "set/A", [b"1"], PLAIN)
    storage.put(BOX, "set/a", [b"2"], PLAIN)
    with pytest.raises(InvalidInputError, match="differ only by case"), storage.content(BOX, "set"):
        pass


def test_views_are_live_and_read_only(workspace: LocalWorkspace, tmp_path: Path) -> None:
    folder = tmp_path / "view"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "log.txt").write_text("one")
    (folder / "link").symlink_to("/etc/passwd")
    storage = LocalStorage(workspace.layout, workspace.store, Fixed(Mount("run/", folder)))
    assert listed(storage) == ["run/deep/log.txt"]
    item = storage.get(BOX, "run/deep/log.txt")
    (folder / "deep" / "log.txt").write_text("one and more")
    assert b"".join(storage.read(item)) == b"one"
    assert storage.get(BOX, "run/deep/log.txt").size == 12
    for wrong in ("run/link", "run/../view/deep/log.txt", "run/deep/../deep/log.txt", "run/deep", "run/deep/LOG.txt"):
        assert storage.find(BOX, wrong) is None, wrong
    with pytest.raises(ConflictError):
        storage.put(BOX, "run/new", [b"x"], PLAIN)
    with pytest.raises(ConflictError):
        storage.delete(BOX, "run/deep/log.txt")
    storage.put(BOX, "beside", [b"x"], PLAIN)
    assert listed(storage, delimiter="/") == ["beside", "run/"]


def _object(name: str, file: Path | None = None, made_of: tuple[tuple[str, int], ...] = ()) -> StoredObject:
    moment = "2026-01-01T00:00:00.000Z"
    return StoredObject(name, 1, moment, moment, "0x1", file or Path("x"), sha256="0" * 64, metadata={"k": "v"}, blocks=made_of)
