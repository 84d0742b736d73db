"""`opsml bench`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opsml_cli.domain.endpoint import Row

_SAMPLE = 100
_LAG = 5.0  # milliseconds: what a reader should know of


def _warmup(text: str) -> float:
    return 0.0 if text in ("0", "0s") else options.seconds(text)


def bench(
    session: Session,
    endpoint: options.EndpointName,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="Rows to send: CSV, JSON, JSON lines, Parquet; - is standard input."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="Send N rows of the model's training data; 100 without INPUT."),
    ] = None,
    duration: Annotated[
        float, typer.Option("--duration", parser=options.seconds, metavar="DURATION", help="How long to measure.")
    ] = 10.0,
    warmup: Annotated[
        float, typer.Option("--warmup", parser=_warmup, metavar="DURATION", help="Load before it that is not measured.")
    ] = 1.0,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", help="Send N requests a second, whether or not they are answered.")
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option("--clients", metavar="N", help="N clients, each waiting for its answer (8); with --rate at most N."),
    ] = None,
    rows_per_request: Annotated[int, typer.Option("--rows-per-request", metavar="N", min=1, help="Rows in each request.")] = 1,
    deployment: options.Deployment = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", parser=options.seconds, metavar="DURATION", help="When a request without answer has failed."),
    ] = 30.0,
    slo: Annotated[
        list[str] | None,
        typer.Option("--slo", metavar="CONDITIONS", help="What must hold, as 'p95<50ms,errors<1%'; repeatable."),
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Keep the figures as JSON.")] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="FILE", help="Compare with figures that --save kept.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", metavar="PERCENT", min=0, help="How much worse than the baseline a figure may be."),
    ] = None,
    set_alerts: Annotated[bool, typer.Option("--set-alerts", help="Set the alert rules that the figures suggest.")] = False,
    dry_run: options.DryRun = False,
) -> Verdict | Planned:
    """Put load on an endpoint, and measure latency, throughput and errors as its clients see them.

    With --rate requests are sent at even intervals whatever becomes of them, and a request that had to wait for a free
    connection is counted from when it was due: a stall cannot hide. Without it --clients send one request after the other.
    Exit code 10: an objective of --slo was missed, or a figure is worse than the baseline by more than --tolerance.

    Example: opsml bench bank --rate 200 --duration 30s --slo 'p95<50ms,errors<1%'
    """
    import json

    from opsml_cli.cli.saving import check_target, write_whole
    from opsml_cli.domain.alert import parse_objectives
    from opsml_cli.domain.errors import UsageError
    from opsml_cli.domain.load import LoadPlan
    from opsml_cli.services import bench as benching

    if source is not None and sample is not None:
        raise UsageError("give INPUT or --sample N", cause="both were given")
    if tolerance is not None and baseline is None:
        raise UsageError("--tolerance needs --baseline FILE")
    plan = LoadPlan(duration, warmup, rate, clients, rows_per_request, deployment, timeout)
    for text in slo or ():
        parse_objectives(text)
    if save is not None:
        check_target(save)
    before = None if baseline is None else benching.read_baseline(baseline)
    if dry_run:
        found = session.workspace.online_endpoints.get(endpoint)
        details: dict[str, object] = {"load": plan.told, "slo": list(slo or ()), "set_alerts": set_alerts}
        return Planned("load", f"endpoint {found.name}", details)
    wishes = benching.Wishes(slo or (), before, None if tolerance is None else tolerance / 100, set_alerts)
    rows = _rows(session, endpoint, deployment, source, sample or _SAMPLE)
    result, error = benching.bench(session.workspace, endpoint, plan, rows, wishes, progress=session.progress)
    if before is not None:
        for difference in benching.incomparable(result.figures, before):
            session.progress.warn(f"not the same load as in the baseline: {difference}")
    if (result.figures.lag_ms or 0.0) > _LAG:
        session.progress.warn(
            f"this machine was {result.figures.lag_ms:.0f} ms late in sending (99th percentile): ask for less, or use another"
        )
    if save is not None:
        write_whole(save, json.dumps(result.figures.document(), indent=1).encode() + b"\n")
    return Verdict(result, error)


def _rows(session: Session, endpoint: str, deployment: str | None, source: str | None, sample: int) -> Sequence[Row]:
    from opsml_cli.services import score as scoring

    target = scoring.Target(endpoint, deployment)
    if source is not None:
        from opsml_cli.cli.input_rows import input_rows

        return input_rows(session, source, target)
    return scoring.sample(session.workspace, target, sample)
