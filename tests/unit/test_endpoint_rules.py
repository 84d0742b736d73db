"""The rules of endpoints that Azure's control plane has: traffic, mirrors, recorded deployments, sizes and their quota."""

from __future__ import annotations

import pytest

from opsml_cli.domain.endpoint import DeploymentState, DeploySpec
from opsml_cli.domain.errors import ConflictError, NotFoundError, UsageError
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import endpoint_plan, endpoint_traffic, vm_sizes
from opsml_cli.local.endpoint_records import DeploymentRecord, EndpointRecord, Release, Script
from opsml_cli.local.endpoint_traffic import EndpointSettings


def release(revision: str = "a", **more: object) -> Release:
    return Release(revision, "bank", "1", "/models/bank/1", "0" * 64, True, **more)  # type: ignore[arg-type]


def endpoint(*names: str) -> EndpointRecord:
    record = EndpointRecord("id", "bank", "now")
    for name in names:
        ready = release(name)
        record.deployments[name] = DeploymentRecord(name, "now", DeploymentState.SUCCEEDED, ready, ready)
    return record


def test_settings_are_taken_whole_or_not_at_all() -> None:
    record = endpoint("blue")
    with pytest.raises(UsageError, match="adds up"):
        endpoint_traffic.apply(record, EndpointSettings("AMLToken", tags={"a": "b"}, traffic={"blue": 40}))
    assert (record.auth_mode, record.tags, record.traffic) == ("Key", {}, {})
    endpoint_traffic.apply(record, EndpointSettings("AMLToken", tags={"a": "b"}, traffic={"BLUE": 100}))
    assert (record.auth_mode, record.tags, record.traffic) == ("AMLToken", {"a": "b"}, {"blue": 100})
    endpoint_traffic.apply(record, EndpointSettings("AMLToken"))
    assert record.traffic == {"blue": 100}


@pytest.mark.parametrize(
    ("traffic", "error"), [({"red": 100}, NotFoundError), ({"blue": 200}, UsageError), ({"green": 100}, ConflictError)]
)
def test_traffic_goes_to_deployments_that_can_take_it(traffic: dict[str, int], error: type[Exception]) -> None:
    record = endpoint("blue")
    record.deployments["green"] = DeploymentRecord("green", "now", DeploymentState.FAILED, release("g"))
    with pytest.raises(error):
        endpoint_traffic.checked(record, traffic)


@pytest.mark.parametrize("mirror", [{"green": 51}, {"blue": 10}, {"green": 10, "red": 10}])
def test_one_other_deployment_is_mirrored_to(mirror: dict[str, int]) -> None:
    record = endpoint("blue", "green", "red")
    with pytest.raises(UsageError):
        endpoint_traffic.apply(record, EndpointSettings(traffic={"blue": 100}, mirror=mirror))
    endpoint_traffic.apply(record, EndpointSettings(traffic={"blue": 100}, mirror={"green": 50}))
    assert record.mirror == {"green": 50}
    record.remove_deployment("green")
    assert record.mirror == {}


def test_requests_are_recorded_by_deployment() -> None:
    record = endpoint("blue", "green")
    assert record.record_requests_of("green", True)
    assert [record.insights, *(record.records_requests_of(each) for each in ("blue", "green"))] == [True, False, True]
    assert not record.record_requests_of("green", True)
    assert record.record_requests_of("green", False)
    assert not record.insights
    assert record.record_requests(True)
    assert record.records_requests_of("blue")
    assert record.records_requests_of("green")


def test_an_attached_deployment_leaves_traffic_as_it_is() -> None:
    record = endpoint("blue")
    record.set_traffic({"blue": 100})
    spec = DeploySpec(AssetRef("bank", "1"), "bank", "green")
    plan = endpoint_plan.attached(record, spec, release("g"), None)
    assert (plan.deployment.share, record.traffic) == (None, {"blue": 100, "green": 0})
    failed = endpoint_plan.attached(record, spec, release("h", script=Script("score.py", "0" * 64)), "no")
    assert (failed.deployment.state, failed.deployment.detail) == (DeploymentState.FAILED, "no")


def test_a_script_or_other_variables_are_another_release() -> None:
    script = Script("score.py", "0" * 64)
    assert release("a", script=script).same_as(release("b", script=script))
    assert not release("a", script=script).same_as(release("b"))
    assert not release("a", environment={"A": "1"}).same_as(release("b", environment={"A": "2"}))


def test_a_fifth_more_machines_are_kept_for_upgrades() -> None:
    size = vm_sizes.find("STANDARD_ds3_V2")
    assert [size.cores_for(count) for count in (1, 2, 5, 6)] == [8, 12, 24, 32]
    vm_sizes.check_quota(size, 6, [("Standard_DS3_v2", 10), ("Standard_F4s_v2", 20), ("unknown", 1)])
    with pytest.raises(vm_sizes.CoresError) as caught:
        vm_sizes.check_quota(size, 8, [("Standard_DS4_v2", 8)])
    assert (caught.value.usage, caught.value.limit, caught.value.needed) == (80, 100, 40)
    with pytest.raises(UsageError, match="not supported"):
        vm_sizes.find("Standard_Huge_v9")
