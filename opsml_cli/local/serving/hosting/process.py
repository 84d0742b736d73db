"""One host process, seen from the front: started, asked, ended; what it prints becomes lines of the log."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from opsml_cli.domain.log_text import Blocks, level_named, level_of
from opsml_cli.local.processes import start_time
from opsml_cli.local.serving.host import frames
from opsml_cli.local.serving.host.exchange import Description, HostReply, HostRequest
from opsml_cli.local.serving.host.main import MARK, HostSettings

LOAD_SECONDS = 600.0  # for a model to be loaded, as Azure's probes give by default
END_SECONDS = 2.0  # for the script's own ending (atexit), before it is killed
_LINE_BYTES = 1 << 16
_SOCKET_BYTES = 1 << 20

Report = Callable[[str, str], None]  # level, message


class HostFailedError(Exception):
    """The process did not come to answer; the text says why."""


class HostGoneError(Exception):
    """The process ended before it answered."""


class HostTimeoutError(Exception):
    """The process did not answer in time, and was killed."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a host is started. `python` None: this interpreter; `environment` is the whole of it."""

    bundle: Path
    environment: Mapping[str, str]
    python: str | None = None

    @property
    def interpreter(self) -> str:
        return self.python or sys.executable


class HostProcess:
    """The process is running when this is made; `load` must come first. `ask` is for one thread at a time; whoever takes
    `channel` for itself does not call it."""

    def __init__(self, start: Start, working: Path, report: Report) -> None:
        if os.name == "nt":
            raise HostFailedError("models that opsml did not train and scoring scripts are served on Linux and macOS only")
        self._report = report
        self._last: list[str] = []  # of the output, for a process that ends without a word
        self.channel, theirs = socket.socketpair()
        for end in (self.channel, theirs):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        life, self._life = os.pipe()
        try:
            self.process = subprocess.Popen(
                [start.interpreter, str(start.bundle), str(theirs.fileno()), str(life)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(start.environment),
                cwd=working,
                pass_fds=(theirs.fileno(), life),
                start_new_session=True,
            )
        except OSError as error:
            self.channel.close()
            os.close(self._life)
            raise HostFailedError(f"the interpreter {start.interpreter} does not start: {error.strerror or error}") from error
        finally:
            theirs.close()
            os.close(life)
        self.pid = self.process.pid
        self.started = start_time(self.pid)
        self._ended = threading.Event()
        self._ending = threading.Lock()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), name="host-output", daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def load(self, settings: HostSettings, seconds: float = LOAD_SECONDS) -> tuple[Description, dict[str, Any]]:
        """What the loaded model or script says of itself, and what the host does: `seconds` that loading took, `python` the
        version. HostFailedError when it is not to be."""
        try:
            frame = self._exchange(frames.packed(frames.SETTINGS, asdict(settings)), seconds)
        except HostTimeoutError:
            raise HostFailedError(f"it was not loaded within {seconds:g} s") from None
        except HostGoneError as error:
            raise HostFailedError(str(error)) from None
        if frame.kind == frames.FAILED:
            self.end()
            raise HostFailedError(str(frame.head.get("reason")))
        return _description(frame.head["description"]), frame.head

    def ask(self, request: HostRequest, seconds: float) -> HostReply:
        """Its reply. HostTimeoutError after `seconds`, HostGoneError when it ended meanwhile: in both cases it is no more."""
        return frames.reply_of(self._exchange(frames.request_frame(request), seconds))

    def _exchange(self, message: bytes, seconds: float) -> frames.Frame:
        self.channel.settimeout(seconds)
        deadline = time.monotonic() + seconds
        try:
            self.channel.sendall(message)
            frame = frames.receive(self.channel)
        except TimeoutError:
            self.kill()
            raise HostTimeoutError(f"no answer within {seconds:g} s") from None
        except (OSError, frames.BrokenFrameError):
            frame = None
        if frame is None or time.monotonic() > deadline + seconds:
            self.end()
            raise HostGoneError(self.last_words())
        return frame

    def last_words(self) -> str:
        """Why it ended, as far as its output tells."""
        for reader in self._readers:
            reader.join(1.0)
        lines = [line for line in self._last if line.strip()]
        crash = next((line for line in lines if line.startswith("Fatal Python error")), None)
        code = self.process.poll()
        how = f"signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"exit code {code}"
        last = crash or (lines[-1] if lines else None)
        return f"the process ended with {how}" + (f": {last.strip()[:300]}" if last else "")

    # The end

    def wait(self) -> None:
        """Until the process has ended; nothing that it started in its group is left then."""
        with self._ending:
            if self._ended.is_set():
                return
            # Its children are killed while its id cannot be given to another process yet.
            if hasattr(os, "waitid"):
                with suppress(ChildProcessError):
                    os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:
                self.process.wait()
            self._kill_group()
            self.process.wait()
            self._ended.set()
        os.close(self._life)

    def kill(self) -> None:
        """At once, with all that it started."""
        if not self._ended.is_set():
            self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, patience: float = END_SECONDS) -> None:
        """Let it end by itself, or kill it; returns when it is no more."""
        with suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)
        timer = threading.Timer(patience, self.kill)
        timer.daemon = True
        timer.start()
        self.wait()
        timer.cancel()
        self.channel.close()

    # What it prints

    def _read(self, stream: IO[bytes]) -> None:
        rest, blocks = b"", Blocks()
        with stream:
            while data := os.read(stream.fileno(), 1 << 16):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > _LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._line(line, blocks)
            if rest:
                self._line(rest, blocks)
            for text in blocks.rest():
                self._report(level_of(text), text)

    def _line(self, line: bytes, blocks: Blocks) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if not text.strip():
            return
        if text.startswith(MARK) and (message := _message(text[1:])) is not None:
            self._report(*message)
            return
        self._last = [*self._last[-50:], text]
        for message_text in blocks.feed(text):
            self._report(level_of(message_text), message_text)


def _message(text: str) -> tuple[str, str] | None:
    """Level and words of a message that the host marked as one."""
    try:
        document = json.loads(text)
        return level_named(document["level"]), str(document["message"])
    except (ValueError, KeyError, TypeError):
        return None


_FIELDS = {field.name for field in fields(Description)}


def _description(document: Mapping[str, Any]) -> Description:
    values = {name: value for name, value in document.items() if name in _FIELDS}
    for name in ("columns", "classes", "results", "notes"):
        values[name] = tuple(values.get(name) or ())
    return Description(**values)
