"""Private virtual environments, kept below the user's cache by what is in them.

The cache and not a workspace: workspaces share them, they can be made again, and they hold absolute paths, so that none may be
moved with a workspace. For the same reason an environment is made in its place; the list of its packages, written last, makes
it whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.content.files import write_atomic
from opsml_cli.domain.errors import WorkFailedError
from opsml_cli.local.environments import interpreters
from opsml_cli.local.environments.interpreters import Interpreter
from opsml_cli.local.environments.wanted import Wanted

BUILD_SECONDS = 3600.0
LIST = "packages.txt"
_FORM = 1  # of what lies in an environment's folder: a new one builds all anew


@dataclass(frozen=True, slots=True)
class Environment:
    """`python` is its interpreter; `built` whether this call made it; `notes` what is not as it was asked for."""

    python: Path
    built: bool
    notes: tuple[str, ...] = ()


def folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("opsml", appauthor=False)) / "environments"


def place_of(wanted: Wanted) -> tuple[Path, tuple[str, ...]]:
    """The interpreter that an environment of what is `wanted` has or will have, and what is not as it was asked for."""
    interpreter = interpreters.choose(wanted.python)
    return _python(folder() / _key(wanted, interpreter)), _notes(wanted, interpreter)


def _python(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _notes(wanted: Wanted, interpreter: Interpreter) -> tuple[str, ...]:
    return (*wanted.notes, *((interpreter.note,) if interpreter.note else ()))


def ensure(wanted: Wanted) -> Environment:
    """An environment with what is `wanted`: the one in the cache, which needs no network, or a new one. WorkFailedError, with
    the requirement that failed and the log, when it cannot be made.

    Two that ask at once make one. What a killed one left is no environment, and is thrown away."""
    from filelock import FileLock

    interpreter = interpreters.choose(wanted.python)
    notes = _notes(wanted, interpreter)
    place = folder() / _key(wanted, interpreter)
    python = _python(place)
    if (place / LIST).exists() and python.exists():
        return Environment(python, built=False, notes=notes)
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if (place / LIST).exists() and python.exists():
            return Environment(python, built=False, notes=notes)
        shutil.rmtree(place, ignore_errors=True)
        _build(wanted, interpreter, place, python)
    return Environment(python, built=True, notes=notes)


def _key(wanted: Wanted, interpreter: Interpreter) -> str:
    facts = [_FORM, sorted(wanted.lines), interpreter.version, str(interpreter.path.resolve()), sysconfig.get_platform()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _build(wanted: Wanted, interpreter: Interpreter, place: Path, python: Path) -> None:
    log = Path(f"{place}.log")
    requirements = Path(f"{place}.txt")
    requirements.write_text("".join(f"{line}\n" for line in wanted.lines), encoding="utf-8")
    uv = _uv()
    if uv is not None:
        commands = [
            [uv, "venv", "--quiet", "--python", str(interpreter.path), str(place)],
            [uv, "pip", "install", "--python", str(python), "--requirement", str(requirements)],
        ]
        listing = [uv, "pip", "freeze", "--python", str(python)]
    else:
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        commands = [
            [str(interpreter.path), "-m", "venv", str(place)],
            [*pip, "install", "--requirement", str(requirements)],
        ]
        listing = [*pip, "freeze"]
    with log.open("wb") as out:
        for command in commands:
            if not _run(command, out.fileno()):
                raise _failed(wanted, log)
    done = subprocess.run(listing, stdin=subprocess.DEVNULL, capture_output=True, env=_variables(), check=False)
    write_atomic(place / LIST, done.stdout)


def _run(command: list[str], out: int) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=_variables(), timeout=BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        os.write(out, f"stopped after {BUILD_SECONDS:g} s\n".encode())
        return False
    except OSError as error:
        os.write(out, f"{command[0]}: {error}\n".encode())
        return False
    return done.returncode == 0


def _variables() -> dict[str, str]:
    """This process's variables, without those that lead an interpreter to the packages of another."""
    left = (
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
        "PIP_REQUIRE_VIRTUALENV",
    )
    return {name: value for name, value in os.environ.items() if name not in left}


def _uv() -> str | None:
    """uv, where it is installed and where pip was not told of an index of its own that uv knows nothing of."""
    beside = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None or any(name in os.environ for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_CONFIG_FILE")):
        return found
    if any(name in os.environ for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE")):
        return None
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return None if re.search(r"index.url|find-links|no-index", done.stdout) else found


# Of pip's and uv's output: the requirement that could not be had, the most telling first.
_FAILURES = (
    r"No matching distribution found for (.+)",
    r"Could not find a version that satisfies the requirement (\S+)",
    r"Cannot install (.+?) because these package versions have conflicting dependencies",
    r"Invalid requirement: ['\"]?([^'\"\n]+)",
    r"Failed building wheel for (\S+)",
    r"Failed to build ['\"`]?([^'\"`\n]+)",
    r"Failed to build installable wheels for some pyproject\.toml based projects \((.+)\)",
    r"Because (.+? was not found in the package registry)",
    r"Because (there (?:is|are) no versions? of \S+)",
    r"Because (only .+? (?:is|are) available)",
    r"Couldn't parse requirement .*\n\s*(.+)",
    r"Preparing metadata .*\n?.*error.*\n(.+)",
)


def _failed(wanted: Wanted, log: Path) -> WorkFailedError:
    text = log.read_text(encoding="utf-8", errors="replace")
    reason = next((found[1].strip() for pattern in _FAILURES if (found := re.search(pattern, text)) is not None), None)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("[notice]", "WARNING:"))]
    return WorkFailedError(
        f"the environment of {wanted.source} could not be made" + (f": {reason}" if reason else ""),
        cause=" / ".join(lines[-3:])[-600:] or "the installer wrote nothing",
        fix=f"correct {wanted.source} and deploy again; the whole log is {log}",
    )
