"""How jobs and deployments name a registered model. Apart from both, so that reading one does not load the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelPointer:
    """The registered model that a job or deployment names. `path` is a folder or URI."""

    name: str
    version: str
    path: str | None = None
