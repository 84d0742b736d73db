"""Which requirements the packages of a Python do not meet."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from dataclasses import dataclass

from opsml_cli.local.environments.wanted import Wanted

# MLflow is there in part: what its smaller package does counts as the whole of it.
_STANDS_FOR = {"mlflow": "mlflow-skinny"}


@dataclass(frozen=True, slots=True)
class Unmet:
    """`requirement` as it was written; `installed` the version that is there, None for none."""

    requirement: str
    installed: str | None

    def __str__(self) -> str:
        return f"{self.requirement} ({'not installed' if self.installed is None else f'here: {self.installed}'})"


def unmet(wanted: Wanted, version_of: Callable[[str], str | None] | None = None) -> list[Unmet]:
    """The requirements that this interpreter's packages do not meet, its Python first. Lines that name no package (a URL, a
    folder, an option) cannot be judged, and are left out."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    look = version_of or _version_of
    found = []
    here = sys.version_info[:2]
    if wanted.python is not None and wanted.python != here:
        found.append(Unmet("python=={}.{}".format(*wanted.python), "{}.{}".format(*here)))
    for line in wanted.lines:
        if line.startswith("-"):
            continue
        try:
            # An installer's own options may follow, as --hash does.
            requirement = Requirement(line.split(" --")[0])
        except InvalidRequirement:
            continue
        if requirement.url or (requirement.marker is not None and not requirement.marker.evaluate()):
            continue
        installed = look(requirement.name)
        if installed is None and requirement.name.lower() in _STANDS_FOR:
            installed = look(_STANDS_FOR[requirement.name.lower()])
        try:
            met = installed is not None and requirement.specifier.contains(installed, prereleases=True)
        except InvalidVersion:
            met = False
        if not met:
            found.append(Unmet(line, installed))
    return found


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
