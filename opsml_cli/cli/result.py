"""What a command may return besides a domain value."""

from __future__ import annotations

from dataclasses import dataclass

from opsml_cli.domain.errors import OpsmlError


@dataclass(frozen=True, slots=True)
class Verdict:
    """A result that is shown, and an error that decides the exit code (`doctor`, `swagger --check`). No error: 0."""

    result: object
    error: OpsmlError | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """What `--dry-run` says where the port has no value for it. Rendered as its document."""

    action: str
    target: str
    details: dict[str, object]


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A command that was run for the user ended: its exit code is ours, and nothing is shown."""

    exit_code: int
