"""Switching the recording of requests."""

from __future__ import annotations

from dataclasses import dataclass

from opsml_cli.domain.workspace import Workspace


@dataclass(frozen=True, slots=True)
class InsightsSwitched:
    """`insights` is what holds now; `unchanged` says that it held before."""

    endpoint: str
    insights: bool
    unchanged: bool
    dry_run: bool = False


def switch(workspace: Workspace, name: str, on: bool, *, dry_run: bool = False) -> InsightsSwitched:
    """Record the endpoint's requests from now on, or no longer; a running server follows without a restart.

    NotFoundError when there is no such endpoint. With `dry_run` nothing is written."""
    before = workspace.online_endpoints.get(name)
    if before.insights == on or dry_run:
        return InsightsSwitched(before.name, on, before.insights == on, dry_run)
    after = workspace.insights.enable(name) if on else workspace.insights.disable(name)
    return InsightsSwitched(after.name, after.insights, False)
