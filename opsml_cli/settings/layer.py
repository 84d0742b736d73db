"""What one source says, and where in it a value stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opsml_cli.settings.model import Path_, variable


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says. `file` None: the environment or a flag."""

    origin: str
    values: Mapping[str, Any]
    file: Path | None = None
    project: bool = False

    def where(self, path: Path_) -> str:
        """How an error names the place of a value."""
        if self.file is None:
            return f"{self.origin} {variable(path)}" if self.origin == "env" else self.origin
        line = line_of(self.file, path)
        return str(self.file) if line is None else f"{self.file}, line {line}"

    def origin_of(self, path: Path_) -> str:
        return f"env {variable(path)}" if self.origin == "env" else self.origin


def leaves(values: Mapping[str, Any], path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def line_of(file: Path, path: Path_) -> int | None:
    """The line (from 1) on which a settings file sets `path`; that of its table when the key is not found alone."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    if file.name == ".env":
        wanted = variable(path)
        names_ = (line.strip().removeprefix("export ").partition("=")[0].strip().upper() for line in lines)
        return next((number for number, name in enumerate(names_, 1) if name == wanted), None)
    table: Path_ = ()
    fallback = None
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = _key_path(stripped.strip("[] \t").partition("]")[0])
            here = table
        else:
            key, equals, _ = stripped.partition("=")
            if not equals:
                continue
            here = (*table, *_key_path(key))
        if here == path:
            return number
        if here and path[: len(here)] == here:
            fallback = number
    return fallback


def _key_path(text: str) -> Path_:
    return tuple(part.strip().strip("\"'") for part in text.split("."))
