"""The compiled forms of foreign models, kept below an endpoint's folder by what they were made of."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.content.files import temporary_name
from opsml_cli.local.endpoint_records import Release
from opsml_cli.local.serving.host.exchange import Description

if TYPE_CHECKING:
    from opsml_cli.local.serving.compiled.scorer import CompiledScorer

_HOST = "host.json"  # what the host said of the model
_KEPT = 8  # compiled forms of one endpoint


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled model that was proven in this process, and what its host said of it."""

    scorer: CompiledScorer
    example: str | None
    results: tuple[object, ...]


def place_of(folder: Path, release: Release, bundle: Path) -> Path:
    """Where the compiled form of the release lies in the endpoint's `folder`: the model, the compiler (of the hosts' bundle)
    and the interpreter make its name."""
    words = json.dumps([release.sha256, bundle.name, release.python or ""]).encode()
    return folder / "compiled" / hashlib.sha256(words).hexdigest()[:24]


def keep(made: Path, final: Path, description: Description) -> None:
    """Put what a host wrote in its place; another process may have been faster."""
    (made / _HOST).write_text(json.dumps({"example": description.example, "results": list(description.results)}), "utf-8")
    final.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = temporary_name(final.parent)
    shutil.copytree(made, temporary)
    try:
        temporary.rename(final)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not final.is_dir():
            raise
    _forget(final)


def load(final: Path) -> Compiled | None:
    """The model from its compiled form; None when there is none. UnequalError when it does not answer as the original did."""
    if not final.is_dir():
        return None
    from opsml_cli.local.serving.compiled import scorer

    words: dict[str, Any] = json.loads((final / _HOST).read_text("utf-8"))
    return Compiled(scorer.load(final), words["example"], tuple(words["results"]))


def _forget(newest: Path) -> None:
    """Remove the oldest ones but for a few: a model that is compiled again takes a moment only."""
    with suppress(OSError):
        found = sorted((path for path in newest.parent.iterdir() if path != newest), key=lambda path: path.stat().st_mtime)
        for path in found[: max(0, len(found) - _KEPT)]:
            shutil.rmtree(path, ignore_errors=True)
