"""The process of one foreign deployment: loads a scoring script or an MLflow folder, then answers one request at a time.

The front process starts it as a plain interpreter, in a process group of its own, with two inherited descriptors: the channel,
and the reading end of a pipe into which nobody ever writes: the pipe closes when the front ends, however that happens."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import platform
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opsml_cli.local.serving.host import frames, tracebacks
from opsml_cli.local.serving.host.exchange import HostReply, HostRequest, Responder

MARK = "\x1e"  # begins a line of output that is JSON: one message with its level, of any number of lines

SCRIPT = "script"
MODEL = "model"


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What to load: `kind` script (of the folder `code`, its file `entry`) or model (an MLflow folder). `paths` come at the end
    of sys.path; `compiled` is a new folder for the model's compiled form (None: none is wanted)."""

    kind: str
    model: str | None = None
    code: str | None = None
    entry: str | None = None
    paths: tuple[str, ...] = ()
    compiled: str | None = None


def main(arguments: list[str]) -> int:
    begun = time.perf_counter()
    channel, life = socket.socket(fileno=int(arguments[0])), int(arguments[1])
    for handle in (channel.fileno(), life):
        # What the model starts must not keep the channel open.
        os.set_inheritable(handle, False)
    _end_with_the_front(life)
    _write_lines()
    frame = frames.receive(channel)
    if frame is None or frame.kind != frames.SETTINGS:
        return 0
    settings = HostSettings(**{**frame.head, "paths": tuple(frame.head["paths"])})
    sys.path += [path for path in settings.paths if path not in sys.path]
    try:
        responder = _load(settings)
        words: dict[str, Any] = {"description": asdict(responder.describe()), "python": platform.python_version()}
        if settings.compiled is not None:
            words["not_compiled"] = _compile(responder, settings)
        loaded = frames.packed(frames.LOADED, {**words, "seconds": time.perf_counter() - begun})
    except BaseException as error:  # foreign code may raise anything, and exit too
        say("error", _not_loaded(settings.kind, error))
        channel.sendall(frames.packed(frames.FAILED, {"reason": _reason(settings.kind, error)}))
        return 1
    channel.sendall(loaded)
    _serve(channel, responder)
    return 0


def _load(settings: HostSettings) -> Responder:
    if settings.kind == SCRIPT:
        from opsml_cli.local.serving.host import script

        assert settings.code is not None and settings.entry is not None
        return script.load(Path(settings.code), settings.entry)
    from opsml_cli.local.serving.host import pyfunc

    assert settings.model is not None
    return pyfunc.load(Path(settings.model))


def _compile(responder: Responder, settings: HostSettings) -> str | None:
    from opsml_cli.local.serving.host import compiled, pyfunc

    if not isinstance(responder, pyfunc.PyfuncResponder) or settings.model is None or settings.compiled is None:
        return "it is no MLflow model"
    return compiled.write(responder, Path(settings.model), Path(settings.compiled))


def _serve(channel: socket.socket, responder: Responder) -> None:
    own = os.getpid()
    while True:
        frame = frames.receive(channel)
        if frame is None:
            return
        if frame.kind == frames.REQUEST:
            reply = _answer(responder, frames.request_of(frame))
            if os.getpid() != own:  # a process that the script forked came back: two would answer on one channel
                os._exit(0)
            channel.sendall(frames.reply_frame(reply))


def _answer(responder: Responder, request: HostRequest) -> HostReply:
    try:
        return responder.answer(request)
    except (Exception, SystemExit) as error:  # a script may raise anything; the process lives on
        say("error", _with_traceback(f"the model failed: {type(error).__name__}: {error}", error))
        text = {"error": {"code": "model_failed", "message": f"the model failed with {type(error).__name__}; see the logs"}}
        return HostReply(500, json.dumps(text).encode())


def _reason(kind: str, error: BaseException) -> str:
    """What the deployment's detail says. Errors that were raised to be read need no type before them."""
    message = getattr(error, "message", None)
    if isinstance(message, str):
        cause = getattr(error, "cause", None)
        return message + (f" ({cause})" if cause else "")
    text = f"the {'scoring script' if kind == SCRIPT else kind} does not load: {type(error).__name__}: {error}"
    if isinstance(error, ImportError) and error.name:
        return f"{text} (install the package, or give an environment)"
    return text


def _not_loaded(kind: str, error: BaseException) -> str:
    """For the log: the reason, and where the foreign code raised it. What opsml itself refuses has no traceback to show."""
    reason = _reason(kind, error)
    if getattr(error, "message", None) is None:
        return _with_traceback(reason, error)
    return reason if error.__cause__ is None else _with_traceback(reason, error.__cause__)


def _with_traceback(title: str, error: BaseException) -> str:
    return "\n".join([title, *tracebacks.lines_of(error)])


# Words for the log


def say(level: str, message: str) -> None:
    """One message in the endpoint's log, however many lines it has."""
    line = MARK + json.dumps({"level": level, "message": message}) + "\n"
    stream = sys.__stderr__
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.write(line)
            stream.flush()


class _LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = {"CRITICAL": "error"}.get(record.levelname, record.levelname.lower())
            text = f"{record.name}: {record.getMessage()}" if record.name != "root" else record.getMessage()
            if record.exc_info:
                text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
            say(level, text)
        except Exception:
            self.handleError(record)


def _write_lines() -> None:
    """Output leaves line by line; logging from INFO on, as Azure's server has it; crashes of the interpreter too."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, errors="backslashreplace")
    faulthandler.enable()
    root = logging.getLogger()
    root.addHandler(_LogHandler())
    root.setLevel(logging.INFO)


# The end


def _end_with_the_front(life: int) -> None:
    """Kill this process and all that it started when the pipe `life` closes."""
    if sys.platform == "linux":
        import fcntl

        # The kernel sends the signal itself: code that never lets go of the interpreter's lock ends too.
        with suppress(OSError, AttributeError):
            fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
            fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_watch, args=(life,), name="opsml-front", daemon=True).start()


def _watch(life: int) -> None:
    # It may have closed before the signal was asked for.
    while True:
        try:
            if not os.read(life, 1):
                break
        except InterruptedError:
            continue
        except OSError:
            break
    os.killpg(os.getpgrp(), signal.SIGKILL)
