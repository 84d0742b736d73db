"""What every test may use: a local workspace, and the command line as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import Opsml, Ran

from opsml_cli.local.workspace import LocalWorkspace

if TYPE_CHECKING:
    from emulator_support import Emulated

    from opsml_cli.azureml.workspace import AzureWorkspace
    from opsml_cli.domain.workspace import Workspace


# Every process that a test starts inherits this variable, however detached it is: what still has it at the end was left behind.
SESSION = "OPSML_TEST_SESSION"
CHECKOUT = Path(__file__).parents[1]
# What the tools themselves keep in a checkout.
TOOLS = {".git", ".ci", ".venv", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache",
         "__pycache__", "build", "dist"}  # fmt: skip
_before: set[str] = set()


WORKERS = 2


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Whole stages (`pytest`, `pytest -m slow`) wait a lot for processes: two workers of pytest-xdist share them, a module
    staying with one of them. Chosen tests run in this process, where they start sooner; `-n` decides otherwise."""
    option = config.option
    if _is_worker(config) or not config.pluginmanager.has_plugin("xdist") or option.numprocesses is not None:
        return
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not option.keyword and not option.lf
    if whole and not option.collectonly and not option.usepdb:
        option.numprocesses, option.dist = WORKERS, "loadfile"
        option.loadscopereorder = False  # the modules of tests/unit are short: both workers end at about the same time


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores Ctrl-C, and so would everything that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Threads that spin while they wait take the cores from the other tests.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ[SESSION] = uuid.uuid4().hex  # of pytest-xdist's workers each has its own
    if not _is_worker(config):
        _before.update(_files_of_the_checkout())


def _is_worker(config: pytest.Config) -> bool:
    """Whether this process runs tests for another pytest, as `-n 2` has it."""
    return hasattr(config, "workerinput")


@pytest.fixture(scope="session", autouse=True)
def _no_folder_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings are read from, and logs and caches are written to, folders of this run."""
    home = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "STATE", "DATA", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        yield


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a process or a file of it is left. Every worker looks for its own processes; files are looked for
    once, when all workers have ended."""
    config = session.config
    left = config.stash.setdefault(_LEFT, [])
    if not _distributes(config):
        left += [f"process {each}" for each in _processes_left(seconds=15.0)]
    if _is_worker(config):
        config.workeroutput["left"] = left  # type: ignore[attr-defined] # pytest-xdist's
        return
    left += [f"file {name}" for name in sorted(set(_files_of_the_checkout()) - _before - _tracked())]
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _distributes(config: pytest.Config) -> bool:
    """Whether the tests run in workers of this process."""
    return config.pluginmanager.has_plugin("dsession")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended: what it found is told by the run."""
    node.config.stash.setdefault(_LEFT, []).extend(getattr(node, "workeroutput", {}).get("left", []))


_LEFT = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_LEFT, []):
        terminalreporter.write_line(f"LEFT BEHIND by the tests: {line}", red=True)


def _files_of_the_checkout() -> Iterator[str]:
    for folder, folders, files in os.walk(CHECKOUT):
        folders[:] = [name for name in folders if name not in TOOLS and not name.endswith(".egg-info")]
        yield from (str(Path(folder, name)) for name in files)


def _tracked() -> set[str]:
    """Files that a person has committed meanwhile."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):  # no git here, or no checkout of it
        return set()
    return {str(CHECKOUT / name) for name in listed.split("\0")}


def _processes_left(seconds: float) -> list[str]:
    """Processes of this run which are still there after `seconds`: what was told to end may take a moment."""
    deadline = time.monotonic() + seconds
    while (found := _processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _processes() -> list[str]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.environ().get(SESSION) != os.environ[SESSION]:
                continue
            line = " ".join(process.cmdline())
            # Python's own, for semaphores of this very process: it ends with it.
            if process.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in line:
                found.append(f"{process.pid}: {line}")
        except psutil.Error:
            continue
    return found


@pytest.fixture
def workspace_of_this_machine(tmp_path: Path) -> Iterator[LocalWorkspace]:
    """An empty local workspace in `tmp_path/.opsml`; the `opsml` fixture acts on the same one."""
    found = LocalWorkspace(tmp_path / ".opsml")
    yield found
    found.store.close()


@pytest.fixture
def workspace(workspace_of_this_machine: LocalWorkspace) -> LocalWorkspace:
    """The empty local workspace, unless a module says otherwise."""
    return workspace_of_this_machine


@pytest.fixture
def azure_workspace(tmp_path: Path) -> Iterator[AzureWorkspace]:
    """An empty Azure ML workspace: an emulator's, reached as any other by the environment."""
    import azure_live

    with azure_live.azure_workspace(tmp_path / "azure") as (found, _):
        yield found


@pytest.fixture
def azure_environment(azure_workspace: AzureWorkspace) -> dict[str, str]:
    """What leads a command to `azure_workspace`, as its `env`."""
    place = azure_workspace.context.place
    names = ("ARM_CLOUD_METADATA_URL", "REQUESTS_CA_BUNDLE", "AZURE_AUTHORITY_HOST", "AZURE_TENANT_ID", "AZURE_CLIENT_ID",
             "AZURE_CLIENT_SECRET")  # fmt: skip
    return {name: os.environ[name] for name in names} | {
        "OPSML_WORKSPACE": "azure",
        "OPSML_AZURE__SUBSCRIPTION_ID": place.subscription_id,
        "OPSML_AZURE__RESOURCE_GROUP": place.resource_group,
        "OPSML_AZURE__WORKSPACE_NAME": place.workspace_name,
    }


@pytest.fixture(params=["local", "azure"])
def either_workspace(request: pytest.FixtureRequest) -> Workspace:
    """An empty workspace of each kind, for promises that hold on both: a module takes it as its `workspace`."""
    found: Workspace = request.getfixturevalue("workspace_of_this_machine" if request.param == "local" else "azure_workspace")
    return found


@pytest.fixture
def clean_environment(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own, and nothing of CI, colours or settings in it."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "TMPDIR", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "SYSTEMROOT", SESSION)
        if name in os.environ
    }
    return kept | {"HOME": str(home), "TERM": "xterm", "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", "")}


def _runner(program: list[str], environment: Mapping[str, str], folder: Path) -> Opsml:
    def run(
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
        timeout: float = 120.0,
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            input=(stdin or "").encode(),
            capture_output=True,
            env={**environment, **(env or {})},
            cwd=cwd or folder,
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def opsml(tmp_path: Path, clean_environment: dict[str, str]) -> Opsml:
    """Runs `opsml` as a process in `tmp_path`: `opsml("data", "list", "-o", "json")` gives (exit_code, stdout, stderr).

    `env` adds to a clean environment, `stdin` is text; no stream is a terminal."""
    return _runner(["-m", "opsml_cli"], clean_environment, tmp_path)


@pytest.fixture
def probe(tmp_path: Path, clean_environment: dict[str, str]) -> Opsml:
    """As `opsml`, with the commands of tests/unit/cli_probe.py: `probe("probe", "fail", "not_found")`."""
    return _runner([str(Path(__file__).parent / "unit" / "cli_probe.py")], clean_environment, tmp_path)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """An emulator in this process: real HTTPS on a free loopback port, over a local workspace in a temporary folder. One for
    all tests of the module, at the pace `fast`."""
    from emulator_support import emulated

    with emulated(tmp_path_factory.mktemp("emulator")) as found:
        yield found


@pytest.fixture
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Emulated]]:
    """Makes emulators for one test alone: `emulate(pace="azure", clock=…)`."""
    from emulator_support import emulated

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(emulated(tmp_path_factory.mktemp("emulator"), **options))
