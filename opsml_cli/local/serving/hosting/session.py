"""A host for whoever scores without a server: started, asked in turn, ended with the block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain.child_environment import kept
from opsml_cli.local.serving.host.exchange import Description, HostReply, HostRequest
from opsml_cli.local.serving.hosting import copies
from opsml_cli.local.serving.hosting.process import HostProcess, Report, Start

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS")
_JSON = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class HostSession:
    """`send` gives the reply to a body; the host's errors are raised as they are (HostTimeoutError, HostGoneError)."""

    description: Description
    process: HostProcess

    def send(self, body: bytes, seconds: float = 600.0, headers: tuple[tuple[str, str], ...] = _JSON) -> HostReply:
        return self.process.ask(HostRequest("POST", "/score", "", headers, body), seconds)


@contextmanager
def open_host(
    root: Path,
    source: copies.Source,
    report: Report,
    *,
    environment: Mapping[str, str] | None = None,
    python: str | None = None,
    place: Path | None = None,
) -> Iterator[HostSession]:
    """Load `source` in a host of its own, in the workspace at `root`; HostFailedError when it does not load. `report` gets
    every line that it prints, from another thread; `environment` are the user's variables; `python` is the interpreter
    (None: this one). Its files lie below `place` (None: a folder of the workspace) while the block runs."""
    place = place or root / "hosts" / "work"
    copies.sweep(place)
    copy = copies.make(place, source)
    try:
        whole = variables(copy.variables, environment or {}, python=python, threads=os.cpu_count() or 1)
        start = Start(copies.bundle(root), whole, python)
        process = HostProcess(start, copy.working, report)
        try:
            description, _ = process.load(copy.settings)
            yield HostSession(description, process)
        finally:
            process.end()
    finally:
        copy.remove()


def variables(
    own: Mapping[str, str], given: Mapping[str, str], *, python: str | None = None, threads: int = 1
) -> dict[str, str]:
    """The whole environment of a host: this process's, then what says where its files are, then what the user gave.

    Native libraries get one thread where requests are served: a host answers one at a time, mostly of few rows, for which
    several threads cost more than they bring, and beside it are others. Whoever sends many rows sets the same variables."""
    environment = kept(os.environ)
    if python is not None:
        for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"):
            environment.pop(name, None)
    for name in _THREADS:
        environment.setdefault(name, str(threads))
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # MLflow calls home when it is used; nothing that opsml starts does.
    environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    return {**environment, **own, **given}
