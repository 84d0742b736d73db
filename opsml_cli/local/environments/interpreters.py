"""The Pythons of this machine, by minor version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Version = tuple[int, int]

OLDEST: Version = (3, 10)  # of a model's host
_NEWEST = 20
_ASK = "import sys; print(sys.version_info[0], sys.version_info[1])"
_ASK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`note` says that it is not of the version that was asked for."""

    path: Path
    version: Version
    note: str | None = None


def choose(wanted: Version | None) -> Interpreter:
    """This Python where it is of the wanted version (or none is wanted), else another of this machine, else the nearest."""
    here: Version = sys.version_info[:2]
    if wanted is None or wanted == here:
        return Interpreter(_own(), here)
    if wanted >= OLDEST and (found := _find(wanted)) is not None:
        return Interpreter(found, wanted)
    others = sorted((each for each in _minors() if each not in (wanted, here)), key=lambda each: _distance(each, wanted))
    nearest = Interpreter(_own(), here)
    for version in others:
        if _distance(version, wanted) >= _distance(here, wanted):
            break
        if (found := _find(version)) is not None:
            nearest = Interpreter(found, version)
            break
    reason = "a model's process needs Python 3.10 or newer" if wanted < OLDEST else "there is none on this machine"
    note = "asked for Python {}.{}, made with {}.{}: ".format(*wanted, *nearest.version) + reason
    return Interpreter(nearest.path, nearest.version, note)


def _own() -> Path:
    """The interpreter itself, where this one runs in a virtual environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)


def _minors() -> list[Version]:
    return [(3, minor) for minor in range(OLDEST[1], _NEWEST)]


def _distance(version: Version, wanted: Version) -> tuple[int, int]:
    """The newer of two that are as near wins."""
    return abs(version[1] - wanted[1]) + 100 * abs(version[0] - wanted[0]), -version[1]


def _find(version: Version) -> Path | None:
    return next((path for path in _places(version) if _is(path, version)), None)


def _places(version: Version) -> Iterator[Path]:
    """Where a Python of this version may lie: the PATH, pyenv, uv, and the usual folders. Shims among them may not work."""
    name = "python{}.{}".format(*version)
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)
    home = Path.home()
    roots = [Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"]
    roots += [Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python")]
    for root in roots:
        if root.is_dir():
            dotted = "{}.{}.".format(*version)
            for folder in sorted(root.iterdir(), reverse=True):
                if folder.name.removeprefix("cpython-").startswith(dotted):
                    yield folder / ("python.exe" if os.name == "nt" else "bin/python3")
    for folder in (Path("/usr/bin"), Path("/usr/local/bin"), Path("/opt/homebrew/bin")):
        yield folder / name
    yield Path("/Library/Frameworks/Python.framework/Versions/{}.{}/bin/python3".format(*version))
    if os.name == "nt" and (launcher := shutil.which("py")) is not None:
        done = _run([launcher, "-{}.{}".format(*version), "-c", "import sys; print(sys.executable)"])
        if done:
            yield Path(done)


def _is(path: Path, version: Version) -> bool:
    return path.exists() and _run([str(path), "-I", "-c", _ASK]) == "{} {}".format(*version)


def _run(command: list[str]) -> str | None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
