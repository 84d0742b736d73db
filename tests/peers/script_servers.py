"""The two servers that a script is given to: Microsoft's in its own environment, and opsml's host of the same Python."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from script_case import Case, Send
from telemetry_live import serving

START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `closed` when the connection ended without an answer. Header names in lower case."""

    status: int = 0
    headers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    body: bytes = b""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the script was taken, its answers, and the log."""

    starts: bool
    answers: tuple[Answer, ...]
    log: str


def lay_out(case: Case, folder: Path) -> tuple[Path, Path]:
    """The code and the model folder of `case`, written below `folder`."""
    code, model = folder / "code", folder / "model"
    for root, files in ((code, case.files), (model, case.model)):
        root.mkdir(parents=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return code, model


def microsoft(case: Case, folder: Path, python: Path) -> Outcome:
    """What azureml-inference-server-http makes of `case`."""
    code, model = lay_out(case, folder)
    with _process(case, code, model, folder / "log", python) as (process, port):
        starts = _answers(process, port)
        answers = tuple(send(port, each) for each in case.sends) if starts else ()
        log = folder / "log"
    return Outcome(starts, answers, log.read_text(errors="replace"))


@contextmanager
def _process(case: Case, code: Path, model: Path, log: Path, python: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = {**kept, **case.variables, "AML_APP_ROOT": str(code), "AZUREML_MODEL_DIR": str(model)}
    command = [python.parent / "azmlinfsrv", "--entry_script", case.entry, "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(each) for each in command], cwd=code, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            yield process, port
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server answers its health probe; False when it has ended before."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if send(port, Send("probe", method="GET", path="/", headers={})).status == 200:
            return True
        time.sleep(0.05)
    return False


KEY = "a-key-of-the-test"


def ours(case: Case, folder: Path, python: Path) -> Outcome:
    """What opsml's server makes of `case`: the application of an endpoint over HTTP, and a host that runs `python`."""
    from opsml_cli.content.model_folder import folder_hash
    from opsml_cli.guard import Guard, loopback_names
    from opsml_cli.local.pipelines.snapshot import hash_path
    from opsml_cli.local.serving.app import ScoringApp
    from opsml_cli.local.serving.hosting.copies import Copy, Source, bundle, make
    from opsml_cli.local.serving.hosting.group import HostGroup
    from opsml_cli.local.serving.hosting.process import HostFailedError, HostProcess, Start
    from opsml_cli.local.serving.hosting.session import variables
    from opsml_cli.local.serving.routing import Live, Routing

    code, model = lay_out(case, folder)
    root, log = folder / "workspace", []
    source = Source(code=code, code_sha256=hash_path(code), entry=case.entry)
    if case.model:
        source = replace(source, name="m", version="1", model=model, model_sha256=folder_hash(model).sha256, mount="")

    def start(copy: Copy) -> HostProcess:
        environment = variables(copy.variables, case.variables, python=str(python))
        return HostProcess(Start(bundle(root), environment, str(python)), copy.working, lambda _, line: log.append(line))

    group = HostGroup(lambda: make(root / "work", source), start, 1, lambda _, line: log.append(line))
    try:
        group.open()
    except HostFailedError as error:
        return Outcome(starts=False, answers=(), log="\n".join([*log, str(error)]))
    try:
        app = ScoringApp("peers", report=lambda _, line: log.append(line))
        app.routing = Routing((KEY.encode(),), {"blue": Live("blue", "r", "m", "1", group)}, {}, {"blue": 100})
        with serving(lambda port: Guard(app, loopback_names(port))) as port:
            answers = tuple(send(port, each, {"authorization": f"Bearer {KEY}"}) for each in case.sends)
    finally:
        group.close()
    return Outcome(starts=True, answers=answers, log="\n".join(log))


def send(port: int, request: Send, headers: dict[str, str] | None = None) -> Answer:
    """Send `request` as it is, with further `headers`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    target = request.path + (f"?{request.query}" if request.query else "")
    try:
        connection.request(request.method, target, request.body or None, {**request.headers, **(headers or {})})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return Answer(closed=True)
    finally:
        connection.close()
    names = {name.lower() for name, _ in response.getheaders()}
    found = {name: tuple(response.headers.get_all(name, [])) for name in names}
    return Answer(response.status, found, body)
