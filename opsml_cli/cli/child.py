"""A command that is run for the user, in place of this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from opsml_cli.cli.result import ProcessEnded
from opsml_cli.domain.errors import NotAllowedError, NotFoundError

if TYPE_CHECKING:
    from opsml_cli.domain.emulator import Variable

# What an earlier cloud left: it would go before what is set here.
_IN_THE_WAY = ("AZUREML_CURRENT_CLOUD", "CURL_CA_BUNDLE", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE")
_LOOPBACK = "localhost,127.0.0.1"


def environment(present: Mapping[str, str], variables: Iterable[Variable]) -> dict[str, str]:
    """`present` with `variables` in it, without what would go before them, and no proxy between here and loopback."""
    found = {name: value for name, value in present.items() if name not in _IN_THE_WAY}
    found.update((each.name, each.value) for each in variables)
    for name in ("NO_PROXY", "no_proxy"):
        found[name] = f"{found[name]},{_LOOPBACK}" if found.get(name) else _LOOPBACK
    return found


def run(command: Sequence[str], environment: Mapping[str, str]) -> ProcessEnded:
    """Become the command, so that streams, signals and the exit code are its own; where a process cannot become another
    (Windows), wait for it. NotFoundError, NotAllowedError."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    try:
        if os.name == "nt":
            return ProcessEnded(subprocess.run(list(command), env=dict(environment), check=False).returncode)
        # Python ignores these, and a new program would inherit that.
        for name in ("SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise NotFoundError(f"no command is named {command[0]!r}", fix="check its name, or give its path") from error
    except PermissionError as error:
        raise NotAllowedError(f"{command[0]} is not allowed to run: {error.strerror}") from error
