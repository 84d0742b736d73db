"""Named assets of the registry and their numbered versions: finding them, and making the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from opsml_cli.domain import names
from opsml_cli.domain.errors import BusyError, ConflictError
from opsml_cli.domain.names import AssetRef

if TYPE_CHECKING:
    from opsml_cli.azureml.rest import HttpRest

VERSION = "2024-10-01"
_PARALLEL = 8
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one kind of asset, as Azure's documents. A name is compared without case, as Azure does."""

    rest: HttpRest
    kind: Literal["data", "models"]

    def names(self) -> Sequence[str]:
        """The names that are there."""
        return [str(one["name"]) for one in self._containers()]

    def container(self, name: str) -> Mapping[str, Any] | None:
        """What holds the versions of `name`. UsageError for a name that none can have."""
        return self.rest.find(f"{{ws}}/{self.kind}/{self._checked(name)}", VERSION)

    def get(self, name: str, version: str) -> dict[str, Any] | None:
        return self.rest.find(f"{{ws}}/{self.kind}/{self._checked(name)}/versions/{version}", VERSION)

    def find(self, ref: AssetRef) -> dict[str, Any] | None:
        """The version, or the latest."""
        version = ref.version
        if version is None:
            container = self.container(ref.name)
            version = container["properties"].get("latestVersion") if container is not None else None
            if version is None:
                return None
        return self.get(ref.name, version)

    def of(self, name: str) -> Sequence[dict[str, Any]]:
        """Every version of `name` that is not archived; none for an unknown name."""
        if self.container(name) is None:
            return ()
        return tuple(self.rest.pages(f"{{ws}}/{self.kind}/{name}/versions", VERSION, listViewType="ActiveOnly"))

    def latest(self) -> Sequence[dict[str, Any]]:
        """The latest version of every name, asked for side by side."""
        from concurrent.futures import ThreadPoolExecutor

        wanted = [
            (str(one["name"]), str(one["properties"]["latestVersion"]))
            for one in self._containers()
            if one["properties"].get("latestVersion")
        ]
        if not wanted:
            return ()
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return [one for one in pool.map(lambda pair: self.get(*pair), wanted) if one is not None]

    def next_version(self, name: str) -> str:
        container = self.container(name)
        return str(container["properties"].get("nextVersion") or "1") if container is not None else "1"

    def create(self, name: str, version: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new version: the one that was asked for, or the next that nobody takes meanwhile. ConflictError when another
        holds what was asked for."""
        container = self.container(name)
        name = str(container["name"]) if container is not None else name
        wanted = version or self.next_version(name)
        for attempt in range(1, _TRIES + 1):
            try:
                return self.put(name, wanted, body)
            except ConflictError as error:
                # Only a version that is taken makes way; where no answer came, this one may have been made.
                if isinstance(error, BusyError) or version is not None or attempt == _TRIES:
                    raise
            wanted = str(int(wanted) + 1)
        raise AssertionError("the last attempt returns or raises")

    def put(self, name: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create this version, or change its labels. ConflictError when it is there with other content."""
        path = f"{{ws}}/{self.kind}/{name}/versions/{version}"
        written: dict[str, Any] = self.rest.send("PUT", path, VERSION, body, repeatable=True).value
        return written

    def _containers(self) -> Sequence[dict[str, Any]]:
        return tuple(self.rest.pages(f"{{ws}}/{self.kind}", VERSION, listViewType="ActiveOnly"))

    def _checked(self, name: str) -> str:
        return names.asset_name(name, f"{self.kind.removesuffix('s')} name")
