"""The workspace database: one SQLite file in WAL mode, the only mutable truth of a local workspace."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opsml_cli.domain.errors import BusyError, ConflictError, OpsmlError, QuotaError
from opsml_cli.local import home
from opsml_cli.local.migrations import MIGRATIONS

DATABASE = "workspace.db"
# "opml": tells our file from any other SQLite database.
APPLICATION_ID = 0x6F706D6C
BUSY_SECONDS = 30.0


class Store:
    """Connections to `<folder>/workspace.db`. `folder` is made, 0700, by the first write; a read of a workspace that
    does not exist sees an empty one and leaves nothing behind.

    A newer or damaged database is refused (ConflictError) and not touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / DATABASE
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A consistent view; nothing is written."""
        with self._errors():
            connection = self._open(create=False)
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction, alone among writers; rolled back when the block raises."""
        with self._errors():
            connection = self._open(create=True)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def exists(self) -> bool:
        return self.path.exists()

    def close(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()
        self._connection = None

    def _open(self, *, create: bool) -> sqlite3.Connection:
        writes = create
        if self._connection is not None and self._pid == os.getpid():
            if not create or self.path.exists():
                return self._connection
            if not self.folder.exists():
                raise ConflictError(f"the workspace {self.folder} was removed", fix="opsml init, or work in another folder")
            self._connection = None
        if not self.path.exists():
            self._refuse_loss()
            if not create:
                empty = sqlite3.connect(":memory:", isolation_level=None)
                empty.row_factory = sqlite3.Row
                for step in MIGRATIONS:
                    step(empty)
                return empty
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Content may have been put there before the first record, by a plain mkdir.
            self.folder.chmod(0o700)
        else:
            version = self._version()
            if version == 0:
                self._refuse_loss()
            create = create and version != len(MIGRATIONS)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        if create or self._needs_migration(connection):
            self._migrate(connection)
        if writes:
            home.write(self.folder)
        self._connection, self._pid = connection, os.getpid()
        return connection

    def _refuse_loss(self) -> None:
        """`home.json` was made with the database: where that has gone, or is empty, its records are lost, not none."""
        if home.read(self.folder) is not None:
            raise ConflictError(
                f"the database of this workspace is gone: {self.path} {'is empty' if self.path.exists() else 'is not there'}",
                cause="its models, data and jobs still lie there, and nothing knows their names",
                fix=f"opsml local restore FILE --force takes a backup; or put {DATABASE} back, or move {self.folder} away; "
                "nothing was touched",
            )

    def _version(self) -> int:
        """The schema's number, read without any chance to change the file; refuses what is not ours, newer or broken."""
        connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        finally:
            connection.close()
        if version > len(MIGRATIONS):
            raise ConflictError(
                f"{self.path} was written by a newer opsml (schema {version}, this one knows {len(MIGRATIONS)})",
                fix="upgrade opsml, or use another folder; nothing was touched",
            )
        if version and application != APPLICATION_ID:
            raise ConflictError(
                f"{self.path} is a database of another program", fix="move it away, or use another folder; nothing was touched"
            )
        return version

    @staticmethod
    def _needs_migration(connection: sqlite3.Connection) -> bool:
        return int(connection.execute("PRAGMA user_version").fetchone()[0]) < len(MIGRATIONS)

    @staticmethod
    def _migrate(connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for step in MIGRATIONS[version:]:
                step(connection)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> OpsmlError:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return BusyError(f"{self.path} is locked by another process", fix="run the same command again")
        if code == sqlite3.SQLITE_FULL:
            return QuotaError(
                "no space left on the disk for the workspace database", fix="free some space and run the command again"
            )
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return ConflictError(
                f"{self.path} is damaged or no database ({error})",
                fix="restore it from a copy, or move it away to start anew; nothing was touched",
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return ConflictError(
                f"{self.path} cannot be opened or written ({error})", fix="check the folder's owner and rights"
            )
        return OpsmlError(f"the workspace database failed: {error}")
