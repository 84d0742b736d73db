"""Detached processes and whether they live: a held file lock tells, never a pid or a heartbeat alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

_START_WORD = 19  # of /proc/PID/stat, counted after the program's name
_NEAR_SECONDS = 0.005


def pid_alive(pid: int) -> bool:
    """Whether any process has this id. Enough for sweeping; too little for liveness, for ids are reused."""
    if pid == os.getpid():
        return True
    if os.name == "nt":
        import psutil

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def hold(path: Path) -> FileLock | None:
    """Take the lock at `path` for as long as this process lives; None when another process holds it.

    The caller keeps the returned object: the lock ends with it or with the process, however that dies."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, mode=0o600, thread_local=False)  # any thread may let go of it
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def take(path: Path) -> int | None:
    """The lock at `path`, which is there, as an open file that holds it until it is closed; None when another process holds
    it, or when the file is gone: it is not made again (POSIX only)."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def memory(pid: int) -> int | None:
    """Bytes of memory that the process has now (resident); None when it is gone."""
    if sys.platform == "linux":
        try:
            words = Path(f"/proc/{pid}/statm").read_bytes().split()
        except OSError:
            return None
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE")
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def held(path: Path) -> bool:
    """Whether a live process holds the lock at `path`."""
    if not path.exists():
        return False
    if os.name != "nt":
        # filelock's own call, without the price of its import: reads ask this often.
        import fcntl

        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False
    lock = hold(path)
    if lock is None:
        return True
    lock.release()
    return False


def spawn_detached(
    module: str,
    arguments: Sequence[str],
    *,
    output: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> int:
    """Start `python -m module arguments…` in its own session, so that it survives the terminal; its pid.

    Standard input is empty; both outputs are appended to `output` (0600). `environment` None: what such a process needs of
    this one's (`child_environment.kept`)."""
    from opsml_cli.domain.child_environment import kept

    output.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        options: dict[str, object] = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}  # type: ignore[attr-defined,unused-ignore]
            if os.name == "nt"
            else {"start_new_session": True}
        )
        process = subprocess.Popen(  # type: ignore[call-overload]
            # -P keeps the current folder off sys.path: a file there must not shadow a module of ours.
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env=kept(os.environ) if environment is None else dict(environment),
            cwd=folder,
            close_fds=True,
            **options,
        )
    finally:
        os.close(handle)
    pid: int = process.pid
    # Left running on purpose: keep Popen's destructor from warning about it.
    process.returncode = 0
    return pid


def start_time(pid: int) -> float | None:
    """Seconds that name the process for ever, together with its pid. None: no such one.

    On Linux they count from the boot: from the epoch they would change with every correction of the clock."""
    if sys.platform == "linux":
        try:
            words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return int(words[_START_WORD]) / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def lives(pid: int, started: float | None) -> bool:
    """Whether the process that began at `started` (as `start_time` told) still works; None: any of that id."""
    import psutil

    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
    except psutil.Error:
        return False
    return _same(start_time(pid), started)


def _same(found: float | None, started: float | None) -> bool:
    return found is not None and (started is None or abs(found - started) <= _NEAR_SECONDS)


def end_group(pid: int, started: float | None, *, force: bool = False) -> bool:
    """Signal the process group of a detached process (TERM, or KILL with `force`), if it is still the same process."""
    if not _same(start_time(pid), started):
        return False
    try:
        if os.name == "nt":
            import psutil

            for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
                process.terminate()
        else:
            group = os.getpgid(pid)
            os.killpg(group, signal.SIGKILL if force else signal.SIGTERM)
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)  # one that was stopped hears of it only then
    except ProcessLookupError:
        return False
    return True
