"""Azure Monitor's metrics of endpoints on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from emulator_support import Emulated
from serving_support import ROW, deploy, end_all, register_own, trained_once
from waiting import until

from opsml_cli.domain.endpoint import ScoreRequest
from opsml_cli.domain.errors import InvalidInputError

VERSION = {"api-version": "2018-01-01"}


@pytest.fixture(scope="module")
def watched(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """The endpoint `bank` with three requests that were answered and one that was refused."""
    workspace = emulator.workspace
    model = register_own(workspace, trained_once(tmp_path_factory.getbasetemp()))
    deploy(workspace, model, insights=True)
    for _ in range(3):
        workspace.online_endpoints.score("bank", ScoreRequest([ROW]))
    with pytest.raises(InvalidInputError):
        workspace.online_endpoints.score("bank", ScoreRequest([{**ROW, "age": "forty"}]))
    until(lambda: workspace.insights.stats("bank", 60).requests >= 4)
    yield emulator
    end_all(workspace)


def ask(emulator: Emulated, endpoint: str = "bank", **query: str) -> httpx.Response:
    path = f"{emulator.ws}/onlineEndpoints/{endpoint}/providers/microsoft.insights/metrics"
    with emulator.client() as client:
        return client.get(path, params=VERSION | query)


def test_requests_are_counted_by_minute_and_split_by_dimensions(watched: Emulated) -> None:
    found = ask(watched, metricnames="RequestsPerMinute", **{"$filter": "deployment eq '*' and statusCode eq '*'"}).json()
    assert found.keys() == {"cost", "timespan", "interval", "value", "namespace", "resourceregion"}
    (metric,) = found["value"]
    assert (metric["name"]["value"], metric["unit"], metric["errorCode"]) == ("RequestsPerMinute", "Count", "Success")
    counts = {
        tuple(label["value"] for label in series["metadatavalues"]): sum(point["average"] for point in series["data"])
        for series in metric["timeseries"]
    }
    assert counts == {("blue", "200"): 3, ("blue", "400"): 1}
    assert [label["name"]["value"] for label in metric["timeseries"][0]["metadatavalues"]] == ["deployment", "statuscode"]


def test_one_value_of_a_dimension_and_the_number_of_series(watched: Emulated) -> None:
    one = ask(watched, **{"$filter": "statusCode eq '400'"}).json()["value"][0]["timeseries"]
    assert [point["average"] for series in one for point in series["data"]] == [1]
    first = ask(watched, top="1", **{"$filter": "statusCode eq '*'"}).json()["value"][0]["timeseries"]
    assert len(first) == 1


def test_latency_has_a_value_where_there_were_requests_only(watched: Emulated) -> None:
    names = "RequestLatency,RequestLatency_P50,RequestLatency_P95"
    found = ask(watched, metricnames=names).json()["value"]
    assert [metric["name"]["value"] for metric in found] == names.split(",")
    for metric in found:
        (series,) = metric["timeseries"]
        assert series["metadatavalues"] == []
        assert 1 <= len(series["data"]) <= 2 and all(point["average"] > 0 for point in series["data"])
    longer = ask(watched, metricnames="RequestsPerMinute", interval="PT1H").json()["value"][0]["timeseries"][0]["data"]
    assert sum(point["average"] for point in longer) * 60 == pytest.approx(4)
    now = datetime.now(UTC)
    before = f"{now - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}/{now - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    assert ask(watched, timespan=before).json()["value"][0]["timeseries"] == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"metricnames": "Happiness"}, "Valid metrics"),
        ({"interval": "PT2M"}, "time grain"),
        ({"timespan": "yesterday"}, "timespan"),
        ({"timespan": "2026-01-02T00:00:00Z/2026-01-01T00:00:00Z"}, "before"),
        ({"$filter": "colour eq '*'"}, "filter"),
    ],
)
def test_what_azure_refuses_is_refused(watched: Emulated, query: dict[str, str], words: str) -> None:
    reply = ask(watched, **query)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "BadRequest" and words in reply.json()["error"]["message"]


def test_an_endpoint_that_is_not_there_has_no_metrics(watched: Emulated) -> None:
    assert ask(watched, "nowhere").status_code == 404
