"""Azure Monitor's answers as figures."""

from __future__ import annotations

from typing import Any

import pytest

from opsml_cli.azureml.metrics import BUCKETS, figures, points_of


def answer(metric: str, *series: tuple[dict[str, str], dict[str, float | None]]) -> dict[str, Any]:
    return {
        "value": [
            {
                "name": {"value": metric},
                "timeseries": [
                    {
                        "metadatavalues": [{"name": {"value": name}, "value": value} for name, value in labels.items()],
                        "data": [
                            {"timeStamp": stamp} | ({} if value is None else {"average": value})
                            for stamp, value in data.items()
                        ],
                    }
                    for labels, data in series
                ],
            }
        ]
    }


def test_counts_add_up_and_quantiles_are_weighted() -> None:
    first, second = "2026-03-27T04:00:00Z", "2026-03-27T04:01:00Z"
    counted = points_of(
        answer(
            "RequestsPerMinute",
            ({"deployment": "blue", "statuscode": "200"}, {first: 9.0, second: 30.0}),
            ({"deployment": "blue", "statuscode": "424"}, {first: 1.0, second: None}),
            ({"deployment": "green", "statuscode": "200"}, {first: 10.0}),
        )
    )
    latency = points_of(
        answer(
            "RequestLatency_P50",
            ({"deployment": "blue"}, {first: 10.0, second: 20.0}),
            ({"deployment": "green"}, {first: 40.0}),
        )
    )
    counted, latency = list(counted), list(latency)
    found = figures("bank", 120.0, counted, [latency, latency, []], start=counted[0].moment, width=60.0)
    assert (found.requests, found.failures, found.by_status) == (50, 1, {"200": 49, "424": 1})
    assert found.by_deployment["blue"].requests == 40 and found.by_deployment["green"].failures == 0
    assert found.by_deployment["blue"].latency_ms.p50 == pytest.approx((10 * 10 + 20 * 30) / 40)
    assert found.latency_ms.p50 == pytest.approx((10 * 10 + 20 * 30 + 40 * 10) / 50)
    assert found.latency_ms.p99 is None
    assert len(found.over_time) == BUCKETS and sum(requests for _, requests, _ in found.over_time) == 50


def test_longer_grains_count_every_minute() -> None:
    counted = list(points_of(answer("RequestsPerMinute", ({"deployment": "blue"}, {"2026-03-27T04:00:00Z": 0.4}))))
    found = figures("bank", 3600.0, counted, [[], [], []], start=counted[0].moment, width=300.0)
    assert (found.requests, found.latency_ms.p50) == (2, None)


def test_nothing_is_nothing() -> None:
    found = figures("bank", 60.0, [], [[], [], []], start=0.0, width=60.0)
    assert (found.requests, found.by_deployment, found.by_status, found.latency_ms.p50) == (0, {}, {}, None)
