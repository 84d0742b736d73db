"""Running a command step: the command's text, its environment, the process, and what is kept of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from opsml_cli.domain.child_environment import kept
from opsml_cli.local.pipelines.bindings import Literal, Optional, Reference, Template

# Text that every shell takes as it is, wherever it stands.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]*\Z", re.ASCII)
# Variables of opsml itself and of Azure, where tokens go.
_OURS = re.compile(r"\A(?:OPSML|AZURE|ARM|AWS|ACTIONS|MSI|IDENTITY)_", re.IGNORECASE)
_TAIL_BYTES = 16_384
_TICK_SECONDS = 0.05
_GRACE_SECONDS = 5.0
# The command begins when its process is on record: whoever starts it may be killed before, and nobody would know of it then.
_AT_THE_WORD = [] if os.name == "nt" else ["sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh"]


class CommandError(Exception):
    """The step failed; the text is the reason."""


def render_command(command: Template, value: Callable[[Reference], str | None]) -> tuple[str, dict[str, str]]:
    """The command for the shell, and environment variables that it reads.

    Values of plain characters are written into the text, as on Azure. Any other value stays out of what the shell parses:
    it goes into a variable, and the text gets an expansion that fits the quotes around it. So no value can run a command.
    CommandError where that cannot be done (a here-document, Windows' own shell)."""
    variables: dict[str, str] = {}
    text = ""
    plain = True
    for part in command.parts:
        inner: tuple[Literal | Reference, ...] = part.parts if isinstance(part, Optional) else (part,)
        found = [item.text if isinstance(item, Literal) else value(item) for item in inner]
        if isinstance(part, Optional) and None in found:
            continue
        for item, content in zip(inner, found, strict=True):
            if isinstance(item, Literal) or content is None or (content and _PLAIN.match(content)):
                text += content or ""
                continue
            plain = False
            name = f"OPSML_VALUE_{len(variables)}"
            variables[name] = content
            text += _expansion(name, _quote_at(text))
    if not plain and (os.name == "nt" or "<<" in command.text):
        where = "Windows' shell" if os.name == "nt" else "a command with a here-document"
        raise CommandError(
            f"an input holds characters that cannot be passed safely into {where}: only letters, digits and _@%+=:,./- can"
        )
    return text, variables


def _quote_at(text: str) -> str:
    """The quote that is open at the end of shell text: `'`, `"` or none. Each `$( … )` has quotes of its own."""
    quotes, position = [""], 0
    while position < len(text):
        character, quote = text[position], quotes[-1]
        if quote == "'":
            quotes[-1] = "" if character == "'" else quote
        elif character == "\\":
            position += 1
        elif character == "(" and (not quote or text[position - 1 : position] == "$"):
            quotes.append("")
        elif character == ")" and not quote and len(quotes) > 1:
            quotes.pop()
        elif quote == '"':
            quotes[-1] = "" if character == '"' else quote
        elif character in "'\"":
            quotes[-1] = character
        elif character == "#" and (position == 0 or text[position - 1].isspace()):
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        position += 1
    return quotes[-1]


def _expansion(name: str, quote: str) -> str:
    if quote == '"':
        return f"${{{name}}}"
    return f"'\"${{{name}}}\"'" if quote == "'" else f'"${{{name}}}"'


def child_environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """What a step needs of `base`, with this interpreter first on the path, and `extra`."""
    environment = {name: text for name, text in kept(base).items() if not _OURS.search(name)}
    folder = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([folder, environment["PATH"]]) if environment.get("PATH") else folder
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONIOENCODING"] = "utf-8"
    return {**environment, **extra}


def shell(command: str) -> list[str]:
    if os.name == "nt":
        return ["cmd", "/d", "/s", "/c", command]
    from shutil import which

    return ["bash", "-c", command] if which("bash") else ["sh", "-c", command]


def run_command(
    command: str,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    *,
    timeout: float | None,
    begun: Callable[[int], None],
    say: Callable[[str], None],
    stop: Callable[[], bool],
) -> None:
    """Run the command in `folder`, its output appended to `log` and said line by line.

    CommandError when it ends with another code than 0, takes longer than `timeout` seconds, or `stop` says so."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Before the command begins: what it says first is part of what it says.
    follower = _Follower(log, say)
    try:
        process = subprocess.Popen(
            [*_AT_THE_WORD, *shell(command)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE if _AT_THE_WORD else subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=os.name != "nt",
        )
    except OSError as error:
        raise CommandError(f"the shell could not be started: {error}") from error
    finally:
        os.close(handle)
    try:
        begun(process.pid)
        _give_the_word(process)
        deadline = None if timeout is None else time.monotonic() + timeout
        while process.poll() is None:
            follower.look()
            if stop():
                raise CommandError("canceled")
            if deadline is not None and time.monotonic() > deadline:
                raise CommandError(f"it took longer than its limit of {timeout:g} s, and was ended")
            try:
                process.wait(_TICK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    finally:
        _end(process)
        follower.look(whole=True)
    if process.returncode != 0:
        reason = f"exit code {process.returncode}" if process.returncode > 0 else f"ended by signal {-process.returncode}"
        last = last_lines(log)
        raise CommandError(f"{reason}; last log lines: {last}" if last else reason)


def _give_the_word(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(b"\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group, also when the shell has ended and left children behind."""
    if os.name == "nt":
        process.kill()
        process.wait()
        return
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def last_lines(log: Path, count: int = 5) -> str:
    """The last lines that say something, joined by ` | `, at most 600 characters."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return " | ".join([line.strip() for line in lines if line.strip()][-count:])[-600:]


class _Follower:
    """Says what was appended to a file since it looked last, whole lines at a time."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._position = path.stat().st_size
        self._rest = b""

    def look(self, *, whole: bool = False) -> None:
        with self._path.open("rb") as file:
            file.seek(self._position)
            while chunk := file.read(1 << 16):
                self._position += len(chunk)
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                # A line without end must not fill the memory.
                if len(self._rest) > 1 << 16:
                    lines, self._rest = [*lines, self._rest], b""
                for line in lines:
                    self._tell(line)
        if whole and self._rest:
            self._tell(self._rest)
            self._rest = b""

    def _tell(self, line: bytes) -> None:
        """What a progress bar draws over itself are lines too: each with its own time and step."""
        parts = line.decode("utf-8", "replace").rstrip("\r").split("\r")
        for part in parts if len(parts) == 1 else filter(None, parts):
            self._say(part)
