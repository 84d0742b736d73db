"""Where things lie in a local workspace's folder. The only place that joins these names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain import names


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below `root`, the `.opsml` folder. Every name is checked before it becomes part of a path, and used in its
    case-folded form, so that two spellings of one name share one place on every file system."""

    root: Path

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def staging(self) -> Path:
        """Parts of objects that were not committed yet."""
        return self.root / "staging"

    @property
    def service(self) -> Path:
        """Files of the local service (`opsml local up`)."""
        return self.root / "service"

    @property
    def batch(self) -> Path:
        """What batch runs have done so far."""
        return self.root / "batch"

    def job(self, name: str) -> Path:
        return self.root / "jobs" / names.key(names.asset_name(name, "job name"))

    def step(self, run: str, name: str) -> Path:
        """Files of one step of a pipeline run."""
        return self.job(run) / "steps" / names.key(names.step_name(name))

    def model(self, name: str, version: str) -> Path:
        return self.root / "models" / names.key(names.asset_name(name, "model name")) / names.key(names.version(version))

    def endpoint(self, name: str) -> Path:
        return self.root / "endpoints" / names.key(names.endpoint_name(name))
