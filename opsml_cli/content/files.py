"""Durable files: nothing half-made is ever visible under its final name, and what was acknowledged survives a kill."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opsml_cli.domain.errors import QuotaError

TEMPORARY = ".tmp-"  # prefix of everything that is not finished; the sweep removes what no live process owns


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries durable. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """fsync every file and folder below `folder`."""
    for root, _, names in os.walk(folder):
        for name in names:
            handle = os.open(Path(root) / name, os.O_RDONLY)
            try:
                if os.name != "nt":
                    os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(root))


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn a full disk or quota into QuotaError naming `what`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise QuotaError(
                f"no space left on the disk while writing {what}",
                cause=str(error.filename or error.strerror),
                fix="free some space, then run the same command again; nothing half-made was kept",
            ) from error
        raise


def temporary_name(folder: Path) -> Path:
    """A new name in `folder` that carries this process's id, so that a sweep can tell whether its owner lives."""
    return folder / f"{TEMPORARY}{os.getpid()}-{os.urandom(6).hex()}"


def touched(path: Path) -> bool:
    """Whether it is there; if so it counts as used now, which a sweep of old content heeds."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `content` so that a reader, or a kill at any instant, sees the old or the new whole."""
    temporary = temporary_name(path.parent)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with disk_errors(path.name), os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that becomes `final` when the block ends, durable; nothing remains when it fails.

    `final` must not exist: versions are immutable."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(final.parent)
    temporary.mkdir(mode=0o700)
    try:
        with disk_errors(final.name):
            yield temporary
            sync_tree(temporary)
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(final.parent)


def inside(folder: Path, candidate: Path) -> bool:
    """Whether `candidate`, with links resolved, lies in `folder`."""
    return candidate.resolve().is_relative_to(folder.resolve())


def write_once(path: Path, content: bytes, mode: int = 0o600) -> bytes:
    """Write `path` unless it is there, and give what it holds: of two that make it at once, one wins and both get the same."""
    temporary = temporary_name(path.parent)
    try:
        write_atomic(temporary, content, mode)
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return path.read_bytes()
