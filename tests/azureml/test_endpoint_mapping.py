"""Azure's endpoints and deployments as values, and the bodies that are PUT."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opsml_cli.azureml.endpoint_bodies import changed_deployment, changed_endpoint, new_deployment, new_endpoint
from opsml_cli.azureml.endpoint_logs import parse
from opsml_cli.azureml.endpoint_mapping import (
    TAG_LENGTH,
    Wish,
    endpoint_of,
    model_of,
    outcome_of,
    previous_of,
    settled_tags,
    target_of,
    traffic_tags,
    wish_tags,
    wishes_of,
)
from opsml_cli.azureml.insights import fresh_lines
from opsml_cli.domain.endpoint import DeploymentState
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.traffic import shared_out

WISH = Wish("r1", "blue", "bank", "3", "Standard_DS3_v2", 2, True, 40)
MODEL_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/models/bank/versions/3"


def endpoint(state: str = "Succeeded", tags: dict[str, str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "name": "bank",
        "location": "eastus",
        "kind": "Managed",
        "tags": {"team": "a", **(tags or {})},
        "identity": {"type": "SystemAssigned", "principalId": "p", "tenantId": "t"},
        "systemData": {"createdAt": "2026-03-27T04:21:57.8899375+00:00"},
        "properties": {
            "authMode": "Key",
            "provisioningState": state,
            "scoringUri": None if state == "Creating" else "https://bank.eastus.inference.ml.azure.com/score",
            "swaggerUri": None,
            "traffic": {},
            "mirrorTraffic": {},
            "properties": {"azureml.onlineendpointid": "x", "AzureAsyncOperationUri": "u", "mine": "1"},
            **properties,
        },
    }


def deployment(name: str = "blue", state: str = "Succeeded", revision: str | None = "r1", **properties: Any) -> dict[str, Any]:
    return {
        "name": name,
        "location": "eastus",
        "kind": "Managed",
        "tags": {} if revision is None else {"opsml.revision": revision, "opsml.share": "40"},
        "sku": {"name": "Default", "tier": "Standard", "capacity": 2},
        "systemData": {"createdAt": "2026-03-27T05:00:00+00:00"},
        "properties": {
            "model": MODEL_ID,
            "instanceType": "Standard_DS3_v2",
            "appInsightsEnabled": True,
            "provisioningState": state,
            "privateNetworkConnection": False,
            "livenessProbe": None,
            "requestSettings": {"maxQueueWait": "PT0S", "requestTimeout": "PT0S", "maxConcurrentRequestsPerInstance": 1},
            "properties": {"AzureAsyncOperationUri": "u"},
            **properties,
        },
    }


def test_a_wish_lasts_in_the_endpoints_tags() -> None:
    made = new_endpoint("eastus", WISH)
    assert made["properties"]["authMode"] == "Key" and made["properties"]["traffic"] == {}
    assert wishes_of(made) == (WISH,)
    assert all(len(text) <= TAG_LENGTH for text in made["tags"].values())
    shown = endpoint_of(endpoint("Creating", made["tags"]), ())
    assert (shown.state, shown.scoring_uri, shown.tags) == (DeploymentState.CREATING, None, {"team": "a"})
    assert [(each.name, each.state, each.model.name) for each in shown.deployments] == [
        ("blue", DeploymentState.CREATING, "bank")
    ]


def test_a_long_wish_takes_several_tags_which_go_together() -> None:
    properties = {
        "codeConfiguration": {"codeId": "c" * 200, "scoringScript": "app/score.py"},
        "environmentVariables": {f"NAME_{number}": f"value {number * 7919}" for number in range(40)},
    }
    long = replace(WISH, model="m" * 255, properties=properties, tags={"team": "a"})
    made = new_endpoint("eastus", long)
    assert all(len(text) <= TAG_LENGTH for text in made["tags"].values())
    assert wishes_of(made) == (long,)
    assert settled_tags(made, "blue", "r1", None) == {"opsml.done.blue": "r1"}
    # A tag that is gone leaves nothing half-read.
    broken = {name: text for name, text in made["tags"].items() if not name.endswith(".1")}
    assert wishes_of({"tags": broken}) == ()


def test_a_wish_that_azure_could_not_keep_is_refused() -> None:
    import random

    noise = random.Random(1).randbytes(8000).hex()
    with pytest.raises(UsageError, match="too long"):
        wish_tags(replace(WISH, properties={"environmentVariables": {"A": noise}}))
    assert wishes_of({"tags": {"opsml.deploy.x": "no JSON", "opsml.deploy.y": "[1]", "opsml.deploy.z": "packed:x"}}) == ()


def test_a_deployment_is_done_only_when_it_was_tried() -> None:
    untried = endpoint_of(endpoint(), [deployment()])
    assert untried.deployments[0].state is DeploymentState.UPDATING
    tags = settled_tags(endpoint(tags=wish_tags(WISH)), "blue", "r1", None)
    assert "opsml.deploy.blue" not in tags and tags["team"] == "a"
    done = endpoint_of(endpoint(tags=tags), [deployment()])
    assert done.deployments[0].state is DeploymentState.SUCCEEDED
    # Another wish was tried, not this one.
    assert outcome_of(endpoint(tags=tags), deployment(revision="r2")) == (False, None)


def test_a_deployment_that_did_not_answer_is_failed_with_the_reason() -> None:
    tags = settled_tags(endpoint(), "blue", "r1", "it said\nnothing " + "x" * 500)
    assert len(tags["opsml.done.blue"]) == TAG_LENGTH
    shown = endpoint_of(endpoint(tags=tags), [deployment()]).deployments[0]
    assert shown.state is DeploymentState.FAILED and (shown.detail or "").startswith("it said nothing x")


def test_somebody_elses_deployment_is_as_azure_says() -> None:
    shown = endpoint_of(endpoint(traffic={"blue": 100}), [deployment(revision=None)])
    assert shown.deployments[0].state is DeploymentState.SUCCEEDED
    assert (shown.traffic, shown.insights, shown.running) == ({"blue": 100}, True, None)
    assert target_of(deployment(revision=None)).same_target(WISH)


def test_traffic_on_its_way_is_not_done() -> None:
    tags = traffic_tags(endpoint(traffic={"old": 100}), settled_tags(endpoint(), "blue", "r1", None), "blue")
    assert tags["opsml.previous"] == "old=100"
    assert previous_of({"tags": tags}) == {"old": 100} and previous_of(endpoint()) is None
    shown = endpoint_of(endpoint("Updating", tags, traffic={"blue": 100}), [deployment()])
    assert shown.deployments[0].state is DeploymentState.UPDATING


def test_an_endpoint_is_put_whole_without_what_the_service_fills_in() -> None:
    body = changed_endpoint(endpoint(traffic={"blue": 100}), tags={"a": "b"}, traffic={"blue": 40, "green": 60})
    assert body["properties"]["traffic"] == {"blue": 40, "green": 60}
    assert body["properties"]["properties"] == {"mine": "1"}
    assert body["identity"] == {"type": "SystemAssigned"} and body["tags"] == {"a": "b"}
    assert "provisioningState" not in body["properties"] and "scoringUri" not in body["properties"]


def test_a_deployment_is_put_whole_with_insights() -> None:
    body = changed_deployment(deployment(), insights=False)
    assert body["properties"]["appInsightsEnabled"] is False
    assert body["properties"]["model"] == MODEL_ID and body["sku"] == {"name": "Default", "capacity": 2}
    assert body["tags"] == {"opsml.revision": "r1", "opsml.share": "40"}
    assert not {"provisioningState", "livenessProbe", "privateNetworkConnection"} & body["properties"].keys()
    made = new_deployment("eastus", WISH, MODEL_ID)
    assert (made["sku"]["capacity"], made["properties"]["instanceType"]) == (2, "Standard_DS3_v2")
    assert target_of({"name": "blue", **made}) == WISH


def test_models_are_named_in_several_ways() -> None:
    assert (model_of(MODEL_ID).name, model_of(MODEL_ID).version) == ("bank", "3")
    assert (model_of("azureml:bank:3").name, model_of("azureml:bank:3").version) == ("bank", "3")
    assert model_of(None).name == ""


def test_shares_keep_their_proportions() -> None:
    assert shared_out({"a": 60, "b": 40}, "c", 25) == {"a": 45, "b": 30, "c": 25}
    assert sum(shared_out({"a": 33, "b": 33, "c": 34}, "d", 50).values()) == 100
    assert shared_out({}, "a", 30) == {"a": 100} and shared_out({"b": 0}, "a", 0) == {"b": 0, "a": 0}


LOGS = """Instance status:
SystemSetup: Succeeded
UserContainerImagePull: Succeeded

Container events:
Kind: Pod, Name: Created

Container logs:
2026-03-27T04:21:57,123456 INFO first
second, of the same time
Traceback (most recent call last):
2026-03-27 04:21:59 ERROR third
"""


def test_logs_lose_the_status_above_them() -> None:
    lines = parse(LOGS)
    assert [line.text for line in lines] == ["first", "second, of the same time", "Traceback (most recent call last):", "third"]
    assert [line.level for line in lines] == ["info", "info", "error", "error"]
    assert lines[0].moment == lines[1].moment and (lines[3].moment or 0) > (lines[0].moment or 0)
    assert [line.text for line in parse("Instance status:\nX: Succeeded\n\nonly this\n")] == ["only this"]
    assert parse("") == [] and parse("bare")[0].moment is None


TRACEBACK = """2026-03-27T04:21:57Z INFO loaded model
2026-03-27T04:21:58Z ERROR Traceback (most recent call last):
  File "score.py", line 3, in run
    raise KeyError(1)
KeyError: 1

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "score.py", line 5, in run
ValueError: no such "INFO"
printed by the script
2026-03-27T04:21:59Z ERROR run() failed
Traceback (most recent call last):
  File "score.py", line 7, in run
TypeError: three
2026-03-27T04:22:00Z WARNING late
"""


def test_a_traceback_is_one_entry_of_level_error() -> None:
    entries = parse(TRACEBACK)
    assert [(entry.level, entry.text.split("\n")[0]) for entry in entries] == [
        ("info", "loaded model"),
        ("error", "Traceback (most recent call last):"),
        ("info", "printed by the script"),
        ("error", "run() failed"),
        ("warning", "late"),
    ]
    assert "line 3, in run" in entries[1].text and entries[1].text.endswith('ValueError: no such "INFO"')
    assert entries[3].text.endswith('  File "score.py", line 7, in run\nTypeError: three')


def test_a_traceback_that_grew_is_told_on() -> None:
    lines = TRACEBACK.split("\n")
    before, now = parse("\n".join(lines[:4])), parse(TRACEBACK)
    fresh = fresh_lines(before, now)
    assert fresh[0].level == "error" and fresh[0].text.startswith("KeyError: 1\nDuring") and fresh[1:] == now[2:]


def test_only_fresh_lines_are_told_again() -> None:
    one, two, three = parse("a\nb\nc")
    assert fresh_lines([], [one, two]) == [one, two]
    assert fresh_lines([one, two], [one, two]) == []
    assert fresh_lines([one, two], [two, three]) == [three]
    assert fresh_lines([one, two], [one, two, two]) == [two]
    assert fresh_lines([one], [two, three]) == [two, three]  # it scrolled by
