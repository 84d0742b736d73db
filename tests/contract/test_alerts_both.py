"""Alert rules on every kind of workspace: a local one, and Azure ML over the emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opsml_cli.azureml.alerts import criterion_of
from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.alert import AlertState, parse_alert
from opsml_cli.domain.errors import NotFoundError, UnsupportedError
from opsml_cli.domain.workspace import Workspace
from opsml_cli.local import endpoint_records
from opsml_cli.local.clock import now
from opsml_cli.local.workspace import LocalWorkspace


def of_this_machine(workspace: Workspace, local: LocalWorkspace) -> LocalWorkspace:
    """The local workspace behind either kind."""
    if isinstance(workspace, LocalWorkspace):
        return workspace
    return LocalWorkspace(local.root.parent / "azure" / ".opsml")


@pytest.fixture
def workspace(either_workspace: Workspace, workspace_of_this_machine: LocalWorkspace) -> Iterator[Workspace]:
    """With the endpoint `bank`, which has no server."""
    behind = of_this_machine(either_workspace, workspace_of_this_machine)
    with behind.store.write() as connection:
        endpoint_records.save(connection, endpoint_records.EndpointRecord("0" * 16, "bank", now(), desired="stopped"))
    try:
        yield either_workspace
    finally:
        behind.service.down(jobs=False, dry_run=False)
        behind.store.close()


def test_rules_are_made_once_listed_and_deleted(workspace: Workspace, workspace_of_this_machine: LocalWorkspace) -> None:
    rules = [parse_alert(text) for text in ("p95>100ms for 5m", "failures>10 for 15m", "requests<1 for 1h")]
    for rule in rules:
        made = workspace.alerts.create("bank", rule)
        assert (made.unchanged, made.alert.rule, made.alert.endpoint) == (False, rule, "bank")
        assert workspace.alerts.create("bank", rule).unchanged
    found = workspace.alerts.list("bank")
    assert {str(alert.rule) for alert in found} == {str(rule) for rule in rules}
    behind = of_this_machine(workspace, workspace_of_this_machine)
    behind.alerts.look()
    states = {str(alert.rule): alert.state for alert in workspace.alerts.list("bank")}
    for alert in found:  # the service may have looked before
        assert alert.state in (AlertState.UNKNOWN, states[str(alert.rule)])
    assert states["requests<1 for 1h"] is AlertState.FIRING
    assert states["failures>10 for 15m"] is AlertState.OK
    behind.store.close()
    workspace.alerts.delete("bank", "P95-gt-100-5m")
    assert len(workspace.alerts.list("bank")) == 2
    with pytest.raises(NotFoundError):
        workspace.alerts.delete("bank", "p95-gt-100-5m")
    for call in (workspace.alerts.list, lambda name: workspace.alerts.create(name, rules[0])):
        with pytest.raises(NotFoundError):
            call("nobody")


def test_what_azure_monitor_cannot_watch_is_said(azure_workspace: AzureWorkspace) -> None:
    for text in ("errors>1%", "p95>100ms for 7m"):
        with pytest.raises(UnsupportedError):
            azure_workspace.alerts.create("bank", parse_alert(text))
    counted = criterion_of(parse_alert("failures>10 for 5m"))
    assert (counted["metricName"], counted["threshold"]) == ("RequestsPerMinute", 2.0)
    assert criterion_of(parse_alert("rate<2/s for 5m"))["threshold"] == 120.0
