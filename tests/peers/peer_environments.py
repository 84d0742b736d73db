"""Virtual environments of the servers that opsml is compared with, made once below a cache folder and used by every run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
from filelock import FileLock

HERE = Path(__file__).parent
BUILD_SECONDS = 900.0


class NoIndexError(Exception):
    """The environment could not be made; the text has the end of the installer's output."""


def folder() -> Path:
    """Where the environments lie: OPSML_PEERS, or below the user's cache."""
    return Path(os.environ.get("OPSML_PEERS") or platformdirs.user_cache_path("opsml") / "peers")


def python_of(peer: str) -> Path:
    """The interpreter of the environment with the packages of PEER.txt, built when it is not there. Two processes that ask at
    once make one; what a killed one left half-made is thrown away. NoIndexError when the packages cannot be installed."""
    requirements = HERE / f"{peer}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    place = folder() / f"{peer}-py{version}-{digest}"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    whole = place / "whole"
    if whole.exists():
        return python
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not whole.exists():
            shutil.rmtree(place, ignore_errors=True)
            _build(place, python, requirements)
            whole.touch()
    return python


def _build(place: Path, python: Path, requirements: Path) -> None:
    _run([sys.executable, "-m", "venv", str(place)])
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(requirements)])


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode:
        raise NoIndexError("\n".join(done.stdout.splitlines()[-5:]))
