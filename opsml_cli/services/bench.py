"""A load test of an endpoint, and what follows from it: a verdict on objectives, a comparison, alert rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opsml_cli.domain.alert import AlertSaved, Condition, Measure, parse_objectives
from opsml_cli.domain.endpoint import Row
from opsml_cli.domain.errors import GateError, InvalidInputError, NotFoundError, OpsmlError, WorkFailedError
from opsml_cli.domain.load import LoadFigures, LoadPlan, round_up
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.workspace import Workspace

# An alert that fires at what was measured would fire all the time.
_HEADROOM = 2.0
_FOLLOWED = 0.9  # of the rate that was asked
_COMPARED = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Objective:
    """What must hold, and what was measured of it; `value` is None when nothing was."""

    objective: str
    met: bool
    value: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """A figure beside its baseline. `change`: the share by which it grew (0.1: a tenth), None where the baseline is zero."""

    measure: str
    baseline: float
    value: float
    change: float | None
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Bench:
    """`objectives` and `changes` are empty when nothing was asked. `proposed` are alert rules that these figures suggest,
    `alerts` those that were set."""

    figures: LoadFigures
    objectives: tuple[Objective, ...] = ()
    changes: tuple[Change, ...] = ()
    proposed: tuple[Condition, ...] = ()
    alerts: tuple[AlertSaved, ...] = ()

    @property
    def met(self) -> bool:
        return all(each.met for each in self.objectives)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be made of the figures. `tolerance`: the share by which a figure may be worse than in `baseline`."""

    slo: Sequence[str] = ()
    baseline: dict[str, Any] | None = None
    tolerance: float | None = None
    set_alerts: bool = False


def bench(
    workspace: Workspace, endpoint: str, plan: LoadPlan, rows: Sequence[Row], wishes: Wishes, *, progress: Progress
) -> tuple[Bench, OpsmlError | None]:
    """Send the load and judge it. The error: objectives that were missed or a figure worse than the baseline (GateError), or
    not one request that succeeded (WorkFailedError)."""
    objectives = [condition for text in wishes.slo for condition in parse_objectives(text)]
    figures = workspace.online_endpoints.load(endpoint, plan, rows, progress)
    stats = figures.as_stats()
    found = tuple(Objective(each.objective, each.met_by(stats), each.value(stats)) for each in objectives)
    changes = () if wishes.baseline is None else _changes(figures, wishes.baseline, wishes.tolerance)
    proposed = propose(figures)
    saved = tuple(workspace.alerts.create(endpoint, rule) for rule in proposed) if wishes.set_alerts else ()
    result = Bench(figures, found, changes, proposed, saved)
    return result, _verdict(result)


def propose(figures: LoadFigures) -> tuple[Condition, ...]:
    """Alert rules: the 95th percentile at twice what was measured, rounded up, and one error in a hundred. None for figures
    that nobody would want to keep: of an endpoint that failed, or that could not follow the rate."""
    p95, wanted = figures.latency_ms.p95, figures.plan.rate
    followed = wanted is None or figures.rate >= _FOLLOWED * wanted
    if p95 is None or p95 <= 0 or figures.errors * 100 > figures.requests or not followed:
        return ()
    return (Condition(Measure.P95, ">", round_up(p95 * _HEADROOM)), Condition(Measure.ERRORS, ">", 1.0))


def read_baseline(path: str) -> dict[str, Any]:
    """What an earlier `--save` kept. InvalidInputError for anything else."""
    try:
        document = json.loads(Path(path).expanduser().read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(f"there is no file {path}", fix="opsml bench ENDPOINT --save FILE makes one") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is no JSON", fix="opsml bench ENDPOINT --save FILE makes one") from error
    latency = document.get("latency_ms") if isinstance(document, dict) else None
    known = isinstance(latency, dict) and all(isinstance(latency.get(each), int | float) for each in _COMPARED)
    if not known or not isinstance(document.get("rate"), int | float):
        raise InvalidInputError(f"{path} holds no figures of a load test", fix="opsml bench ENDPOINT --save FILE makes one")
    return dict(document)


def incomparable(figures: LoadFigures, baseline: dict[str, Any]) -> list[str]:
    """Where the two load tests were not the same, in words."""
    now = figures.document()
    keys = ("endpoint", "mode", "target_rate", "clients", "rows_per_request")
    return [f"{key} was {baseline[key]}, is {now[key]}" for key in keys if key in baseline and baseline[key] != now[key]]


def _changes(figures: LoadFigures, baseline: dict[str, Any], tolerance: float | None) -> tuple[Change, ...]:
    latency = figures.document()["latency_ms"]
    pairs = [(each, float(baseline["latency_ms"][each]), latency[each], True) for each in _COMPARED]
    pairs.append(("rate", float(baseline["rate"]), figures.rate, False))
    found = []
    for measure, before, value, bad_when_high in pairs:
        if value is None:
            continue
        change = (value - before) / before if before else None
        worse = 0.0 if change is None else change if bad_when_high else -change
        found.append(Change(measure, before, value, change, tolerance is None or worse <= tolerance))
    return tuple(found)


def _verdict(result: Bench) -> OpsmlError | None:
    figures = result.figures
    if figures.errors == figures.requests:
        told = ", ".join(f"{kind}: {count}" for kind, count in figures.failed.items()) or "none was sent"
        return WorkFailedError(
            f"not one request to endpoint {figures.endpoint} succeeded", cause=told, fix=f"opsml logs {figures.endpoint}"
        )
    missed = [f"{each.objective} (found {'nothing' if each.value is None else f'{each.value:g}'})" for each in result.objectives
              if not each.met]  # fmt: skip
    missed += [
        f"{each.measure} {each.value:.4g} against {each.baseline:.4g} of the baseline" for each in result.changes if not each.ok
    ]
    if not missed:
        return None
    return GateError(f"endpoint {figures.endpoint} does not hold: {'; '.join(missed)}")
